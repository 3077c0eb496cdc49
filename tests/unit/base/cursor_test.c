// SPDX-License-Identifier: Apache-2.0
#include "profiler/base/cursor.h"

#include "tests/unit/test.h"

static void reads_stop_at_the_end(void)
{
	static const __u8 bytes[] = {1, 2, 0, 3, 0, 0, 0, 'h', 'i', 0, 'x'};
	struct cursor c = cursor_of(bytes, sizeof(bytes));

	ASSERT_INT(cursor_u8(&c), 1);
	ASSERT_INT(cursor_u16(&c), 2);
	ASSERT_INT(cursor_u32(&c), 3);
	ASSERT_STR(cursor_str(&c), "hi");
	CU_ASSERT(!c.bad);
	ASSERT_STR(cursor_str(&c), "");
	CU_ASSERT(c.bad);
	ASSERT_INT(cursor_left(&c), 0);
	ASSERT_INT(cursor_u8(&c), 0);
	CU_ASSERT_PTR_NULL(cursor_bytes(&c, 1));
}

static void empty_windows(void)
{
	struct cursor c = cursor_of(NULL, 0);

	ASSERT_INT(cursor_uleb(&c), 0);
	CU_ASSERT(c.bad);
	c = cursor_of(NULL, 0);
	ASSERT_STR(cursor_str(&c), "");
	CU_ASSERT(c.bad);
	CU_ASSERT_PTR_NULL(cursor_str_at(&c, 0));
}

static void leb128(void)
{
	static const __u8 bytes[] = {0xe5, 0x8e, 0x26, 0x7f, 0x80, 0x7f, 0x3f, 0x40};
	static const __u8 max[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
	static const __u8 padded[] = {0x81, 0x80, 0x80, 0x80, 0x80, 0x80,
				      0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
	static const __u8 cut[] = {0x80, 0x80};
	struct cursor c = cursor_of(bytes, sizeof(bytes));

	ASSERT_INT(cursor_uleb(&c), 624485);
	ASSERT_INT(cursor_sleb(&c), -1);
	ASSERT_INT(cursor_sleb(&c), -128);
	ASSERT_INT(cursor_sleb(&c), 63);
	ASSERT_INT(cursor_sleb(&c), -64);
	CU_ASSERT(!c.bad);
	c = cursor_of(max, sizeof(max));
	CU_ASSERT(cursor_uleb(&c) == UINT64_MAX);
	c = cursor_of(padded, sizeof(padded));
	ASSERT_INT(cursor_uleb(&c), 1);
	CU_ASSERT(!c.bad);
	c = cursor_of(cut, sizeof(cut));
	ASSERT_INT(cursor_uleb(&c), 0);
	CU_ASSERT(c.bad);
}

static void windows(void)
{
	static const __u8 bytes[] = {1, 2, 3, 4, 5};
	struct cursor c = cursor_of(bytes, sizeof(bytes)), sub = cursor_sub(&c, 2);

	ASSERT_INT(cursor_left(&sub), 2);
	ASSERT_INT(cursor_u16(&sub), 0x0201);
	ASSERT_INT(cursor_u8(&sub), 0);
	CU_ASSERT(sub.bad && !c.bad);
	ASSERT_INT(cursor_uint(&c, 3), 0x050403);
	sub = cursor_sub(&c, 1);
	CU_ASSERT(sub.bad && c.bad);
	c = cursor_of(bytes, sizeof(bytes));
	cursor_skip(&c, UINT64_MAX);
	CU_ASSERT(c.bad);
	c = cursor_of(bytes, sizeof(bytes));
	cursor_seek(&c, 5);
	CU_ASSERT(!c.bad);
	cursor_seek(&c, 6);
	CU_ASSERT(c.bad);
	c = cursor_of(bytes, sizeof(bytes));
	ASSERT_INT(cursor_uint(&c, 9), 0);
	CU_ASSERT(c.bad);
}

SUITE(cursor, {"reads stop at the end", reads_stop_at_the_end}, {"empty windows", empty_windows},
      {"LEB128", leb128}, {"windows", windows});
