// SPDX-License-Identifier: Apache-2.0
/*
 * The address space of one process for stacks.h: the agent's own tables (process.h, object.h,
 * stack_table.h) with one process in them, segments in plain memory, everything loaded at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/clock.h"
#include "profiler/cgroup.h"
#include "profiler/copy_unwind.h"
#include "profiler/identity.h"
#include "profiler/map_list.h"
#include "profiler/object_load.h"
#include "profiler/proc_maps.h"
#include "profiler/row_cache.h"
#include "profiler/stacks_internal.h"

#define ROWS_BYTES  ((size_t)UNW_MAX_SEGMENTS * UNW_SEGMENT_BYTES)
#define CACHE_BYTES (512ull << 20)
#define MAX_OBJECTS 65536u
#define STACK_BYTES ((size_t)1 << 30)

/* An object that the table wants loaded. */
struct wanted {
	struct object *object; /* referenced */
	__u64 start, end;
};

struct space {
	__u32 pid, via;
	struct segments *segments;
	struct row_cache *cache;
	struct object_table *objects;
	struct process_table *processes;
	struct stack_table *stacks;
	struct process *process;
	struct snapshot_map *maps; /* as they were read */
	size_t n_maps;
	char *text;
	VEC(struct wanted) wanted;
	struct process_memory memory;
	__u64 frames[USER_FRAMES_MAX + KERNEL_FRAMES_MAX];
};

static void load_object(void *arg, struct object *object, const struct process *process UNUSED,
			const struct mapping *mapping)
{
	struct space *space = arg;

	if (!vec_push(&space->wanted, (struct wanted){object, mapping->start, mapping->end}))
		object_ref(object);
	else
		object->state = OBJECT_GONE;
}

/* The table asks for mappings only of processes that it hears of by events; there are none here. */
static void read_maps(void *arg UNUSED, __u32 pid UNUSED) {}

int space_open(__u32 pid, const char *cache_dir, struct space **ret_space)
{
	struct space *s = calloc(1, sizeof(*s));
	struct process_table_options p = {
		.procs_fd = -1,
		.max = 1,
		.ops = {.arg = s, .load_object = load_object, .read_maps = read_maps},
	};

	if (!s)
		return -ENOMEM;
	s->pid = pid;
	s->segments = segments_new(-1, ROWS_BYTES);
	if (s->segments)
		s->objects = object_table_new(s->segments, MAX_OBJECTS);
	p.segments = s->segments;
	p.objects = s->objects;
	if (s->objects) {
		s->processes = process_table_new(&p);
		s->stacks = stack_table_new(s->objects, NULL, 0, STACK_BYTES);
	}
	if (!s->processes || !s->stacks) {
		space_close(s);
		return -ENOMEM;
	}
	if (cache_dir)
		s->cache = row_cache_open(cache_dir, CACHE_BYTES);
	*ret_space = s;
	return 0;
}

void space_close(struct space *s)
{
	if (!s)
		return;
	vec_for_each (w, &s->wanted)
		object_unref(w->object);
	vec_free(&s->wanted);
	process_table_free(s->processes);
	stack_table_free(s->stacks);
	object_table_free(s->objects);
	segments_free(s->segments);
	row_cache_close(s->cache);
	free(s->maps);
	free(s->text);
	free(s);
}

static void load_wanted(struct space *s)
{
	const struct object_loading loading = {.segments = s->segments, .cache = s->cache};

	vec_for_each (w, &s->wanted) {
		struct object_source source = {
			.key = w->object->key,
			.path = w->object->path,
			.pid = s->via,
			.start = w->start,
			.end = w->end,
		};
		struct object_image *image = object_load(&source, &loading);

		if (image)
			object_set_image(w->object, image);
		else
			w->object->state = OBJECT_GONE;
		object_unref(w->object);
	}
	s->wanted.len = 0;
}

/* Whose it is, and the names of its JIT's code. */
static void identify(struct space *s)
{
	struct image *image = s->process->image;
	struct identity_hint hint = {.exe = image->exe ? image->exe->name : NULL};
	struct identity *identity;

	if (atomic_load(&image->identity))
		return;
	identity = identity_read("/proc", s->via, cgroup_controller(CGROUP_V2), &hint);
	if (identity)
		image_set_identity(image, identity);
	if (identity_open_jit("/proc", s->via, image)) {
		/* none: its code is [jit] */
	}
}

int space_load(struct space *s, __u32 via)
{
	__u64 now_ns = clock_monotonic_ns();
	int err;

	s->via = s->memory.tid = via;
	free(s->maps);
	free(s->text);
	s->maps = NULL;
	s->text = NULL;
	s->n_maps = 0;
	err = proc_maps_read("/proc", s->via, &s->maps, &s->n_maps, &s->text);
	if (err)
		return err;
	process_on_snapshot(s->processes, s->pid, now_ns, s->maps, s->n_maps);
	s->process = process_find(s->processes, s->pid);
	if (!s->process || !s->process->maps)
		return -ENOMEM;
	load_wanted(s);
	identify(s);
	return process_compile(s->processes, s->process->maps) ? 0 : -ENOSPC;
}

bool space_changed(const struct space *s)
{
	struct snapshot_map *maps;
	size_t n;
	char *text;
	bool same;

	if (proc_maps_read("/proc", s->via, &maps, &n, &text))
		return true;
	same = n == s->n_maps;
	for (size_t i = 0; same && i < n; i++) {
		const struct snapshot_map *a = &maps[i], *b = &s->maps[i];

		same = a->start == b->start && a->end == b->end && a->offset == b->offset &&
		       a->key.inode == b->key.inode && !strcmp(a->path, b->path);
	}
	free(maps);
	free(text);
	return !same;
}

struct image *space_image(const struct space *s)
{
	return s->process->image;
}

struct process_memory *space_memory(struct space *s)
{
	return &s->memory;
}

static const struct stack *add_stack(struct space *s, size_t n_user, size_t n_kernel, __u8 stop)
{
	__u64 seed = (__u64)stop << 32 | n_kernel;
	__u64 id = XXH3_64bits_withSeed(s->frames, (n_user + n_kernel) * 8, seed);

	return stack_table_add(s->stacks, id, s->frames, (__u16)n_user, (__u16)n_kernel, stop,
			       s->pid, s->process->image->generation, clock_monotonic_ns());
}

const struct stack *space_unwind(struct space *s, const struct thread_view *view)
{
	struct copy_source source = {
		.regs = view->regs,
		.stack = view->stack,
		.stack_bytes = view->stack_bytes,
		.read = process_memory_read,
		.arg = &s->memory,
		.maps = s->process->maps,
		.segments = s->segments,
		.max_frames = USER_FRAMES_MAX,
	};
	__u8 stop = view->no_user ? STOP_NO_USER : STOP_COMPAT;
	size_t n = 0;

	process_memory_reset(&s->memory);
	if (!view->no_user && !view->is_32bit) {
		n = copy_unwind(&source, s->frames, &stop);
		if (!n) /* the leaf at least */
			s->frames[n++] = FRAME_ADDR << FRAME_KIND_SHIFT |
					 (view->regs[DWARF_PC] & ((1ull << FRAME_KIND_SHIFT) - 1));
	}
	if (view->n_kernel)
		memcpy(s->frames + n, view->kernel, view->n_kernel * sizeof(*view->kernel));
	return add_stack(s, n, view->n_kernel, stop);
}

/* As the unwinder's: in a file by its ELF virtual address, else by the address. */
static __u64 frame_of(const struct space *s, __u64 addr)
{
	const struct mapping *m = map_list_find(s->process->maps, addr);
	__u64 vaddr;

	if (!m || !m->object || m->object->state == OBJECT_NOT_ELF || !m->object->image ||
	    !object_vaddr(m->object->image, m->offset, &vaddr))
		return FRAME_ADDR << FRAME_KIND_SHIFT | (addr & ((1ull << FRAME_KIND_SHIFT) - 1));
	vaddr += addr - m->start;
	return FRAME_FILE << FRAME_KIND_SHIFT |
	       (__u64)(m->object->id & FRAME_FILE_MASK) << FRAME_ADDR_BITS |
	       (vaddr & FRAME_ADDR_MASK);
}

const struct stack *space_stack_of(struct space *s, const __u64 *pcs, const bool *exact, size_t n,
				   __u8 stop)
{
	n = MIN(n, (size_t)USER_FRAMES_MAX);
	for (size_t i = 0; i < n; i++)
		s->frames[i] = frame_of(s, exact[i] ? pcs[i] : pcs[i] - 1);
	return add_stack(s, n, 0, stop);
}
