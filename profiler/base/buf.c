// SPDX-License-Identifier: Apache-2.0
/* The growable byte buffer of buf.h. */
#include "profiler/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int buf_reserve(struct buf *buf, size_t n)
{
	size_t want, cap = buf->cap ? buf->cap : 256;
	char *p;

	if (buf->err)
		return buf->err;
	if (n > SIZE_MAX / 4 || (buf->limit && buf->len + n > buf->limit))
		return buf->err = -EFBIG;
	want = buf->len + n + 1;
	if (want <= buf->cap)
		return 0;
	while (cap < want)
		cap *= 2;
	p = realloc(buf->data, cap);
	if (!p)
		return buf->err = -ENOMEM;
	buf->data = p;
	buf->cap = cap;
	return 0;
}

void buf_add(struct buf *buf, const void *data, size_t n)
{
	if (buf_reserve(buf, n))
		return;
	if (n)
		memcpy(buf->data + buf->len, data, n);
	buf->len += n;
	buf->data[buf->len] = 0;
}

void buf_vprintf(struct buf *buf, const char *fmt, va_list args)
{
	va_list again;
	int n;

	if (buf_reserve(buf, 0))
		return;
	va_copy(again, args);
	n = vsnprintf(buf->data + buf->len, buf->cap - buf->len, fmt, args);
	if (n >= 0 && (size_t)n >= buf->cap - buf->len && !buf_reserve(buf, (size_t)n))
		n = vsnprintf(buf->data + buf->len, buf->cap - buf->len, fmt, again);
	va_end(again);
	if (n < 0)
		buf->err = -EINVAL;
	if (!buf->err)
		buf->len += (size_t)n;
	buf->data[buf->len] = 0;
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	buf_vprintf(buf, fmt, args);
	va_end(args);
}

void buf_u64(struct buf *buf, __u64 value)
{
	char digits[20];
	size_t n = sizeof(digits);

	do
		digits[--n] = (char)('0' + value % 10);
	while (value /= 10);
	buf_add(buf, digits + n, sizeof(digits) - n);
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->err = 0;
	if (buf->data)
		buf->data[0] = 0;
}

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){.limit = buf->limit};
}
