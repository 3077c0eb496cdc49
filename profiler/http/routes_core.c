// SPDX-License-Identifier: Apache-2.0
/* The routes every agent has, whatever it samples: health, version, metrics, tables, log levels. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "profiler/base/json.h"
#include "profiler/base/log.h"
#include "profiler/http/http.h"
#include "profiler/http/http_accept.h"
#include "profiler/part.h"

#define METRICS_MAX_BYTES (16u << 20)
#define LOG_MAX_BODY	  4096

static void handle_healthz(struct http_request *req)
{
	http_reply_text(req, 200, "ok\n"); /* the loop that answers is the one that matters */
}
HTTP_ROUTE(healthz, .method = "GET", .path = "/healthz", .help = "200 while the agent's loop runs",
	   .open = true, .handle = handle_healthz);

static void handle_readyz(struct http_request *req)
{
	struct buf body = {0};
	bool ready = parts_ready(req->parts, req->trusted, &body);

	buf_char(&body, '\n');
	http_reply(req, ready ? 200 : 503, "application/json", &body);
}
HTTP_ROUTE(readyz, .method = "GET", .path = "/readyz",
	   .help = "200 once sampling and HTTP run; lists what is degraded and why", .open = true,
	   .handle = handle_readyz);

/* Pyroscope's own path and word, for its tools. */
static void handle_ready(struct http_request *req)
{
	struct buf ignored = {0};
	bool ready = parts_ready(req->parts, false, &ignored);

	buf_fini(&ignored);
	if (ready)
		http_reply_text(req, 200, "ready\n");
	else
		http_error(req, 503, "starting", "not ready yet; /readyz says what is missing");
}
HTTP_ROUTE(ready, .method = "GET", .path = "/ready", .help = "`ready`, for Pyroscope's tools",
	   .open = true, .handle = handle_ready);

static void handle_version(struct http_request *req)
{
	struct buf body = {0};
	struct json j = json_into(&body);

	json_object(&j, NULL);
	json_str(&j, "name", "bianque");
	json_str(&j, "version", BIANQUE_VERSION);
	json_end(&j);
	buf_char(&body, '\n');
	http_reply(req, 200, "application/json", &body);
}
HTTP_ROUTE(version, .method = "GET", .path = "/version", .help = "name and version",
	   .handle = handle_version);

static void handle_metrics(struct http_request *req)
{
	enum metric_format format = http_wants_openmetrics(http_request_header(req, "Accept"))
					    ? METRIC_OPENMETRICS
					    : METRIC_TEXT;
	struct metric_out out;
	struct buf body = {0};

	metric_out_init(&out, format, METRICS_MAX_BYTES);
	parts_metrics(req->parts, &out);
	metric_out_finish(&out, &body);
	metric_out_fini(&out);
	http_reply(req, 200, metric_content_type(format), &body);
}
HTTP_ROUTE(metrics, .method = "GET", .path = "/metrics",
	   .help = "Prometheus text 0.0.4 or OpenMetrics 1.0 by Accept", .handle = handle_metrics);

static void handle_state(struct http_request *req)
{
	struct buf body = {0};

	parts_tables_json(req->parts, &body);
	buf_char(&body, '\n');
	http_reply(req, 200, "application/json", &body);
}
HTTP_ROUTE(state, .method = "GET", .path = "/debug/state", .help = "fill and cap of every table",
	   .handle = handle_state);

/* ---- log levels: {"DOMAIN":"LEVEL", ...}, "all" for every domain ------------------------- */

static void reply_levels(struct http_request *req)
{
	struct buf body = {0};
	struct json j = json_into(&body);

	json_object(&j, NULL);
	for (int d = 0; d < LOG_DOMAIN_COUNT; d++)
		json_str(&j, log_domain_name(d), log_level_name(d));
	json_end(&j);
	buf_char(&body, '\n');
	http_reply(req, 200, "application/json", &body);
}
HTTP_ROUTE(log_levels, .method = "GET", .path = "/api/v1/log", .help = "log level of each domain",
	   .handle = reply_levels);

static bool is_domain(const char *name)
{
	if (!strcmp(name, "all"))
		return true;
	for (int d = 0; d < LOG_DOMAIN_COUNT; d++)
		if (!strcmp(name, log_domain_name(d)))
			return true;
	return false;
}

static bool is_level(const char *name)
{
	return !strcmp(name, "error") || !strcmp(name, "warn") || !strcmp(name, "info") ||
	       !strcmp(name, "debug");
}

/* Every pair is checked before any is set. False when an error was answered. */
static bool check_levels(struct http_request *req, json_t *levels)
{
	const char *domain;
	json_t *level;

	json_object_foreach(levels, domain, level)
	{
		if (!is_domain(domain)) {
			http_error(req, 422, "unknown_domain",
				   "no log domain '%.60s'; GET /api/v1/log lists them, `all` means "
				   "every one",
				   domain);
			return false;
		}
		if (!json_is_string(level) || !is_level(json_string_value(level))) {
			http_error(req, 422, "unknown_level",
				   "the level of '%s' must be error, warn, info or debug", domain);
			return false;
		}
	}
	return true;
}

static void handle_set_log(struct http_request *req)
{
	json_error_t why;
	json_t *levels = json_loadb(req->body.data ? req->body.data : "", req->body.len,
				    JSON_REJECT_DUPLICATES, &why);
	const char *domain;
	json_t *level;

	if (!json_is_object(levels)) {
		http_error(req, 400, "bad_json",
			   "a JSON object like {\"ring\":\"debug\"} is needed%s%s",
			   levels ? "" : ": ", levels ? "" : why.text);
	} else if (check_levels(req, levels)) {
		json_object_foreach(levels, domain, level)
		{
			int err = log_set_level(strcmp(domain, "all") ? domain : NULL,
						json_string_value(level));

			BUG_ON(err); /* checked above */
		}
		reply_levels(req);
	}
	json_decref(levels);
}
HTTP_ROUTE(set_log, .method = "PUT", .path = "/api/v1/log", .help = "set log levels by domain",
	   .max_body = LOG_MAX_BODY, .handle = handle_set_log);
