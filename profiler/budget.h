/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own budget: agent.cpu_budget_pct and agent.memory_budget_bytes are kept by measuring
 * itself. Every BUDGET_PERIOD_NS the controller looks at the CPU time and the memory used, and
 * moves one step: down when over, up after a while well below. A step says how much of the
 * configured rate, stack copies and symbol work remains; memory steps say how large the tables may
 * be.
 *
 * The controller is arithmetic on measurements handed in, so it runs in tests as in life; applying
 * a step is its owner's. Agent thread.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

#define BUDGET_PERIOD_NS (5ull * 1000 * 1000 * 1000)

/* What remains at each step; 0 is everything. */
struct budget_step {
	double hz, copies, symbols; /* factors of what is configured; hz never goes below 1 */
	double tables;		    /* of the memory of caches and tables */
};

enum budget_kind { BUDGET_CPU, BUDGET_MEMORY, BUDGET_KINDS };
const char *budget_kind_name(enum budget_kind kind);

struct budget_lane {
	double limit;	      /* percent of one core; bytes */
	double used;	      /* smoothed */
	unsigned step;	      /* now */
	unsigned over, under; /* measurements in a row beyond the limit, well below it */
	__u64 downs_total, ups_total;
};

struct budget {
	struct budget_lane lanes[BUDGET_KINDS];
	__u64 last_ns, last_cpu_ns;
};

void budget_init(struct budget *budget, double cpu_pct, __u64 memory_bytes);
/* A measurement: time now, CPU time used since the start (BPF programs included where known),
 * memory in use. True when a step changed. */
bool budget_measure(struct budget *budget, __u64 now_ns, __u64 cpu_ns, __u64 memory_bytes);
/* What is in force. */
struct budget_step budget_now(const struct budget *budget);
unsigned budget_steps(void); /* how many steps there are below everything */
