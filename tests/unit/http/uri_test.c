// SPDX-License-Identifier: Apache-2.0
#include "profiler/http/http_uri.h"

#include <string.h>

#include "tests/unit/test.h"

struct test_query {
	__u64 hz, seconds;
	const char *match;
	struct option_list pids;
};

static const struct option_row query_rows[] = {
	OPTION_ROW(U64, struct test_query, hz, .def = "99", .min = "1", .max = "997", .help = "h"),
	OPTION_ROW(U64, struct test_query, seconds, .def = "30", .help = "h"),
	OPTION_ROW(STRING, struct test_query, match, .help = "h"),
	OPTION_ROW(LIST, struct test_query, pids, .help = "h"),
	{0},
};
static const struct http_route test_route = {.method = "GET",
					     .path = "/t",
					     .query = query_rows,
					     .query_size = sizeof(struct test_query)};
static const struct http_route bare_route = {.method = "GET", .path = "/b"};

static struct arena arena;

static void paths(void)
{
	struct http_problem problem;
	const char *query;

	ASSERT_STR(http_uri_path("/", &query, &arena, &problem), "/");
	ASSERT_STR(query, "");
	ASSERT_STR(http_uri_path("/a%2fb%20c?x=1?y", &query, &arena, &problem), "/a/b c");
	ASSERT_STR(query, "x=1?y");
	ASSERT_STR(http_uri_path("/a+b%e6%9b%b2", &query, &arena, &problem), "/a+b\xe6\x9b\xb2");
	ASSERT_STR(http_uri_path("http://h:1/x?y", &query, &arena, &problem), "/x");
	ASSERT_STR(query, "y");
	for (const char *const *bad =
		     (const char *const[]){"", "*", "x", "http://h", "/%", "/%4", "/%zz", "/%00",
					   "/%0a", "/%ff", "/\x01", "https://h/", NULL};
	     *bad; bad++) {
		CU_ASSERT_PTR_NULL(http_uri_path(*bad, &query, &arena, &problem));
		ASSERT_INT(problem.status, 400);
	}
	arena_fini(&arena);
}

/* Expects a problem of this status whose message holds the text. */
static void expect_problem(const struct http_route *route, const char *query, unsigned status,
			   const char *text)
{
	struct http_problem problem = {0};
	struct test_query q = {0};

	ASSERT_INT(http_query_parse(route, query, &q, &arena, &problem), -1);
	ASSERT_INT(problem.status, status);
	if (!strstr(problem.message, text))
		ASSERT_STR(problem.message, text);
}

static void queries(void)
{
	struct http_problem problem;
	struct test_query q = {0};

	ASSERT_INT(http_query_parse(&test_route, "", &q, &arena, &problem), 0);
	CU_ASSERT(q.hz == 99 && q.seconds == 30 && q.pids.n == 0);
	ASSERT_INT(http_query_parse(&test_route, "&seconds=5&&match=%7Ba%3D%22x+y%22%7D&pids=1,2&",
				    &q, &arena, &problem),
		   0);
	CU_ASSERT(q.hz == 99 && q.seconds == 5 && q.pids.n == 2);
	ASSERT_STR(q.match, "{a=\"x y\"}");
	expect_problem(&test_route, "hz=998", 422, "hz: '998' is out of range: 1 to 997");
	expect_problem(&test_route, "hz=9x", 400, "hz: '9x' is not a whole number");
	expect_problem(&test_route, "hz", 400, "hz: '' is not a whole number");
	expect_problem(&test_route, "second=5", 400,
		       "unknown query key 'second'; /t knows: hz, seconds, match, pids");
	expect_problem(&test_route, "hz=1&h%7A=2", 400, "query key 'hz' is there twice");
	expect_problem(&test_route, "match=%ff", 400, "not UTF-8");
	expect_problem(&test_route, "%=1", 400, "escapes");
	expect_problem(&bare_route, "x", 400, "unknown query key 'x'; /b takes none");
	arena_fini(&arena);
}

SUITE(http_uri, {"paths", paths}, {"queries", queries});
