// SPDX-License-Identifier: Apache-2.0
/*
 * A /proc/PID/maps of anybody's making, into a process: parsed within its text, and whatever it
 * says, the process's mappings stay sorted and apart and its compiled set fits. Each input is split
 * in two at its first NUL: a second snapshot replaces the first.
 */
#include "profiler/proc_maps.h"

#include "profiler/map_list.h"
#include "tests/fuzz/fuzz.h"

#define PID 7

static void load_object(void *arg UNUSED, struct object *object,
			const struct process *process UNUSED, const struct mapping *mapping UNUSED)
{
	object->state = OBJECT_GONE;
}

static void read_maps(void *arg UNUSED, __u32 pid UNUSED) {}

static void check_list(const struct map_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct mapping *m = &list->maps[i];

		CHECK(m->start < m->end);
		CHECK(!i || list->maps[i - 1].end <= m->start);
		CHECK(map_list_find(list, m->start) == m && map_list_find(list, m->end - 1) == m);
	}
}

static void take_snapshot(struct process_table *table, char *text, size_t len)
{
	struct snapshot_map *maps = NULL;
	struct process *process;
	size_t n = 0;

	CHECK(!proc_maps_parse(text, len, &maps, &n));
	for (size_t i = 0; i < n; i++) {
		CHECK(maps[i].start < maps[i].end);
		CHECK(maps[i].path > text && maps[i].path + strlen(maps[i].path) < text + len);
	}
	process_on_snapshot(table, PID, 1, maps, n);
	process = process_find(table, PID);
	if (process && process->maps)
		check_list(process->maps);
	process_table_publish(table);
	if (process && process->maps)
		CHECK(process->maps->n_published <= UNW_MAPSET_MAX + 1);
	free(maps);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct segments *segments = segments_new(-1, 4u << 20);
	struct object_table *objects = object_table_new(segments, 32);
	struct process_table_options o = {
		.segments = segments,
		.objects = objects,
		.procs_fd = -1,
		.max = 4,
		.ops = {.load_object = load_object, .read_maps = read_maps},
	};
	struct process_table *table = process_table_new(&o);
	const __u8 *nul = size ? memchr(data, 0, size) : NULL;
	size_t first = nul ? (size_t)(nul - data) : size;
	struct cursor c = cursor_of(data, size);
	char *text;

	CHECK(table);
	text = fuzz_text(&c, first);
	take_snapshot(table, text, first);
	free(text);
	text = fuzz_text(&c, size - first);
	take_snapshot(table, text, size - first);
	free(text);
	process_table_free(table);
	object_table_free(objects);
	segments_free(segments);
	return 0;
}
