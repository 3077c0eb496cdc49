// SPDX-License-Identifier: Apache-2.0
/* cgroup hierarchies, see cgroup.h. */
#include "profiler/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/identity.h"

#define MAX_LOOKED_AT 1024 /* processes that decide */

static const char *const controllers[] = {NULL,
#define X(NAME, name) #name,
					  CGROUP_V1_LIST(X)
#undef X
};

const char *cgroup_controller(enum cgroup_hierarchy hierarchy)
{
	return controllers[hierarchy];
}

/* Does a /proc/PID/cgroup line of this hierarchy name another cgroup than the root? */
static bool below_root(const char *line, const char *controller)
{
	const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
	size_t len = controller ? strlen(controller) : 0;

	if (!path || path[1] != '/' || path[2] == '\n' || !path[2])
		return false;
	if (!controller)
		return line[0] == '0' && list[1] == ':';
	for (const char *c = list + 1; c < path; c += strcspn(c, ",:") + 1)
		if (strcspn(c, ",:") == len && !strncmp(c, controller, len))
			return true;
	return false;
}

static void look_at(const char *procfs, const char *pid, bool found[CGROUP_CPU + 1])
{
	char path[PATH_MAX],
		line[PATH_MAX + 256]; /* a whole line: a path's end could look like one */
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/cgroup", procfs, pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		for (int h = CGROUP_V2; h <= CGROUP_CPU; h++)
			found[h] |= below_root(line, controllers[h]);
	if (f)
		fclose(f);
}

enum cgroup_hierarchy cgroup_choose(const char *procfs)
{
	bool found[CGROUP_CPU + 1] = {false};
	DIR *dir = opendir(procfs);
	struct dirent *d;
	int looked_at = 0;
	__u64 pid;

	while (dir && !found[CGROUP_V2] && looked_at < MAX_LOOKED_AT && (d = readdir(dir))) {
		if (units_parse_u64(d->d_name, &pid))
			continue;
		look_at(procfs, d->d_name, found);
		looked_at++;
	}
	if (dir)
		closedir(dir);
	if (found[CGROUP_V2])
		return CGROUP_V2;
	return found[CGROUP_MEMORY] ? CGROUP_MEMORY : found[CGROUP_CPU] ? CGROUP_CPU : CGROUP_V2;
}

/* The v1 controllers that a mount point carries, from /proc/self/mountinfo (proc(5)). */
static int hierarchy_of_mount(dev_t dev, enum cgroup_hierarchy *ret_hierarchy)
{
	_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		char *options = strstr(line, " - cgroup "), *rest;
		unsigned major, minor;

		if (!options || sscanf(line, "%*d %*d %u:%u", &major, &minor) != 2 ||
		    makedev(major, minor) != dev)
			continue;
		options[strcspn(options, "\n")] = 0;
		options = strrchr(options, ' ') + 1; /* super options: rw,memory */
		for (char *c = strtok_r(options, ",", &rest); c; c = strtok_r(NULL, ",", &rest)) {
			for (size_t h = 1; h < ARRAY_SIZE(controllers); h++) {
				if (!strcmp(c, controllers[h])) {
					*ret_hierarchy = (enum cgroup_hierarchy)h;
					return 0;
				}
			}
		}
	}
	return -EINVAL;
}

int cgroup_find(const char *path, enum cgroup_hierarchy *ret_hierarchy, __u64 *ret_id)
{
	struct statfs fs;
	struct stat st;

	if (stat(path, &st) || statfs(path, &fs))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	*ret_id = st.st_ino;
	if (fs.f_type == CGROUP2_SUPER_MAGIC) {
		*ret_hierarchy = CGROUP_V2;
		return 0;
	}
	return fs.f_type == CGROUP_SUPER_MAGIC ? hierarchy_of_mount(st.st_dev, ret_hierarchy)
					       : -EINVAL;
}

int cgroup_tree_ids(const char *path, __u64 *ids, size_t max)
{
	char *roots[] = {(char *)(uintptr_t)path, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;
	size_t n = 0;

	if (!fts)
		return -errno;
	while ((e = fts_read(fts))) {
		if (e->fts_info != FTS_D)
			continue;
		if (n < max)
			ids[n] = e->fts_statp->st_ino;
		n++;
	}
	fts_close(fts);
	return (int)MIN(n, (size_t)INT_MAX);
}

bool cgroup_is_below_mount(const char *path)
{
	_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[1024];
	bool found = false;

	if (strstr(path, "/../") || (strlen(path) >= 3 && !strcmp(path + strlen(path) - 3, "/..")))
		return false;
	while (!found && f && fgets(line, sizeof(line), f)) {
		size_t len;

		if (!strstr(line, " - cgroup") ||
		    sscanf(line, "%*d %*d %*s %*s %1023s", point) != 1)
			continue;
		len = strlen(point);
		found = !strncmp(path, point, len) && (path[len] == '/' || !path[len]);
	}
	return found;
}

/* Where a hierarchy is mounted. */
static int mount_of(enum cgroup_hierarchy hierarchy, char *out, size_t size)
{
	_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	const char *type = hierarchy == CGROUP_V2 ? " - cgroup2 " : " - cgroup ";
	char line[4096], point[1024];

	while (f && fgets(line, sizeof(line), f)) {
		enum cgroup_hierarchy found = CGROUP_V2;
		struct stat st;

		if (!strstr(line, type) || sscanf(line, "%*d %*d %*s %*s %1023s", point) != 1)
			continue;
		if (hierarchy != CGROUP_V2 &&
		    (stat(point, &st) || hierarchy_of_mount(st.st_dev, &found) ||
		     found != hierarchy))
			continue;
		snprintf(out, size, "%s", point);
		return 0;
	}
	return -ENOENT;
}

int cgroup_of_container(const char *procfs, const char *id, char *out, size_t size)
{
	enum cgroup_hierarchy hierarchy = cgroup_choose(procfs);
	char mount[1024], container[256], unit[256], found[256] = "";
	char *roots[] = {mount, NULL};
	FTSENT *e;
	FTS *fts;
	int n = 0;

	if (mount_of(hierarchy, mount, sizeof(mount)))
		return 0;
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	while (fts && (e = fts_read(fts))) {
		if (e->fts_info != FTS_D)
			continue;
		identity_parse_cgroup(e->fts_path + strlen(mount), container, unit);
		if (!container[0] || strncmp(container, id, strlen(id)) != 0 ||
		    !strcmp(container, found))
			continue;
		strcpy(found, container); /* a folder comes before those below it */
		snprintf(out, size, "%s", e->fts_path);
		n++;
	}
	if (fts)
		fts_close(fts);
	return n;
}
