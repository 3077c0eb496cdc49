// SPDX-License-Identifier: Apache-2.0
/*
 * budget.h: a host of 128 CPUs and one of 1, simulated by what their records cost, through quiet
 * and busy hours. Whatever comes, use settles below the limit, everything comes back afterwards,
 * and each step is counted and logged once.
 */
#include "profiler/budget.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "tests/unit/test.h"

#define MIB	  (1ull << 20)
#define SETTLED	  40	 /* measurements until use must be below the limit: 200 s */
#define SAMPLE_NS 6500.0 /* both sides, a deep stack */
#define COPY_NS	  25000.0
#define CPU_BASE  0.05 /* % of a core: timers, scrapes */

/* A host: what it would cost the agent to do all that is configured. */
struct host {
	unsigned n_cpus, hz;
	double busy;		     /* share of its CPU time that is not idle */
	double copies;		     /* a second and CPU that execs would cause */
	double symbols;		     /* % of a core that naming would like */
	__u64 fixed, tables, cached; /* bytes: rings; stacks and rows; symbols */
};

struct sim {
	struct budget b;
	__u64 now_ns, cpu_ns;
	unsigned measurements, moves;
	double pct; /* the last measurement */
};

static double cost_pct(const struct sim *s, const struct host *h)
{
	struct budget_step step = budget_now(&s->b);
	double samples = h->n_cpus * h->busy * budget_hz(&s->b, h->hz);
	double allowed = MAX(4.0 * budget_hz(&s->b, h->hz), 100.0) * step.copies;
	double copies = h->n_cpus * MIN(h->copies, allowed);
	double share = s->b.lanes[BUDGET_CPU].limit * step.symbols;

	return CPU_BASE + (samples * SAMPLE_NS + copies * COPY_NS) / 1e9 * 100 +
	       MIN(h->symbols, share);
}

static __u64 memory_of(const struct sim *s, const struct host *h)
{
	struct budget_step step = budget_now(&s->b);

	return h->fixed + (__u64)(h->tables * step.tables) + (__u64)(h->cached * step.symbols);
}

static void measure(struct sim *s, const struct host *h)
{
	s->pct = cost_pct(s, h);
	s->now_ns += BUDGET_PERIOD_NS;
	s->cpu_ns += (__u64)(s->pct / 100 * BUDGET_PERIOD_NS);
	s->measurements++;
	if (budget_measure(&s->b, s->now_ns, s->cpu_ns, memory_of(s, h))) {
		s->moves += s->b.lanes[BUDGET_CPU].moved != 0;
		s->moves += s->b.lanes[BUDGET_MEMORY].moved != 0;
	}
	budget_log(&s->b);
}

static void run(struct sim *s, const struct host *h, unsigned n)
{
	while (n--)
		measure(s, h);
}

static void start(struct sim *s, double cpu_pct, __u64 memory)
{
	*s = (struct sim){.now_ns = NS_PER_S, .cpu_ns = 3 * NS_PER_S};
	budget_init(&s->b, cpu_pct, memory);
	budget_measure(&s->b, s->now_ns, s->cpu_ns, 30 * MIB);
}

/* Lines written to stderr since the last call. */
static unsigned lines_logged(int *saved)
{
	char path[512], *text = NULL;
	struct buf buf = {0};
	unsigned n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/log", test_dir());
	if (*saved < 0) { /* begin */
		*saved = dup(2);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
		dup2(fd, 2);
		close(fd);
		return 0;
	}
	dup2(*saved, 2);
	close(*saved);
	*saved = -1;
	CU_ASSERT_FATAL(!fs_read(AT_FDCWD, path, MIB, &buf));
	for (text = buf.data; text && (text = strstr(text, "step ")); text++)
		n++;
	buf_fini(&buf);
	return n;
}

/* Quiet, an hour of storm, quiet. */
static void through_a_storm(const struct host *quiet, const struct host *storm, double limit_pct)
{
	const struct budget_lane *cpu;
	int log = -1;
	struct sim s;
	double worst = 0, sum = 0;

	start(&s, limit_pct, 192 * MIB);
	cpu = &s.b.lanes[BUDGET_CPU];
	lines_logged(&log);
	run(&s, quiet, 200);
	ASSERT_INT(cpu->downs_total, 0);
	run(&s, storm, SETTLED);
	CU_ASSERT(cpu->downs_total >= 1);
	for (int i = 0; i < 720; i++) {
		measure(&s, storm);
		worst = MAX(worst, cpu->used);
		sum += s.pct;
	}
	CU_ASSERT(sum / 720 <= cpu->limit);
	CU_ASSERT(worst <= cpu->limit * 2); /* where a step up was tried */
	run(&s, quiet, 5000);
	ASSERT_INT(cpu->step, 0);
	CU_ASSERT(budget_now(&s.b).hz == 1 && budget_now(&s.b).copies == 1 &&
		  budget_now(&s.b).symbols == 1);
	ASSERT_INT(cpu->ups_total, cpu->downs_total);
	ASSERT_INT(lines_logged(&log), s.moves);
	ASSERT_INT(s.moves, cpu->ups_total + cpu->downs_total);
}

static void one_cpu(void)
{
	struct host quiet = {.n_cpus = 1, .hz = 19, .busy = 0.3, .symbols = 0.1, .fixed = 40 * MIB};
	struct host storm = {
		.n_cpus = 1, .hz = 19, .busy = 1, .copies = 500, .symbols = 50, .fixed = 40 * MIB};

	through_a_storm(&quiet, &storm, 2);
	through_a_storm(&quiet, &storm, 0.2);
	quiet.hz = storm.hz = 99;
	through_a_storm(&quiet, &storm, 1);
}

static void many_cpus(void)
{
	struct host quiet = {
		.n_cpus = 128, .hz = 19, .busy = 0.1, .symbols = 0.1, .fixed = 70 * MIB};
	struct host storm = {.n_cpus = 128,
			     .hz = 19,
			     .busy = 1,
			     .copies = 500,
			     .symbols = 100,
			     .fixed = 70 * MIB};

	through_a_storm(&quiet, &storm, 2);
	through_a_storm(&quiet, &storm, 0.5);
	/* A rate that this host can never afford: the rate comes down and stays there. */
	storm.hz = 997;
	quiet.hz = 997;
	quiet.busy = 0.002;
	through_a_storm(&quiet, &storm, 2);
}

/* Tables too large: they shrink, the rate is the last to go, and use ends below the limit. */
static void memory(void)
{
	struct host large = {.n_cpus = 128,
			     .hz = 19,
			     .busy = 0.1,
			     .fixed = 70 * MIB,
			     .tables = 100 * MIB,
			     .cached = 80 * MIB};
	struct host small = large;
	const struct budget_lane *lane;
	struct sim s;

	start(&s, 100, 192 * MIB);
	lane = &s.b.lanes[BUDGET_MEMORY];
	run(&s, &large, SETTLED + 200);
	CU_ASSERT(lane->downs_total >= 1 && lane->used <= lane->limit);
	CU_ASSERT(memory_of(&s, &large) <= 192 * MIB);
	CU_ASSERT(budget_now(&s.b).hz == 1 && budget_now(&s.b).tables < 1);
	ASSERT_INT(s.b.lanes[BUDGET_CPU].downs_total, 0);
	small.tables = small.cached = 4 * MIB;
	run(&s, &small, 5000);
	ASSERT_INT(lane->step, 0);
	ASSERT_INT(lane->ups_total, lane->downs_total);
	/* Fixed costs beyond the budget: all steps, then no more. */
	large.fixed = 400 * MIB;
	run(&s, &large, 1000);
	ASSERT_INT(lane->step, budget_steps(BUDGET_MEMORY));
}

/* Once is no reason: a machine that was stopped, a counter that started anew, a clock that stands.
 */
static void jumps(void)
{
	struct host host = {.n_cpus = 1, .hz = 19, .busy = 1, .symbols = 0.3, .fixed = 90 * MIB};
	struct sim s;

	start(&s, 2, 192 * MIB);
	run(&s, &host, 50);
	s.cpu_ns += 3600 * NS_PER_S; /* an hour in five seconds */
	run(&s, &host, 20);
	s.cpu_ns = 0; /* the kernel side's statistics began again */
	run(&s, &host, 20);
	budget_measure(&s.b, s.now_ns, s.cpu_ns + NS_PER_S, 90 * MIB);
	budget_measure(&s.b, s.now_ns - 1, s.cpu_ns + NS_PER_S, 90 * MIB);
	run(&s, &host, 20);
	s.now_ns += 3600 * NS_PER_S; /* asleep */
	run(&s, &host, 20);
	budget_measure(&s.b, s.now_ns += BUDGET_PERIOD_NS, s.cpu_ns, UINT64_MAX);
	run(&s, &host, 20);
	ASSERT_INT(s.moves, 0);
	CU_ASSERT(s.b.lanes[BUDGET_CPU].pressure < 1);
	CU_ASSERT(s.b.lanes[BUDGET_MEMORY].pressure < 1);
	/* Thrice in a row is. */
	for (int i = 0; i < 3; i++) {
		s.cpu_ns += 10 * NS_PER_S;
		measure(&s, &host);
	}
	CU_ASSERT(s.b.lanes[BUDGET_CPU].downs_total >= 1);
	CU_ASSERT(s.b.lanes[BUDGET_CPU].downs_total <= 2);
}

/* A load that fits a step and not the one above: tried ever more rarely, so that a day of it costs
 * no stream of log lines. */
static void between_two_steps(void)
{
	struct sim s;
	double fits[2] = {4, 0.9}; /* % of a core at step 0, and below */

	start(&s, 2, 192 * MIB);
	for (int i = 0; i < 17280; i++) { /* a day */
		s.cpu_ns += (__u64)(fits[s.b.lanes[BUDGET_CPU].step > 0] / 100 * BUDGET_PERIOD_NS);
		s.now_ns += BUDGET_PERIOD_NS;
		s.moves += budget_measure(&s.b, s.now_ns, s.cpu_ns, 90 * MIB);
	}
	CU_ASSERT(s.moves >= 4);
	CU_ASSERT(s.moves <= 120); /* of 2,400 without patience */
}

static void changed_limits(void)
{
	struct host host = {.n_cpus = 1, .hz = 99, .busy = 1, .symbols = 5, .fixed = 90 * MIB};
	struct sim s;

	start(&s, 10, 192 * MIB);
	run(&s, &host, 100);
	ASSERT_INT(s.moves, 0);
	budget_set_limits(&s.b, 0.1, 192 * MIB);
	run(&s, &host, 200);
	CU_ASSERT(s.b.lanes[BUDGET_CPU].step > 1);
	CU_ASSERT(s.b.lanes[BUDGET_CPU].used <= 0.1);
	budget_set_limits(&s.b, 10, 192 * MIB);
	run(&s, &host, 5000);
	ASSERT_INT(s.b.lanes[BUDGET_CPU].step, 0);
}

static void floors(void)
{
	struct budget b;

	budget_init(&b, 1, MIB);
	for (int kind = 0; kind < BUDGET_KINDS; kind++) {
		struct budget_step before = {1, 1, 1, 1};

		for (unsigned step = 0; step <= budget_steps((enum budget_kind)kind); step++) {
			struct budget_step now;

			b.lanes[kind].step = step;
			now = budget_now(&b);
			CU_ASSERT(now.hz <= before.hz && now.copies <= before.copies);
			CU_ASSERT(now.symbols <= before.symbols && now.tables <= before.tables);
			CU_ASSERT(now.hz > 0 && now.symbols > 0 && now.tables > 0);
			CU_ASSERT(budget_hz(&b, 19) >= 1 && budget_hz(&b, 1) == 1);
			before = now;
		}
		b.lanes[kind].step = 0;
	}
	b.lanes[BUDGET_CPU].step = 4;
	ASSERT_INT(budget_hz(&b, 19), 10);
}

/* The kernel's time while it counts what the program does; else an estimate, never nothing. */
static void program_time(void)
{
	struct program_time t = {0};
	struct program_counts now = {.runs = 1000, .frames = 20000};
	__u64 estimate, before;

	estimate = program_time_add(&t, &now);
	CU_ASSERT(estimate >= 2000000 && estimate <= 5000000); /* 2 to 5 us a run */
	/* Statistics are on all the while, read a little earlier or later than our counters. */
	for (int late = -50; late <= 50; late += 50) {
		before = t.used_ns;
		now.runs += 1000;
		now.frames += 20000;
		now.run_ns += 7000000;
		now.run_count += (__u64)(1000 + late);
		ASSERT_INT(program_time_add(&t, &now) - before, 7000000);
	}
	/* They go off in the middle, and stay off: their numbers stand still. */
	for (int i = 0; i < 5; i++) {
		before = t.used_ns;
		now.runs += 1000;
		now.frames += 20000;
		now.run_ns += i ? 0 : 3000000;
		now.run_count += i ? 0 : 400;
		ASSERT_INT(program_time_add(&t, &now) - before, estimate);
	}
	/* Nothing ran; another sampler counts from nothing. */
	before = t.used_ns;
	ASSERT_INT(program_time_add(&t, &now), before);
	now = (struct program_counts){.runs = 10, .frames = 100};
	ASSERT_INT(program_time_add(&t, &now), before);
	now.runs = 1010;
	now.frames = 20100;
	ASSERT_INT(program_time_add(&t, &now), before + estimate);
}

SUITE(budget, {"one CPU", one_cpu}, {"128 CPUs", many_cpus}, {"memory", memory}, {"jumps", jumps},
      {"between two steps", between_two_steps}, {"changed limits", changed_limits},
      {"floors", floors}, {"program's time", program_time});
