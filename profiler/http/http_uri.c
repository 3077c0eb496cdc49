// SPDX-License-Identifier: Apache-2.0
/* Request targets, see http_uri.h. */
#include "profiler/http/http_uri.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "profiler/base/utf8.h"

static void set_problem(struct http_problem *problem, unsigned status, const char *code,
			const char *fmt, ...) PRINTF(4, 5);
static void set_problem(struct http_problem *problem, unsigned status, const char *code,
			const char *fmt, ...)
{
	va_list args;

	problem->status = status;
	problem->code = code;
	va_start(args, fmt);
	vsnprintf(problem->message, sizeof(problem->message), fmt, args);
	va_end(args);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* The byte that %XX stands for, or -1. */
static int decode_escape(const char *s, size_t left)
{
	int high = left > 2 ? hex_digit(s[1]) : -1;
	int low = high >= 0 ? hex_digit(s[2]) : -1;

	return low >= 0 ? high << 4 | low : -1;
}

static bool is_utf8(const char *s, size_t len)
{
	while (len) {
		size_t n = utf8_len(s, len);

		if (!n)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

/* Percent-decode len bytes; plus: '+' stands for a space (queries). NULL for a bad escape, a
 * control character, bytes that are not UTF-8, or when memory ends. */
static char *decode(const char *s, size_t len, bool plus, struct arena *arena)
{
	char *out = arena_alloc(arena, len + 1), *p = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)s[i];

		if (c == '%') {
			c = decode_escape(s + i, len - i);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c < 0x20 || c == 0x7f)
			return NULL;
		*p++ = (char)c;
	}
	*p = 0;
	return is_utf8(out, (size_t)(p - out)) ? out : NULL;
}

char *http_uri_path(const char *target, const char **ret_query, struct arena *arena,
		    struct http_problem *problem)
{
	const char *question;
	size_t len;
	char *path;

	/* Absolute form, as a client sends it that believes us to be its proxy. */
	if (!strncasecmp(target, "http://", 7)) {
		target += 7;
		target += strcspn(target, "/?");
	}
	question = strchr(target, '?');
	len = question ? (size_t)(question - target) : strlen(target);
	if (target[0] != '/') {
		set_problem(problem, 400, "bad_target", "the request's target must begin with /");
		return NULL;
	}
	path = decode(target, len, false, arena);
	if (!path) {
		set_problem(problem, 400, "bad_target",
			    "the path is not UTF-8 text with whole %%XX escapes");
		return NULL;
	}
	*ret_query = question ? question + 1 : "";
	return path;
}

/* Length of the match: 0 none, else prefix length + 1, or SIZE_MAX for an exact one. */
static size_t match(const struct http_route *route, const char *path)
{
	size_t len = strlen(route->path);

	if (route->path[len - 1] != '*')
		return strcmp(route->path, path) ? 0 : SIZE_MAX;
	return strncmp(route->path, path, len - 1) ? 0 : len;
}

size_t http_routes_find(const char *path, const struct http_route **out, size_t max)
{
	size_t n = 0, best = 0;

	registry_for_each (http_routes, it) {
		size_t m = match(*it, path);

		if (m > best) {
			best = m;
			n = 0;
		}
		if (m && m == best && n < max)
			out[n++] = *it;
	}
	return n;
}

static void unknown_key(const struct http_route *route, const char *key,
			struct http_problem *problem)
{
	char known[256] = "";
	size_t len = 0;

	for (const struct option_row *row = route->query; row && row->name; row++)
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						len ? ", " : "", row->name);
	if (len)
		set_problem(problem, 400, "unknown_key", "unknown query key '%.60s'; %s knows: %s",
			    key, route->path, known);
	else
		set_problem(problem, 400, "unknown_key", "unknown query key '%.60s'; %s takes none",
			    key, route->path);
}

/* One k=v of len bytes. */
static int parse_pair(const struct http_route *route, const char *pair, size_t len, __u64 *seen,
		      void *values, struct arena *arena, struct http_problem *problem)
{
	const char *equals = memchr(pair, '=', len);
	size_t key_len = equals ? (size_t)(equals - pair) : len;
	char *key = decode(pair, key_len, true, arena);
	char *value = decode(equals ? equals + 1 : "", equals ? len - key_len - 1 : 0, true, arena);
	char error[OPTION_ERROR_MAX];
	const struct option_row *row;
	size_t index;
	int err;

	if (!key || !value) {
		set_problem(problem, 400, "bad_query",
			    "the query is not UTF-8 text with whole %%XX escapes");
		return -1;
	}
	row = route->query ? option_find(route->query, key) : NULL;
	if (!row) {
		unknown_key(route, key, problem);
		return -1;
	}
	index = (size_t)(row - route->query);
	if (*seen & 1ULL << index) {
		set_problem(problem, 400, "repeated_key", "query key '%s' is there twice", key);
		return -1;
	}
	*seen |= 1ULL << index;
	err = option_parse(row, value, values, arena, error, sizeof(error));
	if (err)
		set_problem(problem,
			    err == -ERANGE   ? 422
			    : err == -ENOMEM ? 503
					     : 400,
			    err == -ERANGE ? "out_of_range" : "bad_value", "%s: %.400s", key,
			    error);
	return err ? -1 : 0;
}

int http_query_parse(const struct http_route *route, const char *query, void *values,
		     struct arena *arena, struct http_problem *problem)
{
	__u64 seen = 0;
	size_t rows = 0;

	while (route->query && route->query[rows].name)
		rows++;
	BUG_ON(rows > HTTP_MAX_QUERY_KEYS);
	if (rows && option_defaults(route->query, values, arena)) {
		set_problem(problem, 503, "out_of_memory", "out of memory; try again later");
		return -1;
	}
	while (*query) {
		size_t len = strcspn(query, "&");

		if (len && parse_pair(route, query, len, &seen, values, arena, problem))
			return -1;
		query += len + (query[len] == '&');
	}
	return 0;
}
