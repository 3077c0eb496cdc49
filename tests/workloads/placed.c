// SPDX-License-Identifier: Apache-2.0
/*
 * A program whose file is not where its mappings say. Each mode puts a copy of this program
 * somewhere and executes it there under its own name:
 *
 *	replaced	the file is replaced by another while it runs (a deleted inode)
 *	deleted		the file is removed while it runs
 *	overlay		it runs from an overlayfs (root only)
 *	container	a mount and PID namespace with a root of its own, in which the path of the
 *			program exists nowhere else (root only)
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/workloads/truth.h"

enum { EXIT_OFF = 77 };

TRUTH_LEAF(placed_leaf)
TRUTH_BUSY(placed_inner, placed_leaf)
TRUTH_CALL(placed_outer, placed_inner)

static char dir[64];

static int fail(const char *what)
{
	int err = errno;

	fprintf(stderr, "placed: %s: %s\n", what, strerror(err));
	return err == EPERM ? EXIT_OFF : 1;
}

static const char *path_in(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s/%s", dir, name);
	return buf;
}

static int copy_self(const char *to)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	struct stat st;
	off_t done = 0;

	if (in < 0 || out < 0 || fstat(in, &st))
		return -errno;
	while (done < st.st_size)
		if (sendfile(out, in, NULL, (size_t)(st.st_size - done)) <= 0)
			return -EIO;
		else
			done = lseek(in, 0, SEEK_CUR);
	close(in);
	return close(out) ? -errno : 0;
}

/* The exit status of a child. */
static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Becomes the copy at `path`; an exit status when it cannot. */
static int become(const char *path, const char *inner)
{
	char seconds[32];

	snprintf(seconds, sizeof(seconds), "%f", truth_left_s());
	execl(path, "placed", inner, "--seconds", seconds, NULL);
	return fail(path);
}

/* ---- replaced, deleted ----------------------------------------------------------------------- */

static int place_in_tmp(const char *inner)
{
	char path[128];

	if (copy_self(path_in(path, sizeof(path), "placed")))
		return fail(path);
	return become(path, inner);
}

static int place_replaced(void)
{
	return place_in_tmp("replaced-inner");
}

static int place_deleted(void)
{
	return place_in_tmp("deleted-inner");
}

static int own_path(char *path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);

	if (len < 0)
		return fail("readlink");
	path[len] = 0;
	return 0;
}

/* Another ELF file under the old name: who opens the path gets wrong rows and names. */
static int set_up_replaced(void)
{
	char path[256], other[300], command[400];

	if (own_path(path, sizeof(path)))
		return 1;
	snprintf(other, sizeof(other), "%s.new", path);
	snprintf(command, sizeof(command), "cp /bin/cat %s", other);
	return system(command) || rename(other, path) ? fail("replacing") : 0;
}

static int set_up_deleted(void)
{
	char path[256];

	if (own_path(path, sizeof(path)))
		return 1;
	return unlink(path) ? fail("unlink") : 0;
}

/* ---- overlay, container ---------------------------------------------------------------------- */

/* A private mount namespace with a tmpfs on `dir`. */
static int own_mounts(int flags)
{
	if (unshare(CLONE_NEWNS | flags) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("placed", dir, "tmpfs", 0, NULL))
		return fail("namespaces of its own");
	return 0;
}

static int make_dirs(const char *const *names)
{
	char path[128];

	for (; *names; names++)
		if (mkdir(path_in(path, sizeof(path), *names), 0755))
			return fail(path);
	return 0;
}

static int place_overlay(void)
{
	static const char *const dirs[] = {"lower", "upper", "work", "merged", NULL};
	char path[128], options[256];
	int status = own_mounts(0);

	if (!status)
		status = make_dirs(dirs);
	if (status)
		return status;
	if (copy_self(path_in(path, sizeof(path), "lower/placed")))
		return fail(path);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 dir, dir, dir);
	if (mount("overlay", path_in(path, sizeof(path), "merged"), "overlay", 0, options))
		return fail("overlayfs");
	return become(path_in(path, sizeof(path), "merged/placed"), "inner");
}

/* Makes /name of the host visible in `dir`; nothing when the host has none. */
static int share(const char *name)
{
	char from[64], to[128], target[256];
	struct stat st;
	ssize_t len;

	snprintf(from, sizeof(from), "/%s", name);
	path_in(to, sizeof(to), name);
	if (lstat(from, &st))
		return 0;
	if (!S_ISLNK(st.st_mode))
		return mkdir(to, 0755) || mount(from, to, NULL, MS_BIND, NULL) ? fail(to) : 0;
	len = readlink(from, target, sizeof(target) - 1);
	if (len < 0)
		return fail(from);
	target[len] = 0;
	return symlink(target, to) ? fail(to) : 0;
}

static int place_container(void)
{
	static const char *const shared[] = {"usr", "lib", "lib64", "bin", NULL};
	static const char *const dirs[] = {"app", "old", NULL};
	char path[128];
	int status = own_mounts(CLONE_NEWPID);
	pid_t pid;

	for (const char *const *name = shared; *name && !status; name++)
		status = share(*name);
	if (!status)
		status = make_dirs(dirs);
	if (status)
		return status;
	if (copy_self(path_in(path, sizeof(path), "app/placed")) || chdir(dir) ||
	    syscall(SYS_pivot_root, ".", "old") || umount2("/old", MNT_DETACH))
		return fail("a root of its own");
	pid = fork(); /* the first process of the namespace */
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(become("/app/placed", "inner"));
	}
	return wait_for(pid);
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* A child places and becomes the copy; when it has ended, its namespaces have, too. */
static int run_placed(int (*place)(void))
{
	const char *top = getenv("TMPDIR");
	char clean[128];
	int status;
	pid_t pid;

	if ((size_t)snprintf(dir, sizeof(dir), "%s/bianque-placed.XXXXXX", top ? top : "/tmp") >=
	    sizeof(dir)) {
		errno = ENAMETOOLONG;
		return fail(dir);
	}
	if (!mkdtemp(dir))
		return fail(dir);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(place());
	}
	status = wait_for(pid);
	snprintf(clean, sizeof(clean), "rm -rf %s", dir);
	return system(clean) ? fail(dir) : status;
}

#define MODE(name)                                                                                 \
	static int run_##name(void)                                                                \
	{                                                                                          \
		return run_placed(place_##name);                                                   \
	}
MODE(replaced)
MODE(deleted)
MODE(overlay)
MODE(container)

static void expect(void)
{
	truth_print(100, "truth_run;placed_outer;placed_inner;placed_leaf");
}

#define UNITS                                                                                      \
	{                                                                                          \
		{                                                                                  \
			100, placed_outer, "placed_outer;placed_inner;placed_leaf"                 \
		}                                                                                  \
	}
static const struct truth truths[] = {
	{"replaced", .run = run_replaced, .expect = expect},
	{"deleted", .run = run_deleted, .expect = expect},
	{"overlay", .run = run_overlay, .expect = expect},
	{"container", .run = run_container, .expect = expect},
	{"inner", UNITS, .hidden = true},
	{"replaced-inner", UNITS, .setup = set_up_replaced, .hidden = true},
	{"deleted-inner", UNITS, .setup = set_up_deleted, .hidden = true},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
