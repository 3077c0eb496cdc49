/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers about the past share (queries.c): the reader's thread, its store, what is under
 * way, and where the recorder's part of a range begins. Nobody outside this folder includes this. */
#pragma once

#include "profiler/agent.h"
#include "profiler/agent_store.h"
#include "profiler/builder.h"
#include "profiler/query/heatmap.h"
#include "profiler/query/listing.h"
#include "profiler/query/query.h"
#include "profiler/recorder.h"
#include "profiler/series.h"

/* One answer that is being made. A profile, a listing and a heat map begin with it; each ends in the
 * reader's thread. */
enum query_task_kind {
	QUERY_TASK_PROFILE,
	QUERY_TASK_LISTING,
	QUERY_TASK_HEATMAP,
	QUERY_TASK_KINDS
};
struct query_task {
	struct queries *queries;
	struct query_task *next;
	enum query_task_kind kind;
	struct builder_job read;		 /* in the reader's thread, the last one */
	void (*cancel)(struct query_task *task); /* nobody waits for it any more */
	__u64 deadline_ns; /* CLOCK_MONOTONIC: others that are before it count, too */
	/* Of the thread that has it: its CPU time, which cannot be worked before the other. */
	__u64 cpu_end_ns, soonest_ns;
};

struct queries {
	struct agent *agent;
	struct builder *reader_thread;
	struct store_reader *reader; /* the reader thread's; NULL: there is no store */
	struct query_task *first_task;
	unsigned n_tasks[QUERY_TASK_KINDS];
};

/* size bytes, zeroed, that begin with a task; the caller's to free(). NULL: *ret_err is -EBUSY (as
 * many of this kind are under way as may be) or -ENOMEM. */
void *query_task_new(struct queries *queries, enum query_task_kind kind, size_t size, int *ret_err);
/* It is under way, until it is removed. */
void query_task_add(struct query_task *task);
void query_task_remove(struct query_task *task);

/* A thread begins with it: from now on it has QUERY_MAX_S of CPU time. */
void query_task_begin(struct query_task *task);
/* 0, or why work on it ends: -ECANCELED, -ETIMEDOUT or the selector's error. */
MUST_CHECK int query_task_check(const struct query_task *task, const struct selector *selector);

/* Where the parts of a range meet. */
struct query_plan {
	struct recorder *recorder;
	unsigned hz;				/* now */
	__u64 recorder_from_ns, recorder_to_ns; /* CLOCK_MONOTONIC; equal: nothing */
	__u64 store_to_ns;			/* CLOCK_REALTIME; <= from: nothing */
	__u64 boot_ns;				/* CLOCK_REALTIME - CLOCK_MONOTONIC */
};
/* exact: from the recorder alone where it reaches back so far. Agent thread. */
struct query_plan query_plan(struct queries *queries, const struct query_range *range, bool exact);

/* For who takes windows whole: where the range ends within what the recorder has, the part behind its
 * last whole window comes from there, so that neighbouring ranges add up. Agent thread. */
void query_plan_exact_end(struct query_plan *plan, struct queries *queries);

/* The agent's labels as they are now, copied. 0 or -ENOMEM. */
struct query_labels {
	struct agent_label labels[AGENT_MAX_LABELS];
	size_t n;
	struct arena texts;
};
MUST_CHECK int query_labels_init(struct query_labels *labels, const struct agent *agent);
void query_labels_fini(struct query_labels *labels);
/* A label of a capture's series, its own or a common one; NULL for none. */
const char *query_label(const struct query_labels *common, const struct series *series,
			const char *name);

/* Samples of a recording in [from, to) (CLOCK_MONOTONIC) that have these threads. Each counts the
 * time between two samples at the rate of its own moment: weights are nanoseconds, and the
 * capture's rate is that of its last sample. NULL when memory ends or the task's check says so. */
struct capture;
struct capture *query_capture(const struct query_task *task, const struct recording *recording,
			      struct selector *selector, __u64 from_ns, __u64 to_ns);
