/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is in the past, without stacks: which series, which labels, and how much of a value at
 * what time. From the store's index, and from the flight recorder for what is not stored yet.
 *
 * Made in the reader's thread, asked for and answered in the agent's; LISTING_MAX at a time.
 */
#pragma once

#include <stdbool.h>

#include "bpf/record.h"
#include "profiler/agent.h"
#include "profiler/base/arena.h"
#include "profiler/base/vec.h"
#include "profiler/query/gaps.h"
#include "profiler/query/query.h"

#define LISTING_MAX	   16
#define LISTING_MAX_SERIES 100000
#define LISTING_MAX_STEPS  11000 /* points of one series, as Prometheus has it */
#define LISTING_MAX_GROUPS 1000
#define LISTING_MAX_SUMS   (1 << 20) /* steps of all groups together: 8 MiB, with held_s 16 */
#define LISTING_MAX_BY	   30	     /* labels to sum by */

/* Texts live in the listing's arena. */
struct listed_series {
	const char *kind, *type, *unit;
	size_t n_labels;
	struct agent_label *labels; /* by name */
	__s64 id;		    /* of the index; -1: only in the recorder */
};
struct listed_group {
	const char *name; /* the label's value, "" for none; of several labels: a JSON array */
	const char *key;  /* the same as it is, UTF-8 or not */
	size_t series;	  /* in the list: the first of this group */
	bool rest;	  /* of groups beyond the bounds */
	/* Of sums by pid or tid; else NULL, 0. "" where it is not known, or `rest`. Of several (an exec,
	 * an id that was used again) the one that more than half of the value came from, if there is one. */
	const char *service, *container;
	const char
		*process; /* comm of the main thread if that is in a group, else of one that is */
	const char *comm; /* by tid: the thread's */
	__u32 pid;	  /* by tid: its process */
	double *values;	  /* one a step */
	/* One a step, if asked for: for how long there was any of its series, added up. */
	double *held_s;
	double total;
};

struct listing {
	VEC(struct listed_series) series; /* distinct; those that the selector wants */
	VEC(struct listed_group) groups;  /* largest first; with steps only */
	size_t n_steps;
	struct facts facts; /* of the range: stored, of the host; recorded, of chosen threads */
	__u64 since_ns;	    /* CLOCK_REALTIME: how far back there is anything; 0: nothing */
	struct gaps gaps;   /* of the range, from since_ns until now; if asked for */
	struct arena arena;
};

struct listing_request {
	const char *kind; /* static; NULL: any, but not for sums */
	struct query_range range;
	/* Sums by time: a step's length and what to sum by (a label's name, copied; "" for one sum).
	 * step_ns 0: only the series. Sums that are about threads (a label or a matcher of pid, tid or
	 * comm) are read from the windows, others from the index: `series` has one for each group then. */
	__u64 step_ns;
	const char *group;
	/* Instead of group: several labels, at most LISTING_MAX_BY; copied. */
	const char *const *by;
	size_t n_by;
	bool samples; /* sum samples instead of the kind's value */
	bool held;    /* held_s is wanted */
	bool gaps;    /* so are they */
};

/* listing NULL: err says why there is none; else borrowed for the call. Agent thread, once, unless
 * cancelled. -EFBIG: more than LISTING_MAX_SERIES are wanted (sums put what is beyond them under
 * `other`). */
typedef void listing_done(void *arg, int err, const char *why, const struct listing *listing);

struct listing_job;
/* 0; -EBUSY: too many at once; -ENOMEM. The request's selector is taken, also on failure. */
MUST_CHECK int listing_start(struct queries *queries, const struct listing_request *request,
			     listing_done *done, void *arg, struct listing_job **ret_job);
void listing_cancel(struct listing_job *job);
