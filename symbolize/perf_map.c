// SPDX-License-Identifier: Apache-2.0
/* JIT symbols from perf-PID.map, see perf_map.h. */
#include "symbolize/perf_map.h"

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
#include "profiler/base/fs.h"
#include "profiler/base/hmap.h"

#define READ_BYTES     ((size_t)256 << 10)
#define MAX_NAME       1024u
#define NAMES_STEP     ((size_t)1 << 20) /* by which an arena grows at most */
#define MAX_CODE_BYTES ((__u64)1 << 32)	 /* of one entry */
#define MAX_ACTIVE     64u
#define MAX_STATUS     8192

void perf_map_init(struct perf_map *map)
{
	*map = (struct perf_map){
		.max_bytes = SIZE_MAX,
		.names.limit = PERF_MAP_NAME_BYTES,
	};
}

void perf_map_fini(struct perf_map *map)
{
	vec_free(&map->entries);
	vec_free(&map->fresh);
	arena_fini(&map->names);
}

void perf_map_clear(struct perf_map *map)
{
	struct perf_map old = *map;

	perf_map_fini(map);
	perf_map_init(map);
	map->max_bytes = old.max_bytes;
	map->cancelled = old.cancelled;
	map->arg = old.arg;
	map->stats = old.stats;
}

static bool read_hex(const char **s, const char *end, __u64 *ret_value)
{
	const char *p = *s;
	__u64 value = 0;
	int digits = 0;

	if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		p += 2;
	for (; p < end && isxdigit((unsigned char)*p); p++, digits++)
		value = value << 4 |
			(__u64)(isdigit((unsigned char)*p) ? *p - '0' : (*p | 32) - 'a' + 10);
	if (!digits || digits > 16 || p == end || *p != ' ')
		return false;
	*s = p + 1;
	*ret_value = value;
	return true;
}

static int add_line(struct perf_map *map, const char *s, const char *end)
{
	struct perf_map_entry e = {.order = map->order};
	__u64 size;

	if (!read_hex(&s, end, &e.start) || !read_hex(&s, end, &size) || s == end || !*s || !size ||
	    size > MAX_CODE_BYTES || __builtin_add_overflow(e.start, size, &e.end)) {
		map->stats.bad_lines_total++;
		return 0;
	}
	if (map->entries.len + map->fresh.len >= PERF_MAP_MAX_ENTRIES) {
		map->stats.dropped_total++;
		return 0;
	}
	e.name = arena_strndup(&map->names, s, MIN((size_t)(end - s), MAX_NAME));
	if (!e.name) {
		map->stats.dropped_total++;
		return 0;
	}
	map->order++;
	return vec_push(&map->fresh, e);
}

static int by_start(const void *pa, const void *pb)
{
	const struct perf_map_entry *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

static int add_disjoint(struct perf_map *map, __u64 start, __u64 end,
			const struct perf_map_entry *e)
{
	if (start >= end)
		return 0;
	return vec_push(&map->entries, (struct perf_map_entry){start, end, e->name, e->order});
}

/* What stays for long takes no more than it needs. */
static void trim(struct perf_map *map)
{
	void *smaller;

	if (map->entries.len == 0 || map->entries.len == map->entries.cap)
		return;
	smaller = reallocarray(map->entries.data, map->entries.len, sizeof(*map->entries.data));
	if (!smaller)
		return;
	map->entries.data = smaller;
	map->entries.cap = map->entries.len;
}

/* Old and new entries together, sorted; at each address the latest wins. */
static int settle(struct perf_map *map)
{
	struct perf_map_entry active[MAX_ACTIVE], *all = map->fresh.data;
	size_t n, depth = 0;
	__u64 at = 0;
	int err;

	if (!map->fresh.len)
		return 0;
	err = vec_reserve(&map->fresh, map->fresh.len + map->entries.len);
	if (err)
		return err;
	all = map->fresh.data;
	if (map->entries.len)
		memcpy(all + map->fresh.len, map->entries.data, map->entries.len * sizeof(*all));
	n = map->fresh.len + map->entries.len;
	map->fresh.len = map->entries.len = 0;
	qsort(all, n, sizeof(*all), by_start);
	for (size_t i = 0; i <= n && !err; i++) {
		__u64 until = i < n ? all[i].start : UINT64_MAX;
		size_t slot;

		while (depth && at < until && !err) {
			const struct perf_map_entry *top = &active[depth - 1];

			err = add_disjoint(map, at, MIN(top->end, until), top);
			at = MAX(at, MIN(top->end, until));
			while (depth && active[depth - 1].end <= at)
				depth--;
		}
		if (i == n)
			break;
		at = until;
		if (depth == MAX_ACTIVE) { /* forget the oldest */
			map->stats.dropped_total++;
			memmove(active, active + 1, (MAX_ACTIVE - 1) * sizeof(*active));
			depth--;
		}
		for (slot = depth; slot && active[slot - 1].order > all[i].order; slot--)
			active[slot] = active[slot - 1];
		active[slot] = all[i];
		depth++;
	}
	vec_free(&map->fresh);
	trim(map);
	return err;
}

/* For one line more, which may need a block for its name; settling needs all entries twice, and as
 * many stay when all are split. */
static bool has_room(const struct perf_map *map)
{
	size_t n = map->entries.len + map->fresh.len + 1;

	return map->names.reserved + NAMES_STEP + 2 * n * sizeof(*map->entries.data) <=
	       map->max_bytes;
}

/* Whole lines into `fresh`, as long as there is room. Returns the bytes taken, or -ENOMEM. */
static ssize_t parse(struct perf_map *map, const char *data, size_t len)
{
	const char *at = data, *end = data + len;

	while (at < end && has_room(map)) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		int err;

		if (!newline)
			break;
		err = add_line(map, at, newline);
		if (err)
			return err;
		at = newline + 1;
	}
	return at - data;
}

ssize_t perf_map_add(struct perf_map *map, const char *data, size_t len)
{
	ssize_t taken = parse(map, data, len);
	int err = taken < 0 ? (int)taken : settle(map);

	return err ? err : taken;
}

size_t perf_map_bytes(const struct perf_map *map)
{
	return (map->entries.cap + map->fresh.cap) * sizeof(*map->entries.data) +
	       map->names.reserved;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The process's number in its own PID namespace (the last of NSpid) and its real and effective
 * user. */
static void read_status(int dir_fd, pid_t *pid, uid_t uids[2])
{
	char status[MAX_STATUS], *line, *end;
	unsigned long value;

	uids[0] = uids[1] = (uid_t)-1;
	if (fs_read_small(dir_fd, "status", status, sizeof(status)) <= 0)
		return;
	line = strstr(status, "\nUid:");
	if (line && sscanf(line, "\nUid: %u %u", &uids[0], &uids[1]) != 2)
		uids[0] = uids[1] = (uid_t)-1;
	line = strstr(status, "\nNSpid:");
	if (!line)
		return;
	line += strlen("\nNSpid:");
	line[strcspn(line, "\n")] = 0;
	while ((value = strtoul(line, &end, 10)), end != line) {
		*pid = (pid_t)value;
		line = end;
	}
}

/* A program with the set-user-ID bit runs as root for anybody: its real user says whose it is. */
bool perf_map_is_own(const struct stat *st, uid_t real, uid_t effective)
{
	return st->st_uid == real || (st->st_uid == effective && st->st_uid != 0);
}

int perf_map_open(int dir_fd, pid_t pid)
{
	char path[64];
	_close_ int root_fd = openat(dir_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;
	uid_t uids[2];

	if (root_fd < 0)
		return -errno;
	read_status(dir_fd, &pid, uids);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	fd = fs_open_foreign(root_fd, path, FS_LINKS_NONE);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return -errno;
	if (!perf_map_is_own(&st, uids[0], uids[1]))
		return -EPERM;
	return take_fd(&fd);
}

static int read_more(struct perf_map *map, int fd, __u64 size)
{
	_free_ char *block = malloc(READ_BYTES);

	if (!block)
		return -ENOMEM;
	map->unfinished = true;
	while (map->read_to < size) {
		ssize_t n, taken;

		if (map->cancelled && map->cancelled(map->arg))
			return -ECANCELED;
		n = pread(fd, block, READ_BYTES, (off_t)map->read_to);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		taken = parse(map, block, (size_t)n);
		if (taken < 0)
			return (int)taken;
		if (!has_room(map)) {
			map->read_to += (__u64)taken;
			map->stats.deferred_total++;
			return 0;
		}
		if (taken == 0 && (size_t)n < READ_BYTES)
			break;	  /* its end, or a line that is still being written */
		if (taken == 0) { /* a line longer than any name: not ours to keep */
			map->stats.bad_lines_total++;
			taken = n;
		}
		map->read_to += (__u64)taken;
	}
	map->unfinished = false;
	return 0;
}

static void read_tail(const struct perf_map *map, int fd, char *out, size_t *ret_len)
{
	size_t len = (size_t)MIN(map->read_to, (__u64)PERF_MAP_TAIL_BYTES);
	ssize_t n = pread(fd, out, len, (off_t)(map->read_to - len));

	*ret_len = n > 0 ? (size_t)n : 0;
}

/* Is this the file that was read, grown at its end at most? */
static bool is_same(const struct perf_map *map, int fd, const struct stat *st)
{
	char tail[PERF_MAP_TAIL_BYTES];
	size_t len;

	if (st->st_dev != map->dev || st->st_ino != map->ino || (__u64)st->st_size < map->read_to)
		return false;
	read_tail(map, fd, tail, &len);
	return len == map->tail_len && !memcmp(tail, map->tail, len);
}

static void restart(struct perf_map *map, const struct stat *st)
{
	map->stats.restarts_total += map->read_to > 0;
	perf_map_clear(map);
	map->dev = st->st_dev;
	map->ino = st->st_ino;
}

/* Copies the names in use, each once: an entry is in as many pieces as others lie inside it, and
 * pieces of one line share its order. */
static int copy_names(struct perf_map *map, struct arena *names)
{
	struct hmap copied = {0}; /* order -> the first entry that has it */
	int err = 0;

	for (size_t i = 0; i < map->entries.len && !err; i++) {
		struct perf_map_entry *e = &map->entries.data[i];
		const char *name = NULL;
		__u64 hash = hash_u64(e->order);
		__u32 at;

		hmap_for_each_match (&copied, hash, at) {
			if (map->entries.data[at].order == e->order)
				name = map->entries.data[at].name;
		}
		if (!name) {
			name = arena_strndup(names, e->name, strlen(e->name));
			err = name ? hmap_add(&copied, hash, (__u32)i) : -ENOMEM;
		}
		e->name = name;
	}
	hmap_fini(&copied);
	return err;
}

/* Code that was compiled again leaves its old names behind: keep those that are in use. False when
 * that failed: the entries have no names any more, all is to be read again. */
static bool compact(struct perf_map *map)
{
	struct arena names = {.limit = PERF_MAP_NAME_BYTES};

	if (map->names.used < PERF_MAP_NAME_BYTES / 2)
		return true;
	if (copy_names(map, &names)) {
		arena_fini(&names);
		return false;
	}
	arena_fini(&map->names);
	map->names = names;
	return true;
}

int perf_map_read(struct perf_map *map, int fd)
{
	struct stat st;
	__u64 changed_ns;
	int err, settled;

	if (fstat(fd, &st))
		return -errno;
	changed_ns = (__u64)st.st_mtim.tv_sec * 1000000000u + (__u64)st.st_mtim.tv_nsec;
	if (!is_same(map, fd, &st))
		restart(map, &st);
	else if (!map->unfinished && changed_ns == map->seen_ns &&
		 (__u64)st.st_size == map->seen_bytes)
		return 0;
	if (!compact(map))
		restart(map, &st);
	map->seen_ns = changed_ns;
	map->seen_bytes = (__u64)st.st_size;
	err = read_more(map, fd, MIN((__u64)st.st_size, PERF_MAP_FILE_BYTES));
	map->stats.cut_total += !map->unfinished && (__u64)st.st_size > PERF_MAP_FILE_BYTES;
	settled = settle(map);
	read_tail(map, fd, map->tail, &map->tail_len);
	return err ? err : settled;
}

const char *perf_map_find(const struct perf_map *map, __u64 addr)
{
	size_t low = 0, high = map->entries.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (map->entries.data[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < map->entries.len && map->entries.data[low].start <= addr
		       ? map->entries.data[low].name
		       : NULL;
}
