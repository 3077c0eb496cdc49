// SPDX-License-Identifier: Apache-2.0
/* cpus.h: lists as the kernel writes them, and as it does not. */
#include "profiler/cpus.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define N 8

/* "10110000" for the CPUs that a list names; "" when it is refused. */
static const char *parsed(const char *list)
{
	static char out[N + 1];
	bool online[N];

	if (cpus_parse(list, online, N))
		return "";
	for (int i = 0; i < N; i++)
		out[i] = online[i] ? '1' : '0';
	return out;
}

static void lists(void)
{
	ASSERT_STR(parsed("0\n"), "10000000");
	ASSERT_STR(parsed("0-3\n"), "11110000");
	ASSERT_STR(parsed("0,2-3,7"), "10110001");
	ASSERT_STR(parsed("2,4-127\n"), "00101111"); /* beyond the table */
	ASSERT_STR(parsed("200-300\n"), "00000000");
	ASSERT_STR(parsed("\n"), "00000000");
	ASSERT_STR(parsed("0-18446744073709551615"), "11111111");
	ASSERT_STR(parsed("1-99999999999999999999999"), "01111111");
}

static void no_lists(void)
{
	static const char *const bad[] = {"x", "-3", "3-", "3-1", "1;2", " 1", "1 ", "1-2-3", ",1"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_STR(parsed(bad[i]), "");
}

static void this_host(void)
{
	bool online[4096];
	long n = 0;

	cpus_online(NULL, online, ARRAY_SIZE(online));
	for (size_t i = 0; i < ARRAY_SIZE(online); i++)
		n += online[i];
	ASSERT_INT(n, sysconf(_SC_NPROCESSORS_ONLN));
	cpus_online("/nowhere/at/all", online, ARRAY_SIZE(online));
	CU_ASSERT(online[0] && online[4095]); /* better too many */
}

SUITE(cpus, {"lists", lists}, {"no lists", no_lists}, {"this host", this_host});
