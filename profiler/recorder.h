/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: the last minutes of samples with their times, so that any stretch of them,
 * down to a second or a row of a heat map, can be asked for after the fact.
 *
 * A ring of 48 bytes a sample; stacks and images are shared with everybody else and referenced.
 * Bounded by age and by bytes, stacks that nobody else holds included (each counts once): the
 * oldest go first.
 *
 * The router adds; any thread copies. Copying takes the lock for some thousand samples at a time, so
 * that the router never waits longer than a fraction of a millisecond.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/base/vec.h"
#include "profiler/sample.h"

#define RECORDER_MAX_AGE_NS (300ull * 1000 * 1000 * 1000)
#define RECORDER_MAX_BYTES  ((size_t)8 << 20)
#define RECORDER_MAX_HZ	    4095u

struct recorder;

struct recorded {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	const struct stack *stack;
	struct image *image;
	__u32 tid;
	__u16 cpu;
	__u16 source : 4, hz : 12; /* enum source; the rate when it was taken */
	char comm[COMM_BYTES];
};

/* NULL when memory ends. */
struct recorder *recorder_new(__u64 max_age_ns, size_t max_bytes);
void recorder_free(struct recorder *recorder);
/* Samples from from_ns on are taken at this rate. What comes late from before has the one before:
 * two changes within the time that samples take to arrive (some 100 ms) would blur. Any thread. */
void recorder_set_hz(struct recorder *recorder, __u64 from_ns, unsigned hz);
/* The router. Samples come in about time order; one that is late is found all the same. */
void recorder_add(struct recorder *recorder, const struct sample *sample);
/* Drop what is too old: a host where nothing runs adds none. asleep_ns: how long the host was
 * suspended so far (clock.h); when it grew, all there is lies before the sleep, at times of day that
 * nobody can tell from CLOCK_MONOTONIC any more, and is dropped: the store has it. The router, about
 * once a second. */
void recorder_sweep(struct recorder *recorder, __u64 now_ns, __u64 asleep_ns);

/* A copy of what lies in [from_ns, to_ns), by time; referenced. */
struct recording {
	VEC(struct recorded) samples;
	__u64 since_ns; /* from here on nothing had been dropped for age or room; <= from_ns: whole */
};
/* NULL when memory ends. */
struct recording *recorder_copy(struct recorder *recorder, __u64 from_ns, __u64 to_ns);
void recording_free(struct recording *recording);

struct recorder_stats {
	__u64 since_ns;				  /* CLOCK_MONOTONIC: it reaches back to here */
	__u64 n, bytes, max_bytes, dropped_total; /* dropped: for room, younger than max_age */
};
struct recorder_stats recorder_stats(struct recorder *recorder);
