// SPDX-License-Identifier: Apache-2.0
/*
 * The side-band, see sideband.h. Record layouts: include/uapi/linux/perf_event.h,
 * PERF_RECORD_MMAP2, _COMM, _LOST; the time stands in the sample_id at the end of each
 * (sample_id_all, SAMPLE_TID | SAMPLE_TIME).
 */
#include "profiler/sideband.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "profiler/base/cursor.h"
#include "profiler/ring.h"

#define SAMPLE_ID_BYTES 16 /* u32 pid, tid; u64 time */

struct sideband {
	int fd;
	struct perf_ring *ring;
};

int sideband_open(int cpu, unsigned ring_pages, struct sideband **ret_sideband)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.wakeup_events = 1, /* mappings must be known soon; the router paces itself */
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : sideband_open_fd(fd, ring_pages, ret_sideband);
}

int sideband_open_fd(int fd, unsigned ring_pages, struct sideband **ret_sideband)
{
	struct sideband *sideband = calloc(1, sizeof(*sideband));
	int err;

	if (!sideband) {
		close(fd);
		return -ENOMEM;
	}
	sideband->fd = fd;
	err = perf_ring_open(fd, ring_pages, &sideband->ring);
	if (err) {
		sideband_close(sideband);
		return err;
	}
	*ret_sideband = sideband;
	return 0;
}

int sideband_fd(const struct sideband *sideband)
{
	return sideband->fd;
}

static bool parse_mmap(struct cursor c, __u16 misc, struct sideband_event *e)
{
	if (misc & PERF_RECORD_MISC_MMAP_BUILD_ID || misc & PERF_RECORD_MISC_MMAP_DATA)
		return false; /* neither was asked for */
	e->kind = SIDEBAND_MMAP;
	e->pid = cursor_u32(&c);
	e->tid = cursor_u32(&c);
	e->start = cursor_u64(&c);
	e->len = cursor_u64(&c);
	e->offset = cursor_u64(&c);
	e->major = cursor_u32(&c);
	e->minor = cursor_u32(&c);
	e->inode = cursor_u64(&c);
	e->generation = cursor_u64(&c);
	cursor_skip(&c, 4); /* prot: with attr.mmap alone only executable mappings are told */
	cursor_skip(&c, 4); /* flags */
	e->path = cursor_str(&c);
	return !c.bad;
}

static bool parse(const struct perf_event_header *h, struct sideband_event *e)
{
	struct cursor c = cursor_of(h, h->size), id = c;

	if (h->size < sizeof(*h) + SAMPLE_ID_BYTES)
		return false;
	cursor_skip(&id, h->size - SAMPLE_ID_BYTES + 8);
	*e = (struct sideband_event){.time_ns = cursor_u64(&id), .path = ""};
	cursor_skip(&c, sizeof(*h));
	c = cursor_sub(&c, h->size - sizeof(*h) - SAMPLE_ID_BYTES);
	switch (h->type) {
	case PERF_RECORD_MMAP2:
		return parse_mmap(c, h->misc, e);
	case PERF_RECORD_COMM:
		e->kind = SIDEBAND_EXEC;
		e->pid = cursor_u32(&c);
		e->tid = cursor_u32(&c);
		return h->misc & PERF_RECORD_MISC_COMM_EXEC && !c.bad;
	case PERF_RECORD_LOST:
		e->kind = SIDEBAND_LOST;
		cursor_skip(&c, 8);
		e->n_lost = cursor_u64(&c);
		return !c.bad;
	default:
		return false;
	}
}

bool sideband_peek(struct sideband *sideband, struct sideband_event *ret_event)
{
	const struct perf_event_header *h;

	while ((h = perf_ring_peek(sideband->ring))) {
		if (parse(h, ret_event))
			return true;
		perf_ring_pop(sideband->ring);
	}
	return false;
}

void sideband_pop(struct sideband *sideband)
{
	perf_ring_pop(sideband->ring);
}

void sideband_release(struct sideband *sideband)
{
	perf_ring_release(sideband->ring);
}

size_t sideband_fill(const struct sideband *sideband)
{
	return perf_ring_fill(sideband->ring);
}

size_t sideband_size(const struct sideband *sideband)
{
	return perf_ring_size(sideband->ring);
}

void sideband_close(struct sideband *sideband)
{
	if (!sideband)
		return;
	perf_ring_close(sideband->ring);
	close(sideband->fd);
	free(sideband);
}
