// SPDX-License-Identifier: Apache-2.0
/* What the agent does, as JSON: /api/v1/status. */
#include <stdio.h>
#include <stdlib.h>

#include "bpf/reason.h"
#include "profiler/agent.h"
#include "profiler/agent_store.h"
#include "profiler/base/clock.h"
#include "profiler/base/json.h"
#include "profiler/budget.h"
#include "profiler/builder.h"
#include "profiler/engine.h"
#include "profiler/http/http.h"
#include "profiler/on_demand.h"
#include "profiler/part.h"
#include "profiler/segment.h"
#include "profiler/window.h"

#define MAX_LACKING 100 /* objects without symbols, or without rows, that are listed */

static const char *const stop_labels[STOP_COUNT] = {
#define X(name, label, whole) label,
	STOP_LIST(X)
#undef X
};
static const bool stop_whole[STOP_COUNT] = {
#define X(name, label, whole) whole,
	STOP_LIST(X)
#undef X
};
static const char *const loss_labels[LOSS_COUNT] = {
#define X(name, label) label,
	LOSS_LIST(X)
#undef X
};

static void put_stacks(struct json *j, const struct resolver_stats *r)
{
	__u64 total = 0, whole = 0;

	for (int i = 0; i < STOP_COUNT; i++) {
		total += r->stops[i];
		if (stop_whole[i])
			whole += r->stops[i];
	}
	json_u64(j, "samples_total", r->samples_total);
	if (total)
		json_f64(j, "whole_ratio", (double)whole / (double)total);
	else
		json_null(j, "whole_ratio");
	json_object(j, "unwind_stops_total");
	for (int i = 0; i < STOP_COUNT; i++)
		json_u64(j, stop_labels[i], r->stops[i]);
	json_end(j);
}

struct without_rows {
	struct json *json;
	unsigned n;
};

/* Router thread. */
static bool put_without_rows(void *arg, const struct object *object)
{
	const struct object_image *image = object->image;
	struct without_rows *list = arg;
	char build_id[2 * OBJECT_BUILD_ID_MAX + 1] = "";

	if (object->state != OBJECT_NO_ROWS || !image)
		return true;
	for (size_t i = 0; i < image->build_id_len; i++)
		snprintf(build_id + 2 * i, 3, "%02x", image->build_id[i]);
	json_object(list->json, NULL);
	json_str(list->json, "path", object->path);
	json_str(list->json, "build_id", build_id);
	json_str(list->json, "reason", image->why);
	json_end(list->json);
	return ++list->n < MAX_LACKING;
}

static void put_objects(void *arg, struct resolver *resolver)
{
	object_each(resolver_objects(resolver), put_without_rows, arg);
}

static void put_sampling(struct json *j, struct agent *agent)
{
	struct engine *engine = agent_engine(agent);
	const struct sampler *sampler;
	struct segments_stats segments;
	struct without_rows without_rows = {.json = j};
	struct router_stats s;

	if (!engine) {
		json_null(j, "sampling");
		return;
	}
	sampler = engine_sampler(engine);
	segments = segments_stats(engine_segments(engine));
	s = router_stats(engine_router(engine));
	json_object(j, "sampling");
	json_str(j, "event", sampler_event(sampler));
	json_u64(j, "hz", sampler_hz(sampler));
	json_bool(j, "running_programs_known", s.scanned);
	put_stacks(j, &s.resolver);
	json_u64(j, "copied_stacks_total", s.resolver.copies_total);
	json_object(j, "lost_total");
	for (int i = 0; i < LOSS_COUNT; i++)
		json_u64(j, loss_labels[i], s.lost[i]);
	json_end(j);
	json_u64(j, "processes", s.resolver.processes.n_alive);
	json_u64(j, "objects", s.resolver.objects.n);
	json_array(j, "objects_without_rows");
	router_visit(engine_router(engine), put_objects, &without_rows);
	json_end(j);
	json_u64(j, "stacks", s.resolver.stacks.n);
	json_u64(j, "unwind_rows_bytes", segments.bytes_used);
	json_u64(j, "bpf_map_bytes", sampler_map_bytes(sampler) + segments.bytes_reserved);
	json_end(j);
}

static void put_windows(struct json *j, struct agent *agent)
{
	struct windows_stats w = {0};
	struct on_demand_stats d = on_demand_stats(agent_on_demands(agent));

	if (agent_windows(agent))
		w = windows_stats(agent_windows(agent));
	json_object(j, "profiles");
	json_u64(j, "windows_total", w.windows_total);
	json_u64(j, "windows_dropped_total", w.dropped_total);
	json_u64(j, "series_total", w.series_total);
	json_u64(j, "encoded_total", w.profiles_total);
	json_u64(j, "on_demand_running", d.n);
	json_u64(j, "on_demand_own_rate", d.n_own_rate);
	json_u64(j, "on_demand_total", d.started_total);
	json_end(j);
}

static void put_store(struct json *j, struct agent *agent)
{
	struct agent_store *store = agent_store(agent);
	struct agent_store_stats s = {0};
	char reason[PART_REASON_MAX] =
		"store.enabled is false, only the last minutes are kept: set it to true and start "
		"the agent again";
	bool ok = false;

	if (store) {
		s = agent_store_stats(store);
		ok = agent_store_ok(store, reason);
	}
	json_object(j, "store");
	json_bool(j, "enabled", store);
	json_bool(j, "ok", ok);
	json_str(j, "reason", reason);
	json_u64(j, "since_ms", s.store.oldest_ns / NS_PER_MS);
	json_u64(j, "bytes", s.store.bytes);
	json_u64(j, "max_bytes", s.limits.max_bytes);
	json_u64(j, "retention_s", s.limits.retention_ns / NS_PER_S);
	json_end(j);
}

static void put_symbols(struct json *j, struct agent *agent)
{
	struct builder_stats s = builder_stats(agent_builder(agent));
	struct builder_object *lacking = calloc(MAX_LACKING, sizeof(*lacking));
	size_t n = lacking ? builder_lacking(agent_builder(agent), lacking, MAX_LACKING) : 0;

	json_object(j, "symbols");
	json_u64(j, "objects", s.naming.n_objects);
	json_u64(j, "frames_total", s.naming.frames_total);
	json_u64(j, "frames_unknown_total", s.naming.unknown_total);
	json_u64(j, "queued_jobs", s.queued);
	json_array(j, "lacking");
	for (size_t i = 0; i < n; i++) {
		json_object(j, NULL);
		json_str(j, "path", lacking[i].path);
		json_str(j, "build_id", lacking[i].build_id);
		json_str(j, "note", lacking[i].note);
		json_str(j, "package", lacking[i].package);
		json_end(j);
	}
	json_end(j);
	json_end(j);
	free(lacking);
}

static void put_budget(struct json *j, struct agent *agent)
{
	const struct budget *budget = agent_budget(agent);
	struct budget_step step = budget_now(budget);

	json_object(j, "budget");
	for (int i = 0; i < BUDGET_KINDS; i++) {
		const struct budget_lane *lane = &budget->lanes[i];

		json_object(j, budget_kind_name((enum budget_kind)i));
		json_f64(j, "limit", lane->limit);
		json_f64(j, "used", lane->used);
		json_u64(j, "step", lane->step);
		json_u64(j, "steps_down_total", lane->downs_total);
		json_u64(j, "steps_up_total", lane->ups_total);
		json_end(j);
	}
	json_object(j, "in_force");
	json_f64(j, "hz_factor", step.hz);
	json_f64(j, "copies_factor", step.copies);
	json_f64(j, "symbols_factor", step.symbols);
	json_f64(j, "tables_factor", step.tables);
	json_end(j);
	json_end(j);
}

static void handle_status(struct http_request *req)
{
	struct agent *agent = req->agent;
	struct buf body = {0};
	struct json j = json_into(&body);

	json_object(&j, NULL);
	json_str(&j, "version", BIANQUE_VERSION);
	json_str(&j, "host", agent_host(agent));
	json_f64(&j, "uptime_seconds",
		 (double)(clock_monotonic_ns() - agent_start_ns(agent)) / NS_PER_S);
	parts_json(req->parts, &j);
	put_sampling(&j, agent);
	put_windows(&j, agent);
	put_store(&j, agent);
	put_symbols(&j, agent);
	put_budget(&j, agent);
	json_end(&j);
	buf_char(&body, '\n');
	http_reply(req, 200, "application/json", &body);
}
HTTP_ROUTE(status, .method = "GET", .path = "/api/v1/status",
	   .help = "what runs, what is degraded, losses, whole stacks, the agent's own budget",
	   .handle = handle_status);
