// SPDX-License-Identifier: Apache-2.0
/* The sinks of sink.h. */
#include "profiler/export/sink.h"

#include <errno.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"

#define GZIP_WINDOW (15 + 16) /* zlib: 32 KiB window, gzip head and trailer */

static void hand_on(struct sink *sink, const void *data, size_t len)
{
	if (!sink->err && len)
		sink->err = sink->write(sink, data, len);
}

static void flush(struct sink *sink)
{
	hand_on(sink, sink->block, sink->len);
	sink->len = 0;
}

void sink_add(struct sink *sink, const void *data, size_t len)
{
	if (sink->err)
		return;
	sink->n_bytes += len;
	if (len > SINK_BLOCK - sink->len)
		flush(sink);
	if (len > SINK_BLOCK) {
		hand_on(sink, data, len);
		return;
	}
	memcpy(sink->block + sink->len, data, len);
	sink->len += len;
}

void sink_printf(struct sink *sink, const char *fmt, ...)
{
	_free_ char *big = NULL;
	char text[512];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text)) {
		sink_add(sink, text, (size_t)n);
		return;
	}
	va_start(args, fmt);
	n = vasprintf(&big, fmt, args);
	va_end(args);
	if (n >= 0)
		sink_add(sink, big, (size_t)n);
	else if (!sink->err)
		sink->err = -ENOMEM;
}

void sink_u64(struct sink *sink, __u64 value)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + value % 10);
	while (value /= 10);
	sink_add(sink, text + at, sizeof(text) - at);
}

int sink_finish(struct sink *sink)
{
	flush(sink);
	if (!sink->err && sink->end)
		sink->err = sink->end(sink);
	return sink->err;
}

/* ---- file descriptor, buf, nothing ----------------------------------------------------------- */
static int fd_write(struct sink *sink, const void *data, size_t len)
{
	return fs_write_all(container_of(sink, struct sink_fd, sink)->fd, data, len);
}

void sink_fd_init(struct sink_fd *sink, int fd)
{
	sink_null_init(&sink->sink);
	sink->sink.write = fd_write;
	sink->fd = fd;
}

static int buf_write(struct sink *sink, const void *data, size_t len)
{
	struct buf *buf = container_of(sink, struct sink_buf, sink)->buf;

	buf_add(buf, data, len);
	return buf->err;
}

void sink_buf_init(struct sink_buf *sink, struct buf *buf)
{
	sink_null_init(&sink->sink);
	sink->sink.write = buf_write;
	sink->buf = buf;
}

static int null_write(struct sink *sink UNUSED, const void *data UNUSED, size_t len UNUSED)
{
	return 0;
}

void sink_null_init(struct sink *sink)
{
	sink->write = null_write;
	sink->end = NULL;
	sink->err = 0;
	sink->n_bytes = 0;
	sink->len = 0;
}

/* ---- gzip ------------------------------------------------------------------------------------ */
static int deflate_into(struct sink_gzip *gz, const void *data, size_t len, int how)
{
	__u8 out[4096];
	int ret;

	gz->z.next_in = (Bytef *)(uintptr_t)data;
	gz->z.avail_in = (uInt)len;
	do {
		gz->z.next_out = out;
		gz->z.avail_out = sizeof(out);
		ret = deflate(&gz->z, how);
		if (ret == Z_STREAM_ERROR)
			return -EINVAL;
		sink_add(gz->next, out, sizeof(out) - gz->z.avail_out);
	} while (gz->z.avail_out == 0);
	return gz->next->err;
}

static int gzip_write(struct sink *sink, const void *data, size_t len)
{
	struct sink_gzip *gz = container_of(sink, struct sink_gzip, sink);

	while (len) { /* zlib counts in 32 bits */
		size_t n = MIN(len, (size_t)1 << 30);
		int err = deflate_into(gz, data, n, Z_NO_FLUSH);

		if (err)
			return err;
		data = (const char *)data + n;
		len -= n;
	}
	return 0;
}

static int gzip_end(struct sink *sink)
{
	return deflate_into(container_of(sink, struct sink_gzip, sink), NULL, 0, Z_FINISH);
}

int sink_gzip_init(struct sink_gzip *sink, struct sink *next, int level)
{
	sink_null_init(&sink->sink);
	sink->sink.write = gzip_write;
	sink->sink.end = gzip_end;
	sink->next = next;
	memset(&sink->z, 0, sizeof(sink->z));
	if (deflateInit2(&sink->z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	return 0;
}

void sink_gzip_fini(struct sink_gzip *sink)
{
	deflateEnd(&sink->z);
}
