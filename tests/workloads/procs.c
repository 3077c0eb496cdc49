// SPDX-License-Identifier: Apache-2.0
/*
 * Processes: a server that forks a child per request, a program that mostly sleeps.
 *
 *	fork		a child for each request, 10 units each; the parent only waits
 *	sleepy		burns 10 units every 10 ms: few samples, all of them wanted
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/workloads/truth.h"

enum { UNITS_PER_CHILD = 10, UNITS_PER_WAKE = 10, SLEEP_NS = 10 * 1000 * 1000 };

TRUTH_LEAF(request_leaf)
TRUTH_BUSY(request_work, request_leaf)

TRUTH_FRAME void serve_child(void)
{
	unsigned long x = 1;

	for (unsigned i = 0; i < UNITS_PER_CHILD; i++)
		x = request_work(x);
	_exit(0);
}

TRUTH_FRAME int fork_run(void)
{
	unsigned served = 0;

	while (!truth_over()) {
		int status;
		pid_t pid = fork();

		if (!pid)
			serve_child();
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) {
			perror("procs fork");
			return 1;
		}
		served++;
	}
	printf("procs fork: %u children\n", served);
	return 0;
}

static void expect_fork(void)
{
	puts("base known");
	truth_print(100, "fork_run;serve_child;request_work;request_leaf");
}

TRUTH_LEAF(sleepy_leaf)
TRUTH_BUSY(sleepy_work, sleepy_leaf)

TRUTH_FRAME int sleepy_run(void)
{
	struct timespec pause = {.tv_nsec = SLEEP_NS};
	unsigned long x = 1;

	while (!truth_over()) {
		for (unsigned i = 0; i < UNITS_PER_WAKE; i++)
			x = sleepy_work(x);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void expect_sleepy(void)
{
	puts("base known");
	truth_print(100, "sleepy_run;sleepy_work;sleepy_leaf");
}

static const struct truth truths[] = {
	{"fork", .run = fork_run, .expect = expect_fork},
	{"sleepy", .run = sleepy_run, .expect = expect_sleepy},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
