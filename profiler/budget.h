/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own budget: agent.cpu_budget_pct and agent.memory_budget_bytes are kept by measuring
 * itself. Every BUDGET_PERIOD_NS the controller looks at the CPU time and the memory used, and
 * moves one step: down when over, up after a while below, and after a longer one where the last
 * step up did not hold. A step says how much of the configured rate, stack copies and symbol work
 * remains; memory steps say how large the tables may be.
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
	double hz, copies, symbols; /* factors of what is configured */
	double tables;		    /* of the memory of caches and tables */
};

enum budget_kind { BUDGET_CPU, BUDGET_MEMORY, BUDGET_KINDS };
const char *budget_kind_name(enum budget_kind kind);

struct budget_lane {
	double limit;	      /* percent of one core; bytes */
	double used;	      /* smoothed: what status shows */
	double pressure;      /* the same as a share of the limit, jumps cut: what decides */
	unsigned step;	      /* now */
	int moved;	      /* by the last measurement: 1 a step down, -1 up, 0 not */
	unsigned over, under; /* measurements in a row beyond the limit, below it */
	unsigned patience;    /* how many below it takes for a step up */
	unsigned since_up;    /* measurements since the last step up */
	__u64 downs_total, ups_total;
};

/*
 * CPU time of the sampling program. The kernel tells it while kernel.bpf_stats_enabled, which others
 * switch on and off as they like; meanwhile its counters stand still. So an interval's time is the
 * kernel's when the kernel counted about the runs that the program itself did, and is estimated
 * from those else.
 */
struct program_counts {
	__u64 run_ns, run_count; /* the kernel's */
	__u64 runs, frames;	 /* the program's own */
};
struct program_time {
	struct program_counts last;
	__u64 used_ns;
};
/* Counts now, since the sampler was opened; where they went back another one was, and the interval
 * is left out. Returns all time so far. */
__u64 program_time_add(struct program_time *time, const struct program_counts *now);

struct budget {
	struct budget_lane lanes[BUDGET_KINDS];
	__u64 last_ns, last_cpu_ns;
};

void budget_init(struct budget *budget, double cpu_pct, __u64 memory_bytes);
/* Changed limits hold from the next measurement on; the steps stay where they are. */
void budget_set_limits(struct budget *budget, double cpu_pct, __u64 memory_bytes);
/* A measurement: time now, CPU time used since the start (BPF programs included where known),
 * memory in use. A CPU time that went back (its counters started anew) says nothing this time. True
 * when a step changed. */
bool budget_measure(struct budget *budget, __u64 now_ns, __u64 cpu_ns, __u64 memory_bytes);
/* One line for each step that the last measurement took. */
void budget_log(const struct budget *budget);
/* What is in force. */
struct budget_step budget_now(const struct budget *budget);
/* The rate in force, of the configured one: never below 1. */
unsigned budget_hz(const struct budget *budget, unsigned configured_hz);
unsigned budget_steps(enum budget_kind kind); /* how many there are below everything */
