/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of others for people to read: names of threads, files and functions are whatever their
 * programs made them, and a terminal must not take one for more than a name. White space becomes a
 * space; every other control character (utf8.h: C0, DEL, C1 in its UTF-8 form, what changes the
 * direction of text, separators) and every byte that is not UTF-8 becomes one '?'. What programs read has rules of its own (json.h).
 */
#pragma once

#include <stddef.h>

struct buf;

/* s made plain, into out, which has room for len bytes and may be s itself. How many bytes it
 * became: never more than len. Nothing is terminated. */
size_t plain_text(char *out, const char *s, size_t len);
/* The same, appended to a buf. */
void put_plain(struct buf *out, const char *s);
