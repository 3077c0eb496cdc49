/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When within each second samples fell: columns of a second, rows of a step, from the flight
 * recorder's times. What a window of 15 s hides (a stall of 200 ms, a burst on each tenth second)
 * stands out.
 *
 * Made in the reader's thread, asked for and answered in the agent's; HEATMAP_MAX at a time.
 */
#pragma once

#include "profiler/query/query.h"

#define HEATMAP_MAX	    8
#define HEATMAP_MAX_COLUMNS 3601 /* an hour that begins within a second */
#define HEATMAP_MIN_STEP_NS 5000000ull

struct heatmap {
	__u64 from_ns; /* CLOCK_REALTIME: a whole second */
	__u64 step_ns;
	__u32 columns, rows;
	__u32 max;	/* of a cell */
	__u64 samples;	/* all together */
	__u32 *cells;	/* samples at hz; column by column, a column's first step first */
	__u64 since_ns; /* CLOCK_REALTIME: the recorder reaches back to here; 0: there is none */
	unsigned hz;	/* the highest rate of the range; samples of a lower one count for more */
};

typedef void heatmap_done(void *arg, int err, const struct heatmap *map);

struct heatmap_job;
/* step_ns divides a second. 0; -EBUSY; -EINVAL: more than HEATMAP_MAX_COLUMNS seconds; -ENOMEM. The
 * range's selector is taken, also on failure. */
MUST_CHECK int heatmap_start(struct queries *queries, const struct query_range *range,
			     __u64 step_ns, heatmap_done *done, void *arg,
			     struct heatmap_job **ret_job);
void heatmap_cancel(struct heatmap_job *job);
