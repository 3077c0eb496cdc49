/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-PID.map: what a JIT writes about its code, one `START SIZE NAME` a line in hex (with or
 * without 0x; the name is the rest of the line). The file grows while the program runs: what was
 * read stays, a later line takes the addresses of earlier ones. Source: the kernel tree's
 * tools/perf/Documentation/jit-interface.txt. One thread.
 *
 * Some JITs write the whole file again instead (HotSpot's jcmd PID Compiler.perfmap).
 *
 * A map has bounds of its own (entries, names, bytes of the file) and may be given less: what does
 * not fit that is read on when there is more room.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "profiler/base/arena.h"
#include "profiler/base/check.h"
#include "profiler/base/vec.h"

#define PERF_MAP_MAX_ENTRIES (1u << 20)
#define PERF_MAP_NAME_BYTES  ((size_t)16 << 20)
#define PERF_MAP_FILE_BYTES  ((__u64)64 << 20)

struct perf_map_entry {
	__u64 start, end;
	const char *name;
	__u32 order;
};

#define PERF_MAP_TAIL_BYTES 64

struct perf_map_stats {
	__u64 bad_lines_total; /* not of the format */
	__u64 dropped_total;   /* lines beyond the entries, names or nesting that a map may have */
	__u64 restarts_total;  /* files that were written anew */
	__u64 cut_total;       /* reads that ended at PERF_MAP_FILE_BYTES */
	__u64 deferred_total;  /* reads that ended for lack of room (max_bytes) */
};

struct perf_map {
	/* Set by the owner after init; kept by clear. */
	size_t max_bytes;	      /* about what it may hold; SIZE_MAX: its own bounds */
	bool (*cancelled)(void *arg); /* asked while a file is read; NULL: none */
	void *arg;
	struct perf_map_stats stats;

	VEC(struct perf_map_entry) entries; /* ascending, disjoint */
	VEC(struct perf_map_entry) fresh;
	struct arena names;
	/* The file that was read, how far, and what it looked like then. */
	__u64 dev, ino, read_to, seen_bytes, seen_ns;
	char tail[PERF_MAP_TAIL_BYTES]; /* the last bytes before read_to */
	size_t tail_len;
	bool unfinished; /* there is more in the file as it was then */
	__u32 order;
};

void perf_map_init(struct perf_map *map);
void perf_map_fini(struct perf_map *map);
/* Forget all that was read. */
void perf_map_clear(struct perf_map *map);
/* Open the map of the process whose /proc folder is open as dir_fd: /tmp/perf-N.map below its root,
 * N its number in its own PID namespace. No symbolic link leads there, and only a file of the
 * process's user is taken: in a /tmp that all may write to, anybody could name another's code, or
 * have a file of root's read. fd; -ENOENT: there is none; -EPERM: somebody else's; or -errno. Read
 * on after the process is gone, and the file too. */
MUST_CHECK int perf_map_open(int dir_fd, pid_t pid);
/* Is a map with this owner one of a process of these users? */
bool perf_map_is_own(const struct stat *st, uid_t real, uid_t effective);
/* Read what was added to the file since the last time. Another file, a shorter one, and one that
 * changed before the place where reading ended start anew. 0, also when only a part had room
 * (`unfinished`); -ECANCELED, or -errno. The next call goes on where this one ended. */
MUST_CHECK int perf_map_read(struct perf_map *map, int fd);
/* The same from bytes; a line without its newline, or without room, is left for the next time.
 * Returns the bytes taken, or -ENOMEM. */
ssize_t perf_map_add(struct perf_map *map, const char *data, size_t len);
/* Memory held, in bytes. */
size_t perf_map_bytes(const struct perf_map *map);
/* The name, borrowed until the next refresh; NULL for none. */
const char *perf_map_find(const struct perf_map *map, __u64 addr);
