// SPDX-License-Identifier: Apache-2.0
/* stack_table.h: what the kernel side is told of stacks that come, go, come back, or are missing.
 */
#include "profiler/stack_table.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/object.h"
#include "tests/unit/test.h"

#define N_KNOWN 64u
#define TOP	(1ull << 63)

static struct segments *segments;
static struct object_table *objects;
static struct stack_table *table;
static __u64 known[N_KNOWN];

static void setup(size_t max_bytes)
{
	memset(known, 0, sizeof(known));
	segments = segments_new(-1, 1u << 20);
	objects = object_table_new(segments, 64);
	table = stack_table_new(objects, known, N_KNOWN, max_bytes);
}

static void teardown(void)
{
	stack_table_free(table);
	object_table_free(objects);
	segments_free(segments);
}

/* As the program does: a pair of places, the older one goes. */
static void mark(__u64 id)
{
	__u64 *pair = &known[id & (N_KNOWN - 2)];

	pair[1] = pair[0];
	pair[0] = id;
}

static bool marked(__u64 id)
{
	const __u64 *pair = &known[id & (N_KNOWN - 2)];

	return pair[0] == id || pair[1] == id;
}

static const struct stack *add(__u64 id, __u64 time_ns)
{
	__u64 frames[32] = {id};

	mark(id);
	return stack_table_add(table, id, frames, 32, 0, 0, 1, 1, time_ns);
}

static void found_again(void)
{
	__u64 frames[3] = {FRAME_ADDR << FRAME_KIND_SHIFT | 5, 6, 7};
	const struct stack *s;

	setup(1u << 20);
	CU_ASSERT_PTR_NULL(stack_table_find(table, TOP | 1, 1));
	s = stack_table_add(table, TOP | 1, frames, 1, 2, 3, 44, 55, 10);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT(s->n_user == 1 && s->n_kernel == 2 && s->stop == 3 && s->pid == 44);
	CU_ASSERT(s->outside && !memcmp(s->frames, frames, sizeof(frames)));
	CU_ASSERT(stack_table_find(table, TOP | 1, 20) == s);
	CU_ASSERT(stack_table_add(table, TOP | 1, frames, 1, 2, 3, 44, 55, 30) == s);
	ASSERT_INT(s->used_ns, 30);
	CU_ASSERT_PTR_NULL(stack_table_find(table, TOP | 2, 1));
	ASSERT_INT(stack_table_stats(table).n, 1);
	teardown();
}

/* Its objects stay as long as it does, each once; an id that is no object's is passed over. */
static void holds_its_objects(void)
{
	struct object_key key = {.major = 8, .inode = 1};
	struct object *object;
	__u64 frames[4];
	const struct stack *s;

	setup(1u << 20);
	object = object_get(objects, &key, "/x");
	for (int i = 0; i < 4; i++)
		frames[i] = FRAME_FILE << FRAME_KIND_SHIFT | (__u64)object->id << FRAME_ADDR_BITS |
			    (__u64)i;
	frames[3] = FRAME_FILE << FRAME_KIND_SHIFT | 4000ull << FRAME_ADDR_BITS;
	s = stack_table_add(table, TOP | 1, frames, 4, 0, 0, 1, 1, 10);
	ASSERT_INT(atomic_load(&object->refs), 2);
	CU_ASSERT(s->objects[0] == object && !s->objects[1] && !s->outside);
	CU_ASSERT(atomic_load(&object->sampled));
	stack_ref(s);
	stack_table_free(table); /* a capture still has it */
	table = NULL;
	ASSERT_INT(atomic_load(&object->refs), 2);
	stack_unref(s);
	ASSERT_INT(atomic_load(&object->refs), 1);
	stack_unref(NULL);
	teardown();
}

/* Too many: the least used lose their marks first, and go when all that was under way is read. */
static void the_oldest_go(void)
{
	unsigned n = 0;
	size_t bytes;

	setup(40 * 1024);
	for (__u64 i = 0; i < 30; i++)
		add(TOP | i * 2, 100 + i);
	bytes = stack_table_stats(table).bytes;
	stack_table_set_max(table, bytes / 2);
	stack_table_find(table, TOP | 0, 500); /* the first is the last used */
	stack_table_sweep(table, 1000, 900);
	for (__u64 i = 0; i < 30; i++)
		n += marked(TOP | i * 2);
	CU_ASSERT(n >= 8 && n <= 15);
	CU_ASSERT(marked(TOP | 0) && !marked(TOP | 2) && marked(TOP | 58));
	ASSERT_INT(stack_table_stats(table).n, 30); /* a sample of them may be on its way */
	CU_ASSERT_PTR_NOT_NULL(stack_table_find(table, TOP | 2, 990));
	stack_table_sweep(table, 2000, 1000);
	ASSERT_INT(stack_table_stats(table).n, 30); /* not yet all read */
	stack_table_sweep(table, 2000, 1001);
	ASSERT_INT(stack_table_stats(table).n, n);
	CU_ASSERT(stack_table_stats(table).bytes <= bytes / 2);
	ASSERT_INT(stack_table_stats(table).forgotten_total, 30 - n);
	CU_ASSERT_PTR_NULL(stack_table_find(table, TOP | 2, 2000));
	teardown();
}

/* Sent anew while it was leaving: it is marked again, and must stay, whatever its record's time. */
static void sent_anew_while_leaving(void)
{
	setup(1024);
	for (__u64 i = 0; i < 4; i++)
		add(TOP | i * 2, 100 + i);
	stack_table_sweep(table, 1000, 900);
	CU_ASSERT(!marked(TOP | 0) && !marked(TOP | 2));
	add(TOP | 0, 999);			/* a sample that began before the mark went */
	stack_table_find(table, TOP | 2, 1500); /* used after all, by one taken before */
	stack_table_sweep(table, 2000, 1500);
	CU_ASSERT(marked(TOP | 0));
	CU_ASSERT_PTR_NOT_NULL(stack_table_find(table, TOP | 0, 2000));
	CU_ASSERT_PTR_NOT_NULL(stack_table_find(table, TOP | 2, 2000));
	teardown();
}

/* Marked there, unknown here: the mark goes, so that it is sent; its neighbour's stays. */
static void wanted(void)
{
	setup(1024);
	mark(TOP | 8);
	mark(TOP | 9);
	stack_table_want(table, TOP | 8);
	CU_ASSERT(!marked(TOP | 8) && marked(TOP | 9));
	stack_table_want(table, TOP | 8);
	CU_ASSERT(marked(TOP | 9));
	stack_table_free(table);
	table = stack_table_new(objects, NULL, 0, 1024); /* no kernel side */
	stack_table_want(table, TOP | 8);
	teardown();
}

/* A million stacks through a small table: bounded, and what the table says is what it has. */
static void churn(void)
{
	size_t most = 0;

	setup(64 * 1024);
	for (__u64 i = 0; i < 1000000; i++) {
		add(TOP | i, i);
		if (i % 100 == 99)
			stack_table_sweep(table, i, i);
		most = MAX(most, (size_t)stack_table_stats(table).bytes);
	}
	CU_ASSERT(most < 64 * 1024 + 300 * 500);
	ASSERT_INT(stack_table_stats(table).forgotten_total + stack_table_stats(table).n, 1000000);
	teardown();
}

SUITE(stack_table, {"found again", found_again}, {"holds its objects", holds_its_objects},
      {"the oldest go", the_oldest_go}, {"sent anew while leaving", sent_anew_while_leaving},
      {"wanted", wanted}, {"churn", churn});
