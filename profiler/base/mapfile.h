/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreign file mapped read-only, safe against its owner: when the file is truncated under us the
 * kernel would kill us with SIGBUS; the handler here puts zero pages in place instead and marks the
 * file, so a parser reads zeros and ends by its own checks. Mapped bytes are page cache, not RSS
 * of ours, so a large debug file costs no anonymous memory.
 *
 * At most MAPFILE_MAX at a time over all threads. mapfile_open/close from any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "profiler/base/check.h"

#define MAPFILE_MAX 256

struct mapfile {
	const __u8 *data; /* NULL: closed */
	size_t size;
	int slot;
};

/* Maps the whole regular file behind fd, which may be closed afterwards. 0, -ENODATA for an empty
 * file, -EINVAL for what is not a regular file, -EFBIG beyond max_size, -EMFILE when all slots are
 * taken, or -errno. */
MUST_CHECK int mapfile_open(int fd, size_t max_size, struct mapfile *ret_file);
/* True when bytes vanished under us: what was read since may be zeros. */
bool mapfile_truncated(const struct mapfile *file);
/* Tell the kernel that the pages are not needed for now (they stay mapped). */
void mapfile_drop_pages(const struct mapfile *file);
void mapfile_close(struct mapfile *file);
