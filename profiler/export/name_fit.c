// SPDX-License-Identifier: Apache-2.0
/* The shortening of name_fit.h. */
#include "profiler/export/name_fit.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "profiler/base/buf.h"

#define MAX_DEPTH 6 /* brackets within brackets further down are folded with the sixth */
#define ELLIPSIS  "\xe2\x80\xa6"

/* A character, by its first byte: 0 for the bytes that follow it. */
static size_t columns_of(char first)
{
	unsigned char c = (unsigned char)first;

	if (c >= 0x80 && c < 0xc0)
		return 0;
	return (c >= 0xe3 && c <= 0xed) || c >= 0xf0 ? 2 : 1;
}

size_t text_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += columns_of(*text);
	return n;
}

static bool ends_with(const char *name, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - name) >= len && !memcmp(end - len, word, len);
}

/* 1: opens, -1: closes, 0: neither. `<` of operator< and `>` of -> are no brackets. */
static int bracket(const char *name, const char *p)
{
	if (*p == '(')
		return 1;
	if (*p == ')')
		return -1;
	if ((*p != '<' && *p != '>') || ends_with(name, p, "operator") ||
	    ends_with(name, p, "operator<") || ends_with(name, p, "operator>") ||
	    ends_with(name, p, "operator-"))
		return 0;
	if (*p == '<')
		return 1;
	return p > name && p[-1] == '-' ? 0 : -1;
}

/* The bracket that closes the one at p, or NULL. */
static const char *closing(const char *name, const char *p)
{
	unsigned depth = 0;

	for (; *p; p++) {
		int step = bracket(name, p);

		if (step > 0)
			depth++;
		else if (step < 0 && --depth == 0)
			return p;
	}
	return NULL;
}

/* name without the contents of brackets `limit` deep or deeper, where they are longer than `keep`. */
static void fold(struct buf *out, const char *name, unsigned limit, long keep)
{
	unsigned depth = 0;

	for (const char *p = name; *p; p++) {
		int step = bracket(name, p);
		const char *end;

		buf_char(out, *p);
		if (step < 0 && depth)
			depth--;
		if (step <= 0 || ++depth < limit)
			continue;
		end = closing(name, p);
		if (!end) {
			limit = UINT_MAX; /* not a name with brackets: no further search */
		} else if (end - p - 1 > keep) {
			buf_str(out, ELLIPSIS);
			p = end - 1;
		}
	}
}

void name_fit(struct buf *out, const char *name, size_t columns)
{
	/* First what is long: `(anonymous namespace)` and `(*server)` say more than they take. */
	static const long keep[] = {20, 3};
	struct buf folded = {0};
	const char *text = name;

	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		for (unsigned limit = MAX_DEPTH; text_columns(text) > columns && limit; limit--) {
			buf_reset(&folded);
			fold(&folded, name, limit, keep[i]);
			text = folded.err ? name : folded.data;
		}
	}
	if (text_columns(text) <= columns) {
		buf_str(out, text);
	} else {
		size_t len = 0, left = columns - 1;

		while (columns_of(text[len]) <= left)
			left -= columns_of(text[len++]);
		buf_add(out, text, len);
		buf_str(out, ELLIPSIS);
	}
	buf_fini(&folded);
}
