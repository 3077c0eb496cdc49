// SPDX-License-Identifier: Apache-2.0
/*
 * GET /api/v1/profile: a profile of any stretch of the past, of any choice of series, in any format
 * (query/query.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/clock.h"
#include "profiler/export/export.h"
#include "profiler/http/http.h"
#include "profiler/http/query_args.h"
#include "profiler/query/query.h"

struct profile_query {
	struct range_args range;
	const char *base_from, *base_to, *base_match;
	const char *format;
	int group;
	__u64 max_nodes;
};

static const char *const groups[] = {"none", "comm", "pid", "tid", NULL}; /* enum store_group */

static const struct option_row profile_rows[] = {
	RANGE_ROWS(struct profile_query),
	OPTION_ROW(STRING, struct profile_query, base_from,
		   .help = "compare with the range that begins here; with base_to"),
	OPTION_ROW(STRING, struct profile_query, base_to, .help = "and ends here"),
	OPTION_ROW(STRING, struct profile_query, base_match, .help = "of these series; the same"),
	OPTION_ROW(STRING, struct profile_query, format, .def = "json",
		   .help = "pprof, folded, html, svg, speedscope, json or text"),
	OPTION_ROW(ENUM, struct profile_query, group, .def = "none", .choices = groups,
		   .help = "none, comm, pid or tid: a root frame for each"),
	OPTION_ROW(U64, struct profile_query, max_nodes, .min = "1", .max = "1000000",
		   .help = "json, html, svg: the largest nodes stay, the others become `other`"),
	{0},
};

/* A request that waits for its profile. */
struct waiting {
	struct http_request *req;
	const struct export_format *format;
	struct query *query;
};

static void answer(void *arg, int err, const char *why, struct buf *body)
{
	struct waiting *w = arg;

	if (err)
		query_args_fail(w->req, err, "profile", why);
	else
		http_reply_packed(w->req, 200, w->format->content_type, body);
	free(w);
}

static void client_gone(void *arg)
{
	struct waiting *w = arg;

	query_cancel(w->query);
	free(w);
}

/* The baseline: whatever of it is given; the rest is as in the range. False when an error was
 * answered. */
static bool parse_base(struct http_request *req, const struct profile_query *q,
		       struct query_range *ret_base)
{
	struct range_args args = q->range;
	const char *kind;

	if (!*q->base_from && !*q->base_to && !*q->base_match)
		return true;
	if (!*q->base_from != !*q->base_to) {
		http_error(req, 400, "half_a_base", "give base_from and base_to together");
		return false;
	}
	if (*q->base_from) {
		args.from = q->base_from;
		args.to = q->base_to;
	}
	if (*q->base_match)
		args.match = q->base_match;
	return query_args_range(req, &args, &kind, ret_base);
}

static void handle_profile(struct http_request *req)
{
	const struct profile_query *q = req->query;
	struct query_request request = {
		.group = (enum store_group)q->group,
		.format = export_format_find(q->format),
		.max_nodes = (__u32)q->max_nodes,
	};
	struct waiting *w;
	int err;

	if (!request.format) {
		http_error(req, 400, "unknown_format",
			   "unknown format '%s'; there are pprof, folded, html, svg, speedscope, "
			   "json and text",
			   q->format);
		return;
	}
	if (request.group == STORE_GROUP_NONE &&
	    (!strcmp(request.format->name, "folded") || !strcmp(request.format->name, "text")))
		request.group = STORE_GROUP_COMM; /* their lines begin so */
	if (!query_args_range(req, &q->range, &request.kind, &request.range))
		return;
	if (!parse_base(req, q, &request.base)) {
		selector_free(request.range.selector);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		selector_free(request.range.selector);
		selector_free(request.base.selector);
		query_args_refuse(req, -ENOMEM, "profiles", QUERY_MAX);
		return;
	}
	request.gzip = http_takes_gzip(req, request.format->content_type);
	*w = (struct waiting){.req = req, .format = request.format};
	err = query_start(agent_queries(req->agent), &request, answer, w, &w->query);
	if (err) {
		free(w);
		query_args_refuse(req, err, "profiles", QUERY_MAX);
		return;
	}
	http_suspend(req, request.format->content_type, client_gone, w);
}
HTTP_ROUTE(query_profile, .method = "GET", .path = "/api/v1/profile",
	   .help = "a profile of the past: from=, to=, match={...}, format=", .query = profile_rows,
	   .query_size = sizeof(struct profile_query), .handle = handle_profile);
