// SPDX-License-Identifier: Apache-2.0
/* Unlinked temporary files as memory and as streams, see scratch.h. */
#include "symbolize/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"

#define SMALL_BLOCK  ((size_t)128 << 10)
#define SPILL_BUFFER ((size_t)64 << 10)

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
		if (fd >= 0)
			return fd;
	}
	if (ret_in_memory)
		*ret_in_memory = true;
	fd = memfd_create("bianque-scratch", MFD_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

int scratch_alloc(const char *dir, size_t size, struct scratch *ret_scratch)
{
	struct scratch s = {.size = size};
	_close_ int fd = -1;
	bool in_memory;
	int err;

	if (size <= SMALL_BLOCK) {
		s.data = malloc(size ? size : 1);
		if (!s.data)
			return -ENOMEM;
		*ret_scratch = s;
		return 0;
	}
	fd = scratch_open(dir, &in_memory);
	if (fd < 0)
		return fd;
	if (in_memory && size > SCRATCH_MEMORY_MAX)
		return -ENOSPC;
	err = posix_fallocate(fd, 0, (off_t)size);
	if (err)
		return -err;
	s.mapped = true;
	s.data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s.data == MAP_FAILED)
		return -errno;
	*ret_scratch = s;
	return 0;
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

int spill_init(struct spill *spill, const char *dir)
{
	*spill = (struct spill){.fd = -1};
	spill->buf = malloc(SPILL_BUFFER);
	if (!spill->buf)
		return -ENOMEM;
	spill->fd = scratch_open(dir, &spill->in_memory);
	if (spill->fd < 0) {
		int err = spill->fd;

		spill_fini(spill);
		return err;
	}
	return 0;
}

int spill_flush(struct spill *spill)
{
	if (!spill->err && spill->in_memory && spill->len > SCRATCH_MEMORY_MAX)
		spill->err = -ENOSPC;
	if (!spill->err && spill->fill)
		spill->err = fs_write_all(spill->fd, spill->buf, spill->fill);
	spill->fill = 0;
	return spill->err;
}

void spill_add(struct spill *spill, const void *data, size_t len)
{
	const __u8 *p = data;

	spill->len += len;
	while (len && !spill->err) {
		size_t n = MIN(len, SPILL_BUFFER - spill->fill);

		memcpy(spill->buf + spill->fill, p, n);
		spill->fill += n;
		p += n;
		len -= n;
		if (spill->fill == SPILL_BUFFER && spill_flush(spill))
			return;
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
