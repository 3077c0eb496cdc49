// SPDX-License-Identifier: Apache-2.0
#include "profiler/loop.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "tests/unit/test.h"

struct seen {
	struct loop *loop;
	int calls[2];
	__u64 watch[2];
	int pipes[2][2];
	struct loop_timer timers[3];
	int order[8], n_order;
};

/* Both pipes are readable in one round: the first call removes both watches. */
static void remove_both(void *arg, __u32 events)
{
	struct seen *s = arg;

	CU_ASSERT(events & EPOLLIN);
	s->calls[0]++;
	loop_del(s->loop, s->watch[0]);
	loop_del(s->loop, s->watch[1]);
}

static void removal_within_a_round(void)
{
	struct seen s = {.loop = loop_new()};

	CU_ASSERT_PTR_NOT_NULL_FATAL(s.loop);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_FATAL(pipe(s.pipes[i]) == 0);
		CU_ASSERT(write(s.pipes[i][1], "x", 1) == 1);
		ASSERT_INT(loop_add(s.loop, s.pipes[i][0], EPOLLIN, remove_both, &s, &s.watch[i]),
			   0);
	}
	ASSERT_INT(loop_once(s.loop, 1000), 0);
	ASSERT_INT(loop_once(s.loop, 0), 0);
	ASSERT_INT(s.calls[0], 1);
	/* The slot's next owner is not removed by the old handle. */
	ASSERT_INT(loop_add(s.loop, s.pipes[0][0], EPOLLIN, remove_both, &s, &s.watch[1]), 0);
	loop_del(s.loop, s.watch[0]);
	ASSERT_INT(loop_once(s.loop, 1000), 0);
	ASSERT_INT(s.calls[0], 2);
	for (int i = 0; i < 4; i++)
		close(s.pipes[i / 2][i % 2]);
	loop_free(s.loop);
}

static void note(void *arg, int which)
{
	struct seen *s = arg;

	s->order[s->n_order++] = which;
}

static void note0(void *arg)
{
	note(arg, 0);
}

static void note1(void *arg)
{
	note(arg, 1);
}

/* Sets itself again at once: must not keep the loop in one round. */
static void note2(void *arg)
{
	struct seen *s = arg;

	note(arg, 2);
	if (s->n_order < 6)
		loop_timer_set(s->loop, &s->timers[2], clock_monotonic_ns());
	else
		loop_stop(s->loop);
}

static void timers(void)
{
	struct seen s = {.loop = loop_new()};
	void (*fns[])(void *) = {note0, note1, note2};
	__u64 now = clock_monotonic_ns();

	for (int i = 0; i < 3; i++)
		s.timers[i] = (struct loop_timer){.fn = fns[i], .arg = &s};
	loop_timer_set(s.loop, &s.timers[2], now + 30 * NS_PER_MS);
	loop_timer_set(s.loop, &s.timers[0], now + 20 * NS_PER_MS);
	loop_timer_set(s.loop, &s.timers[1], now + 40 * NS_PER_MS);
	loop_timer_set(s.loop, &s.timers[1], now + 10 * NS_PER_MS);
	ASSERT_INT(loop_run(s.loop), 0);
	CU_ASSERT(clock_monotonic_ns() - now >= 30 * NS_PER_MS);
	ASSERT_INT(s.n_order, 6);
	ASSERT_INT(s.order[0], 1);
	ASSERT_INT(s.order[1], 0);
	ASSERT_INT(s.order[2], 2);
	loop_timer_set(s.loop, &s.timers[0], now);
	loop_timer_stop(s.loop, &s.timers[0]);
	ASSERT_INT(loop_once(s.loop, 1), 0);
	ASSERT_INT(s.n_order, 6);
	loop_free(s.loop);
}

static void *stop_it(void *loop)
{
	usleep(20000);
	loop_stop(loop);
	return NULL;
}

static void stop_from_a_thread(void)
{
	struct loop *loop = loop_new();
	pthread_t thread;

	CU_ASSERT_FATAL(pthread_create(&thread, NULL, stop_it, loop) == 0);
	ASSERT_INT(loop_run(loop), 0);
	pthread_join(thread, NULL);
	loop_free(loop);
}

static void bound(void)
{
	struct loop *loop = loop_new();
	__u64 watch;
	int fds[2], err = 0, n = 0;

	CU_ASSERT_FATAL(pipe(fds) == 0);
	ASSERT_INT(loop_add(loop, -1, EPOLLIN, remove_both, NULL, &watch), -EBADF);
	for (; !err && n < LOOP_MAX_WATCHES + 1; n++) {
		int fd = dup(fds[0]);

		CU_ASSERT_FATAL(fd >= 0);
		err = loop_add(loop, fd, EPOLLIN, remove_both, NULL, &watch);
	}
	ASSERT_INT(err, -ENOSPC);
	ASSERT_INT(n, LOOP_MAX_WATCHES); /* one is the loop's own */
	loop_free(loop);
}

SUITE(loop, {"removal within a round", removal_within_a_round}, {"timers", timers},
      {"stop from a thread", stop_from_a_thread}, {"bound", bound});
