/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one interface of metric modules, event modules and autotracing policies: a descriptor that
 * registers itself. Name = file stem = config section = metric prefix. The core calls
 *	start once, record for each record of the kinds asked for, tick every period_ms, metrics at each
 *	scrape (timed; duration and success are exported), stop once (also after a failed start).
 *
 * Threads: record and tick in the router thread (no I/O, no blocking, no allocation in record);
 * start, stop and metrics in the agent thread; calls for one collector never overlap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bpf/record.h"
#include "profiler/base/check.h"
#include "profiler/base/registry.h"

struct metric_out;
struct option_row;

struct collector {
	const char *name, *help;
	bool on_by_default;
	unsigned period_ms;  /* cadence of tick; 0: none */
	__u64 kinds;	     /* record kinds wanted, 1 << enum rec_kind each */
	size_t state_size;   /* zeroed block passed to every call as self */
	int (*start)(void *self);   /* 0 or -errno: the module is off, the reason is shown */
	void (*stop)(void *self);
	int (*record)(void *self, const struct rec *rec); /* 0 or -errno, counted */
	int (*tick)(void *self);
	int (*metrics)(void *self, struct metric_out *out);
};

#define COLLECTOR(name_, ...)                                                                      \
	static const struct collector name_##_collector = {.name = #name_, __VA_ARGS__};           \
	REGISTER(collectors, const struct collector, name_##_collector)

REGISTRY(collectors, const struct collector);
