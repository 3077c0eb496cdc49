/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request target (RFC 9112 section 3.2) taken apart: path and query decoded, the route found, the
 * query held against the route's option rows. Pure functions over the caller's bytes; fuzzed.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/arena.h"
#include "profiler/base/check.h"
#include "profiler/http/http.h"

#define HTTP_MAX_QUERY_KEYS 64

/* What is wrong, as http_error wants it. */
struct http_problem {
	unsigned status;
	const char *code;
	char message[OPTION_ERROR_MAX];
};

/* Decode the path of a target (origin or absolute form) into the arena. *ret_query borrows what
 * follows the first '?' ("" for none). NULL with the problem told. */
char *http_uri_path(const char *target, const char **ret_query, struct arena *arena,
		    struct http_problem *problem);

/* The routes that serve a path: of those matching it the exact ones, else those of the longest
 * prefix. Fills at most max of them (one per method); 0 when there is none. */
size_t http_routes_find(const char *path, const struct http_route **out, size_t max);

/* Fill the route's query struct: defaults, then the keys of the query. 0, or -1 with the problem.
 */
MUST_CHECK int http_query_parse(const struct http_route *route, const char *query, void *values,
				struct arena *arena, struct http_problem *problem);
