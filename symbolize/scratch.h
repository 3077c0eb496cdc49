/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large temporaries that must not be anonymous memory: decompressed debug sections and the streams
 * of an index under construction live in unlinked files, whose pages the kernel can take back. A
 * file is made in `dir` (the cache folder), else /var/tmp, else /tmp, the first that is on a disk
 * (not tmpfs, not ramfs), else in memory, where at most SCRATCH_MEMORY_MAX bytes each are allowed.
 * They are written, not mapped for writing: a full disk is an error code and never a signal, and
 * nothing is resident meanwhile. One thread per object.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"

#define SCRATCH_MEMORY_MAX ((size_t)64 << 20)
#define SCRATCH_IN_MEMORY  "" /* as `dir`: no disk at all (it was full) */

/* An unlinked file, close-on-exec. *ret_in_memory (may be NULL): it is held by RAM. fd or -errno.
 */
MUST_CHECK int scratch_open(const char *dir, bool *ret_in_memory);

/* A byte stream that is written once and read back at any offset. What fits its buffer makes no
 * file. An error sticks: write all, test `err` once. */
struct spill {
	const char *dir; /* borrowed */
	int fd;		 /* -1: no file yet */
	bool in_memory;
	int err;
	__u64 len;   /* bytes written, those in the buffer included */
	size_t fill; /* bytes in the buffer */
	__u8 *buf;
};
/* 0 or -ENOMEM. */
MUST_CHECK int spill_init(struct spill *spill, const char *dir);
/* Take the space of that many bytes, if they need a file: a disk without it is known before it is
 * filled. */
void spill_reserve(struct spill *spill, __u64 bytes);
void spill_add(struct spill *spill, const void *data, size_t len);
/* len bytes at offset; bytes still in the buffer included. 0 or -errno. */
MUST_CHECK int spill_read(struct spill *spill, void *out, size_t len, __u64 offset);
void spill_fini(struct spill *spill);

/* What was written, as a block to read from. */
struct scratch {
	void *data;
	size_t size;
	bool mapped;
};
/* The spill's bytes; the spill is finished, also on failure. 0 or -errno. */
MUST_CHECK int scratch_take(struct spill *spill, struct scratch *ret_scratch);
void scratch_free(struct scratch *scratch);
/* Give resident pages back; their bytes stay. */
void scratch_drop_pages(const struct scratch *scratch);
