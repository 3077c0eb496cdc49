// SPDX-License-Identifier: Apache-2.0
/* segment.h: space given, taken back after its grace period, merged, and never beyond the budget.
 */
#include "profiler/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/test.h"

#define MIB (1u << 20)

static void past_grace(void)
{
	clock_nanosleep(CLOCK_MONOTONIC, 0,
			&(struct timespec){.tv_sec = SEGMENT_GRACE_NS / 1000000000,
					   .tv_nsec = 50 * 1000 * 1000},
			NULL);
}

static void bounds(void)
{
	struct segments *s = segments_new(-1, 2 * MIB);
	struct blob a = {.n_words = 7}, b, c;

	ASSERT_INT(segments_alloc(s, 0, &a), -ENOSPC);
	ASSERT_INT(segments_alloc(s, UNW_SEGMENT_WORDS + 1, &a), -ENOSPC);
	ASSERT_INT(a.n_words, 7); /* untouched */
	CU_ASSERT_PTR_NULL(segments_base(s, 0));
	CU_ASSERT(!segments_alloc(s, UNW_SEGMENT_WORDS, &a));
	CU_ASSERT(!segments_alloc(s, 3, &b));
	ASSERT_INT(b.segment, 1);
	ASSERT_INT(b.n_words, 4); /* even, so that u64 stand well */
	ASSERT_INT(segments_alloc(s, UNW_SEGMENT_WORDS, &c), -ENOSPC);
	ASSERT_INT(segments_stats(s).n_segments, 2);
	ASSERT_INT(segments_stats(s).bytes_reserved, 2 * MIB);
	ASSERT_INT(segments_stats(s).bytes_used, MIB + 16);
	CU_ASSERT_PTR_NULL(segments_base(s, 2));
	CU_ASSERT_PTR_NULL(segments_base(s, UINT32_MAX));
	segments_free(s);
	s = segments_new(-1, 0);
	ASSERT_INT(segments_alloc(s, 2, &a), -ENOSPC);
	segments_free(s);
	segments_free(NULL);
}

/* One segment ahead, never more, and none beyond the budget. */
static void room(void)
{
	struct segments *s = segments_new(-1, 2 * MIB);
	struct blob a, b, c;

	for (int i = 0; i < 3; i++) {
		segments_make_room(s);
		ASSERT_INT(segments_stats(s).n_segments, 1);
	}
	CU_ASSERT(!segments_alloc(s, UNW_PART_MAX_BYTES / 4, &a));
	segments_make_room(s); /* the largest part still fits */
	ASSERT_INT(segments_stats(s).n_segments, 1);
	CU_ASSERT(!segments_alloc(s, 2, &b));
	segments_make_room(s);
	ASSERT_INT(segments_stats(s).n_segments, 2);
	CU_ASSERT(!segments_alloc(s, UNW_SEGMENT_WORDS, &c));
	ASSERT_INT(c.segment, 1);
	segments_make_room(s);
	ASSERT_INT(segments_stats(s).n_segments, 2);
	ASSERT_INT(segments_alloc(s, UNW_PART_MAX_BYTES / 4, &c), -ENOSPC);
	segments_free(s);
}

/* A program may still read what was given back: it is reused only later, and zeroed. */
static void grace(void)
{
	struct segments *s = segments_new(-1, MIB);
	struct blob a, b, old;

	CU_ASSERT(!segments_alloc(s, UNW_SEGMENT_WORDS, &a));
	memset(segments_words(s, &a), 0xab, MIB);
	old = a;
	segments_release(s, &a);
	ASSERT_INT(a.n_words, 0);
	segments_release(s, &a); /* twice does nothing */
	ASSERT_INT(segments_alloc(s, 2, &b), -ENOSPC);
	ASSERT_INT(*segments_words(s, &old), 0xabababab);
	past_grace();
	CU_ASSERT(!segments_alloc(s, UNW_SEGMENT_WORDS, &b));
	ASSERT_INT(*segments_words(s, &b), 0);
	segments_free(s);
}

/* Random sizes, against a map of who has which word: no overlap, and all merges again. */
static void churn(void)
{
	enum { N = 200 };
	struct segments *s = segments_new(-1, 4 * MIB);
	static __u8 owner[4 * UNW_SEGMENT_WORDS];
	struct blob blobs[N] = {0}, whole;
	unsigned seed = 3, overlaps = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			struct blob *b = &blobs[i];

			if (rand_r(&seed) % 3 == 0)
				continue;
			if (b->n_words) {
				memset(owner + b->segment * UNW_SEGMENT_WORDS + b->offset, 0,
				       b->n_words);
				segments_release(s, b);
			} else if (!segments_alloc(s, 1 + (__u32)rand_r(&seed) % 20000, b)) {
				__u8 *own = owner + b->segment * UNW_SEGMENT_WORDS + b->offset;

				overlaps +=
					b->offset % 2 || b->offset + b->n_words > UNW_SEGMENT_WORDS;
				for (__u32 k = 0; k < b->n_words; k++)
					overlaps += own[k]++ != 0;
			}
		}
		past_grace();
	}
	ASSERT_INT(overlaps, 0);
	for (int i = 0; i < N; i++)
		segments_release(s, &blobs[i]);
	past_grace();
	for (int i = 0; i < 4; i++)
		CU_ASSERT(!segments_alloc(s, UNW_SEGMENT_WORDS, &whole)); /* in one piece each */
	ASSERT_INT(segments_stats(s).bytes_used, 4 * MIB);
	segments_free(s);
}

SUITE(segment, {"bounds", bounds}, {"room", room}, {"grace", grace}, {"churn", churn});
