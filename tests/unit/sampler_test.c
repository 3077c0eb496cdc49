// SPDX-License-Identifier: Apache-2.0
/*
 * sampler.h on the running kernel: CPUs that come and go, told by a list of the test's own, since
 * taking real ones offline would disturb everybody else.
 */
#include "profiler/sampler.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/ring.h"
#include "tests/unit/test.h"

static char online[512];

static void set_online(const char *list)
{
	snprintf(online, sizeof(online), "%s/online", test_dir());
	CU_ASSERT_FATAL(!fs_replace(online, list, strlen(list)));
}

/* On CPU 0, with CPU 1 to come. NULL: the case is skipped. */
static struct sampler *open_on_first_cpu(void)
{
	struct sampler_options o = {.hz = 499,
				    .max_frames = 16,
				    .max_segments = 4,
				    .max_processes = 64,
				    .online_path = online};
	struct sampler *s = NULL;
	char *why;

	if (geteuid() || sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		test_skip("needs root and two CPUs");
		return NULL;
	}
	set_online("0\n");
	if (sampler_open(&o, &s, &why)) {
		free(why);
		test_skip("this kernel takes no BPF programs");
		return NULL;
	}
	return s;
}

static unsigned n_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Run on a CPU for some samples; what its event counted then. */
static __u64 work_on(struct sampler *s, int cpu, __u64 ns)
{
	cpu_set_t set, before;
	__u64 until_ns, count = 0;

	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	until_ns = clock_monotonic_ns() + ns;
	while (clock_monotonic_ns() < until_ns)
		;
	sched_setaffinity(0, sizeof(before), &before);
	CU_ASSERT(!sampler_event_count(s, (unsigned)cpu, &count));
	return count;
}

static size_t samples_of(struct ring *ring, enum source source)
{
	size_t n = 0;

	for (const struct rec *rec; (rec = ring_peek(ring)); ring_pop(ring))
		n += rec->source == source && (rec->kind == REC_SAMPLE || rec->kind == REC_COPY);
	ring_release(ring);
	return n;
}

static size_t samples_in(struct ring *ring)
{
	return samples_of(ring, SOURCE_CPU);
}

static void cpus_come_and_go(void)
{
	struct sampler *s = open_on_first_cpu();
	unsigned fds;
	__u64 before, after;

	if (!s)
		return;
	CU_ASSERT_PTR_NOT_NULL(sampler_ring(s, 0));
	CU_ASSERT_PTR_NULL(sampler_ring(s, 1));
	ASSERT_INT(sampler_event_count(s, 1, &before), -ENODEV);
	CU_ASSERT(!sampler_update_cpus(s)); /* nothing new */
	fds = n_fds();

	set_online("0-1\n");
	CU_ASSERT(sampler_update_cpus(s));
	CU_ASSERT_PTR_NOT_NULL_FATAL(sampler_ring(s, 1));
	CU_ASSERT_PTR_NOT_NULL(sampler_sideband(s, 1));
	before = work_on(s, 1, 60 * NS_PER_MS);
	CU_ASSERT(before > 0);
	CU_ASSERT(samples_in(sampler_ring(s, 1)) > 0);
	ASSERT_INT(n_fds(), fds + 3);

	set_online("0\n");
	CU_ASSERT(!sampler_update_cpus(s)); /* what it said last can still be read */
	CU_ASSERT_PTR_NOT_NULL(sampler_sideband(s, 1));
	CU_ASSERT(sampler_update_cpus(s));
	CU_ASSERT_PTR_NULL(sampler_sideband(s, 1));
	CU_ASSERT_PTR_NOT_NULL(sampler_ring(s, 1));
	samples_in(sampler_ring(s, 1));
	CU_ASSERT(!sampler_event_count(s, 1, &before)); /* is kept */
	after = work_on(s, 1, 20 * NS_PER_MS);
	ASSERT_INT(after, before);
	ASSERT_INT(samples_in(sampler_ring(s, 1)), 0);

	set_online("0-1\n");
	CU_ASSERT(sampler_update_cpus(s));
	after = work_on(s, 1, 60 * NS_PER_MS);
	CU_ASSERT(after > before); /* goes on from there */
	CU_ASSERT(samples_in(sampler_ring(s, 1)) > 0);
	for (int i = 0; i < 3 * SAMPLER_ROUNDS; i++) {
		work_on(s, 1, NS_PER_MS);
		CU_ASSERT(!sampler_update_cpus(s)); /* no event that runs is taken for dead */
	}
	ASSERT_INT(n_fds(), fds + 3);
	sampler_close(s);
}

/* A CPU that cannot be opened is tried again, and leaves nothing behind each time. */
static void a_cpu_that_fails(void)
{
	struct sampler *s = open_on_first_cpu();
	char list[32];
	unsigned fds;

	if (!s)
		return;
	if (sampler_possible_cpus(s) == (unsigned)sysconf(_SC_NPROCESSORS_ONLN)) {
		sampler_close(s);
		SKIP("every possible CPU is online");
	}
	snprintf(list, sizeof(list), "0,%u\n", sampler_possible_cpus(s) - 1);
	set_online(list);
	sampler_update_cpus(s);
	fds = n_fds();
	for (int i = 0; i < 20; i++)
		sampler_update_cpus(s);
	ASSERT_INT(n_fds(), fds);
	sampler_close(s);
}

static void rates_of_their_own(void)
{
	struct sampler_options o = {.hz = 997, .source = SOURCE_ON_DEMAND};
	struct sampler *s = open_on_first_cpu(), *own = NULL;
	__u64 count = 0;
	char *why;

	if (!s)
		return;
	CU_ASSERT_FATAL(!sampler_open_on_demand(s, &o, &own, &why));
	ASSERT_INT(sampler_event_count(own, 1, &count), -ENODEV);
	set_online("0-1\n");
	CU_ASSERT(sampler_update_cpus(s));
	sampler_update_cpus(own);
	CU_ASSERT(work_on(own, 1, 60 * NS_PER_MS) > 0);
	CU_ASSERT(samples_of(sampler_ring(s, 1), SOURCE_ON_DEMAND) > 0);
	sampler_enable(own, false);
	set_online("0\n");
	sampler_update_cpus(own);
	sampler_close(own);
	sampler_close(s);
}

static void the_rate_follows(void)
{
	struct sampler *s = open_on_first_cpu();
	size_t n;

	if (!s)
		return;
	CU_ASSERT(!sampler_set_hz(s, 97));
	samples_in(sampler_ring(s, 0));
	work_on(s, 0, 200 * NS_PER_MS);
	n = samples_in(sampler_ring(s, 0));
	CU_ASSERT(n >= 5 && n <= 60); /* 20, unless the machine is busy */
	CU_ASSERT(!sampler_set_hz(s, 1));
	ASSERT_INT(sampler_hz(s), 1);
	set_online("0-1\n");
	CU_ASSERT(sampler_update_cpus(s));
	work_on(s, 1, 60 * NS_PER_MS);
	CU_ASSERT(samples_in(sampler_ring(s, 1)) < 4);
	sampler_close(s);
}

/* A process that is never known: each of its samples is a copy, at a request's rate, too. */
static void copies_at_every_rate(void)
{
	struct sampler_options o = {.hz = 997, .source = SOURCE_ON_DEMAND};
	struct sampler *s = open_on_first_cpu(), *own = NULL;
	unsigned n = 0, copies = 0;
	char *why;

	if (!s)
		return;
	set_online("0-1\n");
	CU_ASSERT(sampler_update_cpus(s));
	CU_ASSERT(!sampler_set_hz(s, 19));
	sampler_set_copies(s, 1);
	CU_ASSERT_FATAL(!sampler_open_on_demand(s, &o, &own, &why));
	for (int i = 0; i < 400 && n < 300; i++) {
		struct ring *ring = sampler_ring(s, 1);

		work_on(own, 1, 8 * NS_PER_MS);
		for (const struct rec *rec; (rec = ring_peek(ring)); ring_pop(ring)) {
			bool ours = rec->source == SOURCE_ON_DEMAND && rec->pid == (__u32)getpid();

			n += ours && (rec->kind == REC_COPY || rec->kind == REC_SAMPLE);
			copies += ours && rec->kind == REC_COPY;
		}
		ring_release(ring);
	}
	CU_ASSERT(n >= 50);		 /* 300, unless the machine is busy */
	CU_ASSERT(copies >= n * 9 / 10); /* the rest: a ring that was full for a moment */
	sampler_close(own);
	sampler_close(s);
}

SUITE(sampler, {"CPUs come and go", cpus_come_and_go}, {"a CPU that fails", a_cpu_that_fails},
      {"rates of their own", rates_of_their_own}, {"the rate follows", the_rate_follows},
      {"copies at every rate", copies_at_every_rate});
