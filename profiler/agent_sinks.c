// SPDX-License-Identifier: Apache-2.0
/*
 * Where the agent's profiles go: so far to Pyroscope (profiler/push), when pyroscope.url is set.
 * The builder encodes each series of a window and calls push_part, which copies it into push's
 * queue.
 *
 * Labels of a profile: the series' own (service_name, container, and pid or comm where
 * profile.labels asks for them), then agent.labels, then host, so that agent.labels may name the
 * host otherwise.
 */
#include "profiler/agent_internal.h"
#include "profiler/base/log.h"
#include "profiler/push/push.h"
#include "profiler/push/push_config.h"

#define ERROR_BYTES	  512
#define MAX_COMMON_LABELS (OPTION_MAX_ITEMS + 1)

static const struct push_config *push_values(const struct agent *agent)
{
	return config_get(agent->config, &pyroscope_section);
}

static const struct agent_config *agent_values(const struct agent *agent)
{
	return config_get(agent->config, &agent_section);
}

static struct push_values values_for_push(const struct agent *agent,
					  struct push_label labels[MAX_COMMON_LABELS])
{
	const struct option_map *own = &agent_values(agent)->labels;
	size_t n = 0;

	for (; n < own->n; n++)
		labels[n] = (struct push_label){own->pairs[n].name, own->pairs[n].value};
	labels[n++] = (struct push_label){"host", agent->host};
	return (struct push_values){.config = push_values(agent), .common = labels, .n_common = n};
}

int agent_open_sinks(struct agent *agent)
{
	struct push_label labels[MAX_COMMON_LABELS];
	struct push_args args = {
		.values = values_for_push(agent, labels),
		.state_dir = agent_values(agent)->state_dir,
		.parts = &agent->parts,
	};
	char error[ERROR_BYTES];
	int err = push_open(&args, &agent->push, error, sizeof(error));

	if (err)
		log_error(push, "%s", error);
	return err;
}

void agent_reload_sinks(struct agent *agent)
{
	struct push_label labels[MAX_COMMON_LABELS];
	struct push_values values = values_for_push(agent, labels);
	char error[ERROR_BYTES];

	if (push_reload(agent->push, &values, error, sizeof(error)))
		log_error(push, "%s; the old settings go on", error);
}

void agent_close_sinks(struct agent *agent, __u64 flush_ns)
{
	push_close(agent->push, flush_ns);
	agent->push = NULL;
}

/* Builder thread. */
static void push_part(void *arg, const struct window_part *part)
{
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
	if (push_submit(arg, &profile)) {
		/* counted with its reason */
	}
}

struct window_sink agent_window_sink(struct agent *agent)
{
	if (!*push_values(agent)->url)
		return (struct window_sink){0}; /* nobody wants them: not even encoded */
	return (struct window_sink){.part = push_part, .arg = agent->push};
}
