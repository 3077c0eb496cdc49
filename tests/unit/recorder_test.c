// SPDX-License-Identifier: Apache-2.0
/* The flight recorder: what it keeps, what it drops first, and that it gives everything back. */
#include "profiler/recorder.h"

#include <pthread.h>
#include <stdlib.h>

#include "bpf/reason.h"
#include "profiler/base/clock.h"
#include "profiler/process.h"
#include "profiler/stack_table.h"
#include "tests/unit/test.h"

#define N_STACKS 64

static struct segments *segments;
static struct object_table *objects;
static struct stack_table *stacks;
static const struct stack *stack_of[N_STACKS];
static struct image *image;

static void setup(void)
{
	segments = segments_new(-1, 1u << 20);
	objects = object_table_new(segments, 64);
	stacks = stack_table_new(objects, NULL, 0, 1u << 20);
	for (__u64 i = 0; i < N_STACKS; i++)
		stack_of[i] = stack_table_add(stacks, i, &i, 0, 1, STOP_ROOT, 1, 1, 1);
	image = calloc(1, sizeof(*image));
	CU_ASSERT_PTR_NOT_NULL_FATAL(image);
	atomic_init(&image->refs, 1);
}

static void teardown(void)
{
	for (int i = 0; i < N_STACKS; i++) {
		ASSERT_INT(stack_of[i]->recorded, 0);
		ASSERT_INT(atomic_load(&stack_of[i]->refs), 1);
	}
	ASSERT_INT(atomic_load(&image->refs), 1);
	image_unref(image);
	stack_table_free(stacks);
	object_table_free(objects);
	segments_free(segments);
}

static void add(struct recorder *r, __u64 time_ns, unsigned stack)
{
	struct sample s = {.time_ns = time_ns,
			   .stack = stack_of[stack % N_STACKS],
			   .image = image,
			   .tid = (__u32)time_ns,
			   .comm = "x"};

	recorder_add(r, &s);
}

static size_t copied(struct recorder *r, __u64 from_ns, __u64 to_ns)
{
	struct recording *c = recorder_copy(r, from_ns, to_ns);
	size_t n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	n = c->samples.len;
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT(c->samples.data[i].time_ns >= from_ns &&
			  c->samples.data[i].time_ns < to_ns);
		CU_ASSERT(!i || c->samples.data[i - 1].time_ns <= c->samples.data[i].time_ns);
		ASSERT_INT(c->samples.data[i].tid, (__u32)c->samples.data[i].time_ns);
	}
	recording_free(c);
	return n;
}

static void any_stretch(void)
{
	struct recorder *r;

	setup();
	r = recorder_new(RECORDER_MAX_AGE_NS, RECORDER_MAX_BYTES);
	for (__u64 i = 0; i < 10000; i++)
		add(r, 1000 + (i ^ 3), (unsigned)i); /* some are late */
	ASSERT_INT(copied(r, 0, UINT64_MAX), 10000);
	ASSERT_INT(copied(r, 1000, 1001), 1);
	ASSERT_INT(copied(r, 2000, 2500), 500);
	ASSERT_INT(copied(r, 500, 1000), 0);
	ASSERT_INT(recorder_stats(r).n, 10000);
	ASSERT_INT(recorder_stats(r).dropped_total, 0);
	recorder_free(r);
	teardown();
}

static void age_and_room(void)
{
	struct recorder *r;
	struct recorder_stats stats;

	setup();
	r = recorder_new(5000, 1u << 20);
	for (__u64 i = 0; i < 100000; i++)
		add(r, i, (unsigned)i);
	stats = recorder_stats(r);
	CU_ASSERT(stats.bytes <= stats.max_bytes);
	CU_ASSERT(stats.n > 15000 && stats.n < 22000);
	ASSERT_INT(stats.dropped_total, 100000 - stats.n);
	recorder_sweep(r, 100000, 0);
	ASSERT_INT(recorder_stats(r).n, 5000);
	ASSERT_INT(copied(r, 0, UINT64_MAX), 5000);
	recorder_sweep(r, 300000, 0); /* nothing ran since */
	ASSERT_INT(recorder_stats(r).n, 0);
	ASSERT_INT(copied(r, 0, UINT64_MAX), 0);
	recorder_free(r);
	teardown();
}

/* The clock of the samples stands still in a sleep of eight hours. */
static void a_night_of_suspend(void)
{
	struct recorder *r;
	__u64 before_ns = clock_asleep_ns(), asleep_ns = before_ns + 8 * 3600 * NS_PER_S;

	setup();
	r = recorder_new(5000, 1u << 20);
	for (__u64 i = 1000; i < 2000; i++)
		add(r, i, (unsigned)i);
	recorder_sweep(r, 2000, before_ns + NS_PER_S / 2);
	ASSERT_INT(recorder_stats(r).n, 1000);
	recorder_sweep(r, 2100, asleep_ns);
	ASSERT_INT(recorder_stats(r).n, 0);
	add(r, 2200, 1);
	recorder_sweep(r, 2300, asleep_ns + 100); /* the two clocks are not read at once */
	ASSERT_INT(recorder_stats(r).n, 1);
	ASSERT_INT(recorder_stats(r).dropped_total, 0);
	recorder_free(r);
	teardown();
}

static void *copy_all(void *arg)
{
	for (int i = 0; i < 200; i++)
		recording_free(recorder_copy(arg, 0, UINT64_MAX));
	return NULL;
}

static void copies_beside_the_router(void)
{
	struct recorder *r;
	pthread_t thread;

	setup();
	r = recorder_new(RECORDER_MAX_AGE_NS, 1u << 19);
	CU_ASSERT_FATAL(!pthread_create(&thread, NULL, copy_all, r));
	for (__u64 i = 0; i < 200000; i++)
		add(r, i, (unsigned)i * 7);
	pthread_join(thread, NULL);
	recorder_free(r);
	teardown();
}

/* A sample has the rate of its own moment, also when it comes late. */
static void each_has_its_rate(void)
{
	static const unsigned wanted[] = {97, 97, 19, 19, 1};
	struct recorder *r;
	struct recording *c;

	setup();
	r = recorder_new(RECORDER_MAX_AGE_NS, RECORDER_MAX_BYTES);
	recorder_set_hz(r, 0, 97);
	add(r, 1000, 0);
	recorder_set_hz(r, 2000, 19);
	add(r, 2000, 1);
	add(r, 1999, 2);
	add(r, 2500, 3);
	recorder_set_hz(r, 3000, 1);
	add(r, 3100, 4);
	c = recorder_copy(r, 0, UINT64_MAX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	ASSERT_INT(c->samples.len, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < c->samples.len; i++)
		ASSERT_INT(c->samples.data[i].hz, wanted[i]);
	recording_free(c);
	recorder_free(r);
	teardown();
}

SUITE(recorder, {"any stretch of time", any_stretch}, {"age and room", age_and_room},
      {"a night of suspend", a_night_of_suspend}, {"each has its rate", each_has_its_rate},
      {"copies beside the router", copies_beside_the_router});
