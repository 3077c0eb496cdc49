// SPDX-License-Identifier: Apache-2.0
/*
 * One process that becomes another program again and again: execs-a burns 300 units and executes
 * execs-b beside it, which burns 300 and executes execs-a, and so on. Built twice from this source
 * (EXECS_B); the functions of the two have other names and other frames.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/workloads/truth.h"

enum { UNITS_PER_STAGE = 300 };

#ifdef EXECS_B
#define OTHER "execs-a"
TRUTH_LEAF(b_leaf)
TRUTH_BUSY(b_middle, b_leaf)
TRUTH_BUSY(stage_work, b_middle)
#else
#define OTHER "execs-b"
TRUTH_LEAF(a_leaf)
TRUTH_CALL(a_middle, a_leaf)
TRUTH_CALL(a_outer, a_middle)
TRUTH_CALL(stage_work, a_outer)
#endif

TRUTH_FRAME int execs_run(void)
{
	char path[4096], seconds[16];
	unsigned long x = 1;
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(OTHER));
	char *slash;

	for (unsigned i = 0; i < UNITS_PER_STAGE; i++)
		x = stage_work(x);
	if (truth_over())
		return 0;
	path[len < 0 ? 0 : len] = 0;
	slash = strrchr(path, '/');
	snprintf(seconds, sizeof(seconds), "%f", truth_left_s());
	if (slash) {
		strcpy(slash + 1, OTHER);
		execl(path, OTHER, "--seconds", seconds, NULL);
	}
	perror("execs: " OTHER);
	return 1;
}

/* Both programs' stages, whichever was started. */
static void expect(void)
{
	puts("comm execs-*");
	puts("base known");
	truth_print(50, "execs_run;stage_work;a_outer;a_middle;a_leaf");
	truth_print(50, "execs_run;stage_work;b_middle;b_leaf");
}

static const struct truth truths[] = {
	{.run = execs_run, .expect = expect},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
