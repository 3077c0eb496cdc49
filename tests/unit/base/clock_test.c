// SPDX-License-Identifier: Apache-2.0
#include "profiler/base/clock.h"

#include <errno.h>

#include "tests/unit/test.h"

static void durations(void)
{
	__u64 ns = 7;
	char out[32];

	ASSERT_INT(units_parse_duration("15", &ns), 0);
	ASSERT_INT(ns, 15 * NS_PER_S);
	ASSERT_INT(units_parse_duration("1500ms", &ns), 0);
	ASSERT_INT(ns, 1500 * NS_PER_MS);
	ASSERT_INT(units_parse_duration("2d", &ns), 0);
	ASSERT_INT(ns, 2 * 86400 * NS_PER_S);
	units_format_duration(ns, out, sizeof(out));
	ASSERT_STR(out, "2d");
	units_format_duration(1500 * NS_PER_MS, out, sizeof(out));
	ASSERT_STR(out, "1500ms");
	units_format_duration(0, out, sizeof(out));
	ASSERT_STR(out, "0ms");
	ns = 7;
	ASSERT_INT(units_parse_duration("", &ns), -EINVAL);
	ASSERT_INT(units_parse_duration("-1s", &ns), -EINVAL);
	ASSERT_INT(units_parse_duration("1.5s", &ns), -EINVAL);
	ASSERT_INT(units_parse_duration("1 s", &ns), -EINVAL);
	ASSERT_INT(units_parse_duration("1S", &ns), -EINVAL);
	ASSERT_INT(units_parse_duration("99999999999999999999", &ns), -ERANGE);
	ASSERT_INT(units_parse_duration("999999999999d", &ns), -ERANGE);
	ASSERT_INT(ns, 7);
}

static void sizes(void)
{
	__u64 bytes;
	char out[32];

	ASSERT_INT(units_parse_size("40MiB", &bytes), 0);
	ASSERT_INT(bytes, 40 << 20);
	ASSERT_INT(units_parse_size("123", &bytes), 0);
	ASSERT_INT(bytes, 123);
	ASSERT_INT(units_parse_size("40MB", &bytes), -EINVAL);
	ASSERT_INT(units_parse_size("40 MiB", &bytes), -EINVAL);
	units_format_size(3ULL << 30, out, sizeof(out));
	ASSERT_STR(out, "3GiB");
	units_format_size(1025, out, sizeof(out));
	ASSERT_STR(out, "1025");
}

static void numbers(void)
{
	__u64 v;

	ASSERT_INT(units_parse_hex("0x1139", &v), 0);
	ASSERT_INT(v, 0x1139);
	ASSERT_INT(units_parse_hex("ffffffffffffffff", &v), 0);
	CU_ASSERT(v == UINT64_MAX);
	ASSERT_INT(units_parse_hex("10000000000000000", &v), -ERANGE);
	ASSERT_INT(units_parse_hex("0x", &v), -EINVAL);
	ASSERT_INT(units_parse_hex("12g", &v), -EINVAL);
	ASSERT_INT(units_parse_u64("18446744073709551615", &v), 0);
	ASSERT_INT(units_parse_u64("18446744073709551616", &v), -ERANGE);
	ASSERT_INT(units_parse_u64("1x", &v), -EINVAL);
}

SUITE(clock, {"durations", durations}, {"sizes", sizes}, {"numbers", numbers});
