// SPDX-License-Identifier: Apache-2.0
/* Priorities of threads: raised where the process may, else as they were; and given back. */
#include "profiler/base/thread.h"

#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/test.h"

static int nice_now(void)
{
	return getpriority(PRIO_PROCESS, (id_t)gettid());
}

/* In a thread of its own: a user without the right cannot take a lower priority back. */
static void *raise_and_return(void *arg)
{
	int *seen = arg;

	seen[0] = nice_now();
	seen[1] = thread_raise();
	seen[2] = nice_now();
	thread_set_nice(seen[1]);
	seen[3] = nice_now();
	return NULL;
}

static void raised_and_given_back(void)
{
	int seen[4] = {99, 99, 99, 99};
	pthread_t thread;

	ASSERT_INT(thread_start(&thread, "raised", raise_and_return, seen), 0);
	pthread_join(thread, NULL);
	ASSERT_INT(seen[1], seen[0]);
	CU_ASSERT(seen[2] == seen[0] || seen[2] < 0);
	if (geteuid() == 0)
		CU_ASSERT(seen[2] < 0);
	ASSERT_INT(seen[3], seen[0]);
}

SUITE(thread, {"raised and given back", raised_and_given_back});
