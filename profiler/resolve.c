// SPDX-License-Identifier: Apache-2.0
/* Records to samples, see resolve.h. */
#include "profiler/resolve.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/hmap.h"
#include "profiler/base/log.h"
#include "profiler/base/vec.h"
#include "profiler/copy_unwind.h"
#include "profiler/map_list.h"

#define OPEN_FILE_NS	(30 * NS_PER_S)	  /* files nobody sampled stay open so long */
#define SCAN_PERIOD_NS	(10 * NS_PER_S)	  /* repair after lost side-band records */
#define JIT_WAIT_NS	(500 * NS_PER_MS) /* a perf map is looked for again, ever later */
#define JIT_WAIT_MAX_NS (15 * NS_PER_S)

/* A copied sample whose files or mappings are being read. */
struct pending {
	struct rec_copy *copy; /* owned, with its stack */
	struct image *image;   /* referenced */
	struct map_list *maps; /* held; NULL: the mappings themselves are asked for */
};

struct resolver {
	struct resolver_options o;
	struct object_table *objects;
	struct process_table *processes;
	struct stack_table *stacks;
	VEC(struct pending) pending;
	size_t pending_bytes;
	bool retry, scanned, scan_due;
	__u64 scan_ns, sweep_ns;
	struct resolver_stats stats;
	/* a stack in the making: user frames, then kernel's */
	__u64 frames[USER_FRAMES_MAX + KERNEL_FRAMES_MAX];
};

/* ---- what the tables want -------------------------------------------------------------------- */

static void load_object(void *arg, struct object *object, const struct process *process,
			const struct mapping *mapping)
{
	struct resolver *r = arg;
	struct object_source source = {
		.key = object->key,
		.path = object->path,
		.pid = process->pid,
		.parent = process->parent,
		.start = mapping->start,
		.end = mapping->end,
	};

	object_ref(object); /* until the answer */
	if (r->o.loader && loader_load_object(r->o.loader, object->id, &source))
		return;
	object->state = OBJECT_GONE;
	object_unref(object);
}

static void read_maps(void *arg, __u32 pid)
{
	struct resolver *r = arg;

	if (r->o.loader && !loader_read_maps(r->o.loader, pid))
		r->stats.lost[LOSS_TABLE_FULL]++;
}

static bool is_alive(void *arg UNUSED, __u32 pid)
{
	return !kill((pid_t)pid, 0) || errno != ESRCH;
}

struct resolver *resolver_new(const struct resolver_options *options)
{
	struct resolver *r = calloc(1, sizeof(*r));
	struct process_table_options p = {
		.segments = options->segments,
		.procs_fd = options->procs_fd,
		.max = options->max_processes,
		.ops = {.arg = r, .load_object = load_object, .read_maps = read_maps},
	};

	if (!r)
		return NULL;
	if (options->loader) /* else the processes are a test's */
		p.ops.is_alive = is_alive;
	r->o = *options;
	r->objects = object_table_new(options->segments, options->max_objects);
	p.objects = r->objects;
	if (r->objects) {
		r->processes = process_table_new(&p);
		r->stacks = stack_table_new(r->objects, options->known, options->n_known,
					    options->stacks_bytes);
	}
	if (r->processes && r->stacks)
		return r;
	resolver_free(r);
	return NULL;
}

static void pending_free(struct resolver *r, struct pending *p)
{
	r->pending_bytes -= p->copy->head.size;
	free(p->copy);
	image_unref(p->image);
	if (p->maps)
		process_release_list(r->processes, p->maps);
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	vec_for_each (p, &r->pending)
		pending_free(r, p);
	vec_free(&r->pending);
	process_table_free(r->processes);
	stack_table_free(r->stacks);
	object_table_free(r->objects);
	free(r);
}

struct process_table *resolver_processes(struct resolver *r)
{
	return r->processes;
}

struct object_table *resolver_objects(struct resolver *r)
{
	return r->objects;
}

/* ---- samples --------------------------------------------------------------------------------- */

/* The image of a sample's task; NULL when the table is full. */
static struct process *sampled_process(struct resolver *r, const struct rec *head, const char *comm)
{
	struct process *process = process_get(r->processes, head->pid, head->time_ns);
	struct image *image;

	if (!process) {
		r->stats.lost[LOSS_TABLE_FULL]++;
		return NULL;
	}
	image = process->image;
	if (head->flags & REC_F_KTHREAD) {
		if (!image->kernel_thread) /* others read it once they have the first sample */
			image->kernel_thread = true;
		process->maps_known = true;
	}
	if (!image->comm[0])
		memcpy(image->comm, comm, sizeof(image->comm) - 1);
	if (!image->cgroup_id)
		image->cgroup_id = head->cgroup_id;
	if (!image->identity_asked && r->o.loader)
		image->identity_asked = loader_identify(r->o.loader, image);
	return process;
}

/* Code outside files: its names are in a file that the process may take away with it. Once it is
 * open its growth is seen; asking again finds one that came late or was replaced. */
static void want_jit(struct resolver *r, struct image *image, __u64 now_ns)
{
	if (image->kernel_thread || !r->o.loader || now_ns < image->jit_next_ns ||
	    !loader_open_jit(r->o.loader, image))
		return;
	image->jit_wait_ns = MIN(image->jit_wait_ns * 2 + JIT_WAIT_NS, JIT_WAIT_MAX_NS);
	image->jit_next_ns = now_ns + image->jit_wait_ns;
}

static void deliver(struct resolver *r, const struct rec *head, const char *comm, __u64 weight,
		    struct image *image, const struct stack *stack)
{
	struct sample sample = {
		.time_ns = head->time_ns,
		.weight = weight,
		.cgroup_id = head->cgroup_id,
		.pid = head->pid,
		.tid = head->tid,
		.cpu = head->cpu,
		.source = head->source,
		.stack = stack,
		.image = image,
	};

	memcpy(sample.comm, comm, COMM_BYTES - 1);
	if (stack->outside)
		want_jit(r, image, head->time_ns);
	r->stats.samples_total++;
	r->stats.stops[stack->stop]++;
	r->o.on_sample(r->o.arg, &sample);
}

static void on_sample_record(struct resolver *r, const struct rec_sample *rec)
{
	const struct stack *stack = stack_table_find(r->stacks, rec->stack_id, rec->head.time_ns);
	struct process *process;

	if (!stack) {
		r->stats.lost[LOSS_STACK_UNKNOWN]++;
		stack_table_want(r->stacks, rec->stack_id);
		return;
	}
	process = sampled_process(r, &rec->head, rec->comm);
	if (process)
		deliver(r, &rec->head, rec->comm, rec->weight, process->image, stack);
}

static void on_stack_record(struct resolver *r, const struct rec_stack *rec)
{
	const struct process *process = process_find(r->processes, rec->head.pid);
	size_t n = (size_t)rec->n_user + rec->n_kernel;

	if (sizeof(*rec) + n * 8 > rec->head.size || rec->n_user > USER_FRAMES_MAX ||
	    rec->n_kernel > KERNEL_FRAMES_MAX || rec->stop >= STOP_COUNT) {
		r->stats.lost[LOSS_BAD_RECORD]++;
		return;
	}
	if (!stack_table_add(r->stacks, rec->stack_id, (const __u64 *)(rec + 1), rec->n_user,
			     rec->n_kernel, rec->stop, rec->head.pid,
			     process ? process->image->generation : 0, rec->head.time_ns))
		r->stats.lost[LOSS_MEMORY]++;
}

/* ---- copied stacks --------------------------------------------------------------------------- */

/* Ids made here never collide with the kernel side's, whose top bit is set. */
static __u64 copied_stack_id(const struct resolver *r, size_t n, __u16 n_kernel, __u8 stop,
			     const struct image *image)
{
	__u64 seed = (__u64)stop << 32 | n_kernel;

	for (size_t i = 0; i + n_kernel < n; i++)
		if (r->frames[i] >> FRAME_KIND_SHIFT == FRAME_ADDR)
			seed = hash_mix(seed, image->generation);
	return XXH3_64bits_withSeed(r->frames, n * 8, seed) & ~(1ull << 63);
}

static void deliver_copy(struct resolver *r, const struct rec_copy *copy, struct image *image,
			 size_t n_user, __u8 stop)
{
	const struct stack *stack;
	size_t n = n_user;

	if (!n && stop != STOP_EXEC) /* the leaf at least */
		r->frames[n++] = FRAME_ADDR << FRAME_KIND_SHIFT |
				 (copy->regs[DWARF_PC] & ((1ull << FRAME_KIND_SHIFT) - 1));
	n_user = n;
	memcpy(r->frames + n, copy->kernel, (size_t)copy->n_kernel * 8);
	n += copy->n_kernel;
	stack = stack_table_add(r->stacks, copied_stack_id(r, n, copy->n_kernel, stop, image),
				r->frames, (__u16)n_user, copy->n_kernel, stop, image->pid,
				image->generation, copy->head.time_ns);
	if (!stack) {
		r->stats.lost[LOSS_MEMORY]++;
		return;
	}
	r->stats.copies_total++;
	r->stats.copies_whole_total += stop == STOP_ROOT;
	deliver(r, &copy->head, copy->comm, copy->weight, image, stack);
}

/* Unwind with what is known of the mappings. False: something is being loaded that it needs. */
static bool try_copy(struct resolver *r, const struct rec_copy *copy, struct image *image,
		     struct map_list *maps, bool last_try)
{
	struct copy_source source = {
		.regs = copy->regs,
		.stack = (const __u8 *)(copy + 1),
		.stack_bytes = copy->stack_bytes,
		.maps = maps,
		.segments = r->o.segments,
		.max_frames = r->o.max_frames,
	};
	__u8 stop = STOP_NOT_LOADED;
	size_t n = 0;

	if (maps && process_compile(r->processes, maps))
		n = copy_unwind(&source, r->frames, &stop);
	if (stop == STOP_NOT_LOADED && !last_try)
		return false;
	deliver_copy(r, copy, image, n, stop);
	if (stop == STOP_UNMAPPED) {
		struct process *process = process_find(r->processes, copy->head.pid);

		if (process && process->image == image)
			process_want_snapshot(r->processes, process, clock_monotonic_ns());
	}
	return true;
}

static bool hold(struct resolver *r, const struct rec_copy *copy, struct process *process)
{
	struct pending p = {.image = process->image};

	if (r->pending_bytes + copy->head.size > PENDING_BYTES)
		return false;
	p.copy = malloc(copy->head.size);
	if (!p.copy)
		return false;
	memcpy(p.copy, copy, copy->head.size);
	if (process->maps && process->maps_known)
		p.maps = process_hold_list(process->maps);
	if (vec_push(&r->pending, p)) {
		if (p.maps)
			process_release_list(r->processes, p.maps);
		free(p.copy);
		return false;
	}
	image_ref(p.image);
	r->pending_bytes += copy->head.size;
	return true;
}

static void on_copy_record(struct resolver *r, const struct rec_copy *copy)
{
	struct process *process;

	if (copy->head.size < sizeof(*copy) || copy->n_kernel > KERNEL_FRAMES_MAX ||
	    copy->stack_bytes > copy->head.size - sizeof(*copy)) {
		r->stats.lost[LOSS_BAD_RECORD]++;
		return;
	}
	process = sampled_process(r, &copy->head, copy->comm);
	if (!process)
		return;
	if (!process->maps_known)
		process_want_snapshot(r->processes, process, copy->head.time_ns);
	if (process->maps_known && try_copy(r, copy, process->image, process->maps, !process->maps))
		return;
	if (!r->o.loader || !hold(r, copy, process))
		try_copy(r, copy, process->image, process->maps, true);
}

/* Held samples again: everything may have changed for them. */
static void retry_pending(struct resolver *r, __u64 now_ns, bool give_up)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->pending.len; i++) {
		struct pending p = r->pending.data[i];
		bool last = give_up || now_ns > p.copy->head.time_ns + PENDING_NS;
		struct map_list *maps = p.maps;
		struct process *process;
		bool done;

		if (!maps) {
			process = process_find(r->processes, p.copy->head.pid);
			if (process && process->image == p.image && process->maps_known)
				maps = process->maps;
		}
		if (maps && map_list_has_news(maps))
			maps->dirty = true;
		done = (maps || last) && try_copy(r, p.copy, p.image, maps, last);
		if (done)
			pending_free(r, &p);
		else
			r->pending.data[kept++] = p;
	}
	r->pending.len = kept;
}

__u64 resolver_oldest_pending(const struct resolver *r)
{
	__u64 oldest = UINT64_MAX;

	vec_for_each (p, &r->pending)
		oldest = MIN(oldest, p->copy->head.time_ns);
	return oldest;
}

bool resolver_waits(const struct resolver *r)
{
	return r->pending.len || process_table_waits(r->processes);
}

void resolver_flush(struct resolver *r)
{
	retry_pending(r, clock_monotonic_ns(), true);
}

/* ---- events ---------------------------------------------------------------------------------- */

void resolver_record(struct resolver *r, const struct rec *rec)
{
	switch (rec->kind) {
	case REC_SAMPLE:
		if (rec->size == sizeof(struct rec_sample)) {
			on_sample_record(r, (const struct rec_sample *)rec);
			return;
		}
		break;
	case REC_STACK:
		if (rec->size >= sizeof(struct rec_stack)) {
			on_stack_record(r, (const struct rec_stack *)rec);
			return;
		}
		break;
	case REC_COPY:
		on_copy_record(r, (const struct rec_copy *)rec);
		return;
	case REC_EXEC:
		process_on_exec_done(r->processes, rec);
		return;
	case REC_EXIT:
		process_on_exit(r->processes, rec->pid, rec->time_ns);
		return;
	case REC_FORK:
		if (rec->size == sizeof(struct rec_fork)) {
			process_on_fork(r->processes, rec->pid,
					((const struct rec_fork *)rec)->child_pid, rec->time_ns);
			return;
		}
		break;
	}
	r->stats.lost[LOSS_BAD_RECORD]++;
}

void resolver_sideband(struct resolver *r, const struct sideband_event *e)
{
	struct mapping range = {.start = e->start, .end = e->start + e->len, .offset = e->offset};
	struct object_key key = {e->major, e->minor, e->inode, e->generation};

	switch (e->kind) {
	case SIDEBAND_EXEC:
		process_on_exec(r->processes, e->pid, e->time_ns);
		break;
	case SIDEBAND_MMAP:
		process_on_mmap(r->processes, e->pid, e->time_ns, &range, &key, e->path);
		break;
	case SIDEBAND_LOST:
		r->stats.lost[LOSS_SIDEBAND] += e->n_lost;
		r->scan_due = true;
		break;
	}
}

void resolver_scan(struct resolver *r)
{
	r->scan_ns = clock_monotonic_ns();
	r->scan_due = false;
	r->stats.scans_total++;
	if (r->o.loader)
		loader_scan(r->o.loader);
}

bool resolver_scanned(const struct resolver *r)
{
	return r->scanned;
}

static void on_object_answer(struct resolver *r, struct loader_answer *a)
{
	struct object *object = object_by_id(r->objects, a->object_id);

	if (!object)
		return;
	if (a->image)
		object_set_image(object, take(a->image));
	else
		object->state = OBJECT_GONE;
	if (object->image && object->image->too_much_work && object_first_cut(object))
		log_limited(
			process, LOG_LEVEL_WARN,
			"reading '%s' is too much work: it has no unwind rows, its stacks follow "
			"frame pointers",
			object->path);
	else if (object->state != OBJECT_READY)
		log_debug(process, "'%s': %s", object->path,
			  object->image ? object->image->why : "out of memory");
	object_unref(object); /* the question's */
	process_on_objects(r->processes);
}

/* Of a process that was never sampled nothing is missing; the next one sampled asks again. */
static void say_unreadable(struct resolver *r, __u32 pid, int err)
{
	struct process *process = process_find(r->processes, pid);

	if (!process || !process->image->comm[0] || process->unreadable)
		return;
	process->unreadable = true;
	log_limited(process, LOG_LEVEL_WARN,
		    "mappings of pid %u cannot be read: %s; its stacks stay incomplete", pid,
		    strerror(-err));
}

static void on_answer(struct resolver *r, struct loader_answer *a)
{
	switch (a->kind) {
	case LOADER_OBJECT:
		on_object_answer(r, a);
		break;
	case LOADER_MAPS:
		if (!a->err)
			process_on_snapshot(r->processes, a->pid, a->read_ns, a->maps, a->n_maps);
		else if (a->err != -ESRCH)
			say_unreadable(r, a->pid, a->err);
		break;
	case LOADER_SCANNED:
		r->scanned = true;
		break;
	case LOADER_IDENTITY:
		if (a->identity)
			image_set_identity(a->asked, take(a->identity));
		break;
	}
}

void resolver_answers(struct resolver *r)
{
	struct loader_answer *a = loader_take(r->o.loader);

	r->retry |= a != NULL;
	while (a) {
		struct loader_answer *next = a->next;

		on_answer(r, a);
		loader_answer_free(a, r->o.segments);
		a = next;
	}
}

void resolver_batch_end(struct resolver *r, __u64 drained_ns)
{
	__u64 now_ns = clock_monotonic_ns();

	process_table_publish(r->processes);
	if (r->pending.len && (r->retry || now_ns > resolver_oldest_pending(r) + PENDING_NS))
		retry_pending(r, now_ns, false);
	r->retry = false;
	stack_table_sweep(r->stacks, now_ns, drained_ns);
}

void resolver_tick(struct resolver *r, __u64 now_ns)
{
	if (r->scan_due && now_ns > r->scan_ns + SCAN_PERIOD_NS)
		resolver_scan(r); /* what was lost since the last one, too */
	process_table_sweep(r->processes, now_ns);
	object_table_sweep(r->objects, r->o.idle_rows_bytes);
	object_table_close_files(r->objects, now_ns > OPEN_FILE_NS ? now_ns - OPEN_FILE_NS : 0);
}

void resolver_set_limits(struct resolver *r, size_t stacks_bytes, size_t idle_rows_bytes)
{
	r->o.idle_rows_bytes = idle_rows_bytes;
	stack_table_set_max(r->stacks, stacks_bytes);
}

struct resolver_stats resolver_stats(const struct resolver *r)
{
	struct resolver_stats stats = r->stats;

	stats.processes = process_table_stats(r->processes);
	stats.objects = object_table_stats(r->objects);
	stats.stacks = stack_table_stats(r->stacks);
	stats.pending = (__u32)r->pending.len;
	stats.pending_bytes = r->pending_bytes;
	return stats;
}
