// SPDX-License-Identifier: Apache-2.0
#include "profiler/base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

static int make_file(size_t size)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/file", test_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (size_t i = 0; i < size; i += 4096) {
		char page[4096];

		memset(page, 0x5a, sizeof(page));
		CU_ASSERT(pwrite(fd, page, MIN(sizeof(page), size - i), (off_t)i) > 0);
	}
	return fd;
}

static void truncated_under_us(void)
{
	int fd = make_file(64 << 10);
	struct mapfile file;

	ASSERT_INT(mapfile_open(fd, 1 << 20, &file), 0);
	ASSERT_INT(file.data[60 << 10], 0x5a);
	CU_ASSERT(!mapfile_truncated(&file));
	ASSERT_INT(ftruncate(fd, 8 << 10), 0);
	ASSERT_INT(file.data[60 << 10], 0);
	ASSERT_INT(file.data[20 << 10], 0);
	ASSERT_INT(file.data[0], 0x5a);
	CU_ASSERT(mapfile_truncated(&file));
	mapfile_close(&file);
	mapfile_close(&file);
	close(fd);
}

static void refusals(void)
{
	struct mapfile file;
	int fd = make_file(0), dir = open("/tmp", O_RDONLY | O_CLOEXEC);
	char path[256];

	ASSERT_INT(mapfile_open(fd, 100, &file), -ENODATA);
	close(fd);
	fd = make_file(101);
	ASSERT_INT(mapfile_open(fd, 100, &file), -EFBIG);
	ASSERT_INT(mapfile_open(dir, 100, &file), -EINVAL);
	close(fd);
	close(dir);
	snprintf(path, sizeof(path), "%s/fifo", test_dir());
	ASSERT_INT(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_INT(mapfile_open(fd, 100, &file), -EINVAL);
	close(fd);
}

static void small_files(void)
{
	struct buf buf = {0};
	char path[256], out[8];

	snprintf(path, sizeof(path), "%s/a/b/c", test_dir());
	ASSERT_INT(fs_mkdirs(path), 0);
	ASSERT_INT(fs_mkdirs(path), 0);
	snprintf(path, sizeof(path), "%s/a/b/c/x", test_dir());
	ASSERT_INT(fs_replace(path, "hello world", 11), 0);
	ASSERT_INT(fs_read(AT_FDCWD, path, 11, &buf), 0);
	ASSERT_STR(buf.data, "hello world");
	buf_reset(&buf);
	ASSERT_INT(fs_read(AT_FDCWD, path, 10, &buf), -EFBIG);
	ASSERT_INT(fs_read_small(AT_FDCWD, path, out, sizeof(out)), 7);
	ASSERT_STR(out, "hello w");
	ASSERT_INT(fs_read_small(AT_FDCWD, "/nonexistent", out, sizeof(out)), -ENOENT);
	buf_fini(&buf);
}

SUITE(mapfile, {"truncated under us", truncated_under_us}, {"refusals", refusals},
      {"small files", small_files});
