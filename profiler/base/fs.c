// SPDX-License-Identifier: Apache-2.0
/* Small-file helpers, see fs.h. */
#include "profiler/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

#include "profiler/base/cleanup.h"

#define READ_STEP  ((size_t)4096)
#define OPEN_TRIES 4

int fs_read(int dirfd, const char *path, size_t max, struct buf *buf)
{
	_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t got = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (buf_reserve(buf, READ_STEP))
			return buf->err;
		n = read(fd, buf->data + buf->len, buf->cap - buf->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		got += (size_t)n;
		if (got > max)
			return -EFBIG;
		buf->len += (size_t)n;
		buf->data[buf->len] = 0;
	}
}

ssize_t fs_read_small(int dirfd, const char *path, char *out, size_t size)
{
	_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		ssize_t n = read(fd, out + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	out[len] = 0;
	return (ssize_t)len;
}

int fs_pread_all(int fd, void *out, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)out + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

__u64 fs_data_bytes(int fd, __u64 size)
{
	__u64 bytes = 0;
	off_t end = 0;

	for (int i = 0; i < FS_MAX_PIECES && (__u64)end < size; i++) {
		off_t start = lseek(fd, end, SEEK_DATA);

		if (start < 0) /* ENXIO: a hole up to the end; else: no holes are known here */
			return errno == ENXIO ? bytes : size;
		end = lseek(fd, start, SEEK_HOLE);
		if (end < 0)
			return size;
		bytes += MIN((__u64)end, size) - MIN((__u64)start, size);
	}
	return bytes;
}

/* From what O_PATH found to a file that can be read. */
static int open_found(int found)
{
	char name[32];
	_close_ int fd = -1;
	struct stat was, is;

	if (fstat(found, &was))
		return -errno;
	if (!S_ISREG(was.st_mode))
		return -EINVAL;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", found);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &is))
		return -errno;
	return was.st_dev == is.st_dev && was.st_ino == is.st_ino ? take_fd(&fd) : -ESTALE;
}

int fs_open_foreign(int root_fd, const char *path, enum fs_links links)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	_close_ int found = -1;

	if (*path != '/')
		return -EINVAL;
	if (root_fd != AT_FDCWD)
		how.resolve |= RESOLVE_IN_ROOT;
	if (links == FS_LINKS_NONE)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	/* EAGAIN: something on the host was renamed while the kernel went by "..". */
	for (int i = 0; i < OPEN_TRIES && found < 0; i++) {
		found = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
		if (found < 0 && errno != EAGAIN)
			break;
	}
	return found < 0 ? -errno : open_found(found);
}

int fs_open_magic(int dirfd, const char *path)
{
	_close_ int found = openat(dirfd, path, O_PATH | O_CLOEXEC);

	return found < 0 ? -errno : open_found(found);
}

int fs_write_all(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int fs_replace(const char *path, const void *data, size_t len)
{
	char tmp[PATH_MAX];
	int err;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp-%d-%d", path, getpid(), gettid()) >=
	    sizeof(tmp))
		return -ENAMETOOLONG;
	{
		_close_ int fd =
			open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		err = fs_write_all(fd, data, len);
	}
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int fs_mkdirs(const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, 0700) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int fs_own_dir(const char *path)
{
	int err = fs_mkdirs(path);
	struct stat st;

	if (err)
		return err;
	if (stat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) ? 0 : -EPERM;
}

const char *fs_own_dir_error(int err)
{
	return err == -EPERM ? "it must be ours, and nobody else may write to it: see chown, chmod"
			     : strerror(-err);
}

static int read_secret(const char *path, void *out, size_t len)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IRWXG | S_IRWXO) ||
	    (size_t)st.st_size != len)
		return -EACCES;
	return fs_pread_all(fd, out, len, 0);
}

int fs_secret(const char *path, void *out, size_t len)
{
	int err;

	if (!read_secret(path, out, len))
		return 0;
	if (getrandom(out, len, 0) != (ssize_t)len)
		return -EIO;
	err = fs_replace(path, out, len);
	/* Two that begin at once agree on the one that came last. */
	return err ? err : read_secret(path, out, len);
}
