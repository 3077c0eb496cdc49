// SPDX-License-Identifier: Apache-2.0
/* Where an output file goes: into its place when whole, through links, in place where it must. */
#include "profiler/cli/output_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

static const char *in_dir(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned at;
	char *out = path[at++ % 4];

	snprintf(out, PATH_MAX, "%s/%s", test_dir(), name);
	return out;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CU_ASSERT_FATAL(fd >= 0);
	ASSERT_INT(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void expect_text(const char *path, const char *wanted)
{
	char text[64] = "";

	CU_ASSERT(fs_read_small(AT_FDCWD, path, text, sizeof(text)) >= 0);
	ASSERT_STR(text, wanted);
}

static void write_through(const char *path, bool keep)
{
	struct output_file o;

	ASSERT_INT(output_file_open(&o, path), 0);
	ASSERT_INT(write(o.fd, "new", 3), 3);
	ASSERT_INT(output_file_close(&o, keep), 0);
	ASSERT_INT(output_file_close(&o, keep), 0);
}

static bool is_link(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISLNK(st.st_mode);
}

static unsigned count_unfinished(void)
{
	DIR *dir = opendir(test_dir());
	struct dirent *d;
	unsigned n = 0;

	while (dir && (d = readdir(dir)))
		n += strstr(d->d_name, ".tmp-") != NULL;
	if (dir)
		closedir(dir);
	return n;
}

static void whole_or_not(void)
{
	struct output_file o;
	struct stat st;

	write_through(in_dir("a"), true);
	expect_text(in_dir("a"), "new");
	put(in_dir("a"), "old");
	write_through(in_dir("a"), false);
	expect_text(in_dir("a"), "old");
	write_through(in_dir("none"), false);
	CU_ASSERT(stat(in_dir("none"), &st) && errno == ENOENT);
	ASSERT_INT(output_file_open(&o, in_dir("no/folder")), -ENOENT);
	ASSERT_INT(output_file_close(&o, true), 0);
	ASSERT_INT(output_file_open(&o, test_dir()), -EISDIR);
	ASSERT_INT(count_unfinished(), 0);
}

static void links(void)
{
	put(in_dir("real"), "old");
	ASSERT_INT(symlink("real", in_dir("link")), 0);
	ASSERT_INT(symlink("link", in_dir("link2")), 0);
	write_through(in_dir("link2"), false);
	expect_text(in_dir("real"), "old");
	write_through(in_dir("link2"), true);
	expect_text(in_dir("real"), "new");
	CU_ASSERT(is_link(in_dir("link")) && is_link(in_dir("link2")));
	ASSERT_INT(symlink("later", in_dir("to-nothing")), 0);
	write_through(in_dir("to-nothing"), true);
	expect_text(in_dir("later"), "new");
	CU_ASSERT(is_link(in_dir("to-nothing")));
	ASSERT_INT(count_unfinished(), 0);
}

/* What is open already is written to where it stands, by every name of it. */
static void in_place(void)
{
	struct output_file o;
	char path[64];
	int fd;

	put(in_dir("open"), "old ");
	fd = open(in_dir("open"), O_WRONLY | O_APPEND | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	write_through(path, true);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	write_through(path, true);
	expect_text(in_dir("open"), "old newnew");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	write_through(path, true);
	expect_text(in_dir("open"), "new");
	close(fd);
	ASSERT_INT(output_file_open(&o, "/dev/fd/1000000"), -EBADF);
	write_through("/dev/null", true);
	ASSERT_INT(count_unfinished(), 0);
}

static void abandoned(void)
{
	struct output_file o;

	put(in_dir("b"), "old");
	ASSERT_INT(output_file_open(&o, in_dir("b")), 0);
	ASSERT_INT(count_unfinished(), 1);
	output_file_abandon();
	ASSERT_INT(count_unfinished(), 0);
	ASSERT_INT(output_file_close(&o, false), 0);
	expect_text(in_dir("b"), "old");
}

SUITE(output_file, {"whole or not", whole_or_not}, {"links", links}, {"in place", in_place},
      {"abandoned", abandoned});
