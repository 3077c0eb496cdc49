// SPDX-License-Identifier: Apache-2.0
/* A profile beside its baseline: sums stay, stacks meet, what is gone is still there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/export/tree.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"
#include "tests/unit/test.h"

static struct profile *folded(const char *text)
{
	struct profile *p = profile_of_folded(text, strlen(text));

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return p;
}

static const struct tree_node *node_of(const struct tree *tree, const char *name)
{
	vec_for_each (node, &tree->nodes)
		if (!strcmp(tree_node_name(tree, node), name))
			return node;
	return NULL;
}

static void stacks_meet(void)
{
	struct profile *p = folded("x;main;a 10\nx;main;b 5\nx;main;fresh 2\n");
	struct profile *base = folded("x;main;a 4\nx;main;b 8\nx;main;gone;deep 3\n");
	struct export_options options = {.type = 0, .group = EXPORT_GROUP_COMM};
	const struct tree_node *node;
	struct tree tree;

	ASSERT_INT(profile_set_base(p, base), 0);
	ASSERT_INT(profile_set_base(p, base), -EINVAL); /* once */
	ASSERT_INT(p->n_types, 4);
	ASSERT_STR(profile_str(p, p->types[2].type), "base_samples");
	ASSERT_INT(profile_total(p, 0), 17);
	ASSERT_INT(profile_total(p, 2), 15);
	ASSERT_INT(tree_open(&tree, p, &options), 0);
	node = node_of(&tree, "a");
	CU_ASSERT_FATAL(node != NULL);
	ASSERT_INT(node->weight.self, 10);
	ASSERT_INT(node->weight.base_self, 4);
	node = node_of(&tree, "gone");
	CU_ASSERT_FATAL(node != NULL);
	ASSERT_INT(node->weight.total, 0);
	ASSERT_INT(node->weight.base_total, 3);
	node = node_of(&tree, "fresh");
	CU_ASSERT_FATAL(node != NULL);
	ASSERT_INT(node->weight.base_total, 0);
	node = node_of(&tree, "main");
	CU_ASSERT_FATAL(node != NULL);
	ASSERT_INT(node->weight.total, 17);
	ASSERT_INT(node->weight.base_total, 15);
	tree_close(&tree);
	profile_free(p);
	profile_free(base);
}

static __u64 sum_of_selves(const struct tree *tree, bool base)
{
	__u64 sum = 0;

	vec_for_each (node, &tree->nodes)
		sum += base ? node->weight.base_self : node->weight.self;
	return sum;
}

/* Cut to any number of nodes nothing is lost of either side. */
static void cut_trees_keep_sums(void)
{
	static const __u32 sizes[] = {2, 3, 10, 100, 1000, 100000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct profile *p = profile_made_up(700, 20), *base = profile_made_up(900, 15);
		struct export_options options = EXPORT_OPTIONS_DEFAULT;
		struct tree tree;

		options.max_nodes = sizes[i];
		ASSERT_INT(profile_set_base(p, base), 0);
		ASSERT_INT(tree_open(&tree, p, &options), 0);
		CU_ASSERT(tree.nodes.len <= MAX(sizes[i], 2u));
		ASSERT_INT(sum_of_selves(&tree, false), profile_total(p, p->default_type));
		ASSERT_INT(sum_of_selves(&tree, true), profile_total(base, base->default_type));
		tree_close(&tree);
		profile_free(p);
		profile_free(base);
	}
}

static void other_measures_do_not_compare(void)
{
	struct profile *p = folded("x;main;a 10\n"), *other = profile_new(NULL);

	profile_add_type(other, "alloc_space", "bytes");
	profile_add_type(other, "cpu", "nanoseconds");
	ASSERT_INT(profile_set_base(p, other), -EINVAL);
	ASSERT_INT(p->n_types, 2);
	profile_free(p);
	profile_free(other);
}

SUITE(profile_merge, {"stacks meet", stacks_meet}, {"cut trees keep sums", cut_trees_keep_sums},
      {"other measures do not compare", other_measures_do_not_compare});
