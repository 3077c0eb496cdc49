/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process is: executable, cgroup, container id, systemd unit and the service_name that
 * follows. Read from /proc while the process lives; what is missing is filled from what the caller
 * knows. Patterns of cgroup paths: reference in identity.c, one table.
 */
#pragma once

#include "profiler/process.h"

struct identity_hint {
	const char *exe; /* base name of the first mapping, or comm; for processes that are gone */
	const char *cgroup; /* path last seen for its cgroup id, or NULL */
	bool kernel_thread;
};

/* procfs: "/proc" (tests give another root). cgroup_line: index of the v1 hierarchy's controller
 * name to look for in /proc/PID/cgroup, NULL for v2. NULL when memory ends. */
struct identity *identity_read(const char *procfs, __u32 pid, const char *controller,
			       const struct identity_hint *hint);

/* Open the perf map of a living process and put it into its image (image_put_jit). 0, -ENOENT when
 * there is none, -EPERM when it is somebody else's, -EMFILE when too many wait, or -errno. */
MUST_CHECK int identity_open_jit(const char *procfs, __u32 pid, struct image *image);
/* The map of a process that ended before it was opened: the host's /tmp has it, unless the process
 * had another one. Only a file written since it began, by its user, can be its own. The descriptor,
 * or -1. */
int identity_open_left_jit(const struct image *image);

/* From a cgroup path: the container id and the systemd unit, "" where there is none. Both hold at
 * least 256 bytes. */
void identity_parse_cgroup(const char *path, char *ret_container, char *ret_unit);
