// SPDX-License-Identifier: Apache-2.0
/* Points of time as users write them. */
#include <errno.h>

#include "profiler/base/clock.h"
#include "profiler/query/query.h"
#include "tests/unit/test.h"

#define NOW (1795302840 * NS_PER_S + 5)

static void what_is_a_time(void)
{
	static const struct {
		const char *text;
		int err;
		__u64 ns;
	} rows[] = {
		{"now", 0, NOW},
		{"now-15m", 0, NOW - 900 * NS_PER_S},
		{"now-90", 0, NOW - 90 * NS_PER_S},
		{"now-1d", 0, NOW - 86400 * NS_PER_S},
		{"0", 0, 0},
		{"1795302840", 0, 1795302840 * NS_PER_S},
		{"1795302840.25", 0, 1795302840 * NS_PER_S + 250 * NS_PER_MS},
		{"2026-11-21T23:14:00Z", 0, 1795302840 * NS_PER_S},
		{"2026-11-21T23:14:00.5z", 0, 1795302840 * NS_PER_S + 500 * NS_PER_MS},
		{"2026-11-21 23:14:00Z", 0, 1795302840 * NS_PER_S},
		{"2026-11-22T01:14:00+02:00", 0, 1795302840 * NS_PER_S},
		{"2026-11-21T17:44:00-05:30", 0, 1795302840 * NS_PER_S},
		{"2024-02-29T00:00:00Z", 0, 1709164800 * NS_PER_S},
		{"1970-01-01T00:00:00Z", 0, 0},
		{"2023-02-29T00:00:00Z", -EINVAL, 0},
		{"2026-13-01T00:00:00Z", -EINVAL, 0},
		{"2026-11-21T24:14:00Z", -EINVAL, 0},
		{"2026-11-21T23:14:00", -EINVAL, 0},
		{"2026-11-21T23:14:00.Z", -EINVAL, 0},
		{"2026-11-21", -EINVAL, 0},
		{"1969-12-31T23:59:59Z", -ERANGE, 0},
		{"9999-12-31T23:59:59Z", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"now-9999999d", -ERANGE, 0},
		{"", -EINVAL, 0},
		{" now", -EINVAL, 0},
		{"now+5m", -EINVAL, 0},
		{"now-", -EINVAL, 0},
		{"now-5x", -EINVAL, 0},
		{"now--5", -EINVAL, 0},
		{"nowish", -EINVAL, 0},
		{"-5", -EINVAL, 0},
		{"+5", -EINVAL, 0},
		{"1e9", -EINVAL, 0},
		{"12.", -EINVAL, 0},
		{"NaN", -EINVAL, 0},
		{"1795302840.1234567891234567890123", 0, 1795302840 * NS_PER_S + 123456789},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__u64 ns = 77;
		int err = query_parse_time(rows[i].text, NOW, &ns);

		if (err != rows[i].err || ns != (err ? 77 : rows[i].ns))
			printf("'%s': %d, %llu\n", rows[i].text, err, (unsigned long long)ns);
		ASSERT_INT(err, rows[i].err);
		ASSERT_INT(ns, err ? 77 : rows[i].ns);
	}
}

SUITE(query_time, {"what is a time", what_is_a_time});
