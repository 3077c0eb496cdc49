/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks of a segment are read for a range of time. A sum holds every window that lies in the
 * file between the sum before it and itself (an hour: all of its segment): places, not times, say
 * what it covers, so a clock that was set cannot make anything count twice.
 *
 * Pure functions over one segment's blocks.
 */
#pragma once

#include <stdbool.h>

#include "profiler/store/index.h"
#include "profiler/store/store_read.h"

/* A block that overlaps the range. */
struct planned {
	struct index_block block;
	bool chosen;
};

/* By place, as the functions below want them. */
void store_plan_sort(struct planned *b, size_t n);
/* Choose those to read; coarsest: no larger sums than these. A window counts where its middle lies,
 * or, for points (which are cut by whoever gets them), wherever it overlaps. Whether there are any. */
bool store_plan_choose(struct planned *b, size_t n, const struct store_choice *choice,
		       enum block_kind coarsest, bool points);
/* Where what a sum holds begins. */
size_t store_plan_first(const struct planned *b, size_t sum);
