/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as Pyroscope's flame graph: rows of bars. A row's bar says how far it begins after the
 * end of the bar to its left (the first one: after 0), its total, its self and the number of its
 * name; row 0 is one bar, `total`. A parent's self lies at its left end, its children follow by name.
 * With a baseline a bar has the three numbers twice, left and right, before the name.
 *
 * The tree is export/tree.h's, so at most max_nodes nodes, the smaller ones of a parent as `other`;
 * nodes of a parent that have the same name (of different objects, inlined and not) are one here.
 */
#pragma once

#include "profiler/base/arena.h"
#include "profiler/base/check.h"
#include "profiler/querier/querier.pb-c.h"

struct profile;

struct flame_options {
	int type; /* of the profile's values */
	__u32 max_nodes;
	/* Only stacks that begin with these frames, root first. The tree is cut to max_nodes before
	 * they are looked for. */
	Querier__Location *const *call_sites;
	size_t n_call_sites;
};

/* Messages that live in the arena; strings of the first, too. 0 or -ENOMEM. */
MUST_CHECK int flame_graph(const struct profile *profile, const struct flame_options *options,
			   struct arena *arena, Querier__FlameGraph **ret_graph);
/* Left is the profile, right its baseline. */
MUST_CHECK int flame_graph_diff(const struct profile *profile, const struct flame_options *options,
				struct arena *arena, Querier__FlameGraphDiff **ret_graph);
