// SPDX-License-Identifier: Apache-2.0
/* GET /api/v1/heatmap: samples by second and fraction of it (query/heatmap.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/clock.h"
#include "profiler/base/json.h"
#include "profiler/http/http.h"
#include "profiler/http/query_args.h"
#include "profiler/query/heatmap.h"

#define MAX_BODY ((size_t)16 << 20)

struct heatmap_query {
	struct range_args range;
	__u64 step_ns;
};

static const struct option_row heatmap_rows[] = {
	RANGE_ROWS(struct heatmap_query),
	OPTION_ROW_NAMED(DURATION, struct heatmap_query, step_ns, "step", .def = "20ms",
			 .min = "5ms", .max = "1s", .help = "height of a row; it divides a second"),
	{0},
};

struct waiting {
	struct http_request *req;
	struct heatmap_job *job;
};

static void write_map(struct json *j, const struct heatmap *map)
{
	size_t n = (size_t)map->columns * map->rows;

	json_object(j, NULL);
	json_u64(j, "from_ms", map->from_ns / NS_PER_MS);
	json_u64(j, "to_ms", map->from_ns / NS_PER_MS + map->columns * 1000ull);
	json_u64(j, "step_ms", map->step_ns / NS_PER_MS);
	json_u64(j, "columns", map->columns);
	json_u64(j, "rows", map->rows);
	json_u64(j, "since_ms", map->since_ns / NS_PER_MS);
	json_u64(j, "hz", map->hz);
	json_u64(j, "samples", map->samples);
	json_u64(j, "max", map->max);
	json_array(j, "cells");
	for (size_t i = 0; i < n; i++)
		json_u64(j, NULL, map->cells[i]);
	json_end(j);
	json_end(j);
}

static void answer(void *arg, int err, const struct heatmap *map)
{
	struct waiting *w = arg;
	struct buf body = {.limit = MAX_BODY};
	struct json j = json_into(&body);

	if (err) {
		query_args_fail(w->req, err, "heat map", query_error_text(err));
	} else {
		write_map(&j, map);
		buf_char(&body, '\n');
		http_reply(w->req, 200, "application/json", &body);
	}
	buf_fini(&body);
	free(w);
}

static void client_gone(void *arg)
{
	struct waiting *w = arg;

	heatmap_cancel(w->job);
	free(w);
}

static void refuse(struct http_request *req, int err)
{
	if (err == -EINVAL)
		http_error(req, 422, "range_too_long",
			   "a heat map has a column a second and at most %d of them: ask for a "
			   "shorter range",
			   HEATMAP_MAX_COLUMNS);
	else
		query_args_refuse(req, err, "heat maps", HEATMAP_MAX);
}

static void handle_heatmap(struct http_request *req)
{
	const struct heatmap_query *q = req->query;
	struct query_range range;
	struct waiting *w;
	const char *kind;
	int err;

	if (NS_PER_S % q->step_ns) {
		http_error(req, 400, "bad_step",
			   "step does not divide a second: 5ms, 10ms, 20ms, "
			   "50ms, 100ms do");
		return;
	}
	if (!query_args_range(req, &q->range, &kind, &range))
		return;
	w = calloc(1, sizeof(*w));
	if (!w) {
		selector_free(range.selector);
		refuse(req, -ENOMEM);
		return;
	}
	w->req = req;
	err = heatmap_start(agent_queries(req->agent), &range, q->step_ns, answer, w, &w->job);
	if (err) {
		free(w);
		refuse(req, err);
		return;
	}
	http_suspend(req, "application/json", client_gone, w);
}
HTTP_ROUTE(heatmap, .method = "GET", .path = "/api/v1/heatmap",
	   .help = "samples by second and fraction: from=, to=, match=, step=20ms",
	   .query = heatmap_rows, .query_size = sizeof(struct heatmap_query),
	   .handle = handle_heatmap);
