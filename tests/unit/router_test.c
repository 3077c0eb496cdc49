// SPDX-License-Identifier: Apache-2.0
/*
 * router.h on the running kernel: how late a record is read that comes after a silence, when the
 * router has stopped its timer.
 */
#include "profiler/router.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/loader.h"
#include "profiler/segment.h"
#include "tests/unit/test.h"

#define BURSTS	   6
#define BURST_NS   (20 * NS_PER_MS)
#define SILENCE_US 480000
/* With the timer alone, once a second, three in four would be later. */
#define LATE_NS	   (250 * NS_PER_MS)
#define MIN_PROMPT 5 /* of the bursts: the machine may be busy elsewhere */

static struct {
	struct sampler *sampler;
	struct segments *segments;
	struct loader *loader;
	struct router *router;
	struct capture *capture;
	atomic_ullong first_ns; /* of a burst: when the first sample was read; 0: none yet */
} t;

/* Router thread. */
static void on_record(void *arg UNUSED, const struct rec *rec)
{
	unsigned long long none = 0;

	if (rec->pid == (__u32)getpid())
		atomic_compare_exchange_strong(&t.first_ns, &none, clock_monotonic_ns());
}

static void captured(void *arg UNUSED, struct capture *capture)
{
	t.capture = capture;
}

static bool start(void)
{
	__u64 pid = (__u64)getpid();
	struct sampler_options s = {.hz = 499,
				    .target = TARGET_PIDS,
				    .targets = &pid,
				    .n_targets = 1,
				    .max_frames = 16,
				    .max_segments = 16,
				    .max_processes = 1024};
	struct loader_options l = {.procfs = "/proc"};
	struct router_options r = {.max_processes = 1024,
				   .max_objects = 256,
				   .max_frames = 16,
				   .stacks_bytes = 1u << 20,
				   .idle_rows_bytes = 1u << 20,
				   .record_kinds = 1ull << REC_SAMPLE | 1ull << REC_COPY,
				   .on_record = on_record};
	char *why = NULL;

	if (geteuid() || sampler_open(&s, &t.sampler, &why)) {
		free(why);
		return false;
	}
	t.segments = segments_new(sampler_segments_fd(t.sampler), 16 * UNW_SEGMENT_BYTES);
	CU_ASSERT_FATAL(t.segments != NULL);
	l.segments = r.segments = t.segments;
	CU_ASSERT_FATAL(!loader_start(&l, &t.loader));
	r.sampler = t.sampler;
	r.loader = t.loader;
	CU_ASSERT_FATAL(!router_start(&r, &t.router));
	return true;
}

static void stop(void)
{
	loader_stop(t.loader);
	router_free(t.router);
	sampler_close(t.sampler);
	segments_free(t.segments);
}

/* Work for a moment. How long after its beginning the first sample of it was read. */
static __u64 burst(void)
{
	__u64 began_ns = clock_monotonic_ns();

	atomic_store(&t.first_ns, 0);
	while (clock_monotonic_ns() < began_ns + BURST_NS)
		;
	usleep(SILENCE_US);
	return atomic_load(&t.first_ns) ? atomic_load(&t.first_ns) - began_ns : UINT64_MAX;
}

static void after_silence(void)
{
	struct capture_options o = {.source = SOURCE_CPU, .patient = true};
	struct capture *capture;
	unsigned prompt = 0;

	if (!start())
		SKIP("needs root, and a kernel that takes the BPF programs");
	capture = capture_new(&o, 499);
	CU_ASSERT_FATAL(capture != NULL);
	CU_ASSERT_FATAL(!router_add_capture(t.router, capture, captured, NULL));
	usleep(SILENCE_US);
	for (unsigned i = 0; i < BURSTS; i++)
		prompt += burst() < LATE_NS;
	router_end_capture(t.router, capture, false);
	sampler_enable(t.sampler, false);
	router_stop(t.router);
	CU_ASSERT(prompt >= MIN_PROMPT);
	CU_ASSERT(t.capture == capture && capture->counts.samples_total >= BURSTS);
	capture_free(capture); /* before what it refers to */
	stop();
}

SUITE(router, {"a record after a silence", after_silence});
