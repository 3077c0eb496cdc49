/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time of which nothing was kept, told apart from time in which nothing ran: a running agent writes
 * its windows whether they have samples or not, so what no window covers is a gap. The agent was not
 * running, the host was off or asleep, sampling could not start, or the store refused its windows.
 *
 * Pure functions; bounded by GAPS_MAX, of more the longest stay.
 */
#pragma once

#include "profiler/base/check.h"
#include "profiler/base/vec.h"

#define GAPS_MAX 500

struct gap {
	__u64 from_ns, to_ns; /* CLOCK_REALTIME */
};
struct gaps {
	__u64 min_ns; /* shorter ones are none: what lies between a window and the next */
	__u64 at_ns;  /* known up to here; the caller sets where it begins */
	VEC(struct gap) found;
};

/* Something was kept in [start, end); by start, the earliest first. 0 or -ENOMEM. */
MUST_CHECK int gaps_cover(struct gaps *gaps, __u64 start_ns, __u64 end_ns);
/* Nothing comes any more: found is by time. */
void gaps_end(struct gaps *gaps);
void gaps_fini(struct gaps *gaps);
