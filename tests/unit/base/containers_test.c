// SPDX-License-Identifier: Apache-2.0
/* hmap, arena, strtab, vec, buf: against naive models, with random churn. */
#include <errno.h>
#include <stdlib.h>

#include "profiler/base/buf.h"
#include "profiler/base/hmap.h"
#include "profiler/base/strtab.h"
#include "tests/unit/test.h"

#define CHURN 20000u

static bool has(const struct hmap *map, __u64 hash, __u32 value)
{
	__u32 v;

	hmap_for_each_match (map, hash, v) {
		if (v == value)
			return true;
	}
	return false;
}

static void hmap_churn(void)
{
	struct hmap map = {0};
	bool *in = calloc(CHURN, sizeof(*in));
	unsigned seed = 1, live = 0;

	for (unsigned round = 0; round < 4 * CHURN; round++) {
		__u32 v = (__u32)rand_r(&seed) % CHURN;
		__u64 hash = v % 977; /* many collisions on purpose */

		ASSERT_INT(in[v] ? !hmap_del(&map, hash, v) : hmap_add(&map, hash, v), 0);
		live += in[v] ? -1u : 1u;
		in[v] = !in[v];
	}
	ASSERT_INT(map.len, live);
	for (__u32 v = 0; v < CHURN; v++)
		ASSERT_INT(has(&map, v % 977, v), in[v]);
	CU_ASSERT(!hmap_del(&map, 1, HMAP_NONE - 1));
	hmap_clear(&map);
	CU_ASSERT(!has(&map, 5, 5));
	hmap_fini(&map);
	free(in);
}

static void hmap_empty(void)
{
	struct hmap map = {0};

	CU_ASSERT(!has(&map, 1, 1));
	CU_ASSERT(!hmap_del(&map, 1, 1));
	CU_ASSERT(!hmap_move(&map, 1, 1, 2));
	hmap_clear(&map);
	hmap_fini(&map);
}

static void arena_limits(void)
{
	struct arena arena = {.limit = 64 << 10};
	size_t got = 0;
	char *p;

	while ((p = arena_alloc(&arena, 1000))) {
		memset(p, 0xaa, 1000);
		got += 1000;
	}
	CU_ASSERT(got >= 16000 && got <= 64 << 10);
	CU_ASSERT(arena.reserved <= arena.limit);
	CU_ASSERT_PTR_NULL(arena_alloc(&arena, SIZE_MAX));
	arena_reset(&arena);
	CU_ASSERT_PTR_NOT_NULL(arena_alloc(&arena, 1000));
	ASSERT_STR(arena_strndup(&arena, "abcd", 3), "abc");
	arena_fini(&arena);
}

static void strings_are_interned(void)
{
	struct strtab tab;
	__u32 a, full;

	ASSERT_INT(strtab_init(&tab, 4096), 0);
	ASSERT_INT(strtab_id(&tab, "", 0), 0);
	a = strtab_id(&tab, "main", 4);
	ASSERT_INT(strtab_id(&tab, "main.c", 4), a);
	CU_ASSERT(strtab_id(&tab, "mai", 3) != a);
	ASSERT_STR(strtab_get(&tab, a), "main");
	ASSERT_STR(strtab_get(&tab, 12345), "");
	for (int i = 0; i < 1000; i++) {
		char s[16];
		int n = snprintf(s, sizeof(s), "f%d", i);

		full = strtab_id(&tab, s, (size_t)n);
	}
	ASSERT_STR(strtab_get(&tab, full), STRTAB_FULL);
	CU_ASSERT(tab.refused_total > 0);
	ASSERT_INT(strtab_id(&tab, "main", 4), a);
	strtab_fini(&tab);
}

static void buffers(void)
{
	struct buf buf = {.limit = 20};

	buf_str(&buf, "abc");
	buf_printf(&buf, "-%d-", 12);
	buf_u64(&buf, 0);
	buf_char(&buf, '.');
	ASSERT_STR(buf.data, "abc-12-0.");
	buf_str(&buf, "this does not fit any more");
	ASSERT_INT(buf.err, -EFBIG);
	buf_char(&buf, 'x');
	ASSERT_STR(buf.data, "abc-12-0.");
	buf_reset(&buf);
	buf_u64(&buf, UINT64_MAX);
	ASSERT_STR(buf.data, "18446744073709551615");
	buf_fini(&buf);
}

static void long_printf(void)
{
	struct buf buf = {0};

	buf_printf(&buf, "%5000d|", 7);
	ASSERT_INT(buf.len, 5001);
	ASSERT_INT(buf.data[5000], '|');
	buf_fini(&buf);
}

SUITE(containers, {"hmap churn", hmap_churn}, {"hmap empty", hmap_empty},
      {"arena limits", arena_limits}, {"strings are interned", strings_are_interned},
      {"buffers", buffers}, {"long printf", long_printf});
