// SPDX-License-Identifier: Apache-2.0
/* The process table, see process.h. */
#include "profiler/process.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/hmap.h"
#include "profiler/base/log.h"
#include "profiler/map_list.h"

#define EXEC_PATIENCE_NS   (500 * NS_PER_MS) /* an EXEC record that takes longer was lost */
#define SNAPSHOT_PERIOD_NS (2 * NS_PER_S)    /* /proc of one process is read at most so often */
#define GONE_RETRY_NS	   NS_PER_S
#define MAX_MAPPINGS	   (1u << 20) /* of all processes; 32 MiB. One has at most UNW_MAPSET_MAX */
#define LOOKS		   16	      /* processes a sweep asks about: do they still run? */
#define LOOK_AGE_NS	   (10 * NS_PER_S)
/* A set is compiled again at most so often: one process that maps all the time would else fill the
 * segments with sets that wait for their grace period. */
#define COMPILE_NS_PER_MAPPING 20000
#define COMPILE_FREE_MAPPINGS  256

struct process_table {
	struct process_table_options o;
	VEC(struct process *) slots;
	VEC(__u32) free_slots;
	struct hmap by_pid;
	VEC(struct map_list *) dirty;
	bool objects_changed;		/* some object that a list may wait for was loaded */
	__u32 n, next_generation, look; /* the slot that is asked about next */
	__u64 n_mappings, lost_exits_total;
	__u64 refused_total, publish_failed_total, published_total, cut_total;
};

/* ---- identities ------------------------------------------------------------------------------ */

struct identity *identity_ref(struct identity *identity)
{
	atomic_fetch_add_explicit(&identity->refs, 1, memory_order_relaxed);
	return identity;
}

void identity_unref(struct identity *identity)
{
	if (!identity || atomic_fetch_sub_explicit(&identity->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(identity->exe);
	free(identity->cgroup);
	free(identity->container);
	free(identity->unit);
	free(identity->service);
	free(identity);
}

struct image *image_ref(struct image *image)
{
	atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
	return image;
}

static atomic_uint n_jits; /* descriptors that images hold */

int image_take_jit(struct image *image)
{
	int fd = atomic_exchange(&image->jit_fd, 0) - 1;

	if (fd >= 0)
		atomic_fetch_sub(&n_jits, 1);
	return fd;
}

bool image_put_jit(struct image *image, int fd)
{
	int old;

	if (atomic_fetch_add(&n_jits, 1) >= IMAGE_MAX_JITS) {
		atomic_fetch_sub(&n_jits, 1);
		close(fd);
		return false;
	}
	old = atomic_exchange(&image->jit_fd, fd + 1) - 1;
	if (old >= 0) {
		atomic_fetch_sub(&n_jits, 1);
		close(old);
	}
	return true;
}

void image_unref(struct image *image)
{
	int jit;

	if (!image || atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) != 1)
		return;
	jit = image_take_jit(image);
	if (jit >= 0)
		close(jit);
	identity_unref(atomic_load(&image->identity));
	object_unref(image->exe);
	free(image);
}

void image_set_identity(struct image *image, struct identity *identity)
{
	struct identity *none = NULL;

	if (!atomic_compare_exchange_strong(&image->identity, &none, identity))
		identity_unref(identity);
}

static struct image *image_new(struct process_table *table, __u32 pid, __u64 time_ns)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	atomic_init(&image->refs, 1);
	image->pid = pid;
	image->generation = ++table->next_generation;
	image->start_ns = time_ns;
	return image;
}

/* ---- the table ------------------------------------------------------------------------------- */

struct process_table *process_table_new(const struct process_table_options *options)
{
	struct process_table *table = calloc(1, sizeof(*table));

	if (table)
		table->o = *options;
	return table;
}

static __u32 slot_of(const struct process_table *table, __u32 pid)
{
	__u32 slot;

	hmap_for_each_match (&table->by_pid, hash_u64(pid), slot) {
		if (table->slots.data[slot]->pid == pid)
			return slot;
	}
	return HMAP_NONE;
}

struct process *process_find(const struct process_table *table, __u32 pid)
{
	__u32 slot = slot_of(table, pid);

	return slot == HMAP_NONE ? NULL : table->slots.data[slot];
}

static int insert(struct process_table *table, struct process *process)
{
	__u32 slot = (__u32)table->slots.len;
	bool reuse = table->free_slots.len > 0;

	if (reuse)
		slot = table->free_slots.data[table->free_slots.len - 1];
	else if (vec_push(&table->slots, NULL))
		return -ENOMEM;
	if (hmap_add(&table->by_pid, hash_u64(process->pid), slot)) {
		if (!reuse)
			table->slots.len--;
		return -ENOMEM;
	}
	table->free_slots.len -= reuse;
	table->slots.data[slot] = process;
	table->n++;
	return 0;
}

struct process *process_get(struct process_table *table, __u32 pid, __u64 time_ns)
{
	struct process *process = process_find(table, pid);

	if (process) {
		process->used_ns = MAX(process->used_ns, time_ns);
		return process;
	}
	process = table->n < table->o.max ? calloc(1, sizeof(*process)) : NULL;
	if (process) {
		process->pid = pid;
		process->used_ns = time_ns;
		process->image = image_new(table, pid, time_ns);
	}
	if (process && process->image && !insert(table, process))
		return process;
	if (process)
		image_unref(process->image);
	free(process);
	table->refused_total++;
	return NULL;
}

/* ---- map lists and the processes that share them --------------------------------------------- */

static void forget_in_kernel(struct process_table *table, struct process *process)
{
	if (process->in_kernel && table->o.procs_fd >= 0)
		bpf_map_delete_elem(table->o.procs_fd, &process->pid);
	process->in_kernel = false;
}

struct map_list *process_hold_list(struct map_list *list)
{
	list->refs++;
	return list;
}

void process_release_list(struct process_table *table, struct map_list *list)
{
	if (--list->refs)
		return;
	if (list->listed) /* the list of dirty ones is short: at most one batch's changes */
		for (size_t i = 0; i < table->dirty.len; i++)
			if (table->dirty.data[i] == list)
				table->dirty.data[i] = NULL;
	table->n_mappings -= list->n;
	map_list_free(list, table->o.segments);
}

static void leave_list(struct process_table *table, struct process *process)
{
	struct map_list *list = process->maps;

	if (!list)
		return;
	for (struct process **p = &list->first; *p; p = &(*p)->next_sharing) {
		if (*p == process) {
			*p = process->next_sharing;
			break;
		}
	}
	process->maps = NULL;
	process->next_sharing = NULL;
	process_release_list(table, list);
}

static void join_list(struct process *process, struct map_list *list)
{
	process->maps = list;
	process->next_sharing = list->first;
	list->first = process;
}

/* Enter the list's set (again) at the end of this batch. */
static void mark_listed(struct process_table *table, struct map_list *list)
{
	if (list->listed)
		return;
	if (vec_push(&table->dirty, list))
		table->publish_failed_total++; /* the next change lists it */
	else
		list->listed = true;
}

static void mark_dirty(struct process_table *table, struct map_list *list)
{
	list->dirty = true;
	mark_listed(table, list);
}

/* The process's list, its own to change; NULL when memory ends. */
static struct map_list *own_list(struct process_table *table, struct process *process)
{
	struct map_list *list = process->maps;

	if (list && list->refs == 1)
		return list;
	if (list && table->n_mappings + list->n > MAX_MAPPINGS)
		return NULL;
	list = list ? map_list_clone(list) : map_list_new();
	if (!list)
		return NULL;
	table->n_mappings += list->n;
	leave_list(table, process);
	join_list(process, list);
	return list;
}

/* A new image; without memory for one the old goes on under the new program. */
static void start_image(struct process_table *table, struct process *process, __u64 time_ns)
{
	struct image *image = image_new(table, process->pid, time_ns);

	leave_list(table, process);
	if (image) {
		image_unref(process->image);
		process->image = image;
	} else {
		table->refused_total++;
	}
	process->used_ns = time_ns;
	process->exit_ns = 0;
	process->maps_known = true;
	process->in_kernel = false;
}

/* ---- events ---------------------------------------------------------------------------------- */

void process_on_fork(struct process_table *table, __u32 parent_pid, __u32 child_pid, __u64 time_ns)
{
	struct process *parent = process_find(table, parent_pid);
	struct process *child = process_get(table, child_pid, time_ns);

	if (!child)
		return;
	start_image(table, child, time_ns); /* a pid that was used before starts anew */
	child->parent = parent_pid;
	child->maps_known = parent && parent->maps_known;
	if (!parent)
		return;
	child->image->cgroup_id = parent->image->cgroup_id;
	if (parent->image->exe && !child->image->exe)
		child->image->exe = object_ref(parent->image->exe);
	if (!parent->maps)
		return;
	parent->maps->refs++;
	join_list(child, parent->maps);
	/* The kernel side copied the parent's entry; if that was replaced since, the child's is
	 * old. */
	child->in_kernel = parent->in_kernel;
	if (parent->maps->listed || parent->maps->published_ns >= time_ns)
		mark_listed(table, parent->maps);
}

void process_on_exec(struct process_table *table, __u32 pid, __u64 time_ns)
{
	struct process *process = process_get(table, pid, time_ns);

	if (!process)
		return;
	start_image(table, process, time_ns);
	process->exec_ns = time_ns;
}

void process_on_exec_done(struct process_table *table, const struct rec *head)
{
	struct process *process = process_get(table, head->pid, head->time_ns);

	if (!process)
		return;
	process->image->cgroup_id = head->cgroup_id;
	process->exec_ns = 0;
	process->in_kernel = false; /* the program has just deleted it */
	if (process->maps)
		mark_listed(table, process->maps);
}

void process_on_exit(struct process_table *table, __u32 pid, __u64 time_ns)
{
	struct process *process = process_find(table, pid);

	if (!process)
		return;
	process->exit_ns = time_ns;
	process->used_ns = time_ns;
	/* The program deleted the entry at that time; one written later is ours to delete. */
	if (process->maps && process->maps->published_ns >= time_ns)
		forget_in_kernel(table, process);
	process->in_kernel = false;
	leave_list(table, process);
}

static void want_object(struct process_table *table, struct object *object,
			const struct process *process, const struct mapping *mapping)
{
	if (object->state == OBJECT_GONE && clock_monotonic_ns() >= object->retry_ns)
		object->state = OBJECT_NEW;
	if (object->state != OBJECT_NEW)
		return;
	object->state = OBJECT_LOADING;
	object->retry_ns = clock_monotonic_ns() + GONE_RETRY_NS;
	table->o.ops.load_object(table->o.ops.arg, object, process, mapping);
}

/* Files have an inode; "[vdso]" is one, too, for us. The rest (JIT, "//anon") is no object. */
static bool is_file(const struct object_key *key, const char *path)
{
	return key->inode || !strcmp(path, VDSO_PATH);
}

static void add_mapping(struct process_table *table, struct process *process, struct map_list *list,
			const struct mapping *range, const struct object_key *key, const char *path)
{
	struct mapping mapping = *range;
	size_t before = list->n;
	int changed;

	if (list->n >= UNW_MAPSET_MAX || table->n_mappings >= MAX_MAPPINGS) {
		table->refused_total++;
		return;
	}
	mapping.object = NULL;
	if (is_file(key, path)) {
		mapping.object = object_get(table->o.objects, key, path);
		if (!mapping.object)
			return; /* counted by the object table; its frames stay unmapped */
		mapping.object->used_ns = process->used_ns;
		if (!process->image->exe && key->inode)
			process->image->exe = object_ref(mapping.object);
		if (!key->inode)
			mapping.offset = 0; /* the vDSO is an image of its own */
	}
	changed = map_list_add(list, &mapping);
	table->n_mappings += list->n - before;
	if (mapping.object) {
		if (changed > 0)
			want_object(table, mapping.object, process, &mapping);
		object_unref(mapping.object); /* the list holds its own */
	}
	if (changed > 0)
		mark_dirty(table, list);
}

void process_on_mmap(struct process_table *table, __u32 pid, __u64 time_ns,
		     const struct mapping *range, const struct object_key *key, const char *path)
{
	struct process *process = process_get(table, pid, time_ns);
	struct map_list *list;

	if (!process || process->exit_ns)
		return;
	if (!process->maps_known && !process->snapshot_asked_ns) {
		process->snapshot_asked_ns = time_ns;
		table->o.ops.read_maps(table->o.ops.arg, pid);
	}
	list = own_list(table, process);
	if (list)
		add_mapping(table, process, list, range, key, path);
	else
		table->refused_total++;
}

void process_on_snapshot(struct process_table *table, __u32 pid, __u64 read_ns,
			 const struct snapshot_map *maps, size_t n)
{
	struct process *process = process_get(table, pid, read_ns);
	struct map_list *list;

	/* An image that started after the reading is not the one that was read. */
	if (!process || process->exit_ns ||
	    (process->maps_known && process->image->start_ns > read_ns))
		return;
	list = map_list_new();
	if (!list) {
		table->refused_total++;
		return;
	}
	leave_list(table, process);
	join_list(process, list);
	process->maps_known = true;
	for (size_t i = 0; i < n; i++) {
		struct mapping range = {
			.start = maps[i].start, .end = maps[i].end, .offset = maps[i].offset};

		add_mapping(table, process, list, &range, &maps[i].key, maps[i].path);
	}
	mark_dirty(table, list);
}

void process_want_snapshot(struct process_table *table, struct process *process, __u64 now_ns)
{
	if (process->exit_ns || (process->snapshot_asked_ns &&
				 now_ns < process->snapshot_asked_ns + SNAPSHOT_PERIOD_NS))
		return;
	process->snapshot_asked_ns = now_ns;
	table->o.ops.read_maps(table->o.ops.arg, process->pid);
}

void process_on_objects(struct process_table *table)
{
	table->objects_changed = true;
}

/* ---- publishing ------------------------------------------------------------------------------ */

static void publish_entry(struct process_table *table, struct process *process)
{
	const struct map_list *list = process->maps;
	struct proc_entry entry = {
		.segment = list->blob.segment,
		.offset = list->blob.offset,
		.n = list->n_published,
		.generation = process->image->generation,
	};

	if (!list->n_published) {
		forget_in_kernel(table, process);
		return;
	}
	if (table->o.procs_fd >= 0 &&
	    bpf_map_update_elem(table->o.procs_fd, &process->pid, &entry, BPF_ANY)) {
		table->publish_failed_total++;
		log_limited(process, LOG_LEVEL_WARN,
			    "process table of the kernel side: pid %u not entered (%s); its stacks "
			    "are copied",
			    process->pid, strerror(errno));
		return;
	}
	process->in_kernel = true;
}

static bool exec_pending(const struct process *process, __u64 now_ns)
{
	return process->exec_ns && now_ns < process->exec_ns + EXEC_PATIENCE_NS;
}

static bool compiled_a_moment_ago(const struct map_list *list)
{
	return list->n > COMPILE_FREE_MAPPINGS && list->compiled_ns &&
	       clock_monotonic_ns() < list->compiled_ns + list->n * COMPILE_NS_PER_MAPPING;
}

bool process_compile(struct process_table *table, struct map_list *list)
{
	int err;

	if (!list->dirty || compiled_a_moment_ago(list))
		return true;
	err = map_list_publish(list, table->o.segments);
	if (err) {
		table->publish_failed_total++;
		log_limited(process, LOG_LEVEL_WARN, "mappings of pid %u not published: %s",
			    list->first ? list->first->pid : 0, strerror(-err));
		return false;
	}
	list->dirty = false;
	list->compiled_ns = clock_monotonic_ns();
	table->published_total++;
	table->cut_total += list->cut;
	return true;
}

/* False: later. */
static bool publish_list(struct process_table *table, struct map_list *list, __u64 now_ns)
{
	/* While an exec runs, its program would delete what we write now: the record brings us
	 * back. */
	if (!list->first || (list->refs == 1 && exec_pending(list->first, now_ns)))
		return true;
	if (!process_compile(table, list))
		return true; /* the sweep tries again */
	if (list->dirty)
		return false;
	list->published_ns = now_ns;
	for (struct process *p = list->first; p; p = p->next_sharing)
		if (!exec_pending(p, now_ns))
			publish_entry(table, p);
	return true;
}

/* Lists that waited for an object that is loaded now. */
static void mark_waiting(struct process_table *table)
{
	vec_for_each (slot, &table->slots) {
		struct map_list *list = *slot ? (*slot)->maps : NULL;

		/* one that is listed may have been compiled before the answer */
		if (list && map_list_has_news(list))
			mark_dirty(table, list);
	}
}

void process_table_publish(struct process_table *table)
{
	__u64 now_ns = clock_monotonic_ns();
	size_t kept = 0;

	if (table->objects_changed)
		mark_waiting(table);
	table->objects_changed = false;
	for (size_t i = 0; i < table->dirty.len; i++) {
		struct map_list *list = table->dirty.data[i];

		if (!list)
			continue;
		list->listed = !publish_list(table, list, now_ns);
		if (list->listed)
			table->dirty.data[kept++] = list;
	}
	table->dirty.len = kept;
}

bool process_table_waits(const struct process_table *table)
{
	return table->dirty.len > 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void forget(struct process_table *table, __u32 slot)
{
	struct process *process = table->slots.data[slot];

	forget_in_kernel(table, process);
	leave_list(table, process);
	image_unref(process->image);
	hmap_del(&table->by_pid, hash_u64(process->pid), slot);
	table->slots.data[slot] = NULL;
	if (vec_push(&table->free_slots, slot)) {
		/* the slot stays unused */
	}
	table->n--;
	free(process);
}

/* An exit whose record was lost would keep its process for ever. */
static void look_for_ended(struct process_table *table, __u64 now_ns)
{
	__u32 asked = 0;

	for (size_t i = 0; table->o.ops.is_alive && i < table->slots.len && asked < LOOKS; i++) {
		struct process *process;

		table->look = (table->look + 1) % (__u32)table->slots.len;
		process = table->slots.data[table->look];
		if (!process || process->exit_ns || process->used_ns + LOOK_AGE_NS > now_ns)
			continue;
		asked++;
		if (table->o.ops.is_alive(table->o.ops.arg, process->pid))
			continue;
		process->used_ns = now_ns;
		process_on_exit(table, process->pid, now_ns);
		forget_in_kernel(table, process);
		table->lost_exits_total++;
	}
}

void process_table_sweep(struct process_table *table, __u64 now_ns)
{
	bool crowded = table->n > table->o.max / 4 * 3;
	__u64 keep_ns = crowded ? PROCESS_CROWDED_NS : PROCESS_KEEP_NS;

	look_for_ended(table, now_ns);
	for (__u32 slot = 0; slot < table->slots.len; slot++) {
		struct process *process = table->slots.data[slot];

		if (!process)
			continue;
		if (process->exec_ns && !exec_pending(process, now_ns)) {
			process->exec_ns = 0; /* its record was lost */
			if (process->maps)
				mark_listed(table, process->maps);
		}
		if (process->maps && process->maps->dirty)
			mark_listed(table, process->maps);
		if (process->exit_ns && process->exit_ns + keep_ns < now_ns)
			forget(table, slot);
	}
}

void process_table_free(struct process_table *table)
{
	if (!table)
		return;
	for (__u32 slot = 0; slot < table->slots.len; slot++)
		if (table->slots.data[slot])
			forget(table, slot);
	vec_free(&table->slots);
	vec_free(&table->free_slots);
	vec_free(&table->dirty);
	hmap_fini(&table->by_pid);
	free(table);
}

const struct mapping *process_mapping(const struct process *process, __u64 addr)
{
	return process->maps ? map_list_find(process->maps, addr) : NULL;
}

void process_each(const struct process_table *table,
		  bool (*visit)(void *arg, struct process *process), void *arg)
{
	vec_for_each (slot, &table->slots) {
		if (*slot && !visit(arg, *slot))
			return;
	}
}

struct process_stats process_table_stats(const struct process_table *table)
{
	struct process_stats stats = {
		.n = table->n,
		.max = table->o.max,
		.refused_total = table->refused_total,
		.publish_failed_total = table->publish_failed_total,
		.published_total = table->published_total,
		.cut_total = table->cut_total,
		.n_mappings = table->n_mappings,
		.lost_exits_total = table->lost_exits_total,
	};

	vec_for_each (slot, &table->slots)
		stats.n_alive += *slot && !(*slot)->exit_ns;
	return stats;
}
