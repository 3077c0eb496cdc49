/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host allows: one row per thing that decides what works, each probed, never guessed from
 * a version. A row registers itself (HOST_CHECK), so a module that needs something of the host
 * brings its own; `bianque check` runs them all, each cheap (milliseconds) and without trace.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"
#include "profiler/base/registry.h"

struct config;

/* OFF: it is not there at all; DEGRADED: it works in part or by a poorer way. */
enum host_state { HOST_OK, HOST_DEGRADED, HOST_OFF, HOST_STATES };
const char *host_state_name(enum host_state state);

/* What a probe saw. Texts are one line without a full stop. */
struct host_result {
	char found[320];
	/* Instead of the row's own, where what is lost or to do depends on what was found. */
	char lost[320], fix[320];
};
void host_found(struct host_result *result, const char *fmt, ...) PRINTF(2, 3);
void host_lost(struct host_result *result, const char *fmt, ...) PRINTF(2, 3);
void host_fix(struct host_result *result, const char *fmt, ...) PRINTF(2, 3);

struct host_check {
	const char *name; /* programs read it: never changed */
	int order;
	bool required;	  /* when it is OFF nothing can be profiled */
	const char *lost; /* what does not work without it */
	const char *fix;  /* what to do */
	enum host_state (*run)(const struct host_check *check, const struct config *config,
			       struct host_result *result);
	int arg; /* of run */
};

#define HOST_CHECK(name_, ...)                                                                     \
	static const struct host_check name_##_check = {.name = #name_, __VA_ARGS__};              \
	REGISTER(host_checks, const struct host_check, name_##_check)

struct host_row {
	const struct host_check *check;
	enum host_state state;
	struct host_result result; /* lost and fix are empty for HOST_OK */
};

struct host_report {
	struct host_row *rows; /* by order */
	size_t n;
	unsigned n_by_state[HOST_STATES];
	bool works; /* no required row is OFF */
};

/* Run all checks, one after the other, on this thread. 0 or -ENOMEM. */
MUST_CHECK int host_report_make(const struct config *config, struct host_report *ret_report);
void host_report_free(struct host_report *report);

/* For people: a line a row, what is lost and what to do below it, a last line with the sum. */
void host_report_text(const struct host_report *report, struct buf *out);
/* {"version","kernel","machine","works","ok","degraded","off",
 *  "checks":[{"name","state","required","found","lost","fix"}]} and a newline. */
void host_report_json(const struct host_report *report, struct buf *out);
