/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to read foreign bytes (ELF, DWARF, /proc, perf maps, HTTP bodies, other processes'
 * memory): a window [pos, end) that cannot be left. A read beyond the end yields zero, moves the
 * cursor to the end and sets `bad`, which sticks; so a parser reads a whole group of fields and
 * tests `bad` once. Little-endian only, as are x86-64 and the arm64 kernels we run on.
 *
 * A cursor borrows its bytes; it owns nothing. Any thread, one cursor per thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "profiler/base/check.h"

struct cursor {
	const __u8 *start, *pos, *end;
	bool bad;
};

/* NULL stands for an empty window. */
static inline struct cursor cursor_of(const void *data, size_t len)
{
	static const __u8 nothing[1];
	const __u8 *p = data ? data : nothing;

	return (struct cursor){.start = p, .pos = p, .end = data ? p + len : p};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

/* Bytes from the start of the window to the read position. */
static inline size_t cursor_tell(const struct cursor *c)
{
	return (size_t)(c->pos - c->start);
}

static inline void cursor_fail(struct cursor *c)
{
	c->pos = c->end;
	c->bad = true;
}

/* Borrow n bytes and step over them; NULL (and bad) when fewer are left. */
static inline const void *cursor_bytes(struct cursor *c, size_t n)
{
	const __u8 *p = c->pos;

	if (__builtin_expect(n > cursor_left(c), 0)) {
		cursor_fail(c);
		return NULL;
	}
	c->pos += n;
	return p;
}

static inline void cursor_skip(struct cursor *c, __u64 n)
{
	if (__builtin_expect(n > cursor_left(c), 0))
		cursor_fail(c);
	else
		c->pos += n;
}

static inline void cursor_seek(struct cursor *c, __u64 offset)
{
	if (__builtin_expect(offset > (__u64)(c->end - c->start), 0))
		cursor_fail(c);
	else
		c->pos = c->start + offset;
}

/* A window of n bytes from the read position, stepped over; an empty bad one when too few are left.
 */
static inline struct cursor cursor_sub(struct cursor *c, __u64 n)
{
	struct cursor sub = {.start = c->pos, .pos = c->pos, .end = c->pos};

	if (__builtin_expect(n > cursor_left(c), 0)) {
		cursor_fail(c);
		sub.bad = true;
		return sub;
	}
	c->pos += n;
	sub.end = c->pos;
	return sub;
}

#define CURSOR_READ(name, type)                                                                    \
	static inline type cursor_##name(struct cursor *c)                                         \
	{                                                                                          \
		type value;                                                                        \
                                                                                                   \
		if (__builtin_expect(cursor_left(c) < sizeof(value), 0)) {                         \
			cursor_fail(c);                                                            \
			return 0;                                                                  \
		}                                                                                  \
		memcpy(&value, c->pos, sizeof(value));                                             \
		c->pos += sizeof(value);                                                           \
		return value;                                                                      \
	}
CURSOR_READ(u8, __u8)
CURSOR_READ(u16, __u16)
CURSOR_READ(u32, __u32)
CURSOR_READ(u64, __u64)
CURSOR_READ(s8, __s8)
CURSOR_READ(s16, __s16)
CURSOR_READ(s32, __s32)
CURSOR_READ(s64, __s64)
#undef CURSOR_READ

/* Unsigned little-endian value of 1 to 8 bytes (DWARF has 3-byte forms); other widths fail. */
static inline __u64 cursor_uint(struct cursor *c, unsigned width)
{
	__u64 value = 0;
	const void *p;

	if (width == 0 || width > 8) {
		cursor_fail(c);
		return 0;
	}
	p = cursor_bytes(c, width);
	if (p)
		memcpy(&value, p, width);
	return value;
}

/* LEB128 (DWARF 5 section 7.6). Bits beyond 64 are dropped; more than 10 groups are still consumed.
 */
static inline __u64 cursor_uleb(struct cursor *c)
{
	__u64 value = 0;
	unsigned shift = 0;

	while (c->pos < c->end) {
		__u8 byte = *c->pos++;

		if (shift < 64)
			value |= (__u64)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
		shift += 7;
	}
	cursor_fail(c);
	return 0;
}

static inline __s64 cursor_sleb(struct cursor *c)
{
	__u64 value = 0;
	unsigned shift = 0;

	while (c->pos < c->end) {
		__u8 byte = *c->pos++;

		if (shift < 64)
			value |= (__u64)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80)) {
			if (shift < 64 && (byte & 0x40))
				value |= ~0ULL << shift;
			return (__s64)value;
		}
	}
	cursor_fail(c);
	return 0;
}

/* Borrow a NUL-terminated string and step over it; "" (and bad) when no NUL is left. */
static inline const char *cursor_str(struct cursor *c)
{
	const __u8 *p = c->pos, *nul = p < c->end ? memchr(p, 0, cursor_left(c)) : NULL;

	if (!nul) {
		cursor_fail(c);
		return "";
	}
	c->pos = nul + 1;
	return (const char *)p;
}

/* The string at an offset of the window, without moving; NULL when outside or unterminated. */
static inline const char *cursor_str_at(const struct cursor *c, __u64 offset)
{
	const __u8 *p;

	if (offset >= (__u64)(c->end - c->start))
		return NULL;
	p = c->start + offset;
	return memchr(p, 0, (size_t)(c->end - p)) ? (const char *)p : NULL;
}
