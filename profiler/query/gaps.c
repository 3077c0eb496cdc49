// SPDX-License-Identifier: Apache-2.0
/* Time of which nothing was kept, see gaps.h. */
#include "profiler/query/gaps.h"

#include <stdlib.h>

static int by_length(const void *pa, const void *pb)
{
	const struct gap *a = pa, *b = pb;
	__u64 x = a->to_ns - a->from_ns, y = b->to_ns - b->from_ns;

	return x > y ? -1 : x < y;
}

static int by_time(const void *pa, const void *pb)
{
	const struct gap *a = pa, *b = pb;

	return a->from_ns < b->from_ns ? -1 : a->from_ns > b->from_ns;
}

static void keep_longest(struct gaps *gaps)
{
	if (gaps->found.len <= GAPS_MAX)
		return;
	qsort(gaps->found.data, gaps->found.len, sizeof(*gaps->found.data), by_length);
	gaps->found.len = GAPS_MAX;
}

int gaps_cover(struct gaps *gaps, __u64 start_ns, __u64 end_ns)
{
	struct gap gap = {gaps->at_ns, start_ns};

	gaps->at_ns = MAX(gaps->at_ns, end_ns);
	if (start_ns <= gap.from_ns || start_ns - gap.from_ns <= gaps->min_ns)
		return 0;
	if (gaps->found.len == 2 * GAPS_MAX)
		keep_longest(gaps);
	return vec_push(&gaps->found, gap);
}

void gaps_end(struct gaps *gaps)
{
	keep_longest(gaps);
	if (gaps->found.len)
		qsort(gaps->found.data, gaps->found.len, sizeof(*gaps->found.data), by_time);
}

void gaps_fini(struct gaps *gaps)
{
	vec_free(&gaps->found);
}
