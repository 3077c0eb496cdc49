// SPDX-License-Identifier: Apache-2.0
/* Values by group and step: nothing of them is lost where the bounds are. */
#include "profiler/query/sums.h"

#include <math.h>
#include <stdio.h>

#include "profiler/base/clock.h"
#include "tests/unit/test.h"

static const char *label(void *arg, const char *name)
{
	return strcmp(name, "service_name") ? NULL : arg;
}

static double total(const struct listing *out)
{
	double sum = 0;

	vec_for_each (g, &out->groups)
		sum += g->total;
	return sum;
}

/* One second of each of n services; those from `listed` on are not in the list. */
static void add_services(struct sums *sums, struct listing *out, size_t n, size_t listed)
{
	char name[32];

	for (size_t i = 0; i < n; i++) {
		__s64 group;
		bool is_new;

		snprintf(name, sizeof(name), "s%zu", i);
		group = sums_group(sums, label, name, i < listed ? i : SUMS_UNLISTED, &is_new);
		CU_ASSERT_FATAL(group >= 0 && (size_t)group < out->groups.len);
		CU_ASSERT(!is_new || i < listed);
		sums_add(sums, group, NS_PER_S, 3 * NS_PER_S, 1);
	}
}

/* What is beyond a bound counts in `other`, which is one group more and the same for both. */
static void beyond_the_bounds(void)
{
	static const struct {
		size_t services, listed, groups;
	} rows[] = {
		{1, 1, 1},
		{LISTING_MAX_GROUPS - 1, LISTING_MAX_GROUPS, LISTING_MAX_GROUPS - 1},
		{LISTING_MAX_GROUPS + 500, SIZE_MAX, LISTING_MAX_GROUPS},
		{100, 10, 11},
		{LISTING_MAX_GROUPS + 500, 10, 11},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct listing_request request = {
			.range = {.from_ns = 0, .to_ns = 4 * NS_PER_S},
			.step_ns = NS_PER_S,
			.group = "service_name",
		};
		struct listing out = {0};
		struct sums sums;
		size_t n_rest = 0;

		ASSERT_INT(sums_init(&sums, &out, &request), 0);
		add_services(&sums, &out, rows[i].services, rows[i].listed);
		add_services(&sums, &out, rows[i].services,
			     0); /* again: the groups that are there */
		ASSERT_INT(out.groups.len, rows[i].groups);
		vec_for_each (g, &out.groups) {
			n_rest += g->rest;
			CU_ASSERT(g->rest || fabs(g->total - 2) < 1e-9);
			CU_ASSERT(!g->rest || !strcmp(g->name, "other"));
		}
		ASSERT_INT(n_rest, rows[i].services > rows[i].groups);
		CU_ASSERT(fabs(total(&out) - 2.0 * (double)rows[i].services) < 1e-6);
		sums_fini(&sums);
		vec_free(&out.groups);
		arena_fini(&out.arena);
	}
}

SUITE(sums, {"beyond the bounds", beyond_the_bounds});
