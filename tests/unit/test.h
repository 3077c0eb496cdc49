/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test file needs: CUnit's assertions, SUITE to register itself, SKIP with a reason. A suite
 * runs in a process of its own with a time limit (runner.c), so a crash or a hang fails that suite
 * and the others still run.
 *
 *	static void parses_units(void) { CU_ASSERT_EQUAL(...); }
 *	SUITE(clock, {"parses units", parses_units});
 */
#pragma once

#include <CUnit/CUnit.h>

#include "profiler/base/registry.h"

struct test_case {
	const char *name;
	void (*run)(void);
};

struct suite {
	const char *name;
	const struct test_case *cases; /* ends with an empty row */
	unsigned timeout_s;	       /* 0: 60 */
};

#define SUITE_TIMEOUT(name_, timeout_, ...)                                                        \
	static const struct test_case name_##_cases[] = {__VA_ARGS__, {0}};                        \
	static const struct suite name_##_suite = {#name_, name_##_cases, timeout_};               \
	REGISTER(suites, const struct suite, name_##_suite)
#define SUITE(name_, ...) SUITE_TIMEOUT(name_, 0, __VA_ARGS__)

/* Ends the running case as skipped, with the reason printed and counted. */
#define SKIP(...)                                                                                  \
	do {                                                                                       \
		test_skip(__VA_ARGS__);                                                            \
		return;                                                                            \
	} while (0)
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* CU_ASSERT_* that say both values when they fail. */
#define ASSERT_INT(actual, expected)                                                               \
	test_int((long long)(actual), (long long)(expected), #actual, __FILE__, __LINE__)
#define ASSERT_STR(actual, expected) test_str((actual), (expected), #actual, __FILE__, __LINE__)
void test_int(long long actual, long long expected, const char *what, const char *file, int line);
void test_str(const char *actual, const char *expected, const char *what, const char *file,
	      int line);

/* A folder of this suite's own, removed by the runner afterwards. */
const char *test_dir(void);
