/* SPDX-License-Identifier: Apache-2.0 */
/* A listing that is being made: what listing.c and listing_threads.c share. */
#pragma once

#include "profiler/capture.h"
#include "profiler/query/listing.h"
#include "profiler/query/query_internal.h"
#include "profiler/query/sums.h"

struct listing_job {
	struct query_task task;
	struct listing_request q;
	listing_done *done; /* NULL: cancelled */
	void *arg;
	struct query_plan plan;
	struct query_labels common;
	bool by_thread; /* the sums are about threads */

	struct listing out;
	struct arena scratch; /* of the series at hand */
	struct sums sums;
	VEC(__s64) group_of; /* by the index's id of a series: its group; -1: not wanted */
	struct thread_groups {
		VEC(struct thread_group) known; /* of the segment at hand */
		struct hmap index;
		__u64 segment;
	} threads;
	int err;
	char why[256];
};

/* 0, or why it ends. */
static inline int listing_check(const struct listing_job *job)
{
	return query_task_check(&job->task, job->q.range.selector);
}

/* What an entry of a stretch of the recording adds: samples, or nanoseconds. */
static inline double listing_value(const struct listing_job *job, const struct capture_entry *entry)
{
	return (double)(job->q.samples ? entry->samples : entry->weight);
}

/* Sums by thread. What the store has of them; an error's text is the reader's. 0 or -errno. */
MUST_CHECK int listing_store_threads(struct listing_job *job);
/* What a series of a stretch of the recording has. 0 or -ENOMEM. */
MUST_CHECK int listing_add_threads(struct listing_job *job, const struct capture *capture,
				   const struct series *series);
void listing_free_threads(struct listing_job *job);
