/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture: samples of a stretch of time, filtered and added up by (image, thread, comm, stack).
 * The router fills it, the builder names and encodes what it holds. Windows of the agent, `record`
 * and a request over HTTP are all captures.
 *
 * Bounded: beyond max_entries a sample counts for its image without a stack (overflow_total tells),
 * so totals stay right; beyond an eighth more, which only a host of very many programs reaches, it
 * is lost (refused_total).
 *
 * Owner: the router until capture_finish, then whoever took it.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "profiler/sample.h"

struct capture_options {
	__u8 source;		 /* enum source */
	__u32 pid;		 /* 0: any */
	const __u64 *cgroup_ids; /* any of these; copied. NULL: any */
	size_t n_cgroup_ids;
	bool by_thread;	   /* keep threads apart: tid and comm */
	bool patient;	   /* nobody looks at it before its end: records may gather */
	__u32 max_entries; /* 0: CAPTURE_DEFAULT_ENTRIES */
};
#define CAPTURE_DEFAULT_ENTRIES (1u << 20)

struct capture_entry {
	struct image *image;	   /* referenced */
	const struct stack *stack; /* referenced; NULL: the entries ran out */
	__u32 tid;
	char comm[COMM_BYTES];
	__u64 samples, weight; /* weight: times the capture's unit_ns */
	/* the image's at the time of sorting (series.h) */
	const struct identity *identity;
	const struct object *exe;
};

/* What the capture's time saw besides samples; counters of the router, end minus start. */
struct capture_counts {
	__u64 samples_total, lost_total, not_run_total;
	__u64 whole_total; /* samples whose user stack has its root, or has none to have */
	__u64 kernel_total, copied_total;
};

struct capture {
	struct capture_options o;
	__u64 *cgroup_ids; /* owned copy, sorted */
	VEC(struct capture_entry) entries;
	struct hmap index;
	__u64 start_ns, end_ns;		  /* CLOCK_MONOTONIC */
	__u64 start_wall_ns, end_wall_ns; /* CLOCK_REALTIME */
	unsigned hz;
	__u64 unit_ns; /* of time for a weight of 1: the period; 1 when weights are nanoseconds */
	struct capture_counts counts;
	__u64 overflow_total, refused_total;
};

/* NULL when memory ends. */
struct capture *capture_new(const struct capture_options *options, unsigned hz);
/* Add a sample if the filter lets it through. */
void capture_add(struct capture *capture, const struct sample *sample);
void capture_finish(struct capture *capture, __u64 end_ns);
void capture_free(struct capture *capture);
