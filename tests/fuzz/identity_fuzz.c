// SPDX-License-Identifier: Apache-2.0
/*
 * A process's cgroup, status and exe of anybody's making: names come out bounded, and there is
 * always a service. Input: u8 flags, u16 bytes of cgroup, u16 bytes of status, the rest exe's link.
 */
#include "profiler/identity.h"

#include <fcntl.h>

#include "profiler/base/fs.h"
#include "profiler/cgroup.h"
#include "tests/fuzz/fuzz.h"

#define NAME_MAX_BYTES 256

static void write_file(const char *name, const void *bytes, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/1/%s", fuzz_folder(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && !fs_write_all(fd, bytes, len));
	close(fd);
}

static void write_process(struct cursor *c)
{
	size_t n_cgroup = cursor_u16(c), n_status = cursor_u16(c);
	char path[128], *exe;

	snprintf(path, sizeof(path), "%s/1", fuzz_folder());
	mkdir(path, 0700);
	n_cgroup = MIN(n_cgroup, cursor_left(c));
	write_file("cgroup", cursor_bytes(c, n_cgroup), n_cgroup);
	n_status = MIN(n_status, cursor_left(c));
	write_file("status", cursor_bytes(c, n_status), n_status);
	snprintf(path, sizeof(path), "%s/1/exe", fuzz_folder());
	unlink(path);
	exe = fuzz_text(c, 4000);
	if (*exe)
		CHECK(!symlink(exe, path) || strlen(exe) > 1000);
	free(exe);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const char *const controllers[] = {NULL, "memory", "cpu"};
	struct identity_hint hint = {.exe = "hint", .cgroup = "/hint"};
	struct cursor c = cursor_of(data, size);
	char container[NAME_MAX_BYTES], unit[NAME_MAX_BYTES];
	struct identity *identity;
	__u8 flags = cursor_u8(&c);

	if (c.bad)
		return 0;
	write_process(&c);
	hint.kernel_thread = flags & 4;
	identity = identity_read(fuzz_folder(), 1, controllers[(flags & 3) % 3], &hint);
	CHECK(identity && *identity->service && *identity->exe);
	CHECK(strlen(identity->service) < NAME_MAX_BYTES && strlen(identity->exe) < NAME_MAX_BYTES);
	identity_parse_cgroup(identity->cgroup, container, unit);
	CHECK(!strcmp(container, identity->container) && !strcmp(unit, identity->unit));
	CHECK(!strchr(container, '/') && !strchr(unit, '/'));
	identity_unref(identity);
	CHECK(cgroup_choose(fuzz_folder()) <= CGROUP_CPU);
	return 0;
}
