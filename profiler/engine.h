/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiling engine: sampler, segments, loader and router put together. `record` runs one for
 * itself, the agent keeps one for its life.
 */
#pragma once

#include "profiler/router.h"
#include "profiler/sampler.h"

/* What the router's tables keep: stacks, and rows of files that nobody runs now. The latter are
 * quickly back from the cache on disk. */
#define ENGINE_STACKS_BYTES    (12u << 20)
#define ENGINE_IDLE_ROWS_BYTES (8u << 20)

struct collectors;
struct engine;

struct engine_options {
	struct sampler_options sampler;
	const char *cache_dir; /* of rows; NULL: none */
	__u64 rows_budget;     /* bytes of unwind rows in kernel memory; 0: 40 MiB */
	__u64 cache_bytes;     /* of rows on disk; 0: 512 MiB */
	bool controller_auto;  /* choose the cgroup hierarchy (sampler.hierarchy is then set) */
	bool scan;	       /* learn of all running processes at start */
	struct collectors *collectors; /* get the records they want; NULL: none */
	struct recorder *recorder;     /* gets the samples; freed before engine_stop; or NULL */
};

/* Everything runs when this returns 0. Else -errno, and *ret_why (malloc'd, the caller's) says what
 * failed and what to do; it may be NULL. */
MUST_CHECK int engine_start(const struct engine_options *options, struct engine **ret_engine,
			    char **ret_why);
/* Stop sampling, drain, finish the captures that run. No capture's done is called after it; what
 * captures refer to stays valid. */
void engine_halt(struct engine *engine);
/* The same if it was not yet, and free. Captures taken before must be freed first: their objects
 * live in the engine. */
void engine_stop(struct engine *engine);

struct sampler *engine_sampler(const struct engine *engine);
struct router *engine_router(const struct engine *engine);
struct segments *engine_segments(const struct engine *engine);
struct loader *engine_loader(const struct engine *engine);
/* The hierarchy whose ids records carry, and its name in /proc/PID/cgroup (NULL: v2). */
enum cgroup_hierarchy engine_hierarchy(const struct engine *engine);
