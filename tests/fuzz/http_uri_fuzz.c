// SPDX-License-Identifier: Apache-2.0
/* A request target of anybody's making: path, route and query, against every registered route and a
 * table with all types of query keys. */
#include <stdlib.h>
#include <string.h>

#include "profiler/base/utf8.h"
#include "profiler/http/http_config.h"
#include "profiler/http/http_listen.h"
#include "profiler/http/http_uri.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

struct all_types {
	bool b;
	__s64 i;
	__u64 u, ns, bytes;
	double f;
	const char *text, *path;
	int choice;
	struct option_list list;
};

static const char *const choices[] = {"one", "two", NULL};
static const struct option_row rows[] = {
	OPTION_ROW(BOOL, struct all_types, b, .help = "h"),
	OPTION_ROW(INT, struct all_types, i, .min = "-10", .max = "10", .help = "h"),
	OPTION_ROW(U64, struct all_types, u, .max = "997", .help = "h"),
	OPTION_ROW(FLOAT, struct all_types, f, .help = "h"),
	OPTION_ROW(DURATION, struct all_types, ns, .help = "h"),
	OPTION_ROW(SIZE, struct all_types, bytes, .help = "h"),
	OPTION_ROW(STRING, struct all_types, text, .help = "h"),
	OPTION_ROW(PATH, struct all_types, path, .def = "/", .help = "h"),
	OPTION_ROW(ENUM, struct all_types, choice, .choices = choices, .help = "h"),
	OPTION_ROW(LIST, struct all_types, list, .help = "h"),
	{0},
};
static const struct http_route route = {
	.method = "GET", .path = "/", .query = rows, .query_size = sizeof(struct all_types)};

static void check_query(const char *query, struct arena *arena)
{
	struct all_types values = {0};
	struct http_problem problem = {0};

	if (http_query_parse(&route, query, &values, arena, &problem)) {
		if (problem.status < 400 || !problem.code || !*problem.message)
			abort();
		return;
	}
	if (values.u > 997 || values.i < -10 || values.i > 10 || !values.text || !values.path ||
	    values.path[0] != '/' || values.list.n > OPTION_MAX_ITEMS)
		abort();
	for (const char *p = values.text; *p;) {
		size_t n = utf8_len(p, strlen(p));

		if (!n || (unsigned char)*p < 0x20)
			abort();
		p += n;
	}
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const struct http_config config;
	const struct http_route *found[4];
	struct arena arena = {.limit = 1 << 20};
	struct http_problem problem = {0};
	char *target = strndup((const char *)data, size), *path;
	struct http_address address;
	const char *query;
	char error[512];

	path = http_uri_path(target, &query, &arena, &problem);
	if (path) {
		http_routes_find(path, found, 4);
		check_query(query, &arena);
	} else if (problem.status != 400) {
		abort();
	}
	http_host_allowed(target, &config);
	if (!http_address_parse(target, &address, error, sizeof(error)) && !address.len)
		abort();
	arena_fini(&arena);
	free(target);
	return 0;
}
