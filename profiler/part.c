// SPDX-License-Identifier: Apache-2.0
/* The list of parts, see part.h. */
#include "profiler/part.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/json.h"
#include "profiler/base/log.h"

METRIC(collector_duration, GAUGE, "bianque_collector_duration_seconds", "seconds",
       "Time that the part took to answer the last scrape");
METRIC(collector_success, GAUGE, "bianque_collector_success", NULL,
       "Whether the part answered the last scrape: 1 or 0");
METRIC(part_degraded, GAUGE, "bianque_part_degraded", NULL,
       "Whether the part works less well than configured (/readyz says why): 1 or 0");
METRIC(table_entries, GAUGE, "bianque_table_fill", NULL,
       "Fill of a bounded table or queue, in the unit /debug/state names");
METRIC(table_max_entries, GAUGE, "bianque_table_cap", NULL,
       "Bound of a table or queue, in the unit /debug/state names");

/* Tables are asked for in two forms by one callback. */
struct table_out {
	const struct part *part;
	struct json *json; /* or */
	struct metric_out *metrics;
};

void parts_init(struct parts *parts)
{
	memset(parts, 0, sizeof(*parts));
	pthread_mutex_init(&parts->lock, NULL);
}

void parts_fini(struct parts *parts)
{
	BUG_ON(parts->n);
	pthread_mutex_destroy(&parts->lock);
}

int parts_add(struct parts *parts, struct part *part)
{
	if (parts->n == PARTS_MAX)
		return -ENOSPC;
	part->parts = parts;
	part->state = PART_STARTING;
	part->reason[0] = 0;
	parts->list[parts->n++] = part;
	return 0;
}

void parts_del(struct part *part)
{
	struct parts *parts = part->parts;
	size_t i = 0;

	if (!parts)
		return;
	while (parts->list[i] != part)
		i++;
	memmove(&parts->list[i], &parts->list[i + 1], (--parts->n - i) * sizeof(*parts->list));
	part->parts = NULL;
}

void part_set_state(struct part *part, enum part_state state, const char *fmt, ...)
{
	char reason[PART_REASON_MAX] = "";
	va_list args;

	if (!part->parts)
		return;
	if (fmt) {
		va_start(args, fmt);
		vsnprintf(reason, sizeof(reason), fmt, args);
		va_end(args);
	}
	pthread_mutex_lock(&part->parts->lock);
	part->state = state;
	memcpy(part->reason, reason, sizeof(reason));
	pthread_mutex_unlock(&part->parts->lock);
}

enum part_state part_state(struct part *part, char reason[PART_REASON_MAX])
{
	enum part_state state;

	pthread_mutex_lock(&part->parts->lock);
	state = part->state;
	memcpy(reason, part->reason, PART_REASON_MAX);
	pthread_mutex_unlock(&part->parts->lock);
	return state;
}

static void add_reasons(const struct parts *parts, const char *name, bool waiting, struct json *j)
{
	json_array(j, name);
	for (size_t i = 0; i < parts->n; i++) {
		const struct part *part = parts->list[i];

		if (waiting ? !part->required || part->state == PART_OK ||
				      part->state == PART_DEGRADED
			    : part->state != PART_DEGRADED)
			continue;
		json_object(j, NULL);
		json_str(j, "part", part->name);
		json_str(j, "reason",
			 part->reason[0]		? part->reason
			 : part->state == PART_STARTING ? "starting"
							: "off");
		json_end(j);
	}
	json_end(j);
}

bool parts_ready(struct parts *parts, bool details, struct buf *out)
{
	struct json j = json_into(out);
	bool ready = true, degraded = false;

	pthread_mutex_lock(&parts->lock);
	for (size_t i = 0; i < parts->n; i++) {
		const struct part *part = parts->list[i];

		degraded |= part->state == PART_DEGRADED;
		if (part->required && part->state != PART_OK && part->state != PART_DEGRADED)
			ready = false;
	}
	json_object(&j, NULL);
	json_str(&j, "status", !ready ? "starting" : degraded ? "degraded" : "ready");
	if (details) {
		add_reasons(parts, "waiting", true, &j);
		add_reasons(parts, "degraded", false, &j);
	}
	json_end(&j);
	pthread_mutex_unlock(&parts->lock);
	return ready;
}

void parts_json(struct parts *parts, struct json *j)
{
	static const char *const states[] = {"starting", "ok", "degraded", "off"};

	pthread_mutex_lock(&parts->lock);
	json_array(j, "parts");
	for (size_t i = 0; i < parts->n; i++) {
		json_object(j, NULL);
		json_str(j, "name", parts->list[i]->name);
		json_str(j, "state", states[parts->list[i]->state]);
		json_str(j, "reason", parts->list[i]->reason);
		json_end(j);
	}
	json_end(j);
	pthread_mutex_unlock(&parts->lock);
}

void parts_metrics(struct parts *parts, struct metric_out *out)
{
	for (size_t i = 0; i < parts->n; i++) {
		struct part *part = parts->list[i];
		const struct metric_label *name = METRIC_LABELS({"collector", part->name});
		struct table_out tables = {.part = part, .metrics = out};
		__u64 start = clock_monotonic_ns();
		bool degraded;
		int err = 0;

		if (part->metrics)
			err = part->metrics(part->self, out);
		if (part->tables)
			part->tables(part->self, &tables);
		metric_out_f64(out, &collector_duration, name,
			       (double)(clock_monotonic_ns() - start) / NS_PER_S);
		metric_out_u64(out, &collector_success, name, !err);
		if (err)
			log_limited(agent, LOG_LEVEL_WARN, "no metrics of '%s': %s", part->name,
				    strerror(-err));
		pthread_mutex_lock(&parts->lock);
		degraded = part->state == PART_DEGRADED;
		pthread_mutex_unlock(&parts->lock);
		metric_out_u64(out, &part_degraded, METRIC_LABELS({"part", part->name}), degraded);
	}
}

void table_out_add(struct table_out *out, const char *table, __u64 fill, __u64 cap,
		   const char *unit)
{
	struct json *j = out->json;

	if (out->metrics) {
		const struct metric_label *labels =
			METRIC_LABELS({"part", out->part->name}, {"table", table});

		metric_out_u64(out->metrics, &table_entries, labels, fill);
		metric_out_u64(out->metrics, &table_max_entries, labels, cap);
		return;
	}
	json_object(j, NULL);
	json_str(j, "part", out->part->name);
	json_str(j, "table", table);
	json_str(j, "unit", unit);
	json_u64(j, "fill", fill);
	json_u64(j, "cap", cap);
	json_end(j);
}

void parts_tables_json(struct parts *parts, struct buf *out)
{
	struct json j = json_into(out);

	json_object(&j, NULL);
	json_array(&j, "tables");
	for (size_t i = 0; i < parts->n; i++) {
		struct table_out tables = {.part = parts->list[i], .json = &j};

		if (parts->list[i]->tables)
			parts->list[i]->tables(parts->list[i]->self, &tables);
	}
	json_end(&j);
	json_end(&j);
}
