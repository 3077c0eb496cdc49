/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of the running agent (sampling, http, pyroscope, a collector) and the one list of them.
 * From it come /metrics (each part's metrics, how long they took, whether they worked),
 * /debug/state (every table with its fill and cap) and /readyz (what is not there yet, what is
 * degraded and why).
 *
 * The list belongs to the agent's thread; part_set_state may be called from any thread. A part is
 * embedded by its owner and must be removed before it goes.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "profiler/metric.h"

#define PARTS_MAX	256
#define PART_REASON_MAX 256

enum part_state { PART_STARTING, PART_OK, PART_DEGRADED, PART_OFF };

struct table_out;

struct part {
	const char *name;
	void *self;
	bool required; /* the agent is not ready before this one is OK or DEGRADED */
	/* Each may be NULL; called on the agent's thread, must not block. metrics: 0 or -errno. */
	int (*metrics)(void *self, struct metric_out *out);
	void (*tables)(void *self, struct table_out *out);
	/* Under parts->lock: */
	struct parts *parts;
	enum part_state state;
	char reason[PART_REASON_MAX];
};

struct parts {
	pthread_mutex_t lock; /* of states and reasons */
	struct part *list[PARTS_MAX];
	size_t n;
};

void parts_init(struct parts *parts);
void parts_fini(struct parts *parts);
/* 0 or -ENOSPC. The part starts as PART_STARTING. */
MUST_CHECK int parts_add(struct parts *parts, struct part *part);
void parts_del(struct part *part);

/* fmt (may be NULL for OK) says why, in words for the user: what is wrong, what to do. */
void part_set_state(struct part *part, enum part_state state, const char *fmt, ...) PRINTF(3, 4);

/* As it is now. Any thread. */
enum part_state part_state(struct part *part, char reason[PART_REASON_MAX]);

/* True when every required part is OK or DEGRADED. With details, appends the JSON object
 * {"status","waiting":[{"part","reason"}],"degraded":[...]}, else only {"status"}. */
bool parts_ready(struct parts *parts, bool details, struct buf *out);

/* "parts":[{"name","state","reason"}] into the open object. */
struct json;
void parts_json(struct parts *parts, struct json *j);

/* Every part's metrics; bianque_collector_duration_seconds, _success and bianque_part_degraded. */
void parts_metrics(struct parts *parts, struct metric_out *out);

/* Called by tables(): one table of the part. unit: "entries", "bytes". */
void table_out_add(struct table_out *out, const char *table, __u64 fill, __u64 cap,
		   const char *unit);
/* {"tables":[{"part","table","unit","fill","cap"}]} */
void parts_tables_json(struct parts *parts, struct buf *out);
