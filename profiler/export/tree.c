// SPDX-License-Identifier: Apache-2.0
/* The bounded call tree of tree.h. */
#include "profiler/export/tree.h"

#define DEFAULT_MAX_NODES 50000u

/* ---- how large is large ---------------------------------------------------------------------- */
/* Totals fall into buckets of at most 1/64 of their size, exact below 128. */
enum { N_BUCKETS = 58 * 64 + 64, NO_CHILD = 0xffff };

static unsigned bucket_of(__u64 total)
{
	unsigned shift;

	if (total < 128)
		return (unsigned)total;
	shift = 63u - (unsigned)__builtin_clzll(total) - 6;
	return shift * 64 + (unsigned)(total >> shift);
}

struct census {
	struct frames_visitor visitor;
	__u32 n_nodes[N_BUCKETS];
	/* Nodes that need an `other`, as differences: of cut-off c those counted in [0, c]. */
	__s32 n_others[N_BUCKETS];
	VEC(__u16) least_child; /* by depth + 1: the smallest bucket among the children */
	__u64 n_all;
	int err;
};

static void census_enter(struct frames_visitor *v, __u32 frame UNUSED, size_t depth UNUSED)
{
	struct census *c = container_of(v, struct census, visitor);

	if (vec_push(&c->least_child, NO_CHILD))
		c->err = -ENOMEM;
}

static void census_count(struct census *c, unsigned bucket)
{
	unsigned least = c->least_child.data[--c->least_child.len];

	c->n_all++;
	c->n_nodes[bucket]++;
	if (least <
	    bucket) { /* kept, but not all of its children, by cut-offs in [least, bucket) */
		c->n_others[least]++;
		c->n_others[bucket]--;
	}
}

/* A frame that is gone counts for what it was. */
static unsigned bucket_of_weight(const struct frame_weight *w)
{
	return bucket_of(w->total + w->base_total);
}

static void census_leave(struct frames_visitor *v, __u32 frame UNUSED, size_t depth UNUSED,
			 const struct frame_weight *weight)
{
	struct census *c = container_of(v, struct census, visitor);
	unsigned bucket = bucket_of_weight(weight);
	__u16 *parent;

	if (c->err)
		return;
	census_count(c, bucket);
	parent = &c->least_child.data[c->least_child.len - 1];
	*parent = (__u16)MIN(*parent, bucket);
}

/* The least cut-off by which at most max_nodes nodes are left; -1: keep all. *ret_ties: how many of
 * those at the cut-off may stay beside them. */
static int choose_cutoff(struct census *c, __u32 max_nodes, __u64 *ret_ties)
{
	__u64 kept = c->n_all;
	__s64 others = 0;
	int cutoff = -1;

	while (kept + (__u64)others > max_nodes && cutoff < N_BUCKETS - 1) {
		cutoff++;
		kept -= c->n_nodes[cutoff];
		others += c->n_others[cutoff];
	}
	*ret_ties = max_nodes - MIN(kept + (__u64)others, (__u64)max_nodes);
	return cutoff;
}

/* ---- keeping --------------------------------------------------------------------------------- */
struct keep {
	struct frames_visitor visitor;
	struct tree *tree;
	VEC(struct open_node {
		__u32 node;
		__u64 other, base_other; /* totals of children that did not stay */
	})
	path;
	int cutoff;
	__u64 ties; /* nodes at the cut-off that may still stay */
	int err;
};

static void keep_enter(struct frames_visitor *v, __u32 frame, size_t depth UNUSED)
{
	struct keep *k = container_of(v, struct keep, visitor);
	struct tree_node node = {.parent = k->path.data[k->path.len - 1].node, .frame = frame};

	if (k->err)
		return;
	k->err = vec_push(&k->path, (struct open_node){.node = (__u32)k->tree->nodes.len});
	if (!k->err)
		k->err = vec_push(&k->tree->nodes, node);
}

/* Many nodes of a large tree are worth one sample: those at the cut-off stay as long as there is
 * room, in the order of the walk. */
static bool stays(struct keep *k, const struct open_node *open, const struct frame_weight *weight)
{
	int bucket = (int)bucket_of_weight(weight);
	__u64 cost = 1 + (open->other || open->base_other);

	if (bucket != k->cutoff)
		return bucket > k->cutoff;
	if (k->ties < cost) {
		k->ties += k->tree->nodes.len - open->node - 1; /* its descendants go, too */
		return false;
	}
	k->ties -= cost;
	return true;
}

static void keep_close(struct keep *k, const struct frame_weight *weight)
{
	struct open_node open = k->path.data[--k->path.len];
	struct tree_node *node = &k->tree->nodes.data[open.node];

	if (k->path.len && !stays(k, &open, weight)) {
		k->tree->nodes.len = open.node; /* its descendants are no larger: gone already */
		k->path.data[k->path.len - 1].other += weight->total;
		k->path.data[k->path.len - 1].base_other += weight->base_total;
		return;
	}
	node->weight = *weight;
	if (open.other || open.base_other)
		k->err = vec_push(&k->tree->nodes,
				  (struct tree_node){.parent = open.node,
						     .frame = TREE_OTHER,
						     .weight = {open.other, open.other,
								open.base_other, open.base_other}});
}

static void keep_leave(struct frames_visitor *v, __u32 frame UNUSED, size_t depth UNUSED,
		       const struct frame_weight *weight)
{
	struct keep *k = container_of(v, struct keep, visitor);

	if (!k->err)
		keep_close(k, weight);
}

static int keep_nodes(struct tree *tree, int cutoff, __u64 ties)
{
	const struct profile *p = tree->frames.profile;
	struct frame_weight all = {.total = profile_total(p, tree->frames.type)};
	struct keep keep = {
		.visitor = {keep_enter, keep_leave}, .tree = tree, .cutoff = cutoff, .ties = ties};
	int err = vec_push(&tree->nodes, (struct tree_node){.frame = TREE_ROOT});

	if (!err)
		err = vec_push(&keep.path, (struct open_node){0});
	if (!err)
		err = frames_walk(&tree->frames, &keep.visitor);
	if (tree->frames.base_type >= 0)
		all.base_total = profile_total(p, (unsigned)tree->frames.base_type);
	if (!err && !keep.err)
		keep_close(&keep, &all);
	vec_free(&keep.path);
	return err ? err : keep.err;
}

int tree_open(struct tree *tree, const struct profile *profile,
	      const struct export_options *options)
{
	__u32 max_nodes = options->max_nodes ? options->max_nodes : DEFAULT_MAX_NODES;
	struct census *census = calloc(1, sizeof(*census));
	__u64 ties;
	int cutoff, err;

	*tree = (struct tree){0};
	err = frames_open(&tree->frames, profile, options->type, options->group, true);
	if (!err)
		err = census ? frames_sort(&tree->frames) : -ENOMEM;
	if (!err)
		err = vec_push(&census->least_child, NO_CHILD); /* the root's */
	if (!err) {
		census->visitor = (struct frames_visitor){census_enter, census_leave};
		err = frames_walk(&tree->frames, &census->visitor);
	}
	if (!err)
		err = census->err;
	if (!err) {
		census_count(census, N_BUCKETS - 1);
		tree->n_all = census->n_all;
		cutoff = choose_cutoff(census, MAX(max_nodes, 2u), &ties);
		err = keep_nodes(tree, cutoff, ties);
	}
	if (census)
		vec_free(&census->least_child);
	free(census);
	return err;
}

void tree_close(struct tree *tree)
{
	frames_close(&tree->frames);
	vec_free(&tree->nodes);
	*tree = (struct tree){0};
}

const char *tree_node_name(const struct tree *tree, const struct tree_node *node)
{
	if (node->frame == TREE_ROOT)
		return "all";
	return node->frame == TREE_OTHER ? "other" : tree->frames.list.data[node->frame].name;
}
