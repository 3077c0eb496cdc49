/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running agent: what `bianque agent` puts together. Threads: the agent's own (this loop:
 * signals, timers, HTTP), the router, the loader, the builder, the lister (builder.h), the push.
 *
 * Owner: the agent thread.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/config.h"

struct agent;
struct budget;
struct builder;
struct engine;
struct http_server;
struct loop;
struct on_demands;
struct parts;
struct push;
struct agent_store;
struct queries;
struct recorder;
struct windows;

/* Run until SIGTERM or SIGINT; SIGHUP reloads. The exit status. */
int agent_run(const struct config_source *source);

const struct config *agent_config(const struct agent *agent);
struct loop *agent_loop(const struct agent *agent);
struct parts *agent_parts(struct agent *agent);
/* NULL while sampling could not start (degraded: the rest runs on). */
struct engine *agent_engine(const struct agent *agent);
struct builder *agent_builder(const struct agent *agent);
struct builder *agent_lister(const struct agent *agent);
struct budget *agent_budget(const struct agent *agent);
struct windows *agent_windows(const struct agent *agent);
struct on_demands *agent_on_demands(const struct agent *agent);
/* NULL: switched off, or not there while sampling is off. */
struct agent_store *agent_store(const struct agent *agent);
struct recorder *agent_recorder(const struct agent *agent);
struct queries *agent_queries(const struct agent *agent);
const char *agent_host(const struct agent *agent);
/* Labels of every profile: those of agent.labels, then the host. How many; borrowed until the
 * configuration is loaded again. */
#define AGENT_MAX_LABELS 65
struct agent_label {
	const char *name, *value;
};
size_t agent_labels(const struct agent *agent, struct agent_label *out, size_t max);
__u64 agent_start_ns(const struct agent *agent);
