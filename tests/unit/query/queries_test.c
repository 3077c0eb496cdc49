// SPDX-License-Identifier: Apache-2.0
/* What the answers about the past share: captures of a recording, their rate, their ends. */
#include <errno.h>
#include <stdlib.h>

#include "bpf/reason.h"
#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/process.h"
#include "profiler/query/query_internal.h"
#include "profiler/query/selector.h"
#include "profiler/stack_table.h"
#include "tests/unit/test.h"

static struct segments *segments;
static struct object_table *objects;
static struct stack_table *stacks;
static const struct stack *stack;
static struct image *image;
static struct recorder *recorder;
static struct query_task task;

static void setup(void)
{
	__u64 address = 1;

	segments = segments_new(-1, 1u << 20);
	objects = object_table_new(segments, 64);
	stacks = stack_table_new(objects, NULL, 0, 1u << 20);
	stack = stack_table_add(stacks, 1, &address, 0, 1, STOP_ROOT, 1, 1, 1);
	image = calloc(1, sizeof(*image));
	CU_ASSERT_PTR_NOT_NULL_FATAL(image);
	atomic_init(&image->refs, 1);
	recorder = recorder_new(RECORDER_MAX_AGE_NS, RECORDER_MAX_BYTES);
	CU_ASSERT_PTR_NOT_NULL_FATAL(recorder);
}

static void teardown(void)
{
	recorder_free(recorder);
	image_unref(image);
	stack_table_free(stacks);
	object_table_free(objects);
	segments_free(segments);
}

/* A second of a thread that never sleeps. */
static void busy_second(__u64 second, unsigned hz)
{
	recorder_set_hz(recorder, second * NS_PER_S, hz);
	for (unsigned i = 0; i < hz; i++) {
		struct sample s = {.time_ns = second * NS_PER_S + i * (NS_PER_S / hz),
				   .stack = stack,
				   .image = image,
				   .tid = 7,
				   .comm = "aaaaaaaaaaaaaaa"};

		recorder_add(recorder, &s);
	}
}

static __u64 captured_ns(__u64 from_ns, __u64 to_ns, unsigned hz, __u64 samples)
{
	struct recording *recording = recorder_copy(recorder, 0, UINT64_MAX);
	struct capture *capture;
	__u64 ns;

	CU_ASSERT_PTR_NOT_NULL_FATAL(recording);
	task.deadline_ns = UINT64_MAX;
	query_task_begin(&task);
	capture = query_capture(&task, recording, NULL, from_ns, to_ns);
	CU_ASSERT_PTR_NOT_NULL_FATAL(capture);
	ASSERT_INT(capture->entries.len, 1);
	ASSERT_INT(capture->entries.data[0].samples, samples);
	ASSERT_INT(capture->hz, hz);
	ns = capture->entries.data[0].weight * capture->unit_ns;
	capture_free(capture);
	recording_free(recording);
	return ns;
}

/* A second stays a second, whatever the rate was then and is now. */
static void a_rate_that_changes(void)
{
	setup();
	busy_second(1, 97);
	ASSERT_INT(captured_ns(NS_PER_S, 2 * NS_PER_S, 97, 97), 97 * (NS_PER_S / 97));
	busy_second(2, 19);
	busy_second(3, 1);
	ASSERT_INT(captured_ns(NS_PER_S, 2 * NS_PER_S, 97, 97), 97 * (NS_PER_S / 97));
	ASSERT_INT(captured_ns(2 * NS_PER_S, 3 * NS_PER_S, 19, 19), 19 * (NS_PER_S / 19));
	ASSERT_INT(captured_ns(NS_PER_S, 4 * NS_PER_S, 1, 117),
		   97 * (NS_PER_S / 97) + 19 * (NS_PER_S / 19) + NS_PER_S);
	teardown();
}

/* Why there is no capture of the recording; 0: there is one. */
static int ends_with(const char *match, const char *text)
{
	struct recording *recording = recorder_copy(recorder, 0, UINT64_MAX);
	struct selector *selector;
	struct capture *capture;
	char error[256];
	int err;

	CU_ASSERT_PTR_NOT_NULL_FATAL(recording);
	CU_ASSERT_FATAL(!selector_parse(match, &selector, error, sizeof(error), NULL));
	capture = query_capture(&task, recording, selector, 0, UINT64_MAX);
	err = query_task_check(&task, selector);
	CU_ASSERT((capture != NULL) == !err);
	if (err)
		CU_ASSERT_PTR_NOT_NULL(strstr(query_error_text(err), text));
	capture_free(capture);
	selector_free(selector);
	recording_free(recording);
	return err;
}

/* Work that ends early gives nothing, and says why: never a part of the answer. */
static void ends_of_work(void)
{
	setup();
	busy_second(1, 997);
	task.deadline_ns = UINT64_MAX;
	query_task_begin(&task);
	ASSERT_INT(ends_with("{comm=~\"a.*\"}", ""), 0);
	ASSERT_INT(ends_with("{comm!~\"(a*)*(a*)*(a*)*(a*)*[bc]\"}", "too complex"), -EINVAL);
	task.soonest_ns = clock_monotonic_ns() - 1; /* time that others had is no work */
	ASSERT_INT(ends_with("{comm=~\"a.*\"}", ""), 0);
	task.cpu_end_ns = clock_thread_cpu_ns() - 1;
	ASSERT_INT(ends_with("{comm=~\"a.*\"}", "it took longer than"), -ETIMEDOUT);
	query_task_begin(&task);
	task.deadline_ns = clock_monotonic_ns() - 1;
	ASSERT_INT(ends_with("{comm=~\"a.*\"}", "it took longer than"), -ETIMEDOUT);
	task.deadline_ns = UINT64_MAX;
	query_task_begin(&task);
	atomic_store(&task.read.cancelled, true);
	ASSERT_INT(ends_with("{comm=~\"a.*\"}", ""), -ECANCELED);
	atomic_store(&task.read.cancelled, false);
	teardown();
}

SUITE(queries, {"a rate that changes", a_rate_that_changes}, {"ends of work", ends_of_work});
