/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable byte buffer for output (text, JSON, protobuf). A failed growth or the limit sets `err`,
 * which sticks and turns later writes into nothing: write a whole document, test once. data is
 * always NUL-terminated when non-NULL.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "profiler/base/check.h"

struct buf {
	char *data;
	size_t len, cap;
	size_t limit; /* bytes; 0: none */
	int err;      /* 0, -ENOMEM or -EFBIG */
};

/* Room for n more bytes (and a NUL). 0 or buf->err. */
int buf_reserve(struct buf *buf, size_t n);
void buf_add(struct buf *buf, const void *data, size_t n);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *buf, const char *fmt, va_list args) PRINTF(2, 0);
void buf_u64(struct buf *buf, __u64 value);
/* Empty it, keep the memory and the limit, clear err. */
void buf_reset(struct buf *buf);
void buf_fini(struct buf *buf);

static inline void buf_str(struct buf *buf, const char *s)
{
	buf_add(buf, s, strlen(s));
}

static inline void buf_char(struct buf *buf, char c)
{
	if (buf->len + 1 < buf->cap && !buf->err) {
		buf->data[buf->len++] = c;
		buf->data[buf->len] = 0;
		return;
	}
	buf_add(buf, &c, 1);
}
