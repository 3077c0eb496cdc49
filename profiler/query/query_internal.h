/* SPDX-License-Identifier: Apache-2.0 */
/* What query.c and listing.c share: the reader's thread, its store, and where the recorder's part of
 * a range begins. Nobody else includes this. */
#pragma once

#include "profiler/agent.h"
#include "profiler/agent_store.h"
#include "profiler/builder.h"
#include "profiler/query/query.h"
#include "profiler/recorder.h"
#include "profiler/series.h"

struct heatmap_job;
struct listing_job;

struct queries {
	struct agent *agent;
	struct builder *reader_thread;
	struct store_reader *reader; /* the reader thread's; NULL: there is no store */
	struct query *first;
	struct listing_job *first_listing;
	struct heatmap_job *first_heatmap;
	unsigned n, n_listings, n_heatmaps;
};

/* All of them: listing.c, heatmap.c. */
void listings_cancel(struct queries *queries);
void heatmaps_cancel(struct queries *queries);

/* Where the parts of a range meet. */
struct query_plan {
	struct recorder *recorder;
	unsigned hz;
	__u64 recorder_from_ns, recorder_to_ns; /* CLOCK_MONOTONIC; equal: nothing */
	__u64 store_to_ns;			/* CLOCK_REALTIME; <= from: nothing */
	__u64 boot_ns;				/* CLOCK_REALTIME - CLOCK_MONOTONIC */
};
/* exact: from the recorder alone where it reaches back so far. Agent thread. */
struct query_plan query_plan(struct queries *queries, const struct query_range *range, bool exact);

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

/* Samples of a recording in [from, to) (CLOCK_MONOTONIC) that have these threads. NULL when memory
 * ends. */
struct capture;
struct capture *query_capture(const struct recording *recording, struct selector *selector,
			      unsigned hz, __u64 from_ns, __u64 to_ns);
