/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small-file helpers: bounded reads (of /proc and of our own files), atomic replacement, and the
 * opening of what others made.
 *
 * We are root and the path is another user's: opening alone must do nothing. So the file is first
 * found without being opened (O_PATH: a FIFO's writer is not woken, no device's driver is entered),
 * must be a regular file, and only then is that same inode opened, through /proc/self/fd. Source:
 * openat2(2), Linux 5.6.
 */
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

/* Bytes of the first `size` of an open file that are no holes, as far as its file system tells;
 * those behind FS_MAX_PIECES pieces of data do not count. The descriptor's offset moves. */
#define FS_MAX_PIECES 65536
__u64 fs_data_bytes(int fd, __u64 size);

enum fs_links {
	FS_LINKS_BELOW, /* symbolic links are followed, none leads out of the root */
	FS_LINKS_NONE,	/* one anywhere on the way is -ELOOP */
};
/* Open a foreign regular file for reading. The path is absolute and taken below the folder root_fd
 * (a process's root), which neither links nor ".." leave; AT_FDCWD: below our own root. Links of
 * /proc (magic ones) are never followed. fd; -EINVAL: no regular file, or the path is relative;
 * -ESTALE: another file came in between; or -errno. */
MUST_CHECK int fs_open_foreign(int root_fd, const char *path, enum fs_links links);
/* The same through one of /proc's own links (map_files): the inode that it stands for. */
MUST_CHECK int fs_open_magic(int dirfd, const char *path);

MUST_CHECK int fs_write_all(int fd, const void *data, size_t len);
/* Write path.tmp-PID in the same folder and rename it over path: readers see the old file or the
 * new one. Mode 0600. The temporary is removed on failure. 0 or -errno (a full disk is -ENOSPC). */
MUST_CHECK int fs_replace(const char *path, const void *data, size_t len);
/* mkdir -p, mode 0700 for what is made. 0 or -errno. */
MUST_CHECK int fs_mkdirs(const char *path);
/* The same for a folder that is to be trusted: -EPERM when it is another user's, or one that others
 * may write to. */
MUST_CHECK int fs_own_dir(const char *path);
const char *fs_own_dir_error(int err); /* for people; borrowed until the thread's next call */
/* Random bytes that stay the same from run to run, in a file that only our user can read; another
 * kind of file is replaced. 0 or -errno. */
MUST_CHECK int fs_secret(const char *path, void *out, size_t len);
