// SPDX-License-Identifier: Apache-2.0
/* zlib, zstd and xz, see inflate.h. A size that no compressor reaches is refused before malloc. */
#include "symbolize/inflate.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define ZLIB_MAX_RATIO 1040u /* RFC 1951: 258 bytes from 2 bits, headers aside */
#define XZ_DICTIONARY  ((uint64_t)64 << 20)
#define XZ_FIRST_BYTES ((size_t)256 << 10)

static int inflate_zlib(const __u8 *data, size_t len, __u8 *out, size_t size)
{
	z_stream z = {0};
	int ret;

	if (inflateInit(&z) != Z_OK)
		return -ENOMEM;
	z.next_in = (Bytef *)(uintptr_t)data;
	z.next_out = out;
	do {
		/* avail_* are 32 bits: feed larger blocks in pieces. */
		uInt in = (uInt)MIN(len - z.total_in, (size_t)1 << 30);
		uInt room = (uInt)MIN(size - z.total_out, (size_t)1 << 30);

		z.avail_in = in;
		z.avail_out = room;
		ret = inflate(&z, Z_NO_FLUSH);
		if (ret == Z_OK && z.avail_in == in && z.avail_out == room)
			break; /* no progress: the data ends too early */
	} while (ret == Z_OK && z.total_out < size);
	ret = z.total_out == size ? 0 : -EINVAL;
	inflateEnd(&z);
	return ret;
}

int inflate_block(__u32 type, const __u8 *data, size_t len, size_t size, __u8 **ret_data)
{
	__u8 *out;
	int err;

	if (type != ELFCOMPRESS_ZLIB && type != ELFCOMPRESS_ZSTD)
		return -ENOTSUP;
	if (type == ELFCOMPRESS_ZLIB && size / ZLIB_MAX_RATIO > len)
		return -EFBIG;
	out = malloc(size ? size : 1);
	if (!out)
		return -ENOMEM;
	if (type == ELFCOMPRESS_ZLIB)
		err = inflate_zlib(data, len, out, size);
	else
		err = ZSTD_decompress(out, size, data, len) == size ? 0 : -EINVAL;
	if (err) {
		free(out);
		return err;
	}
	*ret_data = out;
	return 0;
}

int inflate_xz(const __u8 *data, size_t len, size_t max, __u8 **ret_data, size_t *ret_size)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	size_t cap = MIN(XZ_FIRST_BYTES, max);
	__u8 *out = malloc(cap), *bigger;
	lzma_ret ret = LZMA_MEM_ERROR;

	if (!out || lzma_stream_decoder(&xz, XZ_DICTIONARY, 0) != LZMA_OK) {
		free(out);
		return -ENOMEM;
	}
	xz.next_in = data;
	xz.avail_in = len;
	for (;;) {
		xz.next_out = out + xz.total_out;
		xz.avail_out = cap - (size_t)xz.total_out;
		ret = lzma_code(&xz, LZMA_FINISH);
		if (ret != LZMA_OK || xz.avail_out || cap >= max)
			break;
		bigger = realloc(out, MIN(cap * 2, max));
		if (!bigger)
			break;
		out = bigger;
		cap = MIN(cap * 2, max);
	}
	*ret_size = (size_t)xz.total_out;
	lzma_end(&xz);
	if (ret == LZMA_STREAM_END) {
		*ret_data = out;
		return 0;
	}
	free(out);
	return ret == LZMA_OK ? -EFBIG : ret == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
}
