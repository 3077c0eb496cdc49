// SPDX-License-Identifier: Apache-2.0
/*
 * Three threads beside main, each with a chain of its own: the root of a thread is libc's clone and
 * start_thread, two frames whose names are known only where libc has symbols.
 */
#include <pthread.h>
#include <stdio.h>

#include "tests/workloads/truth.h"

enum { N_THREADS = 3 };

TRUTH_LEAF(thread_leaf)
TRUTH_BUSY(thread_zero, thread_leaf)
TRUTH_CALL(thread_one, thread_zero)
TRUTH_BUSY(thread_two, thread_one)
TRUTH_LEAF(main_leaf)
TRUTH_BUSY(main_work, main_leaf)

static unsigned long (*const work[N_THREADS])(unsigned long) = {thread_zero, thread_one,
								thread_two};

TRUTH_FRAME void *thread_main(void *arg)
{
	unsigned long x = 1;

	while (!truth_over())
		x = work[(unsigned long)arg](x);
	return (void *)x;
}

TRUTH_FRAME int threads_run(void)
{
	pthread_t threads[N_THREADS];
	unsigned long x = 1;

	for (unsigned long i = 0; i < N_THREADS; i++) {
		if (pthread_create(&threads[i], NULL, thread_main, (void *)i)) {
			perror("threads");
			return 1;
		}
	}
	while (!truth_over())
		x = main_work(x);
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static void expect(void)
{
	puts("root *");
	truth_print(-1, "threads_run;main_work;main_leaf");
	puts("- ?;?;thread_main;thread_zero;thread_leaf");
	puts("- ?;?;thread_main;thread_one;thread_zero;thread_leaf");
	puts("- ?;?;thread_main;thread_two;thread_one;thread_zero;thread_leaf");
}

static const struct truth truths[] = {
	{.run = threads_run, .expect = expect},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
