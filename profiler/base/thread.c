// SPDX-License-Identifier: Apache-2.0
/* Starting threads, see thread.h. */
#include "profiler/base/thread.h"

#include <signal.h>

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
