/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-PID.map: what a JIT writes about its code, one `START SIZE NAME` a line in hex (with or
 * without 0x; the name is the rest of the line). The file grows while the program runs: what was
 * read stays, a later line takes the addresses of earlier ones. Source: the kernel tree's
 * tools/perf/Documentation/jit-interface.txt. One thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "profiler/base/arena.h"
#include "profiler/base/vec.h"

#define PERF_MAP_MAX_ENTRIES (1u << 20)
#define PERF_MAP_NAME_BYTES  ((size_t)16 << 20)

struct perf_map_entry {
	__u64 start, end;
	const char *name;
	__u32 order;
};

struct perf_map {
	VEC(struct perf_map_entry) entries; /* ascending, disjoint */
	VEC(struct perf_map_entry) fresh;
	struct arena names;
	__u64 dev, ino, read_to; /* the file that was read, and how far */
	__u32 order;
	__u64 bad_lines_total, dropped_total;
};

void perf_map_init(struct perf_map *map);
void perf_map_fini(struct perf_map *map);
/* Read what was added to the file since the last time; another file or a shorter one starts anew.
 * root_fd: the process's root (its /tmp), pid: its number in its own PID namespace. 0, or -errno
 * (-ENOENT: there is none). */
MUST_CHECK int perf_map_refresh(struct perf_map *map, int root_fd, pid_t pid);
/* The same from bytes; a line without its newline is left for the next time. Returns the bytes
 * taken, or -ENOMEM. */
ssize_t perf_map_add(struct perf_map *map, const char *data, size_t len);
/* The name, borrowed until the next refresh; NULL for none. */
const char *perf_map_find(const struct perf_map *map, __u64 addr);
