/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a mapped file to its rows in segments: open it as its process sees it, take the rows from
 * the cache or compile them, put them where the unwinder reads. Slow (milliseconds): the loader
 * thread's work. Nothing of the file is trusted or executed.
 */
#pragma once

#include <stddef.h>

#include "profiler/object.h"

struct row_cache;

/* A mapping by which the file can be opened. */
struct object_source {
	struct object_key key;
	const char *path; /* as the process sees it */
	__u32 pid, parent;
	__u64 start, end; /* of a mapping in pid */
};

/* Open the file: through /proc/PID/map_files (works when it was deleted or lies in another mount
 * namespace), else by path in the root of the process, its parent, or ours, if device and inode are
 * those that were mapped (overlayfs may tell others: there only a path in the process's root will
 * do). A descriptor, or -ENOENT when it is gone, or -errno. */
MUST_CHECK int object_open(const struct object_source *source);
/* The root below which the debug files of that open file lie: its process's, or when that has ended
 * the first of its parent's and ours in which the path leads to the file. A descriptor, or
 * debug_file.h's DEBUG_ROOT_HOST (it is ours) or DEBUG_ROOT_NONE. */
MUST_CHECK int object_debug_root(const struct object_source *source, int fd);

/* How much one file may take of the loader's time, see symbolize/work.h: what its data grant, at
 * most OBJECT_WORK_MAX, some ten seconds. Of honest files the largest browser takes 8 %. */
#define OBJECT_WORK_MAX ((__u64)96 << 20)

/* For whom, and whether they still wait. */
struct object_loading {
	struct segments *segments;
	struct row_cache *cache; /* may be NULL */
	bool (*cancelled)(
		void *arg); /* asked now and then, each ten milliseconds or so; NULL: no */
	void *arg;
};

/* The image, never NULL but for lack of memory: its state and `why` say what became of it. */
struct object_image *object_load(const struct object_source *source,
				 const struct object_loading *loading);

/* The same in two steps. The first takes milliseconds; it leaves a large file whose rows nobody has
 * compiled yet in state LOADING, open, for object_compile. */
#define OBJECT_QUICK_BYTES ((__u64)4 << 20) /* files up to this are compiled in the first step */
struct object_image *object_load_quick(const struct object_source *source,
				       const struct object_loading *loading);
void object_compile(struct object_image *image, const struct object_loading *loading);
