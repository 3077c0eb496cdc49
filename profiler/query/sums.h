/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values by group and step, gathered into a listing (listing.h): a group is a distinct value of the
 * labels to sum by. Any of these may be the thread's: pid, tid, comm.
 *
 * Bounded: groups beyond LISTING_MAX_GROUPS, or beyond what LISTING_MAX_SUMS steps hold, count
 * together in one of their own, `other`.
 */
#pragma once

#include "profiler/base/buf.h"
#include "profiler/base/hmap.h"
#include "profiler/query/listing.h"

struct sums {
	struct listing *out;
	__u64 from_ns, to_ns, step_ns; /* CLOCK_REALTIME; step_ns 0: no sums are wanted */
	bool held;
	const char *by[LISTING_MAX_BY]; /* in out's arena */
	size_t n_by;
	struct hmap index; /* of out's groups, by name */
	struct buf name;   /* the one at hand */
	__s64 rest;	   /* the group of what is beyond the bounds; -1: there is none yet */
};

/* 0 or -ENOMEM; sums_fini even then. */
MUST_CHECK int sums_init(struct sums *sums, struct listing *out,
			 const struct listing_request *request);
void sums_fini(struct sums *sums);

/* Whether threads must be told apart for what is summed by. */
bool sums_by_thread(const struct sums *sums);

#define SUMS_UNLISTED SIZE_MAX
/* The group of what has these labels (label: NULL for none). When it is new, series becomes the
 * group's: the caller adds it to the list then. SUMS_UNLISTED: the list is full, so that there can be
 * no new group; it is one that is there or `other`. -ENOMEM. */
__s64 sums_group(struct sums *sums, const char *(*label)(void *arg, const char *name), void *arg,
		 size_t series, bool *ret_new);
/* A value that was gathered over [start, end) counts in each step for the part it shares. */
void sums_add(struct sums *sums, __s64 group, __u64 start_ns, __u64 end_ns, double value);

/* Text with what is not UTF-8 as the index has it, U+FFFD. In the arena; NULL when memory ends. */
const char *sums_text(struct arena *arena, const char *text);
