// SPDX-License-Identifier: Apache-2.0
/* Host checks of what the agent finds around it: cgroups, its folders, debug files, another agent.
 */
#include "profiler/check_host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "profiler/cgroup.h"
#include "profiler/config_core.h"

static enum host_state check_cgroup(const struct host_check *check UNUSED,
				    const struct config *config UNUSED, struct host_result *result)
{
	const char *controller = cgroup_controller(cgroup_choose("/proc"));
	char text[4096];
	bool v2, v1;

	if (fs_read_small(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) <= 0) {
		host_found(result, "this kernel has no cgroups");
		return HOST_OFF;
	}
	v2 = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	v1 = !v2 && strstr(text, ":memory:");
	host_found(result, "%s; processes are told apart by %s%s",
		   v2	? "v2"
		   : v1 ? "v1 (or both)"
			: "none mounted at /sys/fs/cgroup",
		   controller ? "v1 " : "v2", controller ? controller : "");
	return v2 || v1 ? HOST_OK : HOST_DEGRADED;
}
HOST_CHECK(cgroup, .order = 60, .run = check_cgroup,
	   .lost = "containers and units in labels: the executable's name stands for them",
	   .fix = "mount the cgroup file system at /sys/fs/cgroup");

/* The folder itself or, when it is not there yet, the nearest one above in which it can be made. */
static enum host_state check_folder(const char *path, struct host_result *result)
{
	char up[PATH_MAX];

	snprintf(up, sizeof(up), "%s", path);
	for (;;) {
		struct stat st;
		char *slash = strrchr(up, '/');

		if (!stat(up, &st)) {
			bool usable = S_ISDIR(st.st_mode) && !access(up, W_OK | X_OK);
			int err = S_ISDIR(st.st_mode) ? errno : ENOTDIR;
			bool there = !strcmp(up, path);

			host_found(result, "'%s' %s%s%s", path,
				   usable  ? there ? "can be written" : "can be made"
				   : there ? "cannot be written: "
					   : "cannot be made: ",
				   usable ? "" : strerror(err), "");
			return usable ? HOST_OK : HOST_OFF;
		}
		if (errno != ENOENT || !slash) {
			host_found(result, "'%s': %s", path, strerror(errno));
			return HOST_OFF;
		}
		if (slash == up)
			slash++;
		*slash = 0;
	}
}

static enum host_state check_state_dir(const struct host_check *check UNUSED,
				       const struct config *config, struct host_result *result)
{
	const struct agent_config *agent = config_get(config, &agent_section);

	return check_folder(agent->state_dir, result);
}
HOST_CHECK(state_dir, .order = 70, .run = check_state_dir,
	   .lost = "the agent does not start; record and stacks work",
	   .fix = "give agent.state_dir a folder that can be written");

static enum host_state check_cache_dir(const struct host_check *check UNUSED,
				       const struct config *config, struct host_result *result)
{
	const struct agent_config *agent = config_get(config, &agent_section);

	return check_folder(agent->cache_dir, result);
}
HOST_CHECK(cache_dir, .order = 71, .run = check_cache_dir,
	   .lost = "unwind rows and symbol indexes are made anew at each start",
	   .fix = "give agent.cache_dir a folder that can be written");

static enum host_state check_debug_files(const struct host_check *check UNUSED,
					 const struct config *config, struct host_result *result)
{
	const struct symbols_config *symbols = config_get(config, &symbols_section);

	for (size_t i = 0; i < symbols->debug_dirs.n; i++) {
		const char *dir = symbols->debug_dirs.items[i];

		if (access(dir, R_OK | X_OK))
			continue;
		host_found(result, "'%s'", dir);
		return HOST_OK;
	}
	host_found(result, "no folder of debug files");
	return HOST_OFF;
}
HOST_CHECK(debug_files, .order = 72, .run = check_debug_files,
	   .lost = "lines and inlined functions of stripped files",
	   .fix = "install debug packages (libc6-dbg first), or set symbols.debug_dirs");

static enum host_state check_debuginfod(const struct host_check *check UNUSED,
					const struct config *config, struct host_result *result)
{
	const struct symbols_config *symbols = config_get(config, &symbols_section);

	if (symbols->debuginfod_urls.n) {
		host_found(result, "%zu servers, the first is %s", symbols->debuginfod_urls.n,
			   symbols->debuginfod_urls.items[0]);
		return HOST_OK;
	}
	host_found(result, "not asked for");
	return HOST_OFF;
}
HOST_CHECK(debuginfod, .order = 73, .run = check_debuginfod,
	   .lost = "debug files that are not installed",
	   .fix = "set symbols.debuginfod_urls if the network may be asked");

static enum host_state check_agent(const struct host_check *check UNUSED,
				   const struct config *config, struct host_result *result)
{
	const struct agent_config *agent = config_get(config, &agent_section);
	char path[PATH_MAX], pid[32] = "";
	_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/lock", agent->state_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK) {
		fs_read_small(AT_FDCWD, path, pid, sizeof(pid));
		host_found(result, "runs, pid %.*s", (int)strcspn(pid, "\n"), pid);
	} else if (fd < 0 && errno == EACCES) {
		host_found(result, "'%s' may not be read", path);
	} else {
		host_found(result, "does not run (state in '%s')", agent->state_dir);
	}
	return HOST_OK;
}
HOST_CHECK(agent, .order = 80, .run = check_agent);
