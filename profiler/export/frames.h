/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as readers of stacks want it: inlined lines are frames of their own, frames that look
 * alike are one, and stacks are in order, root first. frames_open makes the frames and their ranks;
 * frames_sort orders the samples; frames_walk then visits the merged call tree without building it,
 * so that memory is one path, however large the tree.
 *
 * Cost: 4 bytes a line of the profile, 40 a distinct frame, 4 a sample once sorted.
 */
#pragma once

#include "profiler/export/export.h"
#include "profiler/profile.h"

/* Equal: name, module, kind, inlined. file and line are those first seen. */
struct frame {
	const char *name, *module, *file; /* interned: equal text, equal pointer; "" for none */
	__u32 line;			  /* where the function begins, else where it was seen; 0 */
	__u8 kind;			  /* enum frame_kind */
	__u8 inlined;
	__u8 named; /* false: a stub, no symbol was found */
};

struct frames {
	const struct profile *profile;
	VEC(struct frame) list; /* ascending: name, module, kind, inlined */
	__u32 *of_line;		/* by index in profile->lines */
	__u32 *of_labels;	/* the group's frame, by label set; NULL without groups */
	__u32 *samples;		/* those with a value, its own or the baseline's, by frames_sort */
	size_t n_samples;
	unsigned type;
	int base_type;	       /* of the baseline, where there is one; -1 */
	struct strtab strings; /* modules, and names of groups */
};

/* type: a number, or EXPORT_TYPE_AUTO. Two frames that differ in their module only are one when
 * modules is false. 0 or -ENOMEM; frames_close even then. */
MUST_CHECK int frames_open(struct frames *frames, const struct profile *profile, int type,
			   enum export_group group, bool modules);
/* Order the samples that have a value of the type. 0 or -ENOMEM. */
MUST_CHECK int frames_sort(struct frames *frames);
void frames_close(struct frames *frames);

/* The frames of a sample, root first, its group before them. */
struct frame_iter {
	const struct frames *frames;
	const struct profile_stack *stack;
	__u32 group; /* 1 + frame of the group, not given yet; 0 */
	__u32 i;     /* locations of the stack still to come */
	__u32 line, n_lines;
};
struct frame_iter frame_iter_of(const struct frames *frames, __u32 sample);
/* The next frame's index in list; UINT32_MAX at the end. */
__u32 frame_iter_next(struct frame_iter *it);

/* What a frame has for itself and with what it calls; base: the same in the baseline, else 0. */
struct frame_weight {
	__u64 self, total, base_self, base_total;
};

/* Depth-first, children ascending. enter() on the way down; leave() on the way up with what is then
 * known. Depth 0 is the first frame of a stack. Either may be NULL. */
struct frames_visitor {
	void (*enter)(struct frames_visitor *visitor, __u32 frame, size_t depth);
	void (*leave)(struct frames_visitor *visitor, __u32 frame, size_t depth,
		      const struct frame_weight *weight);
};
/* After frames_sort. 0 or -ENOMEM. */
MUST_CHECK int frames_walk(const struct frames *frames, struct frames_visitor *visitor);
