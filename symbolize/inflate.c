// SPDX-License-Identifier: Apache-2.0
/* zlib, zstd and xz, see inflate.h. A size that no compressor reaches is refused before malloc. */
#include "symbolize/inflate.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <libdeflate.h>
#include <lzma.h>
#include <zstd.h>

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define ZLIB_MAX_RATIO 1040u  /* RFC 1951: 258 bytes from 2 bits, headers aside */
#define ZSTD_MAX_RATIO 43700u /* RFC 8878: 128 KiB from a 3-byte block header */
#define XZ_DICTIONARY  ((uint64_t)64 << 20)
#define XZ_FIRST_BYTES ((size_t)256 << 10)

/* libdeflate: whole blocks only, which is all we have, at two to three times zlib's speed. */
static int inflate_zlib(const __u8 *data, size_t len, __u8 *out, size_t size)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	enum libdeflate_result result;

	if (!d)
		return -ENOMEM;
	result = libdeflate_zlib_decompress(d, data, len, out, size, NULL);
	libdeflate_free_decompressor(d);
	return result == LIBDEFLATE_SUCCESS ? 0 : -EINVAL;
}

int inflate_check(__u32 type, size_t len, size_t size)
{
	if (type != ELFCOMPRESS_ZLIB && type != ELFCOMPRESS_ZSTD)
		return -ENOTSUP;
	return size / (type == ELFCOMPRESS_ZLIB ? ZLIB_MAX_RATIO : ZSTD_MAX_RATIO) > len ? -EFBIG
											 : 0;
}

int inflate_block(__u32 type, const __u8 *data, size_t len, __u8 *out, size_t size)
{
	if (type == ELFCOMPRESS_ZLIB)
		return inflate_zlib(data, len, out, size);
	if (type == ELFCOMPRESS_ZSTD)
		return ZSTD_decompress(out, size, data, len) == size ? 0 : -EINVAL;
	return -ENOTSUP;
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
