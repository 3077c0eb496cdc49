/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's local store (store/store.h): opens it in the builder's thread, since what a crash left
 * takes a while to read again; hands it each window; reports as the part `store`, with metrics. A
 * disk that refuses costs the windows it refuses, counted; the store is opened again when that may
 * help. What an opening dropped or set aside is in the log once, in metrics, and the reason of the
 * part while it is well (/api/v1/status). Sampling and everything else go on.
 *
 * agent_store_begin, _add and _end: builder thread; the rest: agent thread.
 */
#pragma once

#include <stdbool.h>

#include "profiler/config_core.h"
#include "profiler/part.h"
#include "profiler/store/store.h"

struct agent_store;
struct capture;
struct profile;
struct series;

/* Labels of all series, the host's and the configured ones: copied. */
struct agent_store_options {
	const char *dir;
	struct store_limits limits;
	const struct dict_label_text *common;
	size_t n_common;
};
/* NULL when memory ends. */
struct agent_store *agent_store_new(struct parts *parts, const struct agent_store_options *options);
/* Changed limits and labels hold from the next window on. */
void agent_store_reload(struct agent_store *store, const struct agent_store_options *options);
/* After the builder has ended. NULL is fine. */
void agent_store_free(struct agent_store *store);

void agent_store_begin(struct agent_store *store, const struct capture *capture);
void agent_store_add(struct agent_store *store, const struct series *series,
		     const struct profile *profile);
void agent_store_end(struct agent_store *store, bool complete);

struct agent_store_stats {
	struct store_stats store;   /* as it was when a window was stored last */
	struct store_limits limits; /* as configured */
	bool open;
	__u64 failed_total;  /* windows that were not kept, for whatever reason */
	__u64 damaged_total; /* blocks that openings dropped */
	__u32 n_foreign;     /* files the last opening could not read as segments */
	__u64 last_mono_ns;  /* CLOCK_MONOTONIC of the end of the last window stored; 0: none */
};
/* Any thread. */
struct agent_store_stats agent_store_stats(struct agent_store *store);
/* Whether windows are kept, and why not; also while they are, what the last opening had to drop. */
bool agent_store_ok(struct agent_store *store, char reason[PART_REASON_MAX]);
/* CLOCK_MONOTONIC: where the last stored window that ends by at_ns does, among the last ones (they
 * reach back farther than the flight recorder); 0: none. Any thread. */
__u64 agent_store_edge(struct agent_store *store, __u64 at_ns);
const char *agent_store_dir(const struct agent_store *store);
