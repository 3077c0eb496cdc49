// SPDX-License-Identifier: Apache-2.0
/*
 * Profiles on demand, see on_demand.h. The way of one: the agent thread starts a capture and a
 * timer; the timer ends the capture; the router gives it back when everything up to then has been
 * read; the builder names and encodes it; the agent thread answers. A cancelled one goes the same
 * way, without work, so that exactly one place frees it.
 */
#include "profiler/on_demand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/builder.h"
#include "profiler/engine.h"
#include "profiler/export/export.h"
#include "profiler/export/sink.h"
#include "profiler/loop.h"
#include "profiler/profile.h"

#define CPUS_NS NS_PER_S /* between two looks at which CPUs are online */

struct on_demand {
	struct builder_job job;
	struct on_demands *all;
	on_demand_done *done; /* NULL: cancelled */
	void *arg;
	struct loop_timer timer;
	struct capture *capture; /* the router's until it gives it back */
	bool ended;		 /* the router was told to end it */
	struct sampler *own;	 /* of its own rate; NULL: the agent's */
	unsigned slot;		 /* of `own` */
	const struct export_format *format;
	char *title; /* NULL: the profile's name */
	struct buf body;
	int err;
};

struct on_demands {
	struct agent *agent;
	struct on_demand
		*own[SOURCE_ON_DEMAND_MAX]; /* those with a rate of their own; NULL: free */
	struct loop_timer cpus;		    /* runs while there are any */
	struct on_demand_stats stats;
};

/* CPUs come and go under profiles with events of their own, too. */
static void follow_cpus(void *arg)
{
	struct on_demands *all = arg;

	if (!all->stats.n_own_rate)
		return;
	for (unsigned slot = 0; slot < SOURCE_ON_DEMAND_MAX; slot++)
		if (all->own[slot])
			sampler_update_cpus(all->own[slot]->own);
	loop_timer_set(agent_loop(all->agent), &all->cpus, clock_monotonic_ns() + CPUS_NS);
}

struct on_demands *on_demands_new(struct agent *agent)
{
	struct on_demands *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->agent = agent;
	all->cpus = (struct loop_timer){.fn = follow_cpus, .arg = all};
	return all;
}

void on_demands_free(struct on_demands *all, __u64 wait_ns)
{
	__u64 until_ns = clock_monotonic_ns() + wait_ns;

	if (!all)
		return;
	while (all->stats.n && clock_monotonic_ns() < until_ns)
		if (loop_once(agent_loop(all->agent), 20))
			break;
	loop_timer_stop(agent_loop(all->agent), &all->cpus);
	if (all->stats.n) /* they end with the builder: the block must outlive them */
		log_warn(profile, "%u profiles on demand did not end in time", all->stats.n);
	else
		free(all);
}

/* ---- the end of one -------------------------------------------------------------------------- */

static void close_own(struct on_demand *p)
{
	if (!p->own)
		return;
	sampler_close(p->own);
	p->own = NULL;
	p->all->own[p->slot] = NULL;
	p->all->stats.n_own_rate--;
}

/* Builder thread. */
static void run(struct builder_job *job, struct naming *naming)
{
	struct on_demand *p = container_of(job, struct on_demand, job);
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	struct naming_labels labels = {.comm = true, .pid = true, .tid = true};
	struct profile *profile = naming_profile(naming, p->capture, &labels);
	struct sink_buf sink;

	if (!profile) {
		p->err = -ENOMEM;
		return;
	}
	options.string_labels = true;
	options.host = agent_host(p->all->agent);
	options.title = p->title;
	p->body.limit = ON_DEMAND_MAX_BYTES;
	sink_buf_init(&sink, &p->body);
	p->err = p->format->write(profile, &options, &sink.sink);
	if (!p->err)
		p->err = sink_finish(&sink.sink);
	profile_free(profile);
}

static void free_on_demand(struct on_demand *p)
{
	capture_free(p->capture);
	buf_fini(&p->body);
	free(p->title);
	free(p);
}

static void finished(struct builder_job *job)
{
	struct on_demand *p = container_of(job, struct on_demand, job);
	struct on_demand_stats *stats = &p->all->stats;

	if (!p->done)
		stats->cancelled_total++;
	else if (p->err)
		stats->failed_total++;
	else
		stats->finished_total++;
	close_own(p);
	if (p->done)
		p->done(p->arg, p->err, &p->body);
	stats->n--;
	free_on_demand(p);
}

/* Router thread. */
static void captured(void *arg, struct capture *capture)
{
	struct on_demand *p = arg;

	p->capture = capture;
	if (!capture)
		atomic_store(&p->job.cancelled, true);
	builder_submit(agent_builder(p->all->agent), &p->job);
}

static void end(struct on_demand *p, bool discard)
{
	if (p->own)
		sampler_enable(p->own, false);
	loop_timer_stop(agent_loop(p->all->agent), &p->timer);
	p->ended = true;
	router_end_capture(engine_router(agent_engine(p->all->agent)), p->capture, discard);
}

static void time_is_up(void *arg)
{
	end(arg, false);
}

void on_demand_cancel(struct on_demand *p)
{
	p->done = NULL;
	atomic_store(&p->job.cancelled, true);
	if (!p->ended)
		end(p, true);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static int open_own(struct on_demand *p, unsigned hz, char **ret_why)
{
	struct sampler *base = engine_sampler(agent_engine(p->all->agent));
	struct sampler_options options = {.hz = hz};
	int err;

	while (p->slot < SOURCE_ON_DEMAND_MAX && p->all->own[p->slot])
		p->slot++;
	if (p->slot == SOURCE_ON_DEMAND_MAX)
		return -EBUSY;
	options.source = (enum source)(SOURCE_ON_DEMAND + p->slot);
	err = sampler_open_on_demand(base, &options, &p->own, ret_why);
	if (err)
		return err;
	p->all->own[p->slot] = p;
	if (!p->all->stats.n_own_rate++)
		loop_timer_set(agent_loop(p->all->agent), &p->all->cpus,
			       clock_monotonic_ns() + CPUS_NS);
	return 0;
}

static int begin(struct on_demand *p, const struct on_demand_request *request, char **ret_why)
{
	struct engine *engine = agent_engine(p->all->agent);
	struct capture_options options = {
		.source = SOURCE_CPU,
		.pid = request->pid,
		.cgroup_ids = request->cgroup_ids,
		.n_cgroup_ids = request->n_cgroup_ids,
		.by_thread = true,
	};
	unsigned hz = sampler_hz(engine_sampler(engine));
	int err;

	p->title = request->title ? strdup(request->title) : NULL;
	if (request->title && !p->title)
		return -ENOMEM;
	if (request->hz) {
		err = open_own(p, request->hz, ret_why);
		if (err)
			return err;
		options.source = (__u8)(SOURCE_ON_DEMAND + p->slot);
		hz = request->hz;
	}
	p->capture = capture_new(&options, hz);
	if (!p->capture)
		return -ENOMEM;
	return router_add_capture(engine_router(engine), p->capture, captured, p);
}

int on_demand_start(struct on_demands *all, const struct on_demand_request *request,
		    on_demand_done *done, void *arg, struct on_demand **ret_profile, char **ret_why)
{
	struct on_demand *p;
	int err;

	*ret_why = NULL;
	if (!agent_engine(all->agent))
		return -ENODEV;
	if (all->stats.n == ON_DEMAND_MAX) {
		all->stats.refused_total++;
		return -EBUSY;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->all = all;
	p->done = done;
	p->arg = arg;
	p->format = request->format;
	p->job.run = run;
	p->job.done = finished;
	p->job.urgent = true;
	p->timer = (struct loop_timer){.fn = time_is_up, .arg = p};
	err = begin(p, request, ret_why);
	if (err) {
		all->stats.refused_total += err == -EBUSY;
		all->stats.failed_total += err != -EBUSY;
		close_own(p);
		free_on_demand(p);
		return err;
	}
	all->stats.n++;
	all->stats.started_total++;
	loop_timer_set(agent_loop(all->agent), &p->timer,
		       clock_monotonic_ns() + request->duration_ns);
	*ret_profile = p;
	return 0;
}

struct on_demand_stats on_demand_stats(const struct on_demands *all)
{
	return all->stats;
}
