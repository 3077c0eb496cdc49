// SPDX-License-Identifier: Apache-2.0
/* Starting threads, see thread.h. */
#include "profiler/base/thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define RAISED_NICE (-10)

int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg)
{
	sigset_t blocked, old;
	int err;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	err = -pthread_create(ret_thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_setname_np(*ret_thread, name);
	return err;
}

int thread_raise(void)
{
	int before = getpriority(PRIO_PROCESS, (id_t)gettid());

	if (before > RAISED_NICE)
		thread_set_nice(RAISED_NICE);
	return before;
}

void thread_set_nice(int nice)
{
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), nice)) {
		/* as it was */
	}
}
