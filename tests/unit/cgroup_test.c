// SPDX-License-Identifier: Apache-2.0
/* cgroup.h: which hierarchy tells containers, by what processes' cgroup files say. */
#include "profiler/cgroup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

static enum cgroup_hierarchy choice(const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/1", test_dir());
	mkdir(path, 0700);
	strcat(path, "/cgroup");
	CU_ASSERT_FATAL(!fs_replace(path, text, strlen(text)));
	return cgroup_choose(test_dir());
}

static void choices(void)
{
	char line[6000];

	ASSERT_INT(choice(""), CGROUP_V2);
	ASSERT_INT(choice("0::/\n"), CGROUP_V2);
	ASSERT_INT(choice("0::/init.scope\n"), CGROUP_V2);
	ASSERT_INT(choice("5:memory:/a\n4:cpu,cpuacct:/b\n0::/\n"), CGROUP_MEMORY);
	ASSERT_INT(choice("5:memory:/\n4:cpu,cpuacct:/b\n0::/\n"), CGROUP_CPU);
	ASSERT_INT(choice("4:cpuacct,cpu:/b\n"), CGROUP_CPU);
	ASSERT_INT(choice("4:cpuacct,cpux:/b\n"), CGROUP_V2);
	ASSERT_INT(choice("5:memory:/a\n0::/x\n"), CGROUP_V2);
	ASSERT_INT(choice("1:name=systemd:/x\nmemory\n::\n"), CGROUP_V2);
	/* The end of a path as long as can be is no line of its own. */
	snprintf(line, sizeof(line), "9:pids:/%.*s%s", 4000, "", "");
	memset(line, 'p', 5000);
	memcpy(line, "9:pids:/", 8);
	memcpy(line + 1023, "5:memory:/fake", 14);
	strcpy(line + 4000, "\n0::/\n");
	ASSERT_INT(choice(line), CGROUP_V2);
}

static void controllers(void)
{
	CU_ASSERT_PTR_NULL(cgroup_controller(CGROUP_V2));
	ASSERT_STR(cgroup_controller(CGROUP_MEMORY), "memory");
	ASSERT_STR(cgroup_controller(CGROUP_DEVICES), "devices");
}

static void folders(void)
{
	enum cgroup_hierarchy hierarchy;
	char path[512];
	__u64 id, ids[3];

	ASSERT_INT(cgroup_find("/nowhere/at/all", &hierarchy, &id), -ENOENT);
	ASSERT_INT(cgroup_find("/proc/self/stat", &hierarchy, &id), -ENOTDIR);
	ASSERT_INT(cgroup_find("/proc", &hierarchy, &id), -EINVAL);
	CU_ASSERT(!cgroup_is_below_mount("/proc"));
	CU_ASSERT(!cgroup_is_below_mount("sys/fs/cgroup"));
	CU_ASSERT(!cgroup_is_below_mount("/sys/fs/cgroup/../../proc"));
	CU_ASSERT(!cgroup_is_below_mount("/sys/fs/cgroup/a/.."));
	CU_ASSERT(!cgroup_is_below_mount("/sys/fs/cgroups"));
	snprintf(path, sizeof(path), "%s/t/a/b/c", test_dir());
	CU_ASSERT_FATAL(!fs_mkdirs(path));
	path[strlen(path) - 6] = 0; /* .../t */
	ids[2] = 0;
	ASSERT_INT(cgroup_tree_ids(path, ids, 2), 4); /* all are counted, two are taken */
	ASSERT_INT(ids[2], 0);
	path[strlen(path) - 1] = 'n';
	ASSERT_INT(cgroup_tree_ids(path, ids, 3), 0);
}

SUITE(cgroup, {"choices", choices}, {"controllers", controllers}, {"folders", folders});
