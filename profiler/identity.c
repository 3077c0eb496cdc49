// SPDX-License-Identifier: Apache-2.0
/*
 * Identities, see identity.h. cgroup path patterns as the runtimes make them:
 *	docker			/docker/ID, /system.slice/docker-ID.scope
 *	containerd, CRI-O	.../cri-containerd-ID.scope, .../crio-ID.scope,
 * /kubepods/QOS/podUID/ID,
 *				...slice:cri-containerd:ID
 *	podman			.../libpod-ID.scope[/container], /libpod_parent/libpod-ID
 *	ECS			/ecs/TASK/<32 hex>-<number>
 *	LXC, nspawn		/lxc/NAME, /lxc.payload.NAME, /machine.slice/machine-NAME.scope
 *	systemd			/system.slice/UNIT.service, user@UID.service/.../UNIT.service
 * ID is 64 hex digits. One lower-case element may follow (/init, /container). conmon's scopes are
 * podman's and CRI-O's own monitors, not the container.
 */
#include "profiler/identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "symbolize/perf_map.h"

#define MAX_ELEMENTS	32
#define NAME_BYTES	256
#define CONTAINER_SHORT 12 /* digits of an id that stand for the container in service_name */
#define MAX_PROC_BYTES	((size_t)64 << 10)
#define DELETED_SUFFIX	" (deleted)"

static size_t hex_len(const char *s)
{
	return strspn(s, "0123456789abcdef");
}

/* The container id that an element names, into out. */
static bool container_of_element(const char *element, size_t len, char *out)
{
	static const char *const prefixes[] = {"docker-", "cri-containerd-", "crio-", "libpod-",
					       ""};
	char s[NAME_BYTES];
	const char *colon;

	if (len >= sizeof(s))
		return false;
	memcpy(s, element, len);
	s[len] = 0;
	if (len > 6 && !strcmp(s + len - 6, ".scope"))
		s[len -= 6] = 0;
	colon = strrchr(s, ':');
	if (colon && hex_len(colon + 1) == 64 && !colon[65]) {
		strcpy(out, colon + 1);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		const char *id = s + strlen(prefixes[i]);
		size_t hex;

		if (strncmp(s, prefixes[i], strlen(prefixes[i])) != 0)
			continue;
		hex = hex_len(id);
		if ((hex == 64 && !id[64]) ||
		    (hex == 32 && id[32] == '-' && isdigit((unsigned char)id[33]) &&
		     strspn(id + 33, "0123456789") == strlen(id + 33))) {
			strcpy(out, id);
			return true;
		}
	}
	if (!strncmp(s, "lxc.payload.", 12) && s[12]) {
		strcpy(out, s + 12);
		return true;
	}
	return false;
}

/* systemd writes bytes that a unit name may not hold as \xHH. */
static void unescape(const char *s, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < NAME_BYTES; i++) {
		unsigned value = 0;

		if (i + 3 < len && s[i] == '\\' && s[i + 1] == 'x' && hex_len(s + i + 2) >= 2)
			sscanf(s + i + 2, "%2x", &value);
		if (value >= 0x20) {
			out[n++] = (char)value;
			i += 3;
		} else {
			out[n++] = s[i];
		}
	}
	out[n] = 0;
}

static bool ends_with(const char *s, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len > n && !memcmp(s + len - n, suffix, n);
}

void identity_parse_cgroup(const char *path, char *ret_container, char *ret_unit)
{
	struct {
		const char *s;
		size_t len;
	} elements[MAX_ELEMENTS];
	size_t n = 0;

	ret_container[0] = ret_unit[0] = 0;
	for (const char *s = path; *s && n < MAX_ELEMENTS;) {
		size_t len = strcspn(s, "/");

		if (len) {
			elements[n].s = s;
			elements[n++].len = len;
		}
		s += len + (s[len] == '/');
	}
	for (size_t back = 1; back <= MIN(n, (size_t)2) && !ret_container[0]; back++)
		container_of_element(elements[n - back].s, elements[n - back].len, ret_container);
	for (size_t i = 1; i < n && !ret_container[0]; i++)
		if (elements[i - 1].len == 3 && !memcmp(elements[i - 1].s, "lxc", 3) &&
		    elements[i].len < NAME_BYTES)
			snprintf(ret_container, NAME_BYTES, "%.*s", (int)elements[i].len,
				 elements[i].s);
	for (size_t i = n; i > 0 && !ret_unit[0]; i--) {
		const char *s = elements[i - 1].s;
		size_t len = elements[i - 1].len;

		if (len > 8 && !strncmp(s, "machine-", 8) && ends_with(s, len, ".scope") &&
		    !ret_container[0])
			unescape(s + 8, len - 8 - 6, ret_container);
		else if (ends_with(s, len, ".service"))
			unescape(s, len, ret_unit);
	}
}

/* The path of a hierarchy in /proc/PID/cgroup: `0::/path`, or `n:...,controller,...:/path`. */
static bool find_cgroup(char *text, const char *controller, char *out, size_t size)
{
	for (char *line = text, *end; *line; line = end) {
		char *list, *path, *rest;

		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = 0;
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = 0;
		list++;
		if (!controller && !*list && line[0] == '0') {
			snprintf(out, size, "%s", path);
			return true;
		}
		for (char *c = strtok_r(list, ",", &rest); controller && c;
		     c = strtok_r(NULL, ",", &rest)) {
			if (!strcmp(c, controller)) {
				snprintf(out, size, "%s", path);
				return true;
			}
		}
	}
	return false;
}

static void read_cgroup(int dir, const char *controller, const char *known, char *out, size_t size)
{
	struct buf text = {0};

	snprintf(out, size, "%s", known ? known : "");
	if (dir >= 0 && !fs_read(dir, "cgroup", MAX_PROC_BYTES, &text) && text.data)
		find_cgroup(text.data, controller, out, size);
	buf_fini(&text);
}

static void read_exe(int dir, const struct identity_hint *hint, char *out, size_t size)
{
	char link[PATH_MAX];
	ssize_t len = dir >= 0 ? readlinkat(dir, "exe", link, sizeof(link) - 1) : -1;
	const char *name;

	snprintf(out, size, "%s", hint->exe && *hint->exe ? hint->exe : "unknown");
	if (len <= 0)
		return;
	if (ends_with(link, (size_t)len, DELETED_SUFFIX))
		len -= (ssize_t)strlen(DELETED_SUFFIX);
	link[len] = 0;
	name = strrchr(link, '/');
	name = name ? name + 1 : link;
	if (*name)
		snprintf(out, size, "%.*s", (int)size - 1, name);
}

/* The last number of the NSpid line: the pid as the process itself knows it. */
static __u32 read_ns_pid(int dir, __u32 pid)
{
	char text[8192], *line, *rest, *last = NULL;

	if (dir < 0 || fs_read_small(dir, "status", text, sizeof(text)) <= 0)
		return pid;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return pid;
	line += 7;
	line[strcspn(line, "\n")] = 0;
	for (char *s = strtok_r(line, " \t", &rest); s; s = strtok_r(NULL, " \t", &rest))
		last = s;
	return last ? (__u32)strtoul(last, NULL, 10) : pid;
}

static char *service_name(const struct identity *identity, bool kernel_thread)
{
	char *service, *suffix;

	if (kernel_thread)
		return strdup("kernel");
	if (*identity->container)
		return hex_len(identity->container) >= 32
			       ? strndup(identity->container, CONTAINER_SHORT)
			       : strdup(identity->container);
	service = strdup(*identity->unit ? identity->unit : identity->exe);
	suffix = service && *identity->unit ? strrchr(service, '.') : NULL;
	if (suffix && suffix != service)
		*suffix = 0; /* nginx.service: nginx */
	return service;
}

struct identity *identity_read(const char *procfs, __u32 pid, const char *controller,
			       const struct identity_hint *hint)
{
	struct identity *identity = calloc(1, sizeof(*identity));
	char path[PATH_MAX], exe[NAME_BYTES], container[NAME_BYTES], unit[NAME_BYTES];
	_close_ int dir = -1;
	struct stat st;

	if (!identity)
		return NULL;
	atomic_init(&identity->refs, 1);
	snprintf(path, sizeof(path), "%s/%u", procfs, pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	read_exe(dir, hint, exe, sizeof(exe));
	read_cgroup(dir, controller, hint->cgroup, path, sizeof(path));
	identity_parse_cgroup(path, container, unit);
	identity->ns_pid = read_ns_pid(dir, pid);
	identity->uid = dir >= 0 && !fstat(dir, &st) ? st.st_uid : UINT32_MAX;
	identity->exe = strdup(exe);
	identity->cgroup = strdup(path);
	identity->container = strdup(container);
	identity->unit = strdup(unit);
	if (identity->exe && identity->container && identity->unit)
		identity->service = service_name(identity, hint->kernel_thread);
	if (identity->exe && identity->cgroup && identity->container && identity->unit &&
	    identity->service)
		return identity;
	identity_unref(identity);
	return NULL;
}

int identity_open_jit(const char *procfs, __u32 pid, struct image *image)
{
	char path[PATH_MAX];
	_close_ int dir = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%u", procfs, pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = perf_map_open(dir, (pid_t)pid);
	if (fd < 0)
		return fd;
	return image_put_jit(image, fd) ? 0 : -EMFILE;
}

int identity_open_left_jit(const struct image *image)
{
	const struct identity *identity = atomic_load(&image->identity);
	__u64 age_ns = clock_monotonic_ns() - image->start_ns, changed_ns;
	char path[64];
	_close_ int fd = -1;
	struct stat st;

	if (!identity || *identity->container || identity->ns_pid != image->pid)
		return -1;
	snprintf(path, sizeof(path), "/tmp/perf-%u.map", image->pid);
	fd = fs_open_foreign(AT_FDCWD, path, FS_LINKS_NONE);
	if (fd < 0 || fstat(fd, &st))
		return -1;
	changed_ns = (__u64)st.st_mtim.tv_sec * NS_PER_S + (__u64)st.st_mtim.tv_nsec;
	if (changed_ns + age_ns < clock_realtime_ns() || st.st_uid != identity->uid)
		return -1;
	return take_fd(&fd);
}
