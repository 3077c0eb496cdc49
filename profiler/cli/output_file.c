// SPDX-License-Identifier: Apache-2.0
/* The output file of output_file.h. */
#include "profiler/cli/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/clock.h"

/* Of the unfinished file, "" when there is none: a signal handler reads it. */
static char unfinished[PATH_MAX];

/* The open descriptor that a path stands for, or -1. */
static int descriptor_of(const char *path)
{
	static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
	__u64 n;

	if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
		return STDOUT_FILENO;
	if (!strcmp(path, "/dev/stderr"))
		return STDERR_FILENO;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		size_t len = strlen(folders[i]);

		if (!strncmp(path, folders[i], len) && !units_parse_u64(path + len, &n) &&
		    n <= INT_MAX)
			return (int)n;
	}
	return -1;
}

static int open_in_place(struct output_file *o, const char *path, int flags)
{
	o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | flags, 0644);
	return o->fd < 0 ? -errno : 0;
}

static int open_beside(struct output_file *o)
{
	if ((size_t)snprintf(unfinished, sizeof(unfinished), "%s.tmp-%d", o->path, getpid()) >=
	    sizeof(unfinished)) {
		unfinished[0] = 0;
		return -ENAMETOOLONG;
	}
	o->fd = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (o->fd < 0) {
		unfinished[0] = 0; /* not ours */
		return -errno;
	}
	o->beside = true;
	return 0;
}

int output_file_open(struct output_file *o, const char *path)
{
	int fd = descriptor_of(path);
	struct stat st;

	*o = (struct output_file){.fd = -1};
	if (fd >= 0) {
		o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		return o->fd < 0 ? -errno : 0;
	}
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return open_in_place(o, path, 0);
	if (!strncmp(path, "/proc/", 6))
		return open_in_place(o, path, O_TRUNC);
	if (!realpath(path, o->path)) {
		if (errno != ENOENT)
			return -errno;
		if (!lstat(path, &st)) /* a link to nothing: there is nothing to keep whole */
			return open_in_place(o, path, O_CREAT);
		if (strlen(path) >= sizeof(o->path))
			return -ENAMETOOLONG;
		memcpy(o->path, path, strlen(path) + 1);
	}
	return open_beside(o);
}

int output_file_close(struct output_file *o, bool keep)
{
	int err = 0;

	if (o->fd < 0)
		return 0;
	if (close(o->fd))
		err = -errno;
	o->fd = -1;
	if (!o->beside)
		return err;
	if (keep && !err && rename(unfinished, o->path))
		err = -errno;
	if (!keep || err)
		unlink(unfinished);
	unfinished[0] = 0;
	return err;
}

void output_file_abandon(void)
{
	if (unfinished[0])
		unlink(unfinished);
}
