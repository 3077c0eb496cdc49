// SPDX-License-Identifier: Apache-2.0
/* Unlinked temporary files as memory and as streams, see scratch.h. */
#include "symbolize/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"

#define SPILL_BUFFER ((size_t)64 << 10)

/* A folder on tmpfs holds its files in RAM, too, where nobody counts them as ours. */
static bool is_ram(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

int scratch_open(const char *dir, bool *ret_in_memory)
{
	const char *const dirs[] = {dir, "/var/tmp", "/tmp"};
	int fd;

	if (ret_in_memory)
		*ret_in_memory = false;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (!dirs[i])
			continue;
		if (!*dirs[i])
			break;
		fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0 && !is_ram(fd))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	if (ret_in_memory)
		*ret_in_memory = true;
	fd = memfd_create("bianque-scratch", MFD_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

int spill_init(struct spill *spill, const char *dir)
{
	*spill = (struct spill){.fd = -1, .dir = dir};
	spill->buf = malloc(SPILL_BUFFER);
	return spill->buf ? 0 : -ENOMEM;
}

static void need_file(struct spill *spill, __u64 bytes)
{
	if (!spill->err && spill->fd < 0) {
		spill->fd = scratch_open(spill->dir, &spill->in_memory);
		spill->err = MIN(spill->fd, 0);
	}
	if (!spill->err && spill->in_memory && bytes > SCRATCH_MEMORY_MAX)
		spill->err = -ENOSPC;
}

void spill_reserve(struct spill *spill, __u64 bytes)
{
	if (bytes <= SPILL_BUFFER)
		return;
	need_file(spill, bytes);
	if (!spill->err && !spill->in_memory)
		spill->err = -posix_fallocate(spill->fd, 0, (off_t)bytes);
}

static void write_out(struct spill *spill, const void *data, size_t len)
{
	need_file(spill, spill->len);
	if (!spill->err && len)
		spill->err = fs_write_all(spill->fd, data, len);
}

static void empty_buffer(struct spill *spill)
{
	write_out(spill, spill->buf, spill->fill);
	spill->fill = 0;
}

void spill_add(struct spill *spill, const void *data, size_t len)
{
	const __u8 *p = data;

	spill->len += len;
	while (len && !spill->err) {
		size_t n = MIN(len, SPILL_BUFFER - spill->fill);

		if (n == SPILL_BUFFER) { /* nothing waits in the buffer */
			write_out(spill, p, len);
			return;
		}
		memcpy(spill->buf + spill->fill, p, n);
		spill->fill += n;
		p += n;
		len -= n;
		if (spill->fill == SPILL_BUFFER)
			empty_buffer(spill);
	}
}

int spill_read(struct spill *spill, void *out, size_t len, __u64 offset)
{
	__u64 flushed = spill->len - spill->fill;
	size_t from_file;

	if (spill->err)
		return spill->err;
	if (offset > spill->len || len > spill->len - offset)
		return -EINVAL;
	from_file = offset < flushed ? (size_t)MIN((__u64)len, flushed - offset) : 0;
	if (from_file) {
		int err = fs_pread_all(spill->fd, out, from_file, (off_t)offset);

		if (err)
			return err;
	}
	if (len > from_file)
		memcpy((__u8 *)out + from_file, spill->buf + (offset + from_file - flushed),
		       len - from_file);
	return 0;
}

void spill_fini(struct spill *spill)
{
	if (spill->buf && spill->fd >= 0)
		close(spill->fd);
	free(spill->buf);
	*spill = (struct spill){.fd = -1};
}

static int map_spill(struct spill *spill, struct scratch *ret_scratch)
{
	struct scratch s = {.size = (size_t)spill->len, .mapped = true};

	empty_buffer(spill);
	if (spill->err)
		return spill->err;
	s.data = mmap(NULL, s.size, PROT_READ, MAP_SHARED, spill->fd, 0);
	if (s.data == MAP_FAILED)
		return -errno;
	*ret_scratch = s;
	return 0;
}

/* The buffer itself, cut to what it holds. */
static void take_buffer(struct spill *spill, struct scratch *ret_scratch)
{
	void *cut = realloc(spill->buf, MAX(spill->fill, (size_t)1));

	if (cut)
		spill->buf = cut;
	*ret_scratch = (struct scratch){.data = take(spill->buf), .size = spill->fill};
}

int scratch_take(struct spill *spill, struct scratch *ret_scratch)
{
	int err = spill->err;

	if (!err && spill->fd >= 0)
		err = map_spill(spill, ret_scratch);
	else if (!err)
		take_buffer(spill, ret_scratch);
	spill_fini(spill);
	return err;
}

void scratch_free(struct scratch *scratch)
{
	if (scratch->mapped)
		munmap(scratch->data, scratch->size);
	else
		free(scratch->data);
	*scratch = (struct scratch){0};
}

void scratch_drop_pages(const struct scratch *scratch)
{
	if (scratch->mapped)
		madvise(scratch->data, scratch->size, MADV_DONTNEED);
}
