/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an encoder's bytes go: a file descriptor, a buf, or through gzip into another sink. Bytes
 * are gathered into blocks of SINK_BLOCK; the first error sticks and turns later writes into
 * nothing, so an encoder writes its whole document and tests once, with sink_finish.
 *
 * A sink borrows what it writes to. One thread.
 */
#pragma once

#include <stdarg.h>
#include <string.h>
#include <zlib.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

enum { SINK_BLOCK = 16 << 10 };

struct sink {
	/* Takes all of data: 0 or -errno. */
	int (*write)(struct sink *sink, const void *data, size_t len);
	/* What must be said after the last byte: 0 or -errno. NULL: nothing. */
	int (*end)(struct sink *sink);
	int err;
	__u64 n_bytes; /* written into it, before any compression */
	size_t len;    /* of block[], not handed on yet */
	char block[SINK_BLOCK];
};

void sink_add(struct sink *sink, const void *data, size_t len);
void sink_printf(struct sink *sink, const char *fmt, ...) PRINTF(2, 3);
void sink_u64(struct sink *sink, __u64 value);
/* Hand on what is gathered, and end the stream: a gzip trailer, for one. The thing below stays
 * open. 0 or the first error. */
MUST_CHECK int sink_finish(struct sink *sink);

static inline void sink_str(struct sink *sink, const char *s)
{
	sink_add(sink, s, strlen(s));
}

static inline void sink_char(struct sink *sink, char c)
{
	if (sink->len < SINK_BLOCK && !sink->err) {
		sink->block[sink->len++] = c;
		sink->n_bytes++;
		return;
	}
	sink_add(sink, &c, 1);
}

struct sink_fd {
	struct sink sink;
	int fd;
};
void sink_fd_init(struct sink_fd *sink, int fd);

/* Its limit is the buf's. */
struct sink_buf {
	struct sink sink;
	struct buf *buf;
};
void sink_buf_init(struct sink_buf *sink, struct buf *buf);

/* One gzip member into `next`. Call fini whatever happened; finish writes the trailer but does not
 * finish `next`. */
struct sink_gzip {
	struct sink sink;
	struct sink *next;
	z_stream z;
};
/* level 1 (fast) to 9 (small). 0 or -ENOMEM. */
MUST_CHECK int sink_gzip_init(struct sink_gzip *sink, struct sink *next, int level);
void sink_gzip_fini(struct sink_gzip *sink);

/* Only counts. */
void sink_null_init(struct sink *sink);
