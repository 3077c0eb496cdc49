// SPDX-License-Identifier: Apache-2.0
/* The budget controller, see budget.h. */
#include "profiler/budget.h"

#define SMOOTHING   0.35 /* weight of the newest measurement: some 15 s */
#define MIN_OVER    2	 /* measurements before a step down */
#define MIN_UNDER   12	 /* and before a step up: a minute */
#define UNDER_RATIO 0.5	 /* "well below": room for what a step up brings back */

/* Symbol work first: it is the part nobody misses for a while. Then copies, then the rate. */
static const struct budget_step cpu_steps[] = {
	{1, 1, 1, 1},	     {1, 1, 0.5, 1},	   {1, 0.5, 0.25, 1},
	{0.5, 0.25, 0.1, 1}, {0.25, 0.1, 0.05, 1}, {0.1, 0, 0.02, 1},
};
static const struct budget_step memory_steps[] = {
	{1, 1, 1, 1},	  {1, 1, 1, 0.5},	  {1, 1, 1, 0.25},
	{1, 1, 0.5, 0.1}, {0.5, 0.25, 0.1, 0.05}, {0.1, 0, 0.02, 0.02},
};

static const char *const kind_names[] = {"cpu", "memory"};

_Static_assert(ARRAY_SIZE(cpu_steps) == ARRAY_SIZE(memory_steps), "one number of steps");

const char *budget_kind_name(enum budget_kind kind)
{
	return kind_names[kind];
}

unsigned budget_steps(void)
{
	return ARRAY_SIZE(cpu_steps) - 1;
}

void budget_init(struct budget *budget, double cpu_pct, __u64 memory_bytes)
{
	*budget = (struct budget){0};
	budget->lanes[BUDGET_CPU].limit = cpu_pct;
	budget->lanes[BUDGET_MEMORY].limit = (double)memory_bytes;
}

static bool move(struct budget_lane *lane, double measured)
{
	lane->used += (measured - lane->used) * SMOOTHING;
	lane->over = lane->used > lane->limit ? lane->over + 1 : 0;
	lane->under = lane->used < lane->limit * UNDER_RATIO ? lane->under + 1 : 0;
	if (lane->over >= MIN_OVER && lane->step < budget_steps()) {
		lane->step++;
		lane->downs_total++;
		lane->over = 0;
		return true;
	}
	if (lane->under >= MIN_UNDER && lane->step > 0) {
		lane->step--;
		lane->ups_total++;
		lane->under = 0;
		return true;
	}
	return false;
}

bool budget_measure(struct budget *budget, __u64 now_ns, __u64 cpu_ns, __u64 memory_bytes)
{
	bool first = !budget->last_ns, changed;
	double pct = 0;

	if (!first && now_ns > budget->last_ns)
		pct = 100.0 * (double)(cpu_ns - budget->last_cpu_ns) /
		      (double)(now_ns - budget->last_ns);
	budget->last_ns = now_ns;
	budget->last_cpu_ns = cpu_ns;
	if (first) { /* starting up costs what it costs */
		budget->lanes[BUDGET_MEMORY].used = (double)memory_bytes;
		return false;
	}
	changed = move(&budget->lanes[BUDGET_CPU], pct);
	changed |= move(&budget->lanes[BUDGET_MEMORY], (double)memory_bytes);
	return changed;
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
