// SPDX-License-Identifier: Apache-2.0
/*
 * zlib, zstd and xz, see inflate.h. A size that no compressor reaches is refused before any space is
 * taken. zlib's format is decoded by ISA-L in half of zlib's own time; others as fast decode whole
 * blocks only, and a debug file's .debug_info is hundreds of megabytes.
 */
#include "symbolize/inflate.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>

#include "profiler/base/cleanup.h"

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define ZLIB_MAX_RATIO 1040u  /* RFC 1951: 258 bytes from 2 bits, headers aside */
#define ZSTD_MAX_RATIO 43700u /* RFC 8878: 128 KiB from a 3-byte block header */
#define ZSTD_WINDOW    26     /* log2 of its largest window: 64 MiB */
#define XZ_DICTIONARY  ((uint64_t)64 << 20)
#define XZ_FIRST_BYTES ((size_t)256 << 10)
#define STEP_BYTES     ((size_t)128 << 10)
#define FEED_BYTES     ((size_t)1 << 20) /* at once: input may be long that gives nothing */
#define WORK_BYTES     64u		 /* in or out, that a unit of work pays for */

struct sink {
	__u8 *step; /* STEP_BYTES */
	size_t left;
	int (*put)(void *arg, const __u8 *bytes, size_t n);
	void *arg;
	struct work *work;
};

/* What n_in bytes made of the step. */
static int give(struct sink *sink, size_t n_in, size_t n)
{
	if (n > sink->left)
		return -EINVAL;
	if (!work_take(sink->work, (n_in + n) / WORK_BYTES + 1))
		return -ECANCELED;
	sink->left -= n;
	return n ? sink->put(sink->arg, sink->step, n) : 0;
}

/* The header is read and the checksum compared on the way. */
static int stream_zlib(const __u8 *data, size_t len, struct sink *sink)
{
	_free_ struct inflate_state *z = malloc(sizeof(*z));
	int ret = ISAL_DECOMP_OK, err = 0;
	size_t n_in, n;

	if (!z)
		return -ENOMEM;
	isal_inflate_init(z);
	z->crc_flag = ISAL_ZLIB;
	while (!err && ret == ISAL_DECOMP_OK && z->block_state != ISAL_BLOCK_FINISH) {
		if (!z->avail_in) {
			z->next_in = (__u8 *)(uintptr_t)data; /* not written to */
			z->avail_in = (__u32)MIN(len, FEED_BYTES);
			data += z->avail_in;
			len -= z->avail_in;
		}
		n_in = z->avail_in;
		z->next_out = sink->step;
		z->avail_out = (__u32)STEP_BYTES;
		ret = isal_inflate(z);
		n_in -= z->avail_in;
		n = STEP_BYTES - z->avail_out;
		err = give(sink, n_in, n);
		if (!n_in && !n && z->block_state != ISAL_BLOCK_FINISH)
			return -EINVAL; /* cut short: it would wait for more for ever */
	}
	if (err)
		return err;
	return ret == ISAL_DECOMP_OK ? 0 : -EINVAL;
}

static int stream_zstd(const __u8 *data, size_t len, struct sink *sink)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {data, 0, 0};
	size_t ret = 0, at;
	int err = 0;

	if (!d || ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW)))
		err = -ENOMEM;
	while (!err) { /* without progress it is an error, too */
		ZSTD_outBuffer out = {sink->step, STEP_BYTES, 0};

		at = in.pos;
		in.size = MIN(len, at + FEED_BYTES);
		ret = ZSTD_decompressStream(d, &out, &in);
		err = ZSTD_isError(ret) ? -EINVAL : give(sink, in.pos - at, out.pos);
		if (in.pos == len && (!ret || out.pos < STEP_BYTES))
			break;
	}
	ZSTD_freeDCtx(d);
	return err || !ret ? err : -EINVAL;
}

int inflate_check(__u32 type, size_t len, size_t size)
{
	if (type != ELFCOMPRESS_ZLIB && type != ELFCOMPRESS_ZSTD)
		return -ENOTSUP;
	return size / (type == ELFCOMPRESS_ZLIB ? ZLIB_MAX_RATIO : ZSTD_MAX_RATIO) > len ? -EFBIG
											 : 0;
}

int inflate_stream(__u32 type, const __u8 *data, size_t len, size_t size, struct work *work,
		   int (*put)(void *arg, const __u8 *bytes, size_t n), void *arg)
{
	_free_ __u8 *step = malloc(STEP_BYTES);
	struct sink sink = {.step = step, .left = size, .put = put, .arg = arg, .work = work};
	int err = -ENOTSUP;

	if (!step)
		return -ENOMEM;
	if (type == ELFCOMPRESS_ZLIB)
		err = stream_zlib(data, len, &sink);
	else if (type == ELFCOMPRESS_ZSTD)
		err = stream_zstd(data, len, &sink);
	return err ? err : sink.left ? -EINVAL : 0;
}

int inflate_xz(const __u8 *data, size_t len, size_t max, struct work *work, __u8 **ret_data,
	       size_t *ret_size)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	size_t cap = MIN(XZ_FIRST_BYTES, max);
	__u8 *out = malloc(cap), *bigger;
	lzma_ret ret;
	bool over;

	if (!out || lzma_stream_decoder(&xz, XZ_DICTIONARY, 0) != LZMA_OK) {
		free(out);
		return -ENOMEM;
	}
	xz.next_in = data;
	for (;;) {
		size_t fed, given;

		if (!xz.avail_in) {
			xz.avail_in = MIN(len, FEED_BYTES);
			len -= xz.avail_in;
		}
		fed = xz.avail_in;
		xz.next_out = out + xz.total_out;
		xz.avail_out = given = MIN(cap - (size_t)xz.total_out, STEP_BYTES);
		ret = lzma_code(&xz, len ? LZMA_RUN : LZMA_FINISH);
		over = !work_take(work,
				  (fed - xz.avail_in + given - xz.avail_out) / WORK_BYTES + 1);
		if (ret != LZMA_OK || over)
			break;
		if (xz.total_out < cap)
			continue;
		if (cap >= max)
			break;
		cap = MIN(cap * 2, max);
		bigger = realloc(out, cap);
		if (!bigger) {
			ret = LZMA_MEM_ERROR;
			break;
		}
		out = bigger;
	}
	*ret_size = (size_t)xz.total_out;
	lzma_end(&xz);
	if (ret == LZMA_STREAM_END) {
		*ret_data = out;
		return 0;
	}
	free(out);
	if (ret == LZMA_OK)
		return over ? -ECANCELED : -EFBIG;
	return ret == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
}
