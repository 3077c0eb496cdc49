/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles of the past: any range and choice of series, from the flight recorder and the local
 * store together.
 *
 * A range that the recorder reaches back to comes from it alone, to the sample. An older one comes
 * from the store, by windows, and what is not stored yet from the recorder: the two meet where the
 * last stored window ends, or the last before the end of the range, so nothing counts twice.
 *
 * Work goes through two threads: the builder names the recorder's part, the reader merges the
 * store's and encodes. Bounded: QUERY_MAX at a time, QUERY_PROFILE_BYTES a profile (stacks that do
 * not fit become `[profile full]`, said in a comment; of each hour the largest go in first),
 * QUERY_BODY_BYTES an answer as it is sent, QUERY_MAX_S of CPU time in a thread.
 *
 * Owner: the agent thread.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"
#include "profiler/export/export.h"
#include "profiler/store/store_read.h"

#define QUERY_MAX	    16
#define QUERY_PROFILE_BYTES ((size_t)28 << 20)
#define QUERY_BODY_BYTES    ((size_t)64 << 20)
#define QUERY_MAX_S	    20 /* of CPU time: each thread works so long on an answer at most */
#define QUERY_WALL_S	    60 /* of time, waiting for others included */

struct agent;
struct queries; /* those of an agent */
struct query;	/* one under way */
struct selector;

/* NULL when the thread cannot start or memory ends. */
struct queries *queries_new(struct agent *agent);
/* Cancels what runs and ends the thread; before the builder ends. NULL is fine. */
void queries_stop(struct queries *queries);
/* After the builder has ended. NULL is fine. */
void queries_free(struct queries *queries);

/* CPU time of the reader's thread so far. */
__u64 queries_cpu_ns(struct queries *queries);

struct query_range {
	__u64 from_ns, to_ns;	   /* CLOCK_REALTIME; from < to */
	struct selector *selector; /* NULL: all */
};
struct query_request {
	const char *kind;		/* static: cpu */
	struct query_range range, base; /* base.to_ns 0: no comparison */
	enum store_group group;
	const struct export_format *format;
	__u32 max_nodes;   /* 0: the format's own bound */
	const char *title; /* static; NULL: the kind */
	bool gzip;	   /* the answer is wanted compressed */
	/* Instead of a format: writes the answer, in the reader's thread. The profile is the query's,
	 * but nobody needs it afterwards. 0 or -errno. */
	int (*encode)(void *arg, struct profile *profile, struct buf *out);
	void *encode_arg;
	/* Taken, also on failure: encode_arg is let go of in the agent's thread after all else, done
	 * included; whether the query was cancelled or not. May be NULL. */
	void (*encode_free)(void *arg);
};

/* Errors of all answers about the past that its caller brought about: -ETIMEDOUT, it took longer than
 * QUERY_MAX_S or QUERY_WALL_S; -EINVAL, an expression of its selector needs too many steps
 * (selector_error). What they and others mean; static. */
const char *query_error_text(int err);

/* body: the answer, the callee's to take or leave; err: why there is none, -EFBIG when it is larger
 * than QUERY_BODY_BYTES. Agent thread, once, unless cancelled. */
typedef void query_done(void *arg, int err, const char *why, struct buf *body);

/* 0; -EBUSY: QUERY_MAX are under way; -ENOMEM. The request's selectors are taken, also on failure. */
MUST_CHECK int query_start(struct queries *queries, const struct query_request *request,
			   query_done *done, void *arg, struct query **ret_query);
void query_cancel(struct query *query);

/* A point of time as users write it: RFC 3339, unix seconds (with a fraction), `now`, `now-15m`. 0
 * or -EINVAL, -ERANGE. */
MUST_CHECK int query_parse_time(const char *text, __u64 now_ns, __u64 *ret_ns);
