/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a capture to a named profile: every stack once, every frame looked up in the symbols of its
 * object, the kernel, or a JIT's map. Symbols are opened at first use and kept while they are used.
 *
 * Owner: the builder thread (or the command that runs alone). Slow: opening the symbols of a large
 * file takes seconds once.
 */
#pragma once

#include <stdbool.h>

#include "profiler/capture.h"

struct profile;
struct naming;

struct naming_options {
	const char *cache_dir; /* of symbol indexes; NULL: none */
	bool debuginfod;
	__u32 max_objects; /* symbols open at a time; 0: 512 */
	/* Asked now and then; true ends the work early, names stay `file+0x1234`. May be NULL. */
	bool (*cancelled)(void *arg);
	void *arg;
};

/* NULL when memory ends. */
struct naming *naming_new(const struct naming_options *options);
void naming_free(struct naming *naming);

struct naming_labels {
	bool comm, pid, tid; /* which labels samples get */
};

/* Name entries [first, end) of the capture into the profile: its types, period and time are set
 * when it has none yet. */
void naming_add(struct naming *naming, const struct capture *capture, size_t first, size_t end,
		const struct naming_labels *labels, struct profile *profile);
/* All of it into a new profile; NULL when memory ends. */
struct profile *naming_profile(struct naming *naming, const struct capture *capture,
			       const struct naming_labels *labels);
/* Let go of symbols that the last calls did not use. */
void naming_sweep(struct naming *naming);

struct naming_stats {
	__u32 n_objects, n_without_symbols;
	__u64 frames_total, unknown_total, opened_total;
};
struct naming_stats naming_stats(const struct naming *naming);
/* Objects whose symbols are missing or partial, for status and the page. */
void naming_each_object(const struct naming *naming,
			void (*each)(void *arg, const char *path, const char *build_id,
				     const char *note),
			void *arg);
