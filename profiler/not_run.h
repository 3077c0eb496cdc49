/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many samples the kernel owed but the program never saw, because another BPF program held the
 * CPU's BPF context or a timer came late: (what the event counted - idle time - the periods of the
 * samples seen) / period. An estimate: idle time comes in clock ticks, so each CPU may be off by
 * NOT_RUN_TOLERANCE_NS of time per reading.
 */
#pragma once

#include "profiler/sampler.h"

#define NOT_RUN_TOLERANCE_NS (20ull * 1000 * 1000)

struct not_run {
	__u64 *idle_ns; /* per possible CPU at the start, or when it was first online; 0: not yet */
	unsigned n_cpus;
};

/* Read the idle times from which to count; 0 or -ENOMEM. */
MUST_CHECK int not_run_init(struct not_run *n, unsigned n_cpus);
void not_run_fini(struct not_run *n);
/* Samples owed so far by all CPUs; counters has one entry per possible CPU. */
__u64 not_run_estimate(struct not_run *n, struct sampler *sampler,
		       const struct cpu_counters *counters);
