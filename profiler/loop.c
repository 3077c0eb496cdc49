// SPDX-License-Identifier: Apache-2.0
/* The event loop of loop.h. A handle is (generation << 32 | slot + 1), so that an event reported
 * for a watch that is gone, or whose slot has a new owner, is dropped. */
#include "profiler/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "profiler/base/clock.h"

#define BATCH 64

struct watch {
	void (*fn)(void *arg, __u32 events);
	void *arg;
	int fd;		  /* -1: free */
	__u32 generation; /* of the present or next owner */
};

struct loop {
	int epoll_fd, wake_fd;
	struct loop_timer *timers;
	atomic_bool stopping;
	__u32 n_slots; /* ever used */
	struct watch watches[LOOP_MAX_WATCHES];
};

static void drain_wake(void *arg, __u32 events UNUSED)
{
	struct loop *loop = arg;
	__u64 count;
	ssize_t n = read(loop->wake_fd, &count, sizeof(count));

	(void)n; /* non-blocking; nothing to read is fine */
}

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	__u64 watch;
	int err;

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = loop->epoll_fd < 0 || loop->wake_fd < 0
		      ? -errno
		      : loop_add(loop, loop->wake_fd, EPOLLIN, drain_wake, loop, &watch);
	if (err) {
		loop_free(loop);
		errno = -err;
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop);
}

static __u32 free_slot(struct loop *loop)
{
	for (__u32 i = 0; i < loop->n_slots; i++)
		if (loop->watches[i].fd < 0)
			return i;
	return loop->n_slots;
}

int loop_add(struct loop *loop, int fd, __u32 events, void (*fn)(void *arg, __u32 events),
	     void *arg, __u64 *ret_watch)
{
	__u32 slot = free_slot(loop);
	struct epoll_event event = {.events = events};
	struct watch *w;

	if (slot == LOOP_MAX_WATCHES)
		return -ENOSPC;
	w = &loop->watches[slot];
	event.data.u64 = (__u64)w->generation << 32 | (slot + 1);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	*w = (struct watch){.fn = fn, .arg = arg, .fd = fd, .generation = w->generation};
	loop->n_slots = MAX(loop->n_slots, slot + 1);
	*ret_watch = event.data.u64;
	return 0;
}

/* The watch behind a handle; NULL when it is gone. */
static struct watch *find_watch(struct loop *loop, __u64 handle)
{
	struct watch *w = &loop->watches[(__u32)handle - 1];

	return w->fd >= 0 && w->generation == handle >> 32 ? w : NULL;
}

void loop_del(struct loop *loop, __u64 handle)
{
	struct watch *w = handle ? find_watch(loop, handle) : NULL;

	if (!w)
		return;
	/* Fails only when the descriptor was closed before, which removed it too. */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	w->generation++;
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->set)
		return;
	for (struct loop_timer **p = &loop->timers; *p; p = &(*p)->next) {
		if (*p == timer) {
			*p = timer->next;
			break;
		}
	}
	timer->set = false;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, __u64 at_ns)
{
	struct loop_timer **p = &loop->timers;

	loop_timer_stop(loop, timer);
	timer->at_ns = at_ns;
	timer->set = true;
	while (*p && (*p)->at_ns <= at_ns)
		p = &(*p)->next;
	timer->next = *p;
	*p = timer;
}

/* Timers set by the callbacks run in the next round, so that none can hold the loop. */
static void run_timers(struct loop *loop)
{
	__u64 now = clock_monotonic_ns();

	while (loop->timers && loop->timers->at_ns <= now) {
		struct loop_timer *timer = loop->timers;

		loop->timers = timer->next;
		timer->set = false;
		timer->fn(timer->arg);
	}
}

static int wait_ms(const struct loop *loop, int max_ms)
{
	__u64 now = clock_monotonic_ns(), ms;

	if (!loop->timers)
		return max_ms;
	if (loop->timers->at_ns <= now)
		return 0;
	ms = (loop->timers->at_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return max_ms < 0 || ms < (__u64)max_ms ? (int)MIN(ms, (__u64)INT32_MAX) : max_ms;
}

int loop_once(struct loop *loop, int max_ms)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(loop->epoll_fd, events, BATCH, wait_ms(loop, max_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct watch *w = find_watch(loop, events[i].data.u64);

		if (w)
			w->fn(w->arg, events[i].events);
	}
	run_timers(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	while (!atomic_load(&loop->stopping)) {
		int err = loop_once(loop, -1);

		if (err)
			return err;
	}
	atomic_store(&loop->stopping, false);
	return 0;
}

void loop_stop(struct loop *loop)
{
	static const __u64 one = 1;
	ssize_t n;

	atomic_store(&loop->stopping, true);
	n = write(loop->wake_fd, &one, sizeof(one));
	(void)n; /* fails only when the counter is full: it is awake then */
}
