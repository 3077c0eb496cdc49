// SPDX-License-Identifier: Apache-2.0
/* What a request must pass before a handler sees it, in this order; see http.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "profiler/base/clock.h"
#include "profiler/http/http_internal.h"
#include "profiler/http/http_listen.h"
#include "profiler/http/http_uri.h"

#define MAX_METHODS 8 /* routes of one path */

static void refuse(struct http_exchange *ex, enum http_refusal why)
{
	ex->server->refused[why]++;
}

/* The bearer token of the request, "" for none; other schemes count as none. */
static const char *bearer(struct http_exchange *ex)
{
	const char *value = http_request_header(&ex->req, "Authorization");

	if (!value || strncasecmp(value, "Bearer ", 7))
		return "";
	return value + 7 + strspn(value + 7, " ");
}

/* False when an answer was given. Open routes are served either way, but know who is trusted. */
static bool check_token(struct http_exchange *ex)
{
	struct http_server *server = ex->server;
	const char *given;

	ex->req.trusted = true;
	if (!server->token.path)
		return true;
	secret_refresh(&server->token, clock_monotonic_ns());
	given = bearer(ex);
	ex->req.trusted = secret_equals(&server->token, given, strlen(given));
	if (ex->req.trusted || (ex->req.route && ex->req.route->open))
		return true;
	refuse(ex, HTTP_REFUSED_TOKEN);
	http_header(&ex->req, "WWW-Authenticate", "Bearer");
	http_error(&ex->req, 401, *given ? "wrong_token" : "token_needed",
		   "%s; send `Authorization: Bearer TOKEN` with the one from http.token_file",
		   *given ? "the bearer token is wrong" : "this agent wants a bearer token");
	return false;
}

/* A page of another site can make its visitor's browser ask us. It cannot read our answers (no CORS
 * headers) nor send a token, but without a token it could reach us under its own name (rebinding)
 * or post. */
static bool check_origin(struct http_exchange *ex, const char *method)
{
	const char *host = http_request_header(&ex->req, "Host");
	const char *origin = http_request_header(&ex->req, "Origin"), *at;

	if (!ex->server->token.path && !http_host_allowed(host, &ex->server->hosts)) {
		refuse(ex, HTTP_REFUSED_HOST);
		http_error(&ex->req, 403, "host_refused",
			   "'%.100s' is not a name of this agent; if it is, add it to "
			   "http.allowed_hosts",
			   host);
		return false;
	}
	if (!origin || !strcmp(method, "GET") || !strcmp(method, "HEAD"))
		return true;
	at = strstr(origin, "://");
	if (at && host && !strcasecmp(at + 3, host))
		return true;
	refuse(ex, HTTP_REFUSED_ORIGIN);
	http_error(&ex->req, 403, "origin_refused", "pages of other sites may not change anything");
	return false;
}

/* Sets req.route; false when 404 or 405 was answered. */
static bool find_route(struct http_exchange *ex, const char *method)
{
	const struct http_route *found[MAX_METHODS];
	size_t n = http_routes_find(ex->req.path, found, MAX_METHODS), len;
	char allow[128] = "";

	for (size_t i = 0; i < n; i++) {
		bool get = !strcmp(found[i]->method, "GET");

		if (!strcmp(found[i]->method, method) || (get && ex->req.head)) {
			ex->req.route = found[i];
			len = strlen(found[i]->path);
			if (found[i]->path[len - 1] == '*')
				ex->req.rest = ex->req.path + len - 1;
			return true;
		}
		len = strlen(allow);
		snprintf(allow + len, sizeof(allow) - len, "%s%s%s", len ? ", " : "",
			 found[i]->method, get ? ", HEAD" : "");
	}
	if (!check_token(ex))
		return false; /* strangers learn nothing of what exists */
	if (!n) {
		http_error(&ex->req, 404, "not_found", "nothing is served at '%.200s'",
			   ex->req.path);
		return false;
	}
	http_header(&ex->req, "Allow", allow);
	http_error(&ex->req, 405, "method_not_allowed", "'%.20s' is not possible here; %s is",
		   method, allow);
	return false;
}

static bool check_query(struct http_exchange *ex, const char *query)
{
	const struct http_route *route = ex->req.route;
	struct http_problem problem;
	void *values = arena_zalloc(&ex->arena, MAX(route->query_size, (size_t)8));

	if (!values) {
		http_error(&ex->req, 503, "out_of_memory", "out of memory; try again later");
		return false;
	}
	if (http_query_parse(route, query, values, &ex->arena, &problem)) {
		http_error(&ex->req, problem.status, problem.code, "%s", problem.message);
		return false;
	}
	ex->req.query = route->query ? values : NULL;
	return true;
}

/* A body that is announced too large is not waited for. */
static bool check_length(struct http_exchange *ex)
{
	const char *length = http_request_header(&ex->req, "Content-Length");
	__u64 bytes;

	if (!length || (!units_parse_u64(length, &bytes) && bytes <= ex->req.route->max_body))
		return true;
	http_error(&ex->req, 413, "body_too_large", "the body may have %zu bytes here",
		   ex->req.route->max_body);
	return false;
}

bool http_exchange_check(struct http_exchange *ex, const char *method)
{
	struct http_problem problem;
	const char *query = "";

	ex->req.head = !strcmp(method, "HEAD");
	if (!ex->target || strlen(ex->target) > HTTP_MAX_URI) {
		http_error(&ex->req, ex->target ? 414 : 503,
			   ex->target ? "target_too_long" : "out_of_memory",
			   ex->target ? "the request's target may have 8192 bytes"
				      : "out of memory; try again later");
		return false;
	}
	ex->req.path = http_uri_path(ex->target, &query, &ex->arena, &problem);
	if (!ex->req.path) {
		http_error(&ex->req, problem.status, problem.code, "%s", problem.message);
		return false;
	}
	return check_origin(ex, method) && find_route(ex, method) && check_token(ex) &&
	       check_query(ex, query) && check_length(ex);
}
