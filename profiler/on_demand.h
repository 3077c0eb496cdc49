/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles that somebody asks for: one capture each, for a stretch of time, of a process, of
 * cgroups or of the whole host, named at once and encoded in the format wanted. Without a rate of
 * its own a request shares the agent's samples and costs nothing in the kernel; with one it has its
 * own perf events and program (at most SOURCE_ON_DEMAND_MAX of these at a time), whose samples
 * reach nobody else.
 *
 * Owner: the agent thread; naming and encoding happen in the builder, before other work.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"
#include "profiler/capture.h"

#define ON_DEMAND_MAX	    64		       /* profiles under way */
#define ON_DEMAND_MAX_BYTES ((size_t)64 << 20) /* of one answer */

struct agent;
struct export_format;
struct on_demand;  /* one profile under way */
struct on_demands; /* those of an agent */

struct on_demand_request {
	__u64 duration_ns;
	unsigned hz; /* 0: the agent's own rate and samples */
	__u32 pid;   /* 0: any */
	const __u64 *cgroup_ids;
	size_t n_cgroup_ids; /* 0: any */
	const struct export_format *format;
	const char *title; /* of formats that have one, copied; NULL: the profile's name */
};

/* body: the profile, the callee's to take or leave; err: why there is none. Agent thread, once,
 * unless the profile is cancelled first. */
typedef void on_demand_done(void *arg, int err, struct buf *body);

/* NULL when memory ends. */
struct on_demands *on_demands_new(struct agent *agent);
/* Wait for what was cancelled, at most wait_ns, and free. */
void on_demands_free(struct on_demands *all, __u64 wait_ns);

/* Begin. 0; -EBUSY: too many own rates or profiles at once; -ENODEV: sampling is off; or what the
 * kernel said, then *ret_why (malloc'd, the caller's, may be NULL) explains it. */
MUST_CHECK int on_demand_start(struct on_demands *all, const struct on_demand_request *request,
			       on_demand_done *done, void *arg, struct on_demand **ret_profile,
			       char **ret_why);
/* Nobody wants it any more: done is not called. */
void on_demand_cancel(struct on_demand *profile);

struct on_demand_stats {
	__u32 n, n_own_rate;
	__u64 started_total, finished_total, cancelled_total, refused_total, failed_total;
};
struct on_demand_stats on_demand_stats(const struct on_demands *all);
