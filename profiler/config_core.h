/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's own sections of the configuration: agent, profile, symbols, store. Sections of parts
 * that stand in folders of their own are there (http/http_config.h, push/push_config.h).
 */
#pragma once

#include "profiler/config.h"

struct agent_config {
	const char *state_dir, *cache_dir;
	struct option_map labels; /* on every profile */
	double cpu_budget_pct;	  /* of one core */
	__u64 memory_budget_bytes;
};

struct profile_config {
	__u64 hz;
	__u64 window_ns;
	struct option_list kinds;
	__u64 max_frames;
	struct option_list labels; /* optional ones: pid, comm, thread */
};

struct symbols_config {
	bool inlines;
	struct option_list debug_dirs;
	struct option_list debuginfod_urls; /* empty: never ask the network */
	__u64 cache_bytes;		    /* of the on-disk cache */
};

struct store_config {
	bool enabled;
	__u64 retention_ns;
	__u64 max_bytes;
};

extern const struct config_section agent_section, profile_section, symbols_section, store_section;

/* Check of a label name that users may set: [a-zA-Z_][a-zA-Z0-9_]*, not reserved (__x). Fits
 * option_row.check_name. */
int config_check_label(const char *name, char *error, size_t size);
/* Check of an http:// or https:// URL without user, query and fragment. Fits option_row.check; ""
 * passes. */
int config_check_url(const char *url, char *error, size_t size);
