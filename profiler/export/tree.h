/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged call tree of a profile, bounded: what json, html and svg show. At most max_nodes
 * nodes; those with the largest totals (with their baselines') stay (a node is never larger than its parent, so they hang
 * together), the others of a parent become one node `other`. Two walks: the first counts how many
 * nodes there are of each size, the second keeps. Memory is the nodes kept, not the tree.
 */
#pragma once

#include "profiler/export/frames.h"

#define TREE_ROOT  UINT32_MAX	    /* frame of node 0: all */
#define TREE_OTHER (UINT32_MAX - 1) /* frame of a node that stands for small ones */

struct tree_node {
	__u32 parent; /* index; the root's is itself */
	__u32 frame;  /* in frames.list, or TREE_* */
	struct frame_weight weight;
};

struct tree {
	struct frames frames;
	VEC(struct tree_node)
	nodes;	     /* depth first, children by rank of their frame, `other` last */
	__u64 n_all; /* nodes of the whole tree */
};

/* 0 or -ENOMEM; tree_close even then. */
MUST_CHECK int tree_open(struct tree *tree, const struct profile *profile,
			 const struct export_options *options);
void tree_close(struct tree *tree);
/* Name of a node: of its frame, `all`, `other`. */
const char *tree_node_name(const struct tree *tree, const struct tree_node *node);
