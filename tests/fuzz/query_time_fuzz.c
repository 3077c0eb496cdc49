// SPDX-License-Identifier: Apache-2.0
/*
 * Points of time of anybody's making: a number of nanoseconds whose seconds fit, or an error and
 * nothing written. What is written as RFC 3339 with strftime comes back as the same second, and a
 * time that lies back from now is never after it.
 */
#include <errno.h>
#include <time.h>

#include "profiler/base/clock.h"
#include "profiler/query/query.h"
#include "tests/fuzz/fuzz.h"

#define NOW_NS (1700000000ull * NS_PER_S)

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	char *text = fuzz_text(&c, size), written[64];
	__u64 ns = 42, back;
	int err = query_parse_time(text, NOW_NS, &ns);
	struct tm tm;
	time_t t;

	if (err) {
		CHECK((err == -EINVAL || err == -ERANGE) && ns == 42);
	} else {
		t = (time_t)(ns / NS_PER_S);
		CHECK(strncmp(text, "now", 3) || ns <= NOW_NS);
		CHECK(gmtime_r(&t, &tm));
		strftime(written, sizeof(written), "%Y-%m-%dT%H:%M:%SZ", &tm);
		CHECK(!query_parse_time(written, NOW_NS, &back));
		CHECK(back == (__u64)t * NS_PER_S);
	}
	free(text);
	return 0;
}
