// SPDX-License-Identifier: Apache-2.0
/* process.h: what the kernel side is told while files are being loaded, in every order of events.
 */
#include "profiler/process.h"

#include <stdlib.h>

#include "profiler/map_list.h"
#include "tests/unit/test.h"

#define PID 100

struct world {
	struct segments *segments;
	struct object_table *objects;
	struct process_table *table;
	struct object *asked; /* the last one whose rows were asked for */
};

static void load_object(void *arg, struct object *object, const struct process *process UNUSED,
			const struct mapping *mapping UNUSED)
{
	((struct world *)arg)->asked = object;
}

static void read_maps(void *arg UNUSED, __u32 pid UNUSED) {}

static void world_init(struct world *w)
{
	struct process_table_options o = {
		.procs_fd = -1,
		.max = 16,
		.ops = {.arg = w, .load_object = load_object, .read_maps = read_maps},
	};

	w->segments = segments_new(-1, 4u << 20);
	w->objects = object_table_new(w->segments, 16);
	w->asked = NULL;
	o.segments = w->segments;
	o.objects = w->objects;
	w->table = process_table_new(&o);
}

static void world_fini(struct world *w)
{
	process_table_free(w->table);
	object_table_free(w->objects);
	segments_free(w->segments);
}

/* An exec, its record, and a mapping of one file whose rows nobody has loaded. */
static struct process *start_program(struct world *w)
{
	struct mapping range = {.start = 0x400000, .end = 0x500000};
	struct object_key key = {.major = 8, .inode = 7};
	struct rec done = {.pid = PID, .time_ns = 20};

	process_on_exec(w->table, PID, 10);
	process_on_mmap(w->table, PID, 15, &range, &key, "/bin/prog");
	process_on_exec_done(w->table, &done);
	return process_find(w->table, PID);
}

/* The loader's answer: a file without rows, so that frame pointers are followed. */
static void answer(struct world *w)
{
	struct object_image *image = calloc(1, sizeof(*image));

	image->fd = -1;
	image->state = OBJECT_NO_ROWS;
	image->why = "";
	object_set_image(w->asked, image);
	process_on_objects(w->table);
}

/* enum unw_kind of the only mapping that is published; -1: none. */
static int published_kind(struct world *w, const struct process *process)
{
	const struct map_list *list = process->maps;
	const struct unw_mapping *m;

	if (list->n_published != 1)
		return -1;
	m = (const void *)(segments_words(w->segments, &list->blob) + 2);
	return m->kind;
}

static void answer_in_a_later_batch(void)
{
	struct process *process;
	struct world w;

	world_init(&w);
	process = start_program(&w);
	process_table_publish(w.table);
	ASSERT_INT(published_kind(&w, process), UNW_KIND_WAIT);
	answer(&w);
	process_table_publish(w.table);
	ASSERT_INT(published_kind(&w, process), UNW_KIND_FP);
	world_fini(&w);
}

/* A copied stack has its process's list compiled in the middle of a batch, and the answer comes
 * before the batch ends: what was compiled says "wait" for ever unless it is compiled again. */
static void answer_after_a_compile_in_one_batch(void)
{
	struct process *process;
	struct world w;

	world_init(&w);
	process = start_program(&w);
	CU_ASSERT(process_compile(w.table, process->maps));
	answer(&w);
	process_table_publish(w.table);
	ASSERT_INT(published_kind(&w, process), UNW_KIND_FP);
	world_fini(&w);
}

SUITE(process_loading, {"an answer in a later batch", answer_in_a_later_batch},
      {"an answer after a compile in the same batch", answer_after_a_compile_in_one_batch});
