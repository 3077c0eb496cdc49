/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The continuous profile: one capture after the other, each of profile.window, named per series and
 * handed to the sinks (push; the store) as pprof parts.
 *
 * Owner: the agent thread; encoding happens in the builder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"
#include "profiler/series.h"

struct agent;
struct windows;

struct capture;
struct profile;

/* One encoded part of one series, borrowed for the call. */
struct window_part {
	const struct series *series;
	const char *profile_name; /* process_cpu */
	const void *pprof;	  /* gzip */
	size_t len, raw_bytes;
	__u64 time_ns; /* CLOCK_REALTIME, its time_nanos */
};
/* Where windows go; each call may be NULL. Builder thread, in this order: begin, for each series
 * its profile and its encoded parts, end (complete: no series is missing). */
struct window_sink {
	void (*begin)(void *arg, const struct capture *capture);
	void (*profile)(void *arg, const struct series *series, const struct profile *profile);
	void (*part)(void *arg, const struct window_part *part); /* NULL: nothing is encoded */
	void (*end)(void *arg, bool complete);
	void *arg;
};

struct windows_options {
	__u64 window_ns;
	bool by_pid, by_comm;
	bool by_thread; /* samples keep their threads and comms */
	struct window_sink sink;
};

/* Begin with the next window at once. 0 or -errno. */
MUST_CHECK int windows_start(struct agent *agent, const struct windows_options *options,
			     struct windows **ret_windows);
/* End the open window now and begin another: the sampling rate is about to change. */
void windows_turn(struct windows *windows);
/* Changed settings hold from the next window on. */
void windows_reload(struct windows *windows, const struct windows_options *options);
/* End the open window and wait for all that is under way, at most wait_ns. */
void windows_stop(struct windows *windows, __u64 wait_ns);

struct windows_stats {
	__u64 windows_total, profiles_total, series_total, dropped_total;
	__u64 samples_total, whole_total, overflow_total;
	__u64 last_end_ns; /* CLOCK_MONOTONIC; 0: none yet */
};
struct windows_stats windows_stats(struct windows *windows);
