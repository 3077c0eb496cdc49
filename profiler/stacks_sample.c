// SPDX-License-Identifier: Apache-2.0
/*
 * One sample of one running thread: a cpu-clock event of its own that fires after 100 us of its
 * time and brings the user registers, the top of the user stack and the kernel's return addresses.
 * Record layout: perf_event_open(2), PERF_RECORD_SAMPLE.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/cursor.h"
#include "profiler/ring.h"
#include "profiler/stacks_internal.h"
#include "profiler/thread_regs.h"

#define PERIOD_NS   100000u
#define RING_PAGES  64u	   /* holds more than the largest record, which is 64 KiB */
#define STACK_BYTES 61440u /* as much as fits into a record beside the rest; 8-aligned */

static int open_event(__u32 tid, bool kernel, __u64 what, __u64 period)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = what,
		.sample_period = period,
		.sample_type =
			PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.exclude_callchain_user = 1,
		.exclude_callchain_kernel = !kernel,
		.exclude_kernel = !kernel,
		.exclude_hv = 1,
		.sample_regs_user = thread_regs_perf_mask,
		.sample_stack_user = STACK_BYTES,
		.wakeup_events = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, (pid_t)tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void parse_kernel(struct cursor *c, struct sampled *s)
{
	__u64 n = cursor_u64(c);

	for (__u64 i = 0; i < n && !c->bad; i++) {
		__u64 addr = cursor_u64(c);

		if (addr < PERF_CONTEXT_MAX && s->view.n_kernel < KERNEL_FRAMES_MAX)
			s->kernel[s->view.n_kernel++] = addr;
	}
	s->view.kernel = s->kernel;
}

/* False: no sample that can be used. */
static bool parse(const struct perf_event_header *h, struct sampled *s)
{
	struct cursor c = cursor_of(h, h->size);
	__u64 words[DWARF_REGS], abi, size, used;
	const void *stack;

	memset(&s->view, 0, sizeof(s->view));
	cursor_skip(&c, sizeof(*h));
	parse_kernel(&c, s);
	abi = cursor_u64(&c);
	s->view.no_user = abi == PERF_SAMPLE_REGS_ABI_NONE;
	s->view.is_32bit = abi == PERF_SAMPLE_REGS_ABI_32;
	if (!s->view.no_user) {
		for (unsigned i = 0; i < thread_regs_perf_words; i++)
			words[i] = cursor_u64(&c);
		thread_regs_from_perf(words, s->view.regs);
	}
	size = cursor_u64(&c);
	stack = cursor_bytes(&c, (size_t)size);
	used = size ? cursor_u64(&c) : 0;
	if (c.bad || used > size || used > sizeof(s->stack))
		return false;
	if (used)
		memcpy(s->stack, stack, (size_t)used);
	s->view.stack = s->stack;
	s->view.stack_bytes = (size_t)used;
	return true;
}

static bool take_sample(struct perf_ring *ring, struct sampled *s)
{
	const struct perf_event_header *h;
	bool taken = false;

	while (!taken && (h = perf_ring_peek(ring))) {
		taken = h->type == PERF_RECORD_SAMPLE && parse(h, s);
		perf_ring_pop(ring);
	}
	perf_ring_release(ring);
	return taken;
}

/* Until a sample is there, the thread ended or the time is over. */
static int wait_sample(int fd, struct perf_ring *ring, unsigned wait_ms, struct sampled *s)
{
	__u64 end_ns = clock_monotonic_ns() + wait_ms * NS_PER_MS, now_ns;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (now_ns = 0; now_ns < end_ns; now_ns = clock_monotonic_ns()) {
		int n = poll(&p, 1, (int)wait_ms);

		if (take_sample(ring, s))
			return 0;
		if (n > 0 && p.revents & POLLHUP)
			return -ESRCH;
	}
	return -EAGAIN;
}

int sample_thread(__u32 tid, unsigned wait_ms, struct sampled *sampled)
{
	_close_ int fd = open_event(tid, true, PERF_COUNT_SW_CPU_CLOCK, PERIOD_NS);
	_close_ int switches = -1;
	struct perf_ring *ring;
	int err;

	/* Who may not look into the kernel sees no switch, either: it happens there. */
	if (fd == -EACCES || fd == -EPERM)
		fd = open_event(tid, false, PERF_COUNT_SW_CPU_CLOCK, PERIOD_NS);
	else if (fd >= 0)
		switches = open_event(tid, true, PERF_COUNT_SW_CONTEXT_SWITCHES, 1);
	if (fd < 0)
		return fd;
	err = perf_ring_open(fd, RING_PAGES, &ring);
	if (err)
		return err;
	if (switches >= 0)
		ioctl(switches, PERF_EVENT_IOC_SET_OUTPUT, fd); /* else the clock must do */
	err = wait_sample(fd, ring, wait_ms, sampled);
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	perf_ring_close(ring);
	return err;
}
