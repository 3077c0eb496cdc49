// SPDX-License-Identifier: Apache-2.0
/* dpkg's lists of files, see packages.h. */
#include "profiler/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/clock.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"

#define DPKG_INFO   "/var/lib/dpkg/info"
#define EVERY_NS    (60 * NS_PER_S)
#define MAX_NAME    128u
#define MAX_LISTS   100000u
#define LIST_ENDING ".list"

struct question {
	char *path;    /* without a leading /usr */
	char *symbols; /* NULL: not answered */
};

struct packages {
	char *dir;
	VEC(struct question) questions;
	struct hmap index;
	size_t n_open;
	__u64 looked_ns; /* 0: never */
};

struct packages *packages_new(const char *dir)
{
	struct packages *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dir = strdup(dir ? dir : DPKG_INFO);
	if (p->dir)
		return p;
	free(p);
	return NULL;
}

static void forget_all(struct packages *p)
{
	vec_for_each (q, &p->questions) {
		free(q->path);
		free(q->symbols);
	}
	p->questions.len = p->n_open = 0;
	hmap_clear(&p->index);
}

void packages_free(struct packages *p)
{
	if (!p)
		return;
	forget_all(p);
	vec_free(&p->questions);
	hmap_fini(&p->index);
	free(p->dir);
	free(p);
}

/* /lib and /usr/lib are one folder since Debian 12; packages name either. */
static const char *without_usr(const char *path)
{
	return strncmp(path, "/usr/", 5) ? path : path + 4;
}

static struct question *find(struct packages *p, const char *path, size_t len)
{
	__u32 i;

	hmap_for_each_match (&p->index, XXH3_64bits(path, len), i) {
		struct question *q = &p->questions.data[i];

		if (strlen(q->path) == len && !memcmp(q->path, path, len))
			return q;
	}
	return NULL;
}

const char *packages_symbols_of(struct packages *p, const char *path)
{
	const char *key = without_usr(path);
	struct question *known = find(p, key, strlen(key)), q;

	if (known)
		return known->symbols;
	if (p->questions.len >= PACKAGES_MAX_PATHS) /* a host of ever new files */
		forget_all(p);
	q = (struct question){.path = strdup(key)};
	if (!q.path || vec_push(&p->questions, q)) {
		free(q.path);
		return NULL;
	}
	if (hmap_add(&p->index, XXH3_64bits(key, strlen(key)), (__u32)p->questions.len - 1)) {
		p->questions.len--;
		free(q.path);
		return NULL;
	}
	p->n_open++;
	return NULL;
}

/* Debian builds them apart, PACKAGE-dbgsym, but for the few that have always had a package of their
 * own. */
static void name_symbols(const char *package, char out[MAX_NAME])
{
	unsigned major, minor;

	if (!strcmp(package, "libc6"))
		snprintf(out, MAX_NAME, "libc6-dbg");
	else if (sscanf(package, "openjdk-%u-", &major) == 1)
		snprintf(out, MAX_NAME, "openjdk-%u-dbg", major);
	else if (sscanf(package, "python%u.%u", &major, &minor) == 2 ||
		 sscanf(package, "libpython%u.%u", &major, &minor) == 2)
		snprintf(out, MAX_NAME, "python%u.%u-dbg", major, minor);
	else
		snprintf(out, MAX_NAME, "%.100s-dbgsym", package);
}

static void answer(struct packages *p, struct question *q, const char *package)
{
	char name[MAX_NAME] = "";

	if (q->symbols)
		return; /* a path of several packages: the first in order of the folder */
	if (package)
		name_symbols(package, name);
	q->symbols = strdup(name);
	p->n_open -= q->symbols != NULL;
}

static void read_list(struct packages *p, int dir_fd, const char *file)
{
	size_t name = strcspn(file, ":"), len = strlen(file) - strlen(LIST_ENDING), cap = 0;
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char package[MAX_NAME], *line = NULL;
	ssize_t n;

	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	snprintf(package, sizeof(package), "%.*s", (int)MIN(name, len), file); /* libc6:amd64 */
	while (p->n_open && (n = getline(&line, &cap, f)) > 0) {
		const char *path;
		struct question *q;

		line[n - 1] = line[n - 1] == '\n' ? 0 : line[n - 1];
		path = without_usr(line);
		q = find(p, path, strlen(path));
		if (q)
			answer(p, q, package);
	}
	free(line);
	fclose(f);
}

static bool is_list(const char *name)
{
	size_t len = strlen(name);

	return len > strlen(LIST_ENDING) && !strcmp(name + len - strlen(LIST_ENDING), LIST_ENDING);
}

bool packages_look(struct packages *p, __u64 now_ns)
{
	unsigned n = 0;
	struct dirent *d;
	DIR *dir;

	if (!p->n_open || (p->looked_ns && now_ns < p->looked_ns + EVERY_NS))
		return false;
	p->looked_ns = now_ns;
	dir = opendir(p->dir);
	while (dir && p->n_open && n < MAX_LISTS && (d = readdir(dir))) {
		if (!is_list(d->d_name))
			continue;
		read_list(p, dirfd(dir), d->d_name);
		n++;
	}
	if (dir)
		closedir(dir);
	vec_for_each (q, &p->questions)
		answer(p, q, NULL);
	return true;
}
