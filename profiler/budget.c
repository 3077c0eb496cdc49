// SPDX-License-Identifier: Apache-2.0
/* The budget controller, see budget.h. */
#include "profiler/budget.h"

#include "profiler/base/log.h"

#define RUN_NS		   1500 /* of the sampling program, where the kernel keeps no statistics: */
#define FRAME_NS	   100	/* 2 to 5 us with 30 frames, as measured */
#define RUNS_TOLERANCE	   4	/* part of the runs: the two counters are not read at once */
#define RUNS_TOLERANCE_MIN 8
#define SMOOTHING	   0.35 /* weight of the newest measurement: some 15 s */
#define MIN_OVER	   2	/* measurements before a step down */
#define MIN_UNDER	   12	/* and before a step up: a minute */
#define MAX_PATIENCE	   384	/* half an hour, where steps up did not hold */
#define RELAPSE		   24	/* a step up undone so soon did not hold */
#define UNDER_RATIO	   0.8	/* "below": a step up that does not hold makes the next one rarer */
/* One measurement counts at most as so much of the limit: a lone jump (a stopped machine that goes
 * on, a page cache counted late) is no reason for a step. */
#define MAX_JUMP 2.5

/*
 * Symbol work first: it is the part nobody misses for a while. Then copies, then the rate. The last
 * steps are for many CPUs or a high rate: 997 Hz on 128 CPUs come down to 1 Hz.
 */
static const struct budget_step cpu_steps[] = {
	{1, 1, 1, 1},	     {1, 1, 0.5, 1},	   {1, 0.5, 0.25, 1},	  {1, 0.25, 0.1, 1},
	{0.5, 0.1, 0.05, 1}, {0.5, 0.04, 0.05, 1}, {0.25, 0.01, 0.02, 1}, {0.1, 0, 0.02, 1},
	{0.04, 0, 0.02, 1},  {0.016, 0, 0.02, 1},  {0.006, 0, 0.02, 1},	  {0.0025, 0, 0.02, 1},
	{0.001, 0, 0.02, 1},
};
static const struct budget_step memory_steps[] = {
	{1, 1, 1, 1},	  {1, 1, 1, 0.5},	  {1, 1, 1, 0.25},
	{1, 1, 0.5, 0.1}, {0.5, 0.25, 0.1, 0.05}, {0.1, 0, 0.02, 0.02},
};

static const struct {
	const char *name;
	const struct budget_step *steps;
	unsigned n_steps;
} kinds[] = {
	[BUDGET_CPU] = {"cpu", cpu_steps, ARRAY_SIZE(cpu_steps)},
	[BUDGET_MEMORY] = {"memory", memory_steps, ARRAY_SIZE(memory_steps)},
};

const char *budget_kind_name(enum budget_kind kind)
{
	return kinds[kind].name;
}

unsigned budget_steps(enum budget_kind kind)
{
	return kinds[kind].n_steps - 1;
}

void budget_init(struct budget *budget, double cpu_pct, __u64 memory_bytes)
{
	*budget = (struct budget){0};
	for (int i = 0; i < BUDGET_KINDS; i++)
		budget->lanes[i].patience = MIN_UNDER;
	budget_set_limits(budget, cpu_pct, memory_bytes);
}

void budget_set_limits(struct budget *budget, double cpu_pct, __u64 memory_bytes)
{
	budget->lanes[BUDGET_CPU].limit = cpu_pct;
	budget->lanes[BUDGET_MEMORY].limit = (double)memory_bytes;
}

static void step_down(struct budget_lane *lane)
{
	bool relapse = lane->ups_total && lane->since_up < RELAPSE;

	lane->patience = relapse ? MIN(lane->patience * 2, (unsigned)MAX_PATIENCE) : MIN_UNDER;
	lane->step++;
	lane->moved = 1;
	lane->downs_total++;
	lane->over = 0;
	lane->pressure = MIN(lane->pressure, 1.0); /* what this step brings is yet to be seen */
}

static void step_up(struct budget_lane *lane)
{
	lane->step--;
	lane->moved = -1;
	lane->ups_total++;
	lane->under = lane->since_up = 0;
}

static void weigh(struct budget_lane *lane, double measured, unsigned n_steps)
{
	double share = lane->limit > 0 ? measured / lane->limit : 0;

	lane->moved = 0;
	lane->since_up += lane->since_up < RELAPSE;
	lane->used += (measured - lane->used) * SMOOTHING;
	lane->pressure += (MIN(share, MAX_JUMP) - lane->pressure) * SMOOTHING;
	lane->over = lane->pressure > 1 ? lane->over + 1 : 0;
	lane->under = lane->pressure < UNDER_RATIO ? lane->under + 1 : 0;
	if (lane->over >= MIN_OVER && lane->step < n_steps)
		step_down(lane);
	else if (lane->under >= lane->patience && lane->step > 0)
		step_up(lane);
}

bool budget_measure(struct budget *budget, __u64 now_ns, __u64 cpu_ns, __u64 memory_bytes)
{
	struct budget_lane *cpu = &budget->lanes[BUDGET_CPU];
	struct budget_lane *memory = &budget->lanes[BUDGET_MEMORY];
	__u64 passed_ns = now_ns - budget->last_ns, used_ns = cpu_ns - budget->last_cpu_ns;
	bool first = !budget->last_ns;

	cpu->moved = memory->moved = 0;
	if (!first && now_ns <= budget->last_ns)
		return false;
	if (!first && cpu_ns >= budget->last_cpu_ns)
		weigh(cpu, 100.0 * (double)used_ns / (double)passed_ns, budget_steps(BUDGET_CPU));
	if (first) /* and starting up costs what it costs */
		memory->used = (double)memory_bytes;
	else
		weigh(memory, (double)memory_bytes, budget_steps(BUDGET_MEMORY));
	budget->last_ns = now_ns;
	budget->last_cpu_ns = cpu_ns;
	return cpu->moved || memory->moved;
}

void budget_log(const struct budget *budget)
{
	const struct budget_lane *cpu = &budget->lanes[BUDGET_CPU];
	const struct budget_lane *memory = &budget->lanes[BUDGET_MEMORY];
	struct budget_step now = budget_now(budget);

	if (cpu->moved)
		log_info(agent,
			 "own CPU %.2f %% of a core, budget %.2f %%: step %s to %u of %u (rate x "
			 "%g, "
			 "copies x %g, symbol work x %g)",
			 cpu->used, cpu->limit, cpu->moved > 0 ? "down" : "up", cpu->step,
			 budget_steps(BUDGET_CPU), now.hz, now.copies, now.symbols);
	if (memory->moved)
		log_info(agent,
			 "own memory %.0f MiB, budget %.0f MiB: step %s to %u of %u (tables x "
			 "%g, rate x %g)",
			 memory->used / (1 << 20), memory->limit / (1 << 20),
			 memory->moved > 0 ? "down" : "up", memory->step,
			 budget_steps(BUDGET_MEMORY), now.tables, now.hz);
}

__u64 program_time_add(struct program_time *t, const struct program_counts *now)
{
	struct program_counts last = t->last;
	__u64 runs = now->runs - last.runs, counted = now->run_count - last.run_count;
	__u64 tolerance = runs / RUNS_TOLERANCE + RUNS_TOLERANCE_MIN;

	t->last = *now;
	if (now->runs < last.runs || now->frames < last.frames || now->run_ns < last.run_ns ||
	    now->run_count < last.run_count)
		return t->used_ns;
	if (counted + tolerance >= runs && counted > 0)
		t->used_ns += now->run_ns - last.run_ns;
	else
		t->used_ns += runs * RUN_NS + (now->frames - last.frames) * FRAME_NS;
	return t->used_ns;
}

struct budget_step budget_now(const struct budget *budget)
{
	const struct budget_step *cpu = &cpu_steps[budget->lanes[BUDGET_CPU].step];
	const struct budget_step *memory = &memory_steps[budget->lanes[BUDGET_MEMORY].step];

	return (struct budget_step){
		.hz = MIN(cpu->hz, memory->hz),
		.copies = MIN(cpu->copies, memory->copies),
		.symbols = MIN(cpu->symbols, memory->symbols),
		.tables = MIN(cpu->tables, memory->tables),
	};
}

unsigned budget_hz(const struct budget *budget, unsigned configured_hz)
{
	double hz = configured_hz * budget_now(budget).hz;

	return hz < 1 ? 1 : (unsigned)(hz + 0.5);
}
