/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side of profiling, loaded and attached: the BPF object, one ring and one side-band per
 * online CPU, one perf event per CPU at the wanted rate. A second sampler over the first one's maps
 * serves a request with its own rate.
 *
 * Opening is start-up work of the agent thread; the rings belong to the router thread, which also
 * follows CPUs that come and go. A lock keeps the two apart.
 */
#pragma once

#include <stdbool.h>

#include "bpf/config.h"
#include "bpf/record.h"
#include "profiler/base/check.h"

#define SAMPLER_MAX_TARGETS 8192

struct ring;
struct sideband;

struct sampler_options {
	unsigned hz;
	enum source source;
	enum target target;
	enum cgroup_hierarchy hierarchy;
	const __u64 *targets; /* pids or cgroup ids */
	size_t n_targets;
	__u32 max_frames;
	__u32 max_segments; /* of unwind data */
	__u32 max_processes;
	bool paused;		 /* open the events disabled */
	const char *online_path; /* tests: a CPU list of their own */
};

struct sampler;

/* Load and attach. On failure -errno, and *ret_why (malloc'd, the caller's) says what the kernel
 * refused and what to do. */
MUST_CHECK int sampler_open(const struct sampler_options *options, struct sampler **ret_sampler,
			    char **ret_why);
/* Another rate over the same maps and rings; base must outlive it. */
MUST_CHECK int sampler_open_on_demand(struct sampler *base, const struct sampler_options *options,
				      struct sampler **ret_sampler, char **ret_why);
/* Load the programs as sampler_open does, attach nothing and let go: does this kernel take them? On
 * failure -errno and *ret_why as there. ret_insns: instructions of sample_cpu that the verifier
 * walked; 0 where the kernel does not tell. */
MUST_CHECK int sampler_try_load(__u64 *ret_insns, char **ret_why);
/* Open the sampling event of a CPU and let go. 0 or -errno. */
MUST_CHECK int sampler_try_event(bool *ret_has_pmu);
/* Detach and free; a NULL sampler is ignored. */
void sampler_close(struct sampler *sampler);

/* Enable the events of a paused sampler, or disable them: what is in the rings can still be read.
 */
void sampler_enable(struct sampler *sampler, bool on);
/* Change the rate of all events. 0 or -errno. */
MUST_CHECK int sampler_set_hz(struct sampler *sampler, unsigned hz);
/* How much of the usual rate of stack copies is allowed, of the requests over its maps, too: 0 (none)
 * to 1, where each sample may be one. */
void sampler_set_copies(struct sampler *sampler, double factor);
unsigned sampler_hz(const struct sampler *sampler);
/* "cycles" or "cpu-clock". */
const char *sampler_event(const struct sampler *sampler);
bool sampler_has_pmu(const struct sampler *sampler);

/* Open what CPUs that came online lack, close what is left of those that went; about once a second,
 * by the router for the agent's own, by the owner of one on demand. True when rings or side-bands
 * changed: those asked for before must not be used any more. A CPU that went and came between two
 * calls is found within SAMPLER_ROUNDS of them. */
#define SAMPLER_ROUNDS 8
bool sampler_update_cpus(struct sampler *sampler);
unsigned sampler_possible_cpus(const struct sampler *sampler);
/* NULL for a CPU that was never online; a ring outlives its CPU's offline time. */
struct ring *sampler_ring(struct sampler *sampler, unsigned cpu);
int sampler_ring_fd(const struct sampler *sampler, unsigned cpu);
struct sideband *sampler_sideband(const struct sampler *sampler, unsigned cpu);

int sampler_segments_fd(const struct sampler *sampler);
int sampler_procs_fd(const struct sampler *sampler);
/* Whether the next record is to wake the ring's reader, however empty the ring is. Any thread. */
void sampler_set_first_wakes(struct sampler *sampler, bool on);
/* The `known` map, mapped writable, and its words. */
__u64 *sampler_known(const struct sampler *sampler, size_t *ret_n);
/* Add or remove a target while running. 0 or -errno. */
MUST_CHECK int sampler_set_target(struct sampler *sampler, __u64 key, bool wanted);

/* One struct cpu_counters per possible CPU into out. 0 or -errno. */
MUST_CHECK int sampler_counters(const struct sampler *sampler, struct cpu_counters *out);

/* What the events of a CPU counted so far (cycles, or ns of cpu-clock, idle included), over all its
 * times online: beside the sum of periods in the counters it tells how much never reached the
 * program. 0, -ENODEV for a CPU that was never online, or -errno. */
MUST_CHECK int sampler_event_count(struct sampler *sampler, unsigned cpu, __u64 *ret_count);

/* Program statistics when kernel.bpf_stats_enabled: run time and count of sample_cpu. */
bool sampler_bpf_stats(const struct sampler *sampler, __u64 *ret_run_ns, __u64 *ret_run_count,
		       __u64 *ret_verified_insns);
/* Bytes of kernel memory of all maps (memlock). */
__u64 sampler_map_bytes(const struct sampler *sampler);
