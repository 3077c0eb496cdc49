// SPDX-License-Identifier: Apache-2.0
/* Running the registered collectors, see collector.h. */
#include "profiler/collector.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/loop.h"
#include "profiler/metric.h"
#include "profiler/part.h"

#define KINDS 64

METRIC(errors_total, COUNTER, "bianque_collector_errors_total", NULL,
       "Records and ticks that a module failed on");

const char *const collector_enabled_names[] = {"auto", "on", "off", NULL};

struct running_collector {
	const struct collector *collector;
	struct collectors *all;
	pthread_mutex_t lock; /* of calls */
	void *self;
	struct part part;
	struct loop_timer timer;
	__u64 errors_total;
	bool runs;
};

struct collectors {
	struct loop *loop;
	__u64 kinds;
	size_t n;
	struct running_collector list[];
};

static void tick(void *arg)
{
	struct running_collector *r = arg;

	pthread_mutex_lock(&r->lock);
	if (r->collector->tick(r->self))
		r->errors_total++;
	pthread_mutex_unlock(&r->lock);
	loop_timer_set(r->all->loop, &r->timer,
		       clock_monotonic_ns() + r->collector->period_ms * NS_PER_MS);
}

static int metrics(void *arg, struct metric_out *out)
{
	struct running_collector *r = arg;
	int err = 0;

	pthread_mutex_lock(&r->lock);
	if (r->runs && r->collector->metrics)
		err = r->collector->metrics(r->self, out);
	metric_out_u64(out, &errors_total, METRIC_LABELS({"collector", r->collector->name}),
		       r->errors_total);
	pthread_mutex_unlock(&r->lock);
	return err;
}

static bool wanted(const struct collector *c, const struct config *config)
{
	const struct collector_config *values = config_get(config, c->section);

	return values->enabled == COLLECTOR_AUTO ? c->on_by_default
						 : values->enabled == COLLECTOR_ON;
}

static void start_one(struct running_collector *r, const struct config *config)
{
	const struct collector *c = r->collector;
	int err = 0;

	if (!wanted(c, config)) {
		part_set_state(&r->part, PART_OFF, "switched off: %s.enabled", c->name);
		return;
	}
	r->self = calloc(1, c->state_size ? c->state_size : 1);
	if (!r->self)
		err = -ENOMEM;
	else if (c->start)
		err = c->start(r->self, config);
	if (err) {
		log_warn(agent, "module '%s' is off: %s", c->name, strerror(-err));
		part_set_state(&r->part, PART_OFF, "%s", strerror(-err));
		return;
	}
	r->runs = true;
	part_set_state(&r->part, PART_OK, NULL);
	if (c->record)
		r->all->kinds |= c->kinds;
	if (c->tick && c->period_ms) {
		r->timer = (struct loop_timer){.fn = tick, .arg = r};
		loop_timer_set(r->all->loop, &r->timer,
			       clock_monotonic_ns() + c->period_ms * NS_PER_MS);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct running_collector *)a)->collector->name,
		      ((const struct running_collector *)b)->collector->name);
}

struct collectors *collectors_start(struct loop *loop, struct parts *parts,
				    const struct config *config)
{
	struct collectors *all =
		calloc(1, sizeof(*all) + registry_len(collectors) * sizeof(all->list[0]));

	if (!all)
		return NULL;
	all->loop = loop;
	registry_for_each (collectors, c)
		all->list[all->n++].collector = *c;
	qsort(all->list, all->n, sizeof(all->list[0]), by_name);
	for (size_t i = 0; i < all->n; i++) {
		struct running_collector *r = &all->list[i];

		r->all = all;
		pthread_mutex_init(&r->lock, NULL);
		r->part = (struct part){.name = r->collector->name, .self = r, .metrics = metrics};
		if (parts_add(parts, &r->part))
			log_error(agent, "too many parts: '%s' has no metrics", r->collector->name);
		start_one(r, config);
	}
	return all;
}

void collectors_stop(struct collectors *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++) {
		struct running_collector *r = &all->list[i];

		loop_timer_stop(all->loop, &r->timer);
		parts_del(&r->part);
		if (r->self && r->collector->stop)
			r->collector->stop(r->self);
		free(r->self);
		pthread_mutex_destroy(&r->lock);
	}
	free(all);
}

__u64 collectors_kinds(const struct collectors *all)
{
	return all ? all->kinds : 0;
}

void collectors_record(struct collectors *all, const struct rec *rec)
{
	for (size_t i = 0; i < all->n; i++) {
		struct running_collector *r = &all->list[i];

		if (!r->runs || !r->collector->record || rec->kind >= KINDS ||
		    !(r->collector->kinds & 1ull << rec->kind))
			continue;
		pthread_mutex_lock(&r->lock);
		if (r->collector->record(r->self, rec))
			r->errors_total++;
		pthread_mutex_unlock(&r->lock);
	}
}
