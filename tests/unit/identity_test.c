// SPDX-License-Identifier: Apache-2.0
/* identity.h: cgroup paths as each runtime makes them, and processes that lie or are gone. */
#include "profiler/identity.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2  "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define TASK "0123456789abcdef0123456789abcdef"

static const struct row {
	const char *path, *container, *unit;
} rows[] = {
	{"/", "", ""},
	{"", "", ""},
	{"/docker/" ID, ID, ""},
	{"/docker/" ID "/init", ID, ""},
	{"/docker/" ID "/a/b", "", ""}, /* two levels down: somebody else's groups */
	{"/system.slice/docker-" ID ".scope", ID, ""},
	{"/system.slice/docker.service", "", "docker.service"},
	{"/kubepods/besteffort/pod2e4f/" ID, ID, ""},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podaa_bb.slice/"
	 "cri-containerd-" ID ".scope",
	 ID, ""},
	{"/kubepods.slice/kubepods-podaa.slice/crio-" ID ".scope", ID, ""},
	{"/kubepods.slice/kubepods-podaa.slice/crio-" ID ".scope/container", ID, ""},
	{"/kubepods.slice/kubepods-podaa.slice/crio-conmon-" ID ".scope", "", ""},
	{"/system.slice/containerd.service/kubepods-podaa.slice:cri-containerd:" ID, ID,
	 "containerd.service"},
	{"/machine.slice/libpod-" ID ".scope/container", ID, ""},
	{"/machine.slice/libpod-conmon-" ID ".scope", "", ""},
	{"/libpod_parent/libpod-" ID, ID, ""},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", ID,
	 "user@1000.service"},
	{"/docker/" ID "/docker/" ID2, ID2, ""}, /* the inner one */
	{"/ecs/" TASK "/" TASK "-123456", TASK "-123456", ""},
	{"/lxc/web-1", "web-1", ""},
	{"/lxc/web-1/system.slice/ssh.service", "web-1", "ssh.service"},
	{"/lxc.payload.web-1", "web-1", ""},
	{"/lxc.payload.", "", ""},
	{"/machine.slice/machine-deb\\x2d12.scope", "deb-12", ""},
	{"/machine.slice/machine-a\\x2.scope", "a\\x2", ""},
	{"/machine.slice/machine-a\\x-1.scope", "a\\x-1", ""},
	{"/system.slice/system-getty.slice/getty@tty1.service", "", "getty@tty1.service"},
	{"/system.slice/dev-disk-by\\x2dlabel-a.swap", "", ""},
	{"/system.slice/x\\x2dy.service", "", "x-y.service"},
	{"/user.slice/user-0.slice/session-3.scope", "", ""},
	{"/system.slice/.service", "", ""},
	{"/docker/" TASK, "", ""},   /* too short to be an id */
	{"/docker/" ID "0", "", ""}, /* and too long */
	{"/docker/" TASK "-12x", "", ""},
};

static void cgroup_paths(void)
{
	char container[256], unit[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		identity_parse_cgroup(rows[i].path, container, unit);
		ASSERT_STR(container, rows[i].container);
		ASSERT_STR(unit, rows[i].unit);
	}
}

/* As long as a path can be, in one element and in many. */
static void long_paths(void)
{
	char path[4096], container[256], unit[256];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	strcpy(path + sizeof(path) - 9, ".service");
	identity_parse_cgroup(path, container, unit);
	ASSERT_INT(strlen(unit), 255);
	for (size_t i = 0; i + 9 < sizeof(path); i += 2)
		path[i] = '/';
	identity_parse_cgroup(path, container, unit);
	ASSERT_STR(container, "");
}

/* ---- processes of a /proc of our own --------------------------------------------------------- */

static void write_file(const char *pid, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", test_dir(), pid);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/%s", test_dir(), pid, name);
	CU_ASSERT_FATAL(!fs_replace(path, text, strlen(text)));
}

static void link_exe(const char *pid, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/exe", test_dir(), pid);
	unlink(path);
	CU_ASSERT_FATAL(!symlink(target, path));
}

static const struct identity_hint no_hint = {.exe = "hinted"};

static void a_process(void)
{
	struct identity *i;

	write_file("10", "cgroup",
		   "12:cpu,cpuacct:/cpu\n3:memory:/docker/" ID "\n1:name=systemd:/x\n"
		   "0::/system.slice/nginx.service\n");
	write_file("10", "status", "Name:\tx\nNSpid:\t10\t7\t3\nVmPeak: 1\n");
	link_exe("10", "/usr/sbin/nginx");
	i = identity_read(test_dir(), 10, NULL, &no_hint);
	ASSERT_STR(i->exe, "nginx");
	ASSERT_STR(i->cgroup, "/system.slice/nginx.service");
	ASSERT_STR(i->unit, "nginx.service");
	ASSERT_STR(i->service, "nginx");
	ASSERT_STR(i->container, "");
	ASSERT_INT(i->ns_pid, 3);
	ASSERT_INT(i->uid, getuid());
	identity_unref(i);
	i = identity_read(test_dir(), 10, "memory", &no_hint);
	ASSERT_STR(i->container, ID);
	ASSERT_STR(i->service, "0123456789ab");
	identity_unref(i);
	i = identity_read(test_dir(), 10, "cpuacct", &no_hint);
	ASSERT_STR(i->cgroup, "/cpu");
	ASSERT_STR(i->service, "nginx"); /* by the executable */
	identity_unref(i);
	i = identity_read(test_dir(), 10, "pids", &no_hint);
	ASSERT_STR(i->cgroup, "");
	identity_unref(i);
}

static void executables(void)
{
	static const struct {
		const char *link, *name;
	} exes[] = {
		{"/usr/bin/a b", "a b"},
		{"/usr/bin/prog (deleted)", "prog"},
		{"/tmp/x (deleted)/prog (deleted)", "prog"},
		{"/memfd:jit (deleted)", "memfd:jit"},
		{"/tmp/ (deleted)", "hinted"}, /* nothing is left of such a name */
		{"/", "hinted"},
	};

	write_file("11", "cgroup", "0::/\n");
	for (size_t n = 0; n < ARRAY_SIZE(exes); n++) {
		struct identity *i;

		link_exe("11", exes[n].link);
		i = identity_read(test_dir(), 11, NULL, &no_hint);
		ASSERT_STR(i->exe, exes[n].name);
		ASSERT_STR(i->service, exes[n].name);
		identity_unref(i);
	}
}

/* Gone before anybody asked: what the caller knows must do. */
static void gone(void)
{
	struct identity_hint hint = {.exe = "worker", .cgroup = "/docker/" ID};
	struct identity *i = identity_read(test_dir(), 99, NULL, &hint);

	ASSERT_STR(i->exe, "worker");
	ASSERT_STR(i->container, ID);
	ASSERT_INT(i->ns_pid, 99);
	ASSERT_INT(i->uid, UINT32_MAX);
	identity_unref(i);
	i = identity_read(test_dir(), 99, NULL, &(struct identity_hint){.kernel_thread = true});
	ASSERT_STR(i->service, "kernel");
	ASSERT_STR(i->exe, "unknown");
	identity_unref(i);
}

/* Lines that are none, and an end without a newline. */
static void strange_lines(void)
{
	struct identity *i;

	write_file("12", "cgroup", "garbage\n::\n0:name:/not-v2\n\n7:\n0::/late.service");
	write_file("12", "status", "NSpid\nNSpid:\n");
	i = identity_read(test_dir(), 12, NULL, &no_hint);
	ASSERT_STR(i->unit, "late.service");
	ASSERT_INT(i->ns_pid, 12);
	identity_unref(i);
}

/* The loader reads identities while the agent's thread looks at cgroups: no hidden shared place. */
static void *read_many(void *arg UNUSED)
{
	size_t wrong = 0;

	for (int n = 0; n < 300; n++) {
		struct identity *i = identity_read(test_dir(), 13, "memory", &no_hint);

		wrong += strcmp(i->container, ID) != 0;
		identity_unref(i);
	}
	return (void *)wrong;
}

static void two_threads(void)
{
	char text[16384] = "3:";
	pthread_t other;
	void *wrong;

	for (int i = 0; i < 4000; i++)
		strcpy(text + 2 + i * 2, "c,");
	strcat(text, "memory:/docker/" ID "\n0::/x.service\n");
	write_file("13", "cgroup", text);
	CU_ASSERT_FATAL(!pthread_create(&other, NULL, read_many, NULL));
	CU_ASSERT_PTR_NULL(read_many(NULL));
	pthread_join(other, &wrong);
	CU_ASSERT_PTR_NULL(wrong);
}

SUITE(identity, {"cgroup paths", cgroup_paths}, {"long paths", long_paths},
      {"a process", a_process}, {"executables", executables}, {"gone", gone},
      {"strange lines", strange_lines}, {"two threads", two_threads});
