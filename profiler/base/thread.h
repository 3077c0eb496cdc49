/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a thread of ours: named, and without signals, which are the agent thread's; only SIGBUS
 * stays open, since mapped files of others need it (mapfile.h). */
#pragma once

#include <pthread.h>

#include "profiler/base/check.h"

/* name: at most 15 characters. 0 or -errno. */
MUST_CHECK int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg),
			    void *arg);

/* The calling thread goes before ordinary programs, so that a busy host cannot hold it up; threads
 * that it starts meanwhile do so too. Returns its nice value so far, for thread_set_nice. Without
 * CAP_SYS_NICE nothing changes: what that costs, `check` says. */
int thread_raise(void);
void thread_set_nice(int nice);
