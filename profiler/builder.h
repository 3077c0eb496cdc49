/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder: the thread that names, encodes and hands on what captures hold, at low priority.
 * Work comes as jobs; what a job answers goes back to the agent's loop.
 *
 * A second one without naming, the lister, makes what needs /proc but no names: nobody who asks for
 * it waits for the symbols of a large program.
 *
 * Its share of a CPU is bounded (builder_set_share): work that nobody waits for pauses when the
 * share is used up, so that opening the symbols of a large program does not show on the host.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/naming.h"

struct loop;
struct builder;

/* Embedded in what the job is about. */
struct builder_job {
	/* In the builder thread. NULL: straight on to done. */
	void (*run)(struct builder_job *job, struct naming *naming);
	/* In the loop's thread, last: the job may be freed there. */
	void (*done)(struct builder_job *job);
	bool urgent;	       /* somebody waits: no pauses, and before others */
	__u64 submitted_ns;    /* monotonic; builder_submit sets it */
	atomic_bool cancelled; /* a job that has not run yet goes straight to done */
	struct builder_job *next;
};

/* name: the thread's. The naming's options are copied; NULL: its jobs get no naming. 0 or -errno. */
MUST_CHECK int builder_start(struct loop *loop, const char *name,
			     const struct naming_options *naming, struct builder **ret_builder);
/* The agent ends: no pauses and normal priority from now on. Loop thread. */
void builder_hurry(struct builder *builder);
/* Cancel the job in work, give the others back through done, end the thread. Loop thread. */
void builder_stop(struct builder *builder);

/* Any thread. */
void builder_submit(struct builder *builder, struct builder_job *job);

/* CPU seconds a second for work that is not urgent; 1 is a whole core. Any thread. */
void builder_set_share(struct builder *builder, double share);

/* Objects that lack symbols, as of the last job. */
struct builder_object {
	char path[256], build_id[130], note[256];
	char package[128]; /* that has the symbols; "": not known */
};
struct builder_stats {
	struct naming_stats naming;
	__u64 jobs_total, cpu_ns, paused_ns;
	__u64 urgent_cpu_ns; /* for urgent jobs, with the one in work so far */
	__u32 queued;
	size_t n_lacking; /* objects without or with partial symbols; the first of them in `lacking`
			   */
};
struct builder_stats builder_stats(struct builder *builder);
/* Copies at most max of them; how many. Any thread. */
size_t builder_lacking(struct builder *builder, struct builder_object *out, size_t max);
