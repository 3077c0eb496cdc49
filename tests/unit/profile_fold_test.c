// SPDX-License-Identifier: Apache-2.0
/* A profile that was folded: what is large is there to the last sample, nothing is lost, and every
 * frame that is left has the sum it had. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/export/tree.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"
#include "tests/unit/test.h"

#define LIMIT ((size_t)2 << 20)

static struct profile *new_profile(void)
{
	struct profile_limits limits = {.max_bytes = LIMIT};
	struct profile *p = profile_new(&limits);

	profile_add_type(p, "samples", "count");
	p->default_type = profile_add_type(p, "cpu", "nanoseconds");
	profile_set_period(p, "cpu", "nanoseconds", 10);
	p->name = profile_cstring(p, "cpu");
	return p;
}

/* names: leaf first, NULL at the end. */
static void add(struct profile *p, const char *const *names, __u32 labels, __s64 samples)
{
	__u32 frames[16];
	size_t n = 0;

	for (; names[n]; n++)
		frames[n] = profile_named_location(p, FRAME_NATIVE, names[n]);
	profile_add(p, profile_stack(p, frames, n), labels, (__s64[]){samples, samples * 10});
}

static const char *text(unsigned i)
{
	static char texts[4][32];
	char *to = texts[i % 4];

	snprintf(to, sizeof(texts[0]), "small_%u", i);
	return to;
}

static __u64 total_of(const struct profile *p, const char *name)
{
	struct export_options options = {.type = 0, .max_nodes = 1u << 30};
	struct tree tree;
	__u64 total = 0;

	ASSERT_INT(tree_open(&tree, p, &options), 0);
	vec_for_each (node, &tree.nodes)
		if (!strcmp(tree_node_name(&tree, node), name))
			total += node->weight.total;
	tree_close(&tree);
	return total;
}

/* Small ones by the thousand under one caller, a few large ones, one of them late: as a day of stacks. */
static void large_ones_stay(void)
{
	struct profile *p = new_profile();
	unsigned n = 0, n_folds = 0;

	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 1000; i++, n++) {
			if (!profile_has_room(p)) {
				ASSERT_INT(profile_fold(p), 0);
				CU_ASSERT_FATAL(profile_has_room(p));
				n_folds++;
			}
			add(p, (const char *[]){text(n), "crowd", "main", NULL}, 0, 1);
		}
		add(p, (const char *[]){"steady", "main", NULL}, 0, 300);
		if (round == 30)
			add(p, (const char *[]){"spike", "rare", "main", NULL}, 0, 5000);
	}
	CU_ASSERT(n_folds > 1);
	CU_ASSERT(p->folded_below && profile_bytes(p) <= LIMIT);
	ASSERT_INT(profile_total(p, 0), n + 40 * 300 + 5000);
	ASSERT_INT(profile_total(p, 1), 10 * profile_total(p, 0));
	ASSERT_INT(total_of(p, "spike"), 5000);
	ASSERT_INT(total_of(p, "steady"), 40 * 300);
	ASSERT_INT(total_of(p, "crowd"), n);
	ASSERT_INT(total_of(p, "main"), profile_total(p, 0));
	for (unsigned t = 0; t < PROFILE_TABLE_COUNT; t++)
		ASSERT_INT(p->refused_total[t], 0);
	profile_free(p);
}

/* Threads are apart, and what a profile says of itself stays. */
static void labels_and_head_stay(void)
{
	struct profile *p = new_profile();
	__u32 labels[2] = {profile_thread_labels(p, "one", NULL, 7, 0),
			   profile_thread_labels(p, "two", NULL, 8, 9)};
	__u64 sums[2] = {0};

	p->time_ns = 5;
	p->duration_ns = 6;
	p->lost_total = 7;
	profile_add_comment(p, "a comment");
	for (unsigned i = 0; i < 4000; i++)
		add(p, (const char *[]){text(i), i % 3 ? "a" : "b", "main", NULL}, labels[i % 2],
		    1 + i % 2);
	ASSERT_INT(profile_fold(p), 0);
	vec_for_each (s, &p->samples) {
		const struct profile_label *pid = profile_label_find(p, s->labels, PROFILE_STR_PID);

		if (!s->values[0])
			continue;
		CU_ASSERT_FATAL(pid && (pid->num == 7 || pid->num == 8));
		sums[pid->num - 7] += (__u64)s->values[0];
	}
	ASSERT_INT(sums[0], 2000);
	ASSERT_INT(sums[1], 4000);
	ASSERT_STR(profile_str(p, p->name), "cpu");
	ASSERT_STR(profile_str(p, p->types[1].unit), "nanoseconds");
	ASSERT_STR(profile_str(p, p->comments[0]), "a comment");
	CU_ASSERT(p->time_ns == 5 && p->duration_ns == 6 && p->lost_total == 7 &&
		  p->default_type == 1 && p->period == 10);
	profile_free(p);
}

/* Trees of any shape: sums stay, frames of what stays have theirs. */
static void any_tree(void)
{
	for (unsigned n = 1; n < 3000; n = n * 3 + 1) {
		struct profile *p = profile_made_up(n, 25);
		__u64 total = profile_total(p, 0), value = profile_total(p, p->default_type);
		struct export_options options = {.type = 0, .max_nodes = 1u << 30};
		struct tree before, after;
		__u64 n_nodes;

		ASSERT_INT(tree_open(&before, p, &options), 0);
		n_nodes = before.n_all;
		tree_close(&before);
		ASSERT_INT(profile_fold(p), 0);
		ASSERT_INT(profile_fold(p), 0);
		ASSERT_INT(profile_total(p, 0), total);
		ASSERT_INT(profile_total(p, p->default_type), value);
		ASSERT_INT(tree_open(&after, p, &options), 0);
		CU_ASSERT(after.nodes.len <= n_nodes + n);
		tree_close(&after);
		profile_free(p);
	}
}

SUITE(profile_fold, {"large ones stay", large_ones_stay},
      {"labels and head stay", labels_and_head_stay}, {"any tree", any_tree});
