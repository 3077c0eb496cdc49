// SPDX-License-Identifier: Apache-2.0
/*
 * /proc/PID/maps, see proc_maps.h. A line:
 *	start-end perms offset major:minor inode            path
 * The path is whatever the program named its file, newlines written as \012; it is kept as it is.
 */
#include "profiler/proc_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "profiler/base/cursor.h"
#include "profiler/base/fs.h"
#include "profiler/base/vec.h"

#define MAX_MAPS_BYTES ((size_t)64 << 20)

static __u64 hex(struct cursor *c)
{
	__u64 value = 0;
	bool any = false;

	while (c->pos < c->end) {
		__u8 ch = *c->pos;

		if (ch >= '0' && ch <= '9')
			value = value << 4 | (__u64)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			value = value << 4 | (__u64)(ch - 'a' + 10);
		else
			break;
		any = true;
		c->pos++;
	}
	if (!any)
		c->bad = true;
	return value;
}

static __u64 decimal(struct cursor *c)
{
	__u64 value = 0;

	while (c->pos < c->end && *c->pos >= '0' && *c->pos <= '9')
		value = value * 10 + (__u64)(*c->pos++ - '0');
	return value;
}

static void expect(struct cursor *c, char ch)
{
	if (cursor_u8(c) != (__u8)ch)
		c->bad = true;
}

/* One line without its newline, which the caller has made a NUL. */
static bool parse_line(struct cursor c, struct snapshot_map *map)
{
	const __u8 *perms;

	map->start = hex(&c);
	expect(&c, '-');
	map->end = hex(&c);
	expect(&c, ' ');
	perms = cursor_bytes(&c, 4);
	if (!perms || perms[2] != 'x')
		return false;
	expect(&c, ' ');
	map->offset = hex(&c);
	expect(&c, ' ');
	map->key.major = (__u32)hex(&c);
	expect(&c, ':');
	map->key.minor = (__u32)hex(&c);
	expect(&c, ' ');
	map->key.inode = decimal(&c);
	map->key.generation = OBJECT_ANY_GENERATION;
	while (c.pos < c.end && *c.pos == ' ')
		c.pos++;
	map->path = (const char *)c.pos; /* up to the NUL */
	return !c.bad && map->start < map->end;
}

int proc_maps_parse(char *text, size_t len, struct snapshot_map **ret_maps, size_t *ret_n)
{
	VEC(struct snapshot_map) maps = {0};
	char *line = text, *end = text + len;

	while (line < end) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		struct snapshot_map map = {0};

		if (!newline)
			break; /* a cut last line */
		*newline = 0;
		if (parse_line(cursor_of(line, (size_t)(newline - line)), &map) &&
		    vec_push(&maps, map)) {
			vec_free(&maps);
			return -ENOMEM;
		}
		line = newline + 1;
	}
	*ret_maps = maps.data;
	*ret_n = maps.len;
	return 0;
}

int proc_maps_read(const char *procfs, __u32 pid, struct snapshot_map **ret_maps, size_t *ret_n,
		   char **ret_text)
{
	struct buf text = {0};
	char path[256];
	int err;

	snprintf(path, sizeof(path), "%s/%u/maps", procfs, pid);
	err = fs_read(AT_FDCWD, path, MAX_MAPS_BYTES, &text);
	if (err == -ENOENT)
		err = -ESRCH;
	if (!err)
		err = proc_maps_parse(text.data, text.len, ret_maps, ret_n);
	if (err)
		buf_fini(&text);
	else
		*ret_text = text.data;
	return err;
}
