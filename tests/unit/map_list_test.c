// SPDX-License-Identifier: Apache-2.0
/* map_list.h: overlaps in every position, against a plain array of addresses; compiled sets. */
#include "profiler/map_list.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

#define PAGES 64
#define BASE  0x10000u
#define PAGE  0x1000u

static struct segments *segments;
static struct object_table *objects;

static void setup(void)
{
	segments = segments_new(-1, 4u << 20);
	objects = object_table_new(segments, 64);
}

static void teardown(void)
{
	object_table_free(objects);
	segments_free(segments);
}

static struct object *file(__u64 inode)
{
	struct object_key key = {.major = 8, .inode = inode};

	return object_get(objects, &key, "/bin/x");
}

/* An image with these segments and parts; rows are not needed here. */
static void set_image(struct object *object, enum object_state state,
		      const struct object_load *loads, size_t n_loads,
		      const struct object_part *parts, size_t n_parts)
{
	struct object_image *image = calloc(1, sizeof(*image));

	*image = (struct object_image){.state = state, .why = "", .fd = -1};
	image->loads = calloc(n_loads + 1, sizeof(*loads));
	for (size_t i = 0; i < n_loads; i++)
		image->loads[i] = loads[i];
	image->n_loads = n_loads;
	image->parts = calloc(n_parts + 1, sizeof(*parts));
	image->blobs = calloc(n_parts + 1, sizeof(*image->blobs));
	for (size_t i = 0; i < n_parts; i++)
		image->parts[i] = parts[i];
	image->n_parts = n_parts;
	object_set_image(object, image);
}

/* Thousands of random mappings: the list must say of each page what was mapped there last. */
static void overlaps(void)
{
	struct object *files[4] = {NULL};
	struct map_list *list = map_list_new();
	int owner[PAGES];
	__u64 offset[PAGES];
	unsigned seed = 7, wrong = 0;

	setup();
	for (int i = 1; i < 4; i++)
		files[i] = file((__u64)i);
	memset(owner, -1, sizeof(owner));
	for (int round = 0; round < 20000; round++) {
		unsigned first = (unsigned)rand_r(&seed) % PAGES;
		unsigned n = 1 + (unsigned)rand_r(&seed) % 9;
		int who = rand_r(&seed) % 4;
		struct mapping m = {.start = BASE + first * PAGE,
				    .end = BASE + MIN(first + n, (unsigned)PAGES) * PAGE,
				    .offset = who ? (__u64)(rand_r(&seed) % 5) * PAGE : 0,
				    .object = files[who]};

		if (map_list_add(list, &m) < 0)
			wrong++;
		for (unsigned i = first; i < first + n && i < PAGES; i++) {
			owner[i] = who;
			offset[i] = m.offset + (i - first) * PAGE;
		}
		for (unsigned i = 0; i < PAGES; i++) {
			__u64 addr = BASE + i * PAGE + 5;
			const struct mapping *found = map_list_find(list, addr);

			if (owner[i] < 0 || !found)
				wrong += owner[i] >= 0 || found;
			else
				wrong += found->object != files[owner[i]] ||
					 (found->object &&
					  found->offset + addr - found->start != offset[i] + 5);
		}
		for (size_t i = 1; i < list->n; i++)
			wrong += list->maps[i - 1].end > list->maps[i].start;
		if (wrong)
			break;
	}
	ASSERT_INT(wrong, 0);
	map_list_free(list, segments);
	for (int i = 1; i < 4; i++)
		ASSERT_INT(atomic_load(&files[i]->refs), 1); /* ours alone: none too many or few */
	teardown();
}

static void nothing_new(void)
{
	struct map_list *list = map_list_new(), *copy;
	struct mapping m = {.start = BASE, .end = BASE + 4 * PAGE, .offset = 0x3000};
	struct mapping jit = {.start = BASE + 8 * PAGE, .end = BASE + 9 * PAGE};

	setup();
	m.object = file(1);
	ASSERT_INT(map_list_add(list, &m), 1);
	ASSERT_INT(map_list_add(list, &m), 0);
	m.start += PAGE; /* protected anew in part */
	m.offset += PAGE;
	ASSERT_INT(map_list_add(list, &m), 0);
	m.offset += PAGE; /* another place of the file */
	ASSERT_INT(map_list_add(list, &m), 1);
	ASSERT_INT(list->n, 2);
	ASSERT_INT(map_list_add(list, &jit), 1);
	jit.start = jit.end; /* a JIT's memory grows */
	jit.end += PAGE;
	ASSERT_INT(map_list_add(list, &jit), 1);
	ASSERT_INT(list->n, 3);
	ASSERT_INT(map_list_add(list, &(struct mapping){.start = 5, .end = 5}), 0);
	ASSERT_INT(map_list_add(list, &(struct mapping){.start = 5, .end = 4}), 0);
	ASSERT_INT(map_list_add(list, &(struct mapping){.start = 1ull << 63, .end = ~0ull}), 0);
	copy = map_list_clone(list);
	ASSERT_INT(copy->n, 3);
	ASSERT_INT(atomic_load(&m.object->refs), 1 + 2 + 2);
	map_list_free(copy, segments);
	map_list_free(list, segments);
	teardown();
}

static const struct unw_mapping *published(const struct map_list *list, __u32 i)
{
	const __u32 *words = segments_words(segments, &list->blob);

	return (const struct unw_mapping *)(words + list->n_published * 2) + i;
}

static __u64 published_start(const struct map_list *list, __u32 i)
{
	return ((const __u64 *)segments_words(segments, &list->blob))[i];
}

/* What the unwinder is told of each state of a file. */
static void kinds(void)
{
	static const struct {
		enum object_state state;
		enum unw_kind kind;
	} rows[] = {
		{OBJECT_NEW, UNW_KIND_WAIT},   {OBJECT_LOADING, UNW_KIND_WAIT},
		{OBJECT_NO_ROWS, UNW_KIND_FP}, {OBJECT_NOT_ELF, UNW_KIND_ANON},
		{OBJECT_GONE, UNW_KIND_GONE},
	};
	struct map_list *list = map_list_new();

	setup();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mapping m = {.start = BASE + i * PAGE, .end = BASE + (i + 1) * PAGE};

		m.object = file(i + 1);
		if (rows[i].state > OBJECT_LOADING)
			set_image(m.object, rows[i].state, NULL, 0, NULL, 0);
		m.object->state = rows[i].state;
		ASSERT_INT(map_list_add(list, &m), 1);
	}
	ASSERT_INT(map_list_publish(list, segments), 0);
	ASSERT_INT(list->n_published, ARRAY_SIZE(rows));
	ASSERT_INT(list->waiting, 2);
	for (__u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		ASSERT_INT(published(list, i)->kind, rows[i].kind);
		ASSERT_INT(published_start(list, i), BASE + i * PAGE);
		ASSERT_INT(published(list, i)->end, BASE + (i + 1) * PAGE);
	}
	map_list_free(list, segments);
	teardown();
}

/* A file of two parts and a gap, mapped from the middle of the first: pieces without holes. */
static void parts(void)
{
	static const struct object_load load = {
		.offset = 0x1000, .vaddr = 0x401000, .filesz = 0x8000};
	static const struct object_part two[] = {
		{.start = 0x401000, .end = 0x403000, .n_pages = 2, .segment = 3, .rows = 11},
		{.start = 0x404000, .end = 0x406000, .n_pages = 3, .segment = 4, .rows = 22},
	};
	struct map_list *list = map_list_new();
	struct mapping m = {.start = 0x7f0000, .end = 0x7f7000, .offset = 0x2000};
	__u64 bias = 0x7f0000 - 0x402000;

	setup();
	m.object = file(1);
	set_image(m.object, OBJECT_READY, &load, 1, two, 2);
	ASSERT_INT(map_list_add(list, &m), 1);
	ASSERT_INT(map_list_publish(list, segments), 0);
	ASSERT_INT(list->n_published, 2);
	ASSERT_INT(published_start(list, 0), 0x7f0000);
	ASSERT_INT(published(list, 0)->kind, UNW_KIND_ROWS);
	ASSERT_INT(published(list, 0)->rows, 11);
	ASSERT_INT(published(list, 0)->bias, bias);
	ASSERT_INT(published(list, 0)->base, 0x401000 + bias);
	ASSERT_INT(published(list, 0)->end, 0x404000 + bias);
	ASSERT_INT(published_start(list, 1), 0x404000 + bias);
	ASSERT_INT(published(list, 1)->segment, 4);
	ASSERT_INT(published(list, 1)->end, 0x7f7000); /* behind its pages it has no rows */
	map_list_free(list, segments);
	teardown();
}

/* A list whose object is still being read has no news until it is there. */
static void news(void)
{
	struct map_list *list = map_list_new();
	struct mapping m = {.start = BASE, .end = BASE + PAGE};

	setup();
	m.object = file(1);
	ASSERT_INT(map_list_add(list, &m), 1);
	CU_ASSERT(!map_list_has_news(list));
	ASSERT_INT(map_list_publish(list, segments), 0);
	CU_ASSERT(!map_list_has_news(list));
	set_image(m.object, OBJECT_NO_ROWS, NULL, 0, NULL, 0);
	CU_ASSERT(map_list_has_news(list));
	ASSERT_INT(map_list_publish(list, segments), 0);
	CU_ASSERT(!map_list_has_news(list));
	map_list_free(list, segments);
	teardown();
}

/* More than a set holds: cut, said so, and the space for it comes back. */
static void too_many(void)
{
	struct map_list *list = map_list_new();
	struct object *file_of;

	setup();
	file_of = file(1);
	for (__u64 i = 0; i < UNW_MAPSET_MAX + 100; i++) {
		struct mapping m = {.start = i * 2 * PAGE, .end = (i * 2 + 1) * PAGE};

		m.object = file_of;
		if (map_list_add(list, &m) != 1)
			CU_FAIL("not added");
	}
	ASSERT_INT(map_list_publish(list, segments), 0);
	ASSERT_INT(list->n_published, UNW_MAPSET_MAX);
	CU_ASSERT(list->cut);
	map_list_free(list, segments);
	teardown();
}

SUITE(map_list, {"overlaps", overlaps}, {"nothing new", nothing_new}, {"kinds", kinds},
      {"parts", parts}, {"news", news}, {"too many", too_many});
