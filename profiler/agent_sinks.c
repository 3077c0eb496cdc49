// SPDX-License-Identifier: Apache-2.0
/*
 * Where the agent's profiles go: into the local store (agent_store.h), and to Pyroscope
 * (profiler/push) when pyroscope.url is set. The builder names each series of a window and hands it
 * to the store, then encodes it and calls push_part, which copies it into push's queue.
 *
 * Labels of a profile: the series' own (service_name, container, and pid or comm where
 * profile.labels asks for them), then agent.labels, then host, so that agent.labels may name the
 * host otherwise.
 */
#include <errno.h>
#include <stdio.h>

#include "profiler/agent_internal.h"
#include "profiler/agent_store.h"
#include "profiler/base/log.h"
#include "profiler/push/push.h"
#include "profiler/push/push_config.h"

#define ERROR_BYTES 512
_Static_assert(AGENT_MAX_LABELS > OPTION_MAX_ITEMS, "all of agent.labels, and the host");

static const struct push_config *push_values(const struct agent *agent)
{
	return config_get(agent->config, &pyroscope_section);
}

static const struct agent_config *agent_values(const struct agent *agent)
{
	return config_get(agent->config, &agent_section);
}

size_t agent_labels(const struct agent *agent, struct agent_label *out, size_t max)
{
	const struct option_map *own = &agent_values(agent)->labels;
	size_t n = 0;

	for (; n < own->n && n + 1 < max; n++)
		out[n] = (struct agent_label){own->pairs[n].name, own->pairs[n].value};
	out[n++] = (struct agent_label){"host", agent->host};
	return n;
}

/* The same as push takes them. */
struct common {
	struct push_label labels[AGENT_MAX_LABELS];
	size_t n;
};

static struct common common_labels(const struct agent *agent)
{
	struct agent_label labels[AGENT_MAX_LABELS];
	struct common c = {.n = agent_labels(agent, labels, AGENT_MAX_LABELS)};

	for (size_t i = 0; i < c.n; i++)
		c.labels[i] = (struct push_label){labels[i].name, labels[i].value};
	return c;
}

static struct push_values values_for_push(const struct agent *agent, const struct common *common)
{
	return (struct push_values){
		.config = push_values(agent), .common = common->labels, .n_common = common->n};
}

/* ---- the store ------------------------------------------------------------------------------- */

struct store_args {
	struct agent_store_options o;
	struct dict_label_text labels[AGENT_MAX_LABELS];
	char dir[4096];
};

static void args_for_store(const struct agent *agent, const struct common *common,
			   struct store_args *args)
{
	const struct store_config *config = config_get(agent->config, &store_section);

	snprintf(args->dir, sizeof(args->dir), "%s/store", agent_values(agent)->state_dir);
	for (size_t i = 0; i < common->n; i++)
		args->labels[i] =
			(struct dict_label_text){common->labels[i].name, common->labels[i].value};
	args->o = (struct agent_store_options){
		.dir = args->dir,
		.limits = {.retention_ns = config->retention_ns, .max_bytes = config->max_bytes},
		.common = args->labels,
		.n_common = common->n,
	};
}

static int open_store(struct agent *agent)
{
	const struct store_config *config = config_get(agent->config, &store_section);
	struct common common = common_labels(agent);
	struct store_args args;

	if (!config->enabled)
		return 0;
	args_for_store(agent, &common, &args);
	agent->store = agent_store_new(&agent->parts, &args.o);
	return agent->store ? 0 : -ENOMEM;
}

/* ---- open, reload, close --------------------------------------------------------------------- */

int agent_open_sinks(struct agent *agent)
{
	struct common common = common_labels(agent);
	struct push_args args = {
		.values = values_for_push(agent, &common),
		.state_dir = agent_values(agent)->state_dir,
		.parts = &agent->parts,
	};
	char error[ERROR_BYTES];
	int err = push_open(&args, &agent->push, error, sizeof(error));

	if (err)
		log_error(push, "%s", error);
	return err ? err : open_store(agent);
}

void agent_reload_sinks(struct agent *agent)
{
	struct common common = common_labels(agent);
	struct push_values values = values_for_push(agent, &common);
	struct store_args store;
	char error[ERROR_BYTES];

	if (push_reload(agent->push, &values, error, sizeof(error)))
		log_error(push, "%s; the old settings go on", error);
	args_for_store(agent, &common, &store);
	if (agent->store)
		agent_store_reload(agent->store, &store.o);
}

void agent_close_sinks(struct agent *agent, __u64 flush_ns)
{
	push_close(agent->push, flush_ns);
	agent->push = NULL;
	agent_store_free(agent->store);
	agent->store = NULL;
}

/* ---- a window: the builder thread ------------------------------------------------------------- */

static void push_part(void *arg, const struct window_part *part)
{
	struct agent *agent = arg;
	const struct series *series = part->series;
	struct push_label labels[SERIES_MAX_LABELS];
	struct push_profile profile = {
		.name = part->profile_name,
		.labels = labels,
		.n_labels = series->n_labels,
		.pprof = part->pprof,
		.len = part->len,
		.raw_bytes = part->raw_bytes,
		.time_ns = part->time_ns,
	};

	for (size_t i = 0; i < series->n_labels; i++)
		labels[i] = (struct push_label){series->labels[i].name, series->labels[i].value};
	if (push_submit(agent->push, &profile)) {
		/* counted with its reason */
	}
}

static void store_begin_window(void *arg, const struct capture *capture)
{
	agent_store_begin(((struct agent *)arg)->store, capture);
}

static void store_series(void *arg, const struct series *series, const struct profile *profile)
{
	agent_store_add(((struct agent *)arg)->store, series, profile);
}

static void store_end_window(void *arg, bool complete)
{
	agent_store_end(((struct agent *)arg)->store, complete);
}

struct window_sink agent_window_sink(struct agent *agent)
{
	struct window_sink sink = {.arg = agent};

	if (*push_values(agent)->url) /* else nobody wants them: not even encoded */
		sink.part = push_part;
	if (agent->store) {
		sink.begin = store_begin_window;
		sink.profile = store_series;
		sink.end = store_end_window;
	}
	return sink;
}
