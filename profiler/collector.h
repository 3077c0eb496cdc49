/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one interface of metric modules, event modules and autotracing policies: a descriptor that
 * registers itself, and with it a section of the configuration. Name = file stem = config section =
 * metric prefix = name of its part (part.h). The core calls
 *	start once, record for each record of the kinds asked for, tick every period_ms, metrics
 *	at each scrape (timed; duration and success are exported), stop once (also after a failed
 *	start).
 *
 *	static int loadavg_metrics(void *self, struct metric_out *out);
 *	COLLECTOR(loadavg, .help = "load average", .on_by_default = true,
 *		  .metrics = loadavg_metrics);
 *
 * Threads: record in the router thread (no I/O, no blocking, no allocation), the others in the
 * agent thread (no blocking); calls for one collector never overlap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bpf/record.h"
#include "profiler/base/check.h"
#include "profiler/base/registry.h"
#include "profiler/config.h"

struct metric_out;

/* What every module's section begins with; a module with options of its own has this as the first
 * member of its struct and COLLECTOR_ROWS first in its rows. */
struct collector_config {
	int enabled; /* enum collector_enabled */
};
enum collector_enabled { COLLECTOR_AUTO, COLLECTOR_ON, COLLECTOR_OFF };
extern const char *const collector_enabled_names[];
#define COLLECTOR_ROWS                                                                             \
	OPTION_ROW(ENUM, struct collector_config, enabled, .def = "auto",                          \
		   .choices = collector_enabled_names,                                             \
		   .help = "on, off, or auto: what the module itself says")

struct collector {
	const char *name, *help;
	bool on_by_default;
	unsigned period_ms;		      /* cadence of tick; 0: none */
	__u64 kinds;			      /* record kinds wanted, 1 << enum rec_kind each */
	size_t state_size;		      /* zeroed block passed to every call as self */
	const struct config_section *section; /* set by the macro */
	int (*start)(void *self,
		     const struct config *config); /* 0 or -errno: off, with its reason */
	void (*stop)(void *self);
	int (*record)(void *self, const struct rec *rec); /* 0 or -errno, counted */
	int (*tick)(void *self);
	int (*metrics)(void *self, struct metric_out *out);
};

#define COLLECTOR(name_, ...)                                                                      \
	static const struct option_row name_##_rows[] = {COLLECTOR_ROWS, {0}};                     \
	COLLECTOR_WITH(name_, struct collector_config, name_##_rows, __VA_ARGS__)

/* With options of its own. */
#define COLLECTOR_WITH(name_, struct_, rows_, ...)                                                 \
	static CONFIG_SECTION(name_, struct_, rows_, .order = 100, .help = "module " #name_);      \
	static const struct collector name_##_collector = {                                        \
		.name = #name_, .section = &name_##_section, __VA_ARGS__};                         \
	REGISTER(collectors, const struct collector, name_##_collector)

REGISTRY(collectors, const struct collector);

/* ---- running them: collector.c --------------------------------------------------------------- */

struct collectors;
struct loop;
struct parts;

/* Start every module that the configuration wants; one that fails is a part that is off, with its
 * reason. NULL when memory ends. Agent thread. */
struct collectors *collectors_start(struct loop *loop, struct parts *parts,
				    const struct config *config);
void collectors_stop(struct collectors *collectors);
/* Kinds that somebody wants; hand over one record of these. Router thread. */
__u64 collectors_kinds(const struct collectors *collectors);
void collectors_record(struct collectors *collectors, const struct rec *rec);
