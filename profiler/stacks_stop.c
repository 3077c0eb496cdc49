// SPDX-License-Identifier: Apache-2.0
/*
 * Stopping a process and unwinding it by libunwind, see stacks.h: ptrace(2) by SEIZE and INTERRUPT,
 * which, unlike ATTACH, leaves no SIGSTOP behind and lets a process that is stopped already stay
 * so. A signal that arrives meanwhile is given back when the thread goes on. Should we be killed,
 * the kernel lets all of them go.
 */
#include <dirent.h>
#include <errno.h>
#include <libunwind-ptrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "profiler/base/clock.h"
#include "profiler/stacks_internal.h"

#define STOP_WAIT_NS (2 * NS_PER_S) /* a thread that waits for a dead disk does not stop */
#define STOP_STEP_NS (200 * NS_PER_US)
#define MAX_LISTINGS 16 /* new threads are looked for until there is none */

struct traced {
	__u32 tid;
	int signal; /* to give back; 0: none */
	bool stopped;
};

struct stopped {
	__u32 pid;
	VEC(struct traced) threads; /* ascending */
	unw_addr_space_t space;
};

static struct traced *find(const struct stopped *s, __u32 tid)
{
	size_t low = 0, high = s->threads.len;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->threads.data[mid].tid < tid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->threads.len && s->threads.data[low].tid == tid ? &s->threads.data[low]
								       : NULL;
}

static int by_tid(const void *pa, const void *pb)
{
	__u32 a = ((const struct traced *)pa)->tid, b = ((const struct traced *)pb)->tid;

	return a < b ? -1 : a > b;
}

/* True once it stands still or is gone. */
static bool has_stopped(struct traced *t)
{
	int status;
	pid_t got = waitpid((pid_t)t->tid, &status, __WALL | WNOHANG);

	if (got == 0)
		return false;
	if (got < 0 || !WIFSTOPPED(status))
		return true;
	t->stopped = true;
	/* Stopped on its way to a signal, which would be lost. */
	if (status >> 16 != PTRACE_EVENT_STOP)
		t->signal = WSTOPSIG(status);
	return true;
}

static void wait_stopped(struct traced *t)
{
	__u64 end_ns = clock_monotonic_ns() + STOP_WAIT_NS;

	while (!has_stopped(t) && clock_monotonic_ns() < end_ns)
		nanosleep(&(struct timespec){.tv_nsec = STOP_STEP_NS}, NULL);
}

/* Seize what is not seized yet: how many, or -errno. */
static int seize_new(struct stopped *s)
{
	char path[64];
	struct dirent *d;
	DIR *dir;
	int n = 0, err = 0;
	size_t before = s->threads.len;

	snprintf(path, sizeof(path), "/proc/%u/task", s->pid);
	dir = opendir(path);
	while (dir && !err && s->threads.len < STACKS_MAX_THREADS && (d = readdir(dir))) {
		__u64 tid;

		if (units_parse_u64(d->d_name, &tid))
			continue;
		s->threads.len = before; /* sorted up to here */
		if (find(s, (__u32)tid)) {
			s->threads.len = before + (size_t)n;
			continue;
		}
		s->threads.len = before + (size_t)n;
		if (ptrace(PTRACE_SEIZE, (pid_t)tid, NULL, NULL)) {
			/* one that ended, or a zombie, is no reason to give up */
			if (errno == EPERM && !s->threads.len)
				err = -EPERM;
			continue;
		}
		err = vec_push(&s->threads, (struct traced){.tid = (__u32)tid});
		if (!err && !ptrace(PTRACE_INTERRUPT, (pid_t)tid, NULL, NULL))
			n++;
	}
	if (dir)
		closedir(dir);
	for (size_t i = before; i < s->threads.len; i++)
		wait_stopped(&s->threads.data[i]);
	qsort(s->threads.data, s->threads.len, sizeof(*s->threads.data), by_tid);
	return err ? err : n;
}

int stop_process(__u32 pid, struct stopped **ret_stopped)
{
	struct stopped *s = calloc(1, sizeof(*s));
	int n = 1;

	if (!s)
		return -ENOMEM;
	s->pid = pid;
	s->space = unw_create_addr_space(&_UPT_accessors, 0);
	if (!s->space)
		n = -ENOMEM;
	else
		unw_set_caching_policy(s->space, UNW_CACHE_GLOBAL);
	for (int i = 0; n > 0 && i < MAX_LISTINGS; i++)
		n = seize_new(s);
	if (n >= 0 && !s->threads.len)
		n = -ESRCH;
	if (n < 0) {
		stop_release(s);
		return n;
	}
	*ret_stopped = s;
	return 0;
}

void stop_release(struct stopped *s)
{
	if (!s)
		return;
	vec_for_each (t, &s->threads) {
		if (t->stopped)
			ptrace(PTRACE_DETACH, (pid_t)t->tid, NULL,
			       (void *)(uintptr_t)t->signal); // NOLINT
	}
	if (s->space)
		unw_destroy_addr_space(s->space);
	vec_free(&s->threads);
	free(s);
}

size_t stop_unwind(struct stopped *s, __u32 tid, __u64 *pcs, bool *exact, size_t max,
		   __u8 *ret_stop)
{
	const struct traced *t = find(s, tid);
	unw_cursor_t cursor;
	unw_word_t pc;
	void *context;
	bool signal;
	size_t n = 0;
	int more = 1;

	if (!t || !t->stopped)
		return 0;
	context = _UPT_create((pid_t)tid);
	if (!context || unw_init_remote(&cursor, s->space, context))
		more = 0;
	while (more > 0 && n < max && !unw_get_reg(&cursor, UNW_REG_IP, &pc) && pc) {
		/* True of the frame that a signal interrupted; the one before it is the restorer,
		 * which nothing has called either. */
		signal = unw_is_signal_frame(&cursor) > 0;
		exact[n] = !n || signal;
		if (signal && n)
			exact[n - 1] = true;
		pcs[n++] = pc;
		more = unw_step(&cursor);
	}
	*ret_stop = n == max ? STOP_TRUNCATED : more < 0 ? STOP_NO_ROW : STOP_ROOT;
	if (context)
		_UPT_destroy(context);
	return n;
}
