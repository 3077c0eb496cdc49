// SPDX-License-Identifier: Apache-2.0
/* Time of which nothing was kept: between windows of a store, whether they have samples or not. */
#include "profiler/query/gaps.h"

#include <stdio.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/store/index.h"
#include "profiler/store/store_read.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define WINDOW_NS  (15 * NS_PER_S)
#define AT(window) (STORES_T0 + (window)*WINDOW_NS)

static int cover(void *arg, __u64 start_ns, __u64 end_ns)
{
	return gaps_cover(arg, start_ns, end_ns);
}

static void expect(const struct gaps *gaps, const struct gap *want, size_t n)
{
	ASSERT_INT(gaps->found.len, n);
	for (size_t i = 0; i < MIN(n, gaps->found.len); i++) {
		ASSERT_INT(gaps->found.data[i].from_ns, want[i].from_ns);
		ASSERT_INT(gaps->found.data[i].to_ns, want[i].to_ns);
	}
}

/* What is between windows [first, end) of a store that nothing covers. */
static void ask(const char *dir, unsigned first, unsigned end, const struct gap *want, size_t n)
{
	struct gaps gaps = {.min_ns = 2 * WINDOW_NS, .at_ns = AT(first)};
	struct store_reader *reader = store_reader_new(dir);
	struct store_index *index;

	ASSERT_INT(store_reader_begin(reader, &index), 0);
	ASSERT_INT(store_index_times(index, AT(first), AT(end), cover, &gaps), 0);
	store_reader_end(reader);
	ASSERT_INT(gaps_cover(&gaps, AT(end), AT(end)), 0);
	gaps_end(&gaps);
	expect(&gaps, want, n);
	gaps_fini(&gaps);
	store_reader_free(reader);
}

/* Windows 0-9 (2-7 idle: without a sample), 15-19 (17 is lost), 400-401: another hour. */
static void between_windows(void)
{
	static const struct gap all[] = {{AT(10), AT(15)}, {AT(20), AT(400)}, {AT(402), AT(410)}};
	static const struct gap inside = {AT(100), AT(200)};
	char dir[512];
	struct store *store;

	snprintf(dir, sizeof(dir), "%s/between", test_dir());
	store = stores_open(dir, NULL, NULL);
	for (unsigned i = 0; i < 402; i++) {
		struct profile *p;
		__u32 frame;

		if ((i >= 10 && i < 15) || i == 17 || (i >= 20 && i < 400))
			continue;
		p = stores_profile(1);
		frame = profile_named_location(p, FRAME_NATIVE, "f");
		if (i < 2 || i > 7)
			profile_add(p, profile_stack(p, &frame, 1), 0, (__s64[]){1, 1});
		ASSERT_INT(stores_put(store, "s", AT(i), AT(i + 1), p), 0);
	}
	store_close(store);
	ask(dir, 0, 410, all, 3);
	ask(dir, 1, 9, NULL, 0);
	ask(dir, 100, 200, &inside, 1);
	ask(dir, 16, 21, NULL, 0);
}

/* More than can be told: the longest stay, by time; windows that overlap are none. */
static void more_than_the_bound(void)
{
	struct gaps gaps = {.min_ns = 10, .at_ns = 0};
	__u64 at = 0, shortest = ~0ull, total = 0;

	for (unsigned i = 0; i < 5 * GAPS_MAX; i++) {
		at += 11 + i % 10; /* a tenth of them are 20 long, a tenth 19, ... */
		ASSERT_INT(gaps_cover(&gaps, at, at + 100), 0);
		ASSERT_INT(gaps_cover(&gaps, at + 50, at + 60), 0);
		at += 100;
		CU_ASSERT(gaps.found.len <= 2 * GAPS_MAX);
	}
	gaps_end(&gaps);
	ASSERT_INT(gaps.found.len, GAPS_MAX);
	for (size_t i = 0; i < gaps.found.len; i++) {
		const struct gap *gap = &gaps.found.data[i];

		CU_ASSERT(!i || gap->from_ns >= gap[-1].to_ns);
		shortest = MIN(shortest, gap->to_ns - gap->from_ns);
		total += gap->to_ns - gap->from_ns;
	}
	ASSERT_INT(shortest, 19);
	ASSERT_INT(total, GAPS_MAX / 2 * (20 + 19));
	gaps_fini(&gaps);
}

SUITE(gaps, {"between windows", between_windows}, {"more than the bound", more_than_the_bound});
