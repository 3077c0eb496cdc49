/* SPDX-License-Identifier: Apache-2.0 */
/* What moves from one profile into another one: for profile_merge.c and profile_fold.c alone. */
#pragma once

#include "profiler/profile.h"

/* Ids of `from` in `to`; UINT32_MAX: not met yet. */
struct merge {
	struct profile *to;
	const struct profile *from;
	__u32 *strings, *mappings, *functions, *locations;
	VEC(__u32) frames; /* of the stack at hand, leaf first */
};

/* 0 or -ENOMEM; merge_fini even then. */
MUST_CHECK int merge_init(struct merge *m, struct profile *to, const struct profile *from);
void merge_fini(struct merge *m);
__u32 merge_mapping(struct merge *m, __u32 mapping);
__u32 merge_location(struct merge *m, __u32 location);
__u32 merge_labels(struct merge *m, __u32 labels);
/* Append n frames of `from` to the stack at hand. 0 or -ENOMEM. */
MUST_CHECK int merge_frames(struct merge *m, const __u32 *frames, size_t n);
