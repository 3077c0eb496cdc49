/* SPDX-License-Identifier: Apache-2.0 */
/* Small-file helpers: bounded reads (of /proc and of foreign files) and atomic replacement. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

/* Append the whole of a file to buf, at most max bytes (else -EFBIG). dirfd as for openat; the open
 * never blocks on a FIFO. 0 or -errno. */
MUST_CHECK int fs_read(int dirfd, const char *path, size_t max, struct buf *buf);
/* The same into a fixed block: NUL-terminated, cut silently at size - 1; length or -errno. */
ssize_t fs_read_small(int dirfd, const char *path, char *out, size_t size);
/* pread until len bytes are there; -ENODATA when the file ends before. 0 or -errno. */
MUST_CHECK int fs_pread_all(int fd, void *out, size_t len, off_t offset);
MUST_CHECK int fs_write_all(int fd, const void *data, size_t len);
/* Write path.tmp-PID in the same folder and rename it over path: readers see the old file or the
 * new one. Mode 0600. The temporary is removed on failure. 0 or -errno (a full disk is -ENOSPC). */
MUST_CHECK int fs_replace(const char *path, const void *data, size_t len);
/* mkdir -p, mode 0700 for what is made. 0 or -errno. */
MUST_CHECK int fs_mkdirs(const char *path);
