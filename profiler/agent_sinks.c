// SPDX-License-Identifier: Apache-2.0
/* Where the agent's profiles go. */
#include "profiler/agent_internal.h"

int agent_open_sinks(struct agent *agent UNUSED)
{
	return 0;
}

void agent_reload_sinks(struct agent *agent UNUSED)
{
}

void agent_close_sinks(struct agent *agent UNUSED, __u64 flush_ns UNUSED)
{
}

struct window_sink agent_window_sink(struct agent *agent UNUSED)
{
	return (struct window_sink){0};
}
