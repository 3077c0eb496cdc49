/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent thread's event loop: file descriptors by epoll and timers by monotonic deadlines. HTTP,
 * signals and periodic work of the agent all hang on one of these; what may block (disk, network
 * names) does not belong here.
 *
 * A loop and everything registered with it belong to one thread; loop_stop may come
 * from any thread or a signal handler. Callbacks may add and remove watches and timers, their own
 * included. At most LOOP_MAX_WATCHES descriptors.
 */
#pragma once

#include <stdbool.h>
#include <sys/epoll.h>

#include "profiler/base/check.h"

#define LOOP_MAX_WATCHES 1024

struct loop;

/* Embedded by its user; zeroed = not set. */
struct loop_timer {
	void (*fn)(void *arg);
	void *arg;
	__u64 at_ns;
	struct loop_timer *next; /* of the loop's list, by at_ns */
	bool set;
};

/* NULL with errno when descriptors or memory end. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Call fn(arg, events) when fd is ready (level-triggered EPOLL* bits). The handle goes to loop_del;
 * it is never 0. -errno; -ENOSPC beyond LOOP_MAX_WATCHES. */
MUST_CHECK int loop_add(struct loop *loop, int fd, __u32 events,
			void (*fn)(void *arg, __u32 events), void *arg, __u64 *ret_watch);
/* Stop watching (before the descriptor is closed); 0 is no watch. No call comes afterwards, not
 * even for an event that epoll has reported already. */
void loop_del(struct loop *loop, __u64 watch);

/* Call timer->fn once at or after at_ns (CLOCK_MONOTONIC); moves a timer that is set already. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, __u64 at_ns);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* Dispatch until loop_stop. 0, or -errno when epoll fails. */
MUST_CHECK int loop_run(struct loop *loop);
/* One wait of at most max_ms (-1: until something happens) and its dispatch. 0 or -errno. */
MUST_CHECK int loop_once(struct loop *loop, int max_ms);
void loop_stop(struct loop *loop);
