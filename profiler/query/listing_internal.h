/* SPDX-License-Identifier: Apache-2.0 */
/* A listing that is being made: what listing.c and listing_threads.c share. */
#pragma once

#include "profiler/base/strtab.h"
#include "profiler/capture.h"
#include "profiler/query/listing.h"
#include "profiler/query/query_internal.h"
#include "profiler/query/sums.h"

/* Whose a value is, by texts; comm and pid only of sums by tid. */
struct holder {
	__u32 service, container, comm, pid;
};
/* Whose a group is so far. */
struct group_holder {
	struct holder holder;
	double lead;   /* of what came from it over what came from others */
	__u32 tid;     /* of the last thread that came */
	__u32 process; /* text: comm of the main thread, if it came, else of the first */
};

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
	VEC(struct series_group {
		__s64 id, group; /* the index's; -1: not wanted */
	})
	group_of; /* by id */
	struct thread_groups {
		VEC(struct thread_group) known; /* of the segment at hand */
		struct hmap index;
		__u64 segment;
		bool whose; /* the sums are by pid or tid, so that a group is of somebody */
		struct strtab texts;
		VEC(struct group_holder) holders; /* by group */
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

/* Sums by thread: 0 or -ENOMEM, listing_free_threads even then. */
MUST_CHECK int listing_init_threads(struct listing_job *job);
/* What the store has of them; an error's text is the reader's. 0 or -errno. */
MUST_CHECK int listing_store_threads(struct listing_job *job);
/* What a series of a stretch of the recording has. 0 or -ENOMEM. */
MUST_CHECK int listing_add_threads(struct listing_job *job, const struct capture *capture,
				   const struct series *series);
/* Whose the groups are, when all is added. 0 or -ENOMEM. */
MUST_CHECK int listing_end_threads(struct listing_job *job);
void listing_free_threads(struct listing_job *job);
