/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 validity (RFC 3629): names of other programs are bytes until proven otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes of the well-formed character at s (1 to 4), or 0: not UTF-8 (overlong forms, surrogates and
 * values above U+10FFFF included). len > 0 bytes may be read. */
static inline size_t utf8_len(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

/* Copy len bytes with U+FFFD for each that is not UTF-8, NUL-terminated: out has room for 3 * len + 1.
 * How long it is. */
static inline size_t utf8_clean(char *out, const char *text, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(text + i, len - i), add = n ? n : 3;

		memcpy(out + used, n ? text + i : "\xef\xbf\xbd", add);
		used += add;
		i += n ? n : 1;
	}
	out[used] = 0;
	return used;
}

/* The value of the well-formed character at s, of n = utf8_len bytes. */
static inline unsigned utf8_value(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned value = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		value = value << 6 | (p[i] & 0x3fu);
	return value;
}

/* Does the well-formed character at s steer what shows it: C0, DEL, or C1 (U+0080 to U+009F), which
 * begins an escape sequence by itself where a terminal decodes UTF-8; marks, embeddings and isolates
 * that change the direction of text (UAX #9), with which a name shows as another; separators of
 * lines and paragraphs? */
static inline bool utf8_is_control(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	if (p[0] != 0xe2)
		return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
	if (p[1] == 0x80) /* U+200E, U+200F, U+2028 to U+202E */
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9; /* U+2066 to U+2069 */
}
