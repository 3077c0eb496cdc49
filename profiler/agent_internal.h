/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's insides, shared by agent.c (its life), agent_metrics.c (what it says of itself) and
 * agent_sinks.c (where profiles go). Nobody else includes this. */
#pragma once

#include "profiler/agent.h"
#include "profiler/budget.h"
#include "profiler/builder.h"
#include "profiler/config_core.h"
#include "profiler/loop.h"
#include "profiler/part.h"
#include "profiler/window.h"

struct agent {
	const struct config_source *source;
	struct config *config;
	struct loop *loop;
	struct parts parts;
	struct http_server *http;
	struct engine *engine;
	struct builder *builder, *lister;
	struct windows *windows;
	struct on_demands *on_demands;
	struct collectors *collectors;
	struct push *push;
	struct agent_store *store; /* NULL: switched off */
	struct recorder *recorder;
	struct queries *queries;
	struct budget budget;
	struct program_time program_time;
	struct part self, sampling, naming;
	struct loop_timer tick, retry;
	char host[256];
	__u64 start_ns;
	int lock_fd, signal_fd;
	__u64 signal_watch;
	bool sampling_failed;
};

/* CPU time of work that somebody waits for, which is not in the budget: queries, profiles and lists on
 * demand. */
__u64 agent_answers_cpu_ns(struct agent *agent);

/* agent_metrics.c: the parts that the agent itself is. 0 or -ENOSPC. */
MUST_CHECK int agent_add_parts(struct agent *agent);
void agent_del_parts(struct agent *agent);

/* agent_sinks.c */
MUST_CHECK int agent_open_sinks(struct agent *agent);
void agent_reload_sinks(struct agent *agent);
void agent_close_sinks(struct agent *agent, __u64 flush_ns);
struct window_sink agent_window_sink(struct agent *agent);
