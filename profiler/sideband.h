/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf's side-band of one CPU: a dummy event whose ring tells of every executable mapping (MMAP2)
 * and of every new image (COMM with the exec bit), on CLOCK_MONOTONIC. The only source of mappings
 * that every kernel since 5.10 has; it needs no probe and costs nothing between the events.
 *
 * A record is foreign only in its file name; sizes are the kernel's, yet read through a cursor.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

enum sideband_kind {
	SIDEBAND_MMAP, /* an executable mapping was made (or made executable) */
	SIDEBAND_EXEC, /* the process starts a new image: its mappings are gone */
	SIDEBAND_LOST, /* the ring was full: some of the above are missing */
};

struct sideband_event {
	enum sideband_kind kind;
	__u64 time_ns;
	__u32 pid, tid;
	__u64 start, len, offset; /* MMAP: run-time address, bytes, file offset */
	__u32 major, minor;	  /* of the file system as the kernel numbers it; 0:0 = no file */
	__u64 inode, generation;
	const char *path; /* borrowed until the pop; "//anon", "[vdso]" and such for no file */
	__u64 n_lost;
};

struct sideband;

/* Open on a CPU. 0 or -errno. */
MUST_CHECK int sideband_open(int cpu, unsigned ring_pages, struct sideband **ret_sideband);
/* Over an event (or a file laid out like one's ring) that is open already; fd is the side-band's
 * from then on, also when this fails. */
MUST_CHECK int sideband_open_fd(int fd, unsigned ring_pages, struct sideband **ret_sideband);
int sideband_fd(const struct sideband *sideband);
/* The next event of interest; others are dropped. False: none. Borrowed until sideband_pop. */
bool sideband_peek(struct sideband *sideband, struct sideband_event *ret_event);
void sideband_pop(struct sideband *sideband);
void sideband_release(struct sideband *sideband);
size_t sideband_fill(const struct sideband *sideband);
size_t sideband_size(const struct sideband *sideband);
void sideband_close(struct sideband *sideband);
