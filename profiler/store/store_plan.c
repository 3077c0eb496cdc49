// SPDX-License-Identifier: Apache-2.0
/* Which blocks of a segment are read for a range, see store_plan.h. */
#include "profiler/store/store_plan.h"

#include <stdlib.h>

static bool within(const struct store_choice *c, const struct index_block *b)
{
	return b->facts.start_ns >= c->from_ns && b->facts.end_ns <= c->to_ns;
}

/* A window of a profile counts where its middle lies; points are cut by who gets them. */
static bool window_counts(const struct store_choice *c, const struct index_block *b, bool points)
{
	__u64 middle = b->facts.start_ns + (b->facts.end_ns - b->facts.start_ns) / 2;

	return points || (middle >= c->from_ns && middle < c->to_ns);
}

static int by_place(const void *pa, const void *pb)
{
	const struct planned *a = pa, *b = pb;

	return a->block.at < b->block.at ? -1 : a->block.at > b->block.at;
}

bool store_plan_choose(struct planned *b, size_t n, const struct store_choice *c,
		       enum block_kind coarsest, bool points)
{
	__u64 hour_end = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		if (b[i].block.kind == BLOCK_HOUR && coarsest == BLOCK_HOUR &&
		    within(c, &b[i].block))
			hour_end = b[i].block.at;
	for (size_t i = 0, first = 0; i < n; i++) {
		const struct index_block *block = &b[i].block;

		b[i].chosen = block->at == hour_end;
		if (block->kind == BLOCK_WINDOW && block->at > hour_end)
			b[i].chosen = window_counts(c, block, points);
		if (block->kind == BLOCK_MINUTE && block->at > hour_end && within(c, block) &&
		    coarsest >= BLOCK_MINUTE) {
			for (size_t k = first; k < i; k++) /* instead of its windows */
				b[k].chosen = false;
			b[i].chosen = true;
		}
		if (block->kind != BLOCK_WINDOW)
			first = i + 1;
		any |= b[i].chosen;
	}
	return any;
}

void store_plan_sort(struct planned *b, size_t n)
{
	qsort(b, n, sizeof(*b), by_place);
}

size_t store_plan_first(const struct planned *b, size_t sum)
{
	size_t first = sum;

	if (b[sum].block.kind == BLOCK_HOUR)
		return 0;
	while (first && b[first - 1].block.kind == BLOCK_WINDOW)
		first--;
	return first;
}
