// SPDX-License-Identifier: Apache-2.0
/* fs.h: opening what others made does nothing but open a regular file below its root. */
#include "profiler/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

static char root[256];
static int root_fd;

static const char *in_root(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return path;
}

static void make_root(void)
{
	snprintf(root, sizeof(root), "%s/outside", test_dir());
	CU_ASSERT_FATAL(!fs_replace(root, "outside", 7));
	snprintf(root, sizeof(root), "%s/root", test_dir());
	CU_ASSERT_FATAL(!fs_mkdirs(in_root("/dir")));
	CU_ASSERT_FATAL(!fs_replace(in_root("/dir/file"), "inside", 6));
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(root_fd >= 0);
}

/* What the file says, or the error. */
static int opens(const char *path, enum fs_links links, const char *expected)
{
	int fd = fs_open_foreign(root_fd, path, links);
	char text[16] = "";

	if (fd < 0)
		return fd;
	CU_ASSERT(read(fd, text, sizeof(text) - 1) >= 0);
	ASSERT_STR(text, expected);
	ASSERT_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	return 0;
}

static void stays_below_the_root(void)
{
	char outside[300];

	make_root();
	ASSERT_INT(opens("/dir/file", FS_LINKS_NONE, "inside"), 0);
	ASSERT_INT(opens("/../../dir/file", FS_LINKS_BELOW, "inside"), 0);
	ASSERT_INT(opens("dir/file", FS_LINKS_BELOW, ""), -EINVAL);
	ASSERT_INT(opens("/none", FS_LINKS_BELOW, ""), -ENOENT);
	ASSERT_INT(opens("/dir", FS_LINKS_BELOW, ""), -EINVAL);
	/* an absolute link means the root it lies in, and ".." ends there */
	CU_ASSERT(!symlink("/dir/file", in_root("/absolute")));
	CU_ASSERT(!symlink("../outside", in_root("/up")));
	snprintf(outside, sizeof(outside), "%s/outside", test_dir());
	CU_ASSERT(!symlink(outside, in_root("/out")));
	CU_ASSERT(!symlink("/proc/self/root", in_root("/magic")));
	ASSERT_INT(opens("/absolute", FS_LINKS_BELOW, "inside"), 0);
	ASSERT_INT(opens("/absolute", FS_LINKS_NONE, ""), -ELOOP);
	ASSERT_INT(opens("/up", FS_LINKS_BELOW, ""), -ENOENT);
	ASSERT_INT(opens("/out", FS_LINKS_BELOW, ""), -ENOENT);
	close(root_fd);
	/* our own root */
	root_fd = AT_FDCWD;
	ASSERT_INT(opens(in_root("/up"), FS_LINKS_BELOW, "outside"), 0);
	ASSERT_INT(opens(in_root("/up"), FS_LINKS_NONE, ""), -ELOOP);
	ASSERT_INT(opens("/proc/self/exe", FS_LINKS_BELOW, ""), -ELOOP);
}

/* A program that waits for a reader of the FIFO waits on, for nobody read. */
static void wakes_no_writer(void)
{
	char stat[256] = "", name[32];
	int status;
	pid_t pid;

	make_root();
	CU_ASSERT_FATAL(!mkfifo(in_root("/fifo"), 0600));
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(open(in_root("/fifo"), O_WRONLY | O_CLOEXEC) < 0);
	}
	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	for (int i = 0; i < 1000 && !strstr(stat, ") S "); i++) {
		usleep(2000);
		CU_ASSERT(fs_read_small(AT_FDCWD, name, stat, sizeof(stat)) > 0);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(stat, ") S "));
	ASSERT_INT(opens("/fifo", FS_LINKS_BELOW, ""), -EINVAL);
	usleep(50000);
	ASSERT_INT(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(root_fd);
}

/* A device that has no driver: to open it is ENXIO, to look at it is not. */
static void enters_no_driver(void)
{
	make_root();
	if (mknod(in_root("/device"), S_IFCHR | 0600, makedev(240, 77))) {
		close(root_fd);
		SKIP("mknod is refused: %s", strerror(errno));
	}
	ASSERT_INT(open(in_root("/device"), O_RDONLY | O_CLOEXEC), -1);
	ASSERT_INT(opens("/device", FS_LINKS_BELOW, ""), -EINVAL);
	close(root_fd);
}

static void links_of_proc(void)
{
	char name[32], text[8] = "";
	int ends[2], fd;

	make_root();
	fd = open(in_root("/dir/file"), O_RDONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && !unlink(in_root("/dir/file")));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	close(root_fd);
	root_fd = fs_open_magic(AT_FDCWD, name);
	CU_ASSERT_FATAL(root_fd >= 0);
	CU_ASSERT(read(root_fd, text, sizeof(text) - 1) == 6);
	ASSERT_STR(text, "inside");
	close(root_fd);
	close(fd);
	CU_ASSERT_FATAL(!pipe(ends));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
	ASSERT_INT(fs_open_magic(AT_FDCWD, name), -EINVAL);
	close(ends[0]);
	close(ends[1]);
}

static void holes_are_no_data(void)
{
	char path[300], block[4096] = "data";
	int fd;

	snprintf(path, sizeof(path), "%s/sparse", test_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	ASSERT_INT(fs_data_bytes(fd, 0), 0);
	ASSERT_INT(pwrite(fd, block, sizeof(block), 0), sizeof(block));
	ASSERT_INT(fs_data_bytes(fd, sizeof(block)), sizeof(block));
	ASSERT_INT(fs_data_bytes(fd, 100), 100);
	ASSERT_INT(ftruncate(fd, 1ll << 34), 0);
	if (fs_data_bytes(fd, 1ull << 34) == 1ull << 34) {
		close(fd);
		SKIP("this file system does not tell holes");
	}
	for (off_t at = 1 << 20; at <= 1 << 24; at <<= 1)
		ASSERT_INT(pwrite(fd, block, sizeof(block), at), sizeof(block));
	CU_ASSERT(fs_data_bytes(fd, 1ull << 34) >= 6 * sizeof(block));
	CU_ASSERT(fs_data_bytes(fd, 1ull << 34) < 1 << 21); /* pieces may be rounded up */
	close(fd);
	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC); /* knows nothing of it */
	ASSERT_INT(fs_data_bytes(fd, 10000), 10000);
	close(fd);
}

SUITE(fs, {"stays below the root", stays_below_the_root}, {"wakes no writer", wakes_no_writer},
      {"enters no driver", enters_no_driver}, {"links of /proc", links_of_proc},
      {"holes are no data", holes_are_no_data});
