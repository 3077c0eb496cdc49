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
#include "symbolize/perf_map.h"

struct profile;
struct naming;

/* Strings are copied. */
struct naming_options {
	const char *cache_dir;	       /* of symbol indexes; NULL: none */
	__u64 cache_bytes;	       /* of it on disk; 0: 1 GiB */
	const char *const *debug_dirs; /* folders of debug files; n_debug_dirs 0: the usual one */
	size_t n_debug_dirs;
	bool debuginfod;   /* ask the servers of $DEBUGINFOD_URLS */
	bool no_inlines;   /* physical functions only */
	__u32 max_objects; /* symbols open at a time; 0: 512 */
	/* Of names and JITs' maps; 0: 16 MiB. The largest map in use does not count: it has a bound
	 * of its own. The others get what room is left and are read on when there is more. */
	__u64 max_bytes;
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
/* The end of a job: let go of symbols that the last ones did not use, and of more, the least used
 * first, until the rest fits max_bytes. Within a job, what this and the one before used stays. */
void naming_sweep(struct naming *naming);

struct naming_stats {
	__u32 n_objects, n_without_symbols, n_jits;
	__u64 bytes; /* names and JITs' maps, at the last sweep */
	__u64 frames_total, unknown_total, opened_total, evicted_total;
	struct perf_map_stats jits; /* of all maps that ever were */
};
struct naming_stats naming_stats(const struct naming *naming);
struct naming_object {
	const char *path, *build_id, *note;
	bool on_host; /* path is one of the host's own root */
};
/* Objects whose symbols are missing or partial, for status and the page. */
void naming_each_object(const struct naming *naming,
			void (*each)(void *arg, const struct naming_object *object), void *arg);
