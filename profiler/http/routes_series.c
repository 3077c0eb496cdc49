// SPDX-License-Identifier: Apache-2.0
/*
 * What there is in the past (query/listing.h):
 *	GET /api/v1/series		sums by time, a line for each value of a label
 *	GET /api/v1/kinds		kinds of profiles
 *	GET /api/v1/labels		names of labels
 *	GET /api/v1/label/NAME/values	values of one
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/clock.h"
#include "profiler/base/json.h"
#include "profiler/http/http.h"
#include "profiler/http/query_args.h"
#include "profiler/query/listing.h"

#define MAX_BODY     ((size_t)16 << 20)
#define MAX_LABEL    128
#define DEFAULT_STEP 120 /* steps of a range, when none is given */

struct series_query {
	struct range_args range;
	const char *group;
	__u64 step_ns, limit;
};

static const struct option_row series_rows[] = {
	RANGE_ROWS(struct series_query),
	OPTION_ROW(STRING, struct series_query, group, .def = "service_name",
		   .help = "label to sum by, or pid, tid, comm; empty for one sum"),
	OPTION_ROW_NAMED(DURATION, struct series_query, step_ns, "step", .min = "100ms",
			 .max = "1d",
			 .help = "length of a step (default: 120 in the range, at least 1s)"),
	OPTION_ROW(U64, struct series_query, limit, .def = "20", .min = "1", .max = "1000",
		   .help = "the largest stay, the rest is `other`"),
	{0},
};

struct labels_query {
	struct range_args range;
};

static const struct option_row labels_rows[] = {RANGE_ROWS(struct labels_query), {0}};

/* A request that waits for its listing. */
struct waiting {
	struct http_request *req;
	void (*write)(struct waiting *w, struct json *j, const struct listing *listing);
	struct query_range range;
	__u64 step_ns, limit;
	const char *kind;
	char label[MAX_LABEL];
	struct listing_job *job;
};

/* ---- answers --------------------------------------------------------------------------------- */

static void write_values(struct json *j, const double *values, size_t n)
{
	json_array(j, "values");
	for (size_t i = 0; i < n; i++)
		json_u64(j, NULL, (__u64)(values[i] + 0.5));
	json_end(j);
}

/* Whose a process or thread is; g NULL: of several. */
static void write_owner(const struct waiting *w, struct json *j, const struct listed_group *g)
{
	bool by_tid = !strcmp(w->label, "tid");

	if (!by_tid && strcmp(w->label, "pid"))
		return;
	json_str(j, "process", g ? g->process : "");
	if (by_tid) {
		json_u64(j, "pid", g ? g->pid : 0);
		json_str(j, "comm", g ? g->comm : "");
	}
	json_str(j, "service_name", g ? g->service : "");
	json_str(j, "container", g ? g->container : "");
}

/* The smallest in one. */
static void write_rest(const struct waiting *w, struct json *j, const struct listing *l,
		       size_t first)
{
	double *sum = calloc(l->n_steps + 1, sizeof(*sum)), total = 0;

	if (!sum) {
		j->out->err = -ENOMEM;
		return;
	}
	for (size_t i = first; i < l->groups.len; i++) {
		total += l->groups.data[i].total;
		for (size_t step = 0; step < l->n_steps; step++)
			sum[step] += l->groups.data[i].values[step];
	}
	json_object(j, NULL);
	json_str(j, "name", "other");
	write_owner(w, j, NULL);
	json_bool(j, "other", true);
	json_u64(j, "total", (__u64)(total + 0.5));
	write_values(j, sum, l->n_steps);
	json_end(j);
	free(sum);
}

static void write_gaps(struct json *j, const struct gaps *gaps)
{
	json_array(j, "gaps");
	vec_for_each (gap, &gaps->found) {
		json_array(j, NULL);
		json_u64(j, NULL, gap->from_ns / NS_PER_MS);
		json_u64(j, NULL, gap->to_ns / NS_PER_MS);
		json_end(j);
	}
	json_end(j);
}

static void write_series(struct waiting *w, struct json *j, const struct listing *l)
{
	size_t n = MIN(l->groups.len, (size_t)w->limit);

	json_u64(j, "from_ms", w->range.from_ns / NS_PER_MS);
	json_u64(j, "to_ms", w->range.to_ns / NS_PER_MS);
	json_u64(j, "step_ms", w->step_ns / NS_PER_MS);
	json_u64(j, "steps", l->n_steps);
	json_str(j, "kind", w->kind);
	json_str(j, "unit", l->series.len ? l->series.data[0].unit : "nanoseconds");
	json_str(j, "group", w->label);
	json_u64(j, "since_ms", l->since_ns / NS_PER_MS);
	json_u64(j, "samples", l->facts.samples);
	json_u64(j, "whole", l->facts.whole);
	json_u64(j, "lost", l->facts.lost);
	write_gaps(j, &l->gaps);
	json_array(j, "series");
	for (size_t i = 0; i < n; i++) {
		const struct listed_group *g = &l->groups.data[i];

		json_object(j, NULL);
		json_str(j, "name", g->name);
		write_owner(w, j, g);
		if (g->rest)
			json_bool(j, "other", true);
		json_u64(j, "total", (__u64)(g->total + 0.5));
		write_values(j, g->values, l->n_steps);
		json_end(j);
	}
	if (n < l->groups.len)
		write_rest(w, j, l, n);
	json_end(j);
}

static int by_text(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

/* Each text once, in order. */
static void write_distinct(struct json *j, const char *name, const char **texts, size_t n)
{
	if (n)
		qsort(texts, n, sizeof(*texts), by_text);
	json_array(j, name);
	for (size_t i = 0; i < n; i++)
		if (!i || strcmp(texts[i], texts[i - 1]))
			json_str(j, NULL, texts[i]);
	json_end(j);
}

static void write_kinds(struct waiting *w UNUSED, struct json *j, const struct listing *l)
{
	const char **texts = calloc(l->series.len + 1, sizeof(*texts));
	size_t n = 0;

	if (!texts) {
		j->out->err = -ENOMEM;
		return;
	}
	vec_for_each (s, &l->series)
		texts[n++] = s->kind;
	write_distinct(j, "kinds", texts, n);
	free(texts);
}

/* Names of labels, or values of w->label. */
static void write_labels(struct waiting *w, struct json *j, const struct listing *l)
{
	const char **texts;
	size_t n = 0, max = 1;

	vec_for_each (s, &l->series)
		max += s->n_labels;
	texts = calloc(max, sizeof(*texts));
	if (!texts) {
		j->out->err = -ENOMEM;
		return;
	}
	vec_for_each (s, &l->series) {
		for (size_t i = 0; i < s->n_labels; i++) {
			if (!w->label[0])
				texts[n++] = s->labels[i].name;
			else if (!strcmp(s->labels[i].name, w->label))
				texts[n++] = s->labels[i].value;
		}
	}
	write_distinct(j, w->label[0] ? "values" : "labels", texts, n);
	free(texts);
}

static void answer(void *arg, int err, const char *why, const struct listing *listing)
{
	struct waiting *w = arg;
	struct buf body = {.limit = MAX_BODY};
	struct json j = json_into(&body);

	if (err) {
		query_args_fail(w->req, err, "list", why);
	} else {
		json_object(&j, NULL);
		w->write(w, &j, listing);
		json_end(&j);
		buf_char(&body, '\n');
		http_reply(w->req, 200, "application/json", &body);
	}
	buf_fini(&body);
	free(w);
}

static void client_gone(void *arg)
{
	struct waiting *w = arg;

	listing_cancel(w->job);
	free(w);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* w is taken. */
static void start(struct http_request *req, struct waiting *w,
		  const struct listing_request *request)
{
	int err = listing_start(agent_queries(req->agent), request, answer, w, &w->job);

	if (!err) {
		http_suspend(req, "application/json", client_gone, w);
		return;
	}
	free(w);
	query_args_refuse(req, err, "lists", LISTING_MAX);
}

static struct waiting *new_waiting(struct http_request *req, const struct range_args *args)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w) {
		query_args_refuse(req, -ENOMEM, "lists", LISTING_MAX);
		return NULL;
	}
	w->req = req;
	if (!query_args_range(req, args, &w->kind, &w->range)) {
		free(w);
		return NULL;
	}
	return w;
}

static __u64 step_of(const struct query_range *range)
{
	__u64 step_ns = (range->to_ns - range->from_ns) / DEFAULT_STEP;

	return MAX(step_ns / NS_PER_S * NS_PER_S, NS_PER_S);
}

static void handle_series(struct http_request *req)
{
	const struct series_query *q = req->query;
	struct waiting *w = new_waiting(req, &q->range);
	struct listing_request request = {0};

	if (!w)
		return;
	w->write = write_series;
	w->limit = q->limit;
	w->step_ns = q->step_ns ?: step_of(&w->range);
	snprintf(w->label, sizeof(w->label), "%s", q->group);
	if ((w->range.to_ns - w->range.from_ns) / w->step_ns >= LISTING_MAX_STEPS) {
		http_error(req, 422, "too_many_steps",
			   "the range has more than %d steps: ask for a longer step",
			   LISTING_MAX_STEPS);
		selector_free(w->range.selector);
		free(w);
		return;
	}
	request = (struct listing_request){.kind = w->kind,
					   .range = w->range,
					   .step_ns = w->step_ns,
					   .group = w->label,
					   .gaps = true};
	start(req, w, &request);
}
HTTP_ROUTE(series, .method = "GET", .path = "/api/v1/series",
	   .help = "sums by time: from=, to=, match=, group=LABEL, step=", .query = series_rows,
	   .query_size = sizeof(struct series_query), .handle = handle_series);

static void list(struct http_request *req, const char *label,
		 void (*write)(struct waiting *w, struct json *j, const struct listing *listing),
		 bool any_kind)
{
	const struct labels_query *q = req->query;
	struct waiting *w = new_waiting(req, &q->range);
	struct listing_request request = {0};

	if (!w)
		return;
	w->write = write;
	snprintf(w->label, sizeof(w->label), "%s", label);
	request.kind = any_kind ? NULL : w->kind;
	request.range = w->range;
	start(req, w, &request);
}

static void handle_kinds(struct http_request *req)
{
	list(req, "", write_kinds, true);
}
HTTP_ROUTE(kinds, .method = "GET", .path = "/api/v1/kinds", .help = "kinds of profiles there are",
	   .query = labels_rows, .query_size = sizeof(struct labels_query), .handle = handle_kinds);

static void handle_labels(struct http_request *req)
{
	list(req, "", write_labels, false);
}
HTTP_ROUTE(labels, .method = "GET", .path = "/api/v1/labels", .help = "names of labels",
	   .query = labels_rows, .query_size = sizeof(struct labels_query),
	   .handle = handle_labels);

/* rest: NAME/values */
static void handle_values(struct http_request *req)
{
	const char *slash = strchr(req->rest, '/');
	char name[MAX_LABEL];

	if (!slash || strcmp(slash, "/values") || slash == req->rest ||
	    (size_t)(slash - req->rest) >= sizeof(name)) {
		http_error(req, 404, "not_found", "write /api/v1/label/NAME/values");
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(slash - req->rest), req->rest);
	list(req, name, write_labels, false);
}
HTTP_ROUTE(label_values, .method = "GET", .path = "/api/v1/label/*",
	   .help = "values of a label: /api/v1/label/NAME/values", .query = labels_rows,
	   .query_size = sizeof(struct labels_query), .handle = handle_values);
