/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router: the one thread that reads all rings, BPF's and perf's side-band, of all CPUs, merges
 * them by time and gives what they say to the resolver, the captures and the collectors.
 *
 * It sleeps in epoll: a ring wakes it when a quarter full, the side-band at each new mapping (until
 * it is known here, code in it is unwound by what stood there before), else every ROUTER_PERIOD_MS;
 * where all rings are empty and no capture is in a hurry, that timer rests until the next record.
 * Two rounds are at least ROUTER_PACE_NS apart, so a storm of execs costs no storm of wake-ups; only
 * a few for new mappings and what the loader read of them, 10 a second at most, come sooner: a
 * program that starts alone is known to the kernel side some 4 ms after its exec.
 * Records younger than MERGE_SLACK_NS stay in their ring for the next round, since another CPU may
 * still be writing an older one; that round comes early only where something woke the last one.
 */
#pragma once

#include <stdbool.h>

#include "profiler/capture.h"
#include "profiler/resolve.h"
#include "profiler/sampler.h"

#define ROUTER_PERIOD_MS 100
#define ROUTER_PACE_NS	 (5ull * 1000 * 1000)
#define MERGE_SLACK_NS	 (1ull * 1000 * 1000)

struct router;

struct router_options {
	struct sampler *sampler; /* outlives the router */
	struct loader *loader;
	struct segments *segments;
	__u32 max_processes, max_objects, max_frames;
	size_t stacks_bytes, idle_rows_bytes;
	bool scan;	   /* read the mappings of all processes at start */
	const __u64 *pids; /* or of these */
	size_t n_pids;
	struct recorder
		*recorder; /* gets the samples of SOURCE_CPU; outlives the router; or NULL */
	/* Records of these kinds (1 << enum rec_kind) go here too, in order. */
	__u64 record_kinds;
	void (*on_record)(void *arg, const struct rec *rec);
	void *record_arg;
};

/* Make it and start the thread. 0 or -errno. */
MUST_CHECK int router_start(const struct router_options *options, struct router **ret_router);
/* Drain, finish the captures that run (their done is called), end the thread. */
void router_stop(struct router *router);
/* After router_stop, and after the loader is gone: its requests refer to what the router knows. */
void router_free(struct router *router);

/* From any thread. The capture belongs to the router until done(arg, capture) is called in the
 * router thread, which passes it on; -ENOMEM leaves it with the caller. */
MUST_CHECK int router_add_capture(struct router *router, struct capture *capture,
				  void (*done)(void *arg, struct capture *capture), void *arg);
/* End a capture now: it gets all samples taken until this call. A capture that is already done is
 * ignored. discard: nobody wants it any more, done gets NULL. */
void router_end_capture(struct router *router, struct capture *capture, bool discard);

struct router_stats {
	struct resolver_stats resolver;
	struct cpu_counters kernel; /* summed over CPUs */
	__u64 lost[LOSS_COUNT];	    /* everywhere together */
	__u64 not_run;		    /* estimate; tolerance beside it */
	__u64 records_total, batches_total, wakeups_total;
	__u64 cpu_ns; /* of the thread */
	bool scanned;
};
/* A copy of what the router last published (once a second and at each capture's end). */
struct router_stats router_stats(struct router *router);
/* Change bounds of the tables while it runs (memory budget). Any thread. */
void router_set_limits(struct router *router, size_t stacks_bytes, size_t idle_rows_bytes);
/* Look at the tables in the router thread, and wait for it: for status pages. */
void router_visit(struct router *router, void (*visit)(void *arg, struct resolver *resolver),
		  void *arg);
