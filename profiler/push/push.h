/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushing profiles to Pyroscope: push.v1.PusherService/Push (Connect unary, protobuf) over libcurl,
 * one profile a request. push_submit only copies into a bounded queue; a thread of push's own
 * sends.
 *
 * Why a thread: a request is many small waits that curl_multi could take in anybody's epoll, but
 * name look-ups, reading certificates and above all the spool's disk may block for seconds. The
 * agent thread must answer HTTP and the builder must have each window encoded before the next is
 * full.
 *
 * What becomes of a profile: it waits in memory (pyroscope.queue_bytes); while the server is away,
 * or the memory half full, profiles go to the spool on disk (spool.h, under STATE/spool/pyroscope)
 * and are sent later, oldest first, one at a time, beside the fresh ones; older than
 * pyroscope.spool_age they are dropped, since the server refuses them. Answers are judged by
 * push_verdict.h: nothing is sent again after a success or a 4xx (pushes are not idempotent: a
 * server that keeps both counts both); after an answer that leaves open whether it was stored, at
 * most twice more, counted. A crash makes at most one spooled profile come twice; what waits in
 * memory is lost with it.
 *
 * Every profile ends in one cell of bianque_push_profiles_total{outcome,reason}.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"
#include "profiler/push/push_labels.h"

struct parts;
struct push;
struct push_config;

/* Where time comes from; NULL functions: the system's clocks. Tests bring their own. */
struct push_clock {
	__u64 (*monotonic_ns)(void *arg);
	__u64 (*realtime_ns)(void *arg);
	void *arg;
};

/* What a reload may change. Read now, not kept. */
struct push_values {
	const struct push_config *config;
	const struct push_label *common; /* on every profile: agent.labels, host */
	size_t n_common;
};

struct push_args {
	struct push_values values;
	const char *state_dir;
	struct parts *parts; /* it adds itself as "pyroscope" */
	struct push_clock clock;
	bool manual; /* no thread: the caller drives push_step (tests) */
};

/* 0, or -errno with what and what to do in error (no memory, no thread). An empty url is fine:
 * nothing is sent until a reload sets one. So is a secret that cannot be read yet: profiles go to
 * the spool until it can, and the part says so. Agent thread. */
MUST_CHECK int push_open(const struct push_args *args, struct push **ret_push, char *error,
			 size_t size);
/* Take over changed values; on failure (a secret that cannot be read, no memory) the old ones stay.
 * Agent thread. */
MUST_CHECK int push_reload(struct push *push, const struct push_values *values, char *error,
			   size_t size);
/* Send what waits for at most flush_ns more, then put the rest into the spool. NULL is fine. */
void push_close(struct push *push, __u64 flush_ns);

struct push_profile {
	const char *name;		 /* `__name__`: process_cpu, memory, ... */
	const struct push_label *labels; /* service_name and others */
	size_t n_labels;
	const void *pprof; /* gzip, within the limits of pprof.h */
	size_t len;
	size_t raw_bytes; /* before compression: the server's limits count these */
	__u64 time_ns;	  /* the profile's time_nanos: what the server judges its age by */
};

/* Copies; never blocks on disk or network. 0 when the profile is queued (or pushing is off), else
 * -errno and the profile is counted as dropped: -EINVAL for labels, -ENOBUFS, -ENOMEM. When the
 * queue is full the oldest waiting profile goes for it. Any thread. */
MUST_CHECK int push_submit(struct push *push, const struct push_profile *profile);

/* The size of a request's body that a server or proxy has refused as too large since the last
 * reload (0: none): encoding smaller parts spares the halving. Any thread. */
size_t push_refused_bytes(const struct push *push);
