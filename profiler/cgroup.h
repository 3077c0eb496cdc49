/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cgroup hierarchy tells containers on this host, and where a cgroup stands in it. On a
 * hybrid host the v2 id of a task that lives in v1 groups is the root's, so the choice is made
 * once, at start. Facts: Documentation/admin-guide/cgroup-v1 and cgroup-v2; a cgroup's id is the
 * inode number of its folder (since 5.5, 40430452fd5d).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bpf/config.h"
#include "profiler/base/check.h"

/* v2 if processes live below its root, else the first of memory and cpu of which that is true. */
enum cgroup_hierarchy cgroup_choose(const char *procfs);
/* The controller's name in /proc/PID/cgroup; NULL for v2. */
const char *cgroup_controller(enum cgroup_hierarchy hierarchy);

/* By its text alone: a stranger's path may hang whoever looks at more of it. */
bool cgroup_is_below_mount(const char *path);
/* The hierarchy in which a folder below /sys/fs/cgroup lies, and its id. 0; -ENOENT, -ENOTDIR, or
 * -EINVAL for a folder that is no cgroup of a hierarchy we can follow. */
MUST_CHECK int cgroup_find(const char *path, enum cgroup_hierarchy *ret_hierarchy, __u64 *ret_id);
/* The ids of a folder and all below it, the first max of them. How many there are, which may be
 * more, or -errno. */
int cgroup_tree_ids(const char *path, __u64 *ids, size_t max);
/* The folder of a running container, by its id or the start of it, in the hierarchy that
 * cgroup_choose chooses. How many different containers fit; `out` holds the path when it is one. */
int cgroup_of_container(const char *procfs, const char *id, char *out, size_t size);
