// SPDX-License-Identifier: Apache-2.0
/* The engine, see engine.h: what starts in which order, with which bounds. */
#include "profiler/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profiler/base/thread.h"
#include "profiler/cgroup.h"
#include "profiler/collector.h"
#include "profiler/loader.h"
#include "profiler/pid_namespace.h"
#include "profiler/row_cache.h"
#include "profiler/segment.h"

#define DEFAULT_ROWS_BUDGET (40ull << 20)
#define DEFAULT_CACHE_BYTES (512ull << 20)
#define DEFAULT_PROCESSES   16384u
#define MAX_OBJECTS	    65536u
#define SEGMENTS_SPARE	    4u /* for map sets, beside the rows' budget */

struct engine {
	struct engine_options o;
	struct sampler *sampler;
	struct segments *segments;
	struct row_cache *cache;
	struct loader *loader;
	struct router *router;
	bool halted;
};

/* One descriptor for each file whose symbols are wanted, one per CPU and ring. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* less is enough for a small host */
}

static void give_record(void *arg, const struct rec *rec)
{
	collectors_record(arg, rec);
}

static int start(struct engine *e, char **ret_why)
{
	struct sampler_options *s = &e->o.sampler;
	struct loader_options l = {.procfs = "/proc"};
	struct router_options r;
	int err;

	raise_file_limit();
	if (e->o.controller_auto)
		s->hierarchy = cgroup_choose("/proc");
	if (!s->max_frames)
		s->max_frames = USER_FRAMES_MAX;
	if (!s->max_processes)
		s->max_processes = DEFAULT_PROCESSES;
	s->max_segments = (__u32)(e->o.rows_budget / UNW_SEGMENT_BYTES) + SEGMENTS_SPARE;
	err = sampler_open(s, &e->sampler, ret_why);
	if (err)
		return err;
	e->segments = segments_new(sampler_segments_fd(e->sampler),
				   (size_t)s->max_segments * UNW_SEGMENT_BYTES);
	if (!e->segments)
		return -ENOMEM;
	if (e->o.cache_dir)
		e->cache = row_cache_open(e->o.cache_dir, e->o.cache_bytes);
	l.segments = e->segments;
	l.cache = e->cache;
	l.controller = cgroup_controller(s->hierarchy);
	err = loader_start(&l, &e->loader);
	if (err)
		return err;
	r = (struct router_options){
		.sampler = e->sampler,
		.loader = e->loader,
		.segments = e->segments,
		.max_processes = s->max_processes,
		.max_objects = MAX_OBJECTS,
		.max_frames = s->max_frames,
		.stacks_bytes = ENGINE_STACKS_BYTES,
		.idle_rows_bytes = ENGINE_IDLE_ROWS_BYTES,
		.scan = e->o.scan,
		.pids = s->targets,
		.n_pids = s->target == TARGET_PIDS ? s->n_targets : 0,
		.record_kinds = collectors_kinds(e->o.collectors),
		.on_record = give_record,
		.record_arg = e->o.collectors,
		.recorder = e->o.recorder,
	};
	return router_start(&r, &e->router);
}

int engine_start(const struct engine_options *options, struct engine **ret_engine, char **ret_why)
{
	struct engine *e = calloc(1, sizeof(*e));
	int err, nice;

	*ret_why = NULL;
	if (!e)
		return -ENOMEM;
	e->o = *options;
	if (!pid_namespace_is_initial("/proc")) {
		*ret_why = strdup(pid_namespace_refusal());
		free(e);
		return -EOPNOTSUPP;
	}
	if (!e->o.rows_budget)
		e->o.rows_budget = DEFAULT_ROWS_BUDGET;
	if (!e->o.cache_bytes)
		e->o.cache_bytes = DEFAULT_CACHE_BYTES;
	nice = thread_raise(); /* the verifier's second is not to become ten */
	err = start(e, ret_why);
	thread_set_nice(nice);
	if (err) {
		if (!*ret_why &&
		    asprintf(ret_why, "profiling cannot start: %s", strerror(-err)) < 0)
			*ret_why = NULL;
		engine_stop(e);
		return err;
	}
	*ret_engine = e;
	return 0;
}

void engine_halt(struct engine *e)
{
	if (e->halted)
		return;
	e->halted = true;
	if (e->sampler)
		sampler_enable(e->sampler, false);
	router_stop(e->router);
}

void engine_stop(struct engine *e)
{
	if (!e)
		return;
	engine_halt(e);
	loader_stop(e->loader);
	router_free(e->router);
	sampler_close(e->sampler);
	segments_free(e->segments);
	row_cache_close(e->cache);
	free(e);
}

struct sampler *engine_sampler(const struct engine *e)
{
	return e->sampler;
}

struct router *engine_router(const struct engine *e)
{
	return e->router;
}

struct segments *engine_segments(const struct engine *e)
{
	return e->segments;
}

struct loader *engine_loader(const struct engine *e)
{
	return e->loader;
}

enum cgroup_hierarchy engine_hierarchy(const struct engine *e)
{
	return e->o.sampler.hierarchy;
}
