/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 validity (RFC 3629): names of other programs are bytes until proven otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

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

/* Is the well-formed character at s a control character: C0, DEL, or C1 (U+0080 to U+009F), which
 * begins an escape sequence by itself where a terminal decodes UTF-8? */
static inline bool utf8_is_control(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}
