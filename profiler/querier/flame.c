// SPDX-License-Identifier: Apache-2.0
/*
 * Flame graphs in rows, see flame.h. The bounded tree is copied with equal names of a parent made
 * one, put into order (by parent, then name, so that children lie together), and written row by row:
 * the bars of a row, left to right, are the children of the bars of the row before. The reader's
 * thread.
 */
#include "profiler/querier/flame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/hmap.h"
#include "profiler/export/export.h"
#include "profiler/export/tree.h"

#define NO_NODE UINT32_MAX

struct node {
	__u32 parent, depth; /* of nodes; the root, 0, is its own */
	__u32 name;
	struct frame_weight weight;
};

struct bar {
	__u32 node;
	__u64 x, base_x; /* left ends */
};

struct row {
	VEC(struct bar) bars;
};

struct flame {
	struct arena *arena;
	struct strtab names;	/* name 0 is the root's */
	VEC(struct node) nodes; /* parents before children */
	struct hmap index;	/* by parent and name, while they are added */
	__u32 *order;		/* nodes by parent, then name: children of one lie together */
	__u32 *first_child;	/* in order, by node; the next node's is its end */
	bool with_base;
	__u64 max_self;
	VEC(Querier__Level *) levels;
};

/* ---- the nodes ------------------------------------------------------------------------------- */

static __u32 find_child(const struct flame *f, __u32 parent, __u32 name)
{
	__u32 i;

	hmap_for_each_match (&f->index, hash_mix(parent, name), i)
		if (f->nodes.data[i].parent == parent && f->nodes.data[i].name == name)
			return i;
	return NO_NODE;
}

/* The node of a name below a parent. NO_NODE when memory ends. */
static __u32 add_child(struct flame *f, __u32 parent, const char *name)
{
	struct node node = {.parent = parent, .name = strtab_id(&f->names, name, strlen(name))};
	__u32 i = find_child(f, parent, node.name);

	if (i != NO_NODE)
		return i;
	i = (__u32)f->nodes.len;
	node.depth = i ? f->nodes.data[parent].depth + 1 : 0;
	if (vec_push(&f->nodes, node) || hmap_add(&f->index, hash_mix(parent, node.name), i))
		return NO_NODE;
	return i;
}

static bool at_call_site(const struct flame_options *options, __u32 depth, const char *name)
{
	return depth > options->n_call_sites || !strcmp(options->call_sites[depth - 1]->name, name);
}

static int copy_node(struct flame *f, const struct tree *tree, const struct flame_options *options,
		     __u32 i, __u32 *copy_of)
{
	const struct tree_node *from = &tree->nodes.data[i];
	__u32 parent = i ? copy_of[from->parent] : 0;
	const char *name = i ? tree_node_name(tree, from) : "";
	struct node *to;

	if (i &&
	    (parent == NO_NODE || !at_call_site(options, f->nodes.data[parent].depth + 1, name))) {
		copy_of[i] = NO_NODE;
		return 0;
	}
	copy_of[i] = add_child(f, parent, name);
	if (copy_of[i] == NO_NODE)
		return -ENOMEM;
	to = &f->nodes.data[copy_of[i]];
	if (to->depth >= options->n_call_sites) { /* stacks that end before are not among them */
		to->weight.self += from->weight.self;
		to->weight.base_self += from->weight.base_self;
	}
	return 0;
}

static void add_totals(struct flame *f)
{
	for (size_t i = f->nodes.len; i-- > 0;) {
		struct frame_weight *w = &f->nodes.data[i].weight;
		struct frame_weight *up = &f->nodes.data[f->nodes.data[i].parent].weight;

		w->total += w->self;
		w->base_total += w->base_self;
		f->max_self = MAX(f->max_self, w->self);
		f->max_self = MAX(f->max_self, w->base_self);
		if (!i)
			break;
		up->total += w->total;
		up->base_total += w->base_total;
	}
}

static int compare_nodes(const void *pa, const void *pb, void *arg)
{
	const struct flame *f = arg;
	const struct node *a = &f->nodes.data[*(const __u32 *)pa];
	const struct node *b = &f->nodes.data[*(const __u32 *)pb];

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return strcmp(strtab_get(&f->names, a->name), strtab_get(&f->names, b->name));
}

/* Children of each node: order[first_child[node]] up to first_child[node + 1]. */
static int sort_nodes(struct flame *f)
{
	size_t n = f->nodes.len, at = 0;

	f->order = calloc(n, sizeof(*f->order));
	f->first_child = calloc(n + 1, sizeof(*f->first_child));
	if (!f->order || !f->first_child)
		return -ENOMEM;
	for (size_t i = 1; i < n; i++) /* without the root */
		f->order[i - 1] = (__u32)i;
	qsort_r(f->order, n - 1, sizeof(*f->order), compare_nodes, f);
	for (size_t i = 0; i <= n; i++) {
		while (at < n - 1 && f->nodes.data[f->order[at]].parent < i)
			at++;
		f->first_child[i] = (__u32)at;
	}
	return 0;
}

static int copy_tree(struct flame *f, const struct tree *tree, const struct flame_options *options)
{
	__u32 *copy_of = calloc(tree->nodes.len, sizeof(*copy_of));
	int err = copy_of ? strtab_init(&f->names, 0) : -ENOMEM;

	for (__u32 i = 0; i < tree->nodes.len && !err; i++)
		err = copy_node(f, tree, options, i, copy_of);
	free(copy_of);
	if (err)
		return err;
	f->with_base = tree->frames.base_type >= 0;
	add_totals(f);
	return sort_nodes(f);
}

/* ---- the rows -------------------------------------------------------------------------------- */

static int add_level(struct flame *f, const struct row *row)
{
	Querier__Level *level = arena_alloc(f->arena, sizeof(*level));
	size_t width = f->with_base ? 7 : 4;
	__u64 end = 0, base_end = 0;
	int64_t *v;

	if (!level)
		return -ENOMEM;
	querier__level__init(level);
	level->n_values = row->bars.len * width;
	level->values = v = arena_alloc(f->arena, level->n_values * sizeof(*v));
	if (!v)
		return -ENOMEM;
	vec_for_each (bar, &row->bars) {
		const struct node *node = &f->nodes.data[bar->node];

		*v++ = (int64_t)(bar->x - end);
		*v++ = (int64_t)node->weight.total;
		*v++ = (int64_t)node->weight.self;
		end = bar->x + node->weight.total;
		if (f->with_base) {
			*v++ = (int64_t)(bar->base_x - base_end);
			*v++ = (int64_t)node->weight.base_total;
			*v++ = (int64_t)node->weight.base_self;
			base_end = bar->base_x + node->weight.base_total;
		}
		*v++ = node->name;
	}
	return vec_push(&f->levels, level);
}

/* The row below. */
static int next_row(const struct flame *f, const struct row *row, struct row *next)
{
	next->bars.len = 0;
	vec_for_each (bar, &row->bars) {
		const struct frame_weight *w = &f->nodes.data[bar->node].weight;
		struct bar child = {.x = bar->x + w->self, .base_x = bar->base_x + w->base_self};

		for (__u32 i = f->first_child[bar->node]; i < f->first_child[bar->node + 1]; i++) {
			child.node = f->order[i];
			w = &f->nodes.data[child.node].weight;
			if (!w->total && !w->base_total) /* it led to no call site */
				continue;
			if (vec_push(&next->bars, child))
				return -ENOMEM;
			child.x += w->total;
			child.base_x += w->base_total;
		}
	}
	return 0;
}

static int add_levels(struct flame *f)
{
	struct row rows[2] = {0};
	int err = vec_push(&rows[0].bars, (struct bar){0});

	for (unsigned i = 0; !err && rows[i & 1].bars.len; i++) {
		err = add_level(f, &rows[i & 1]);
		if (!err)
			err = next_row(f, &rows[i & 1], &rows[~i & 1]);
	}
	vec_free(&rows[0].bars);
	vec_free(&rows[1].bars);
	return err;
}

/* ---- both forms ------------------------------------------------------------------------------ */

static int flame_make(struct flame *f, const struct profile *profile,
		      const struct flame_options *options)
{
	struct export_options tree_options = EXPORT_OPTIONS_DEFAULT;
	struct tree tree;
	int err;

	tree_options.type = options->type;
	tree_options.group = EXPORT_GROUP_NONE;
	tree_options.max_nodes = options->max_nodes;
	err = tree_open(&tree, profile, &tree_options);
	if (!err)
		err = copy_tree(f, &tree, options);
	tree_close(&tree);
	return err ? err : add_levels(f);
}

/* Names and levels as the messages have them. */
static int hand_over(struct flame *f, size_t *n_names, char ***names, size_t *n_levels,
		     Querier__Level ***levels)
{
	size_t n = f->names.entries.len;

	*names = arena_alloc(f->arena, n * sizeof(**names));
	*levels = arena_alloc(f->arena, f->levels.len * sizeof(**levels));
	if (!*names || !*levels)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *name = i ? strtab_get(&f->names, (__u32)i) : "total";

		(*names)[i] = arena_strndup(f->arena, name, strlen(name));
		if (!(*names)[i])
			return -ENOMEM;
	}
	memcpy(*levels, f->levels.data, f->levels.len * sizeof(**levels));
	*n_names = n;
	*n_levels = f->levels.len;
	return 0;
}

static void flame_fini(struct flame *f)
{
	strtab_fini(&f->names);
	hmap_fini(&f->index);
	vec_free(&f->nodes);
	vec_free(&f->levels);
	free(f->order);
	free(f->first_child);
}

int flame_graph(const struct profile *profile, const struct flame_options *options,
		struct arena *arena, Querier__FlameGraph **ret_graph)
{
	Querier__FlameGraph *g = arena_alloc(arena, sizeof(*g));
	struct flame f = {.arena = arena};
	int err = g ? flame_make(&f, profile, options) : -ENOMEM;

	if (!err) {
		querier__flame_graph__init(g);
		g->total = (int64_t)f.nodes.data[0].weight.total;
		g->max_self = (int64_t)f.max_self;
		err = hand_over(&f, &g->n_names, &g->names, &g->n_levels, &g->levels);
	}
	flame_fini(&f);
	if (!err)
		*ret_graph = g;
	return err;
}

int flame_graph_diff(const struct profile *profile, const struct flame_options *options,
		     struct arena *arena, Querier__FlameGraphDiff **ret_graph)
{
	Querier__FlameGraphDiff *g = arena_alloc(arena, sizeof(*g));
	struct flame f = {.arena = arena};
	int err = g ? flame_make(&f, profile, options) : -ENOMEM;

	if (!err) {
		querier__flame_graph_diff__init(g);
		g->leftticks = (int64_t)f.nodes.data[0].weight.total;
		g->rightticks = (int64_t)f.nodes.data[0].weight.base_total;
		g->total = g->leftticks + g->rightticks;
		g->max_self = (int64_t)f.max_self;
		err = hand_over(&f, &g->n_names, &g->names, &g->n_levels, &g->levels);
	}
	flame_fini(&f);
	if (!err)
		*ret_graph = g;
	return err;
}
