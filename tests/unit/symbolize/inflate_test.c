// SPDX-License-Identifier: Apache-2.0
/* Streams of zlib and zstd by their own compressors: whole, cut, damaged, of another size. */
#include "symbolize/inflate.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/unit/test.h"

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define PLAIN_BYTES  ((size_t)1 << 20)
#define PACKED_BYTES ((size_t)2 << 20)

static __u8 plain[PLAIN_BYTES], packed[PACKED_BYTES];

struct got {
	size_t n, largest, stop_at;
	int wrong;
};

static int put(void *arg, const __u8 *bytes, size_t n)
{
	struct got *got = arg;

	got->largest = MAX(got->largest, n);
	got->wrong += n > PLAIN_BYTES - got->n || memcmp(plain + got->n, bytes, n) != 0;
	got->n += n;
	return got->stop_at && got->n >= got->stop_at ? -EDOM : 0;
}

/* Words that are neither random nor all the same. */
static size_t pack(__u32 type)
{
	uLongf len = PACKED_BYTES;

	for (size_t i = 0; i < PLAIN_BYTES; i++)
		plain[i] = (__u8)(i % 7 ? i / 64 : i * i >> 5);
	if (type == ELFCOMPRESS_ZSTD)
		return ZSTD_compress(packed, PACKED_BYTES, plain, PLAIN_BYTES, 3);
	ASSERT_INT(compress2(packed, &len, plain, PLAIN_BYTES, 6), Z_OK);
	return len;
}

static int stream(__u32 type, size_t len, size_t size, struct got *got)
{
	*got = (struct got){.stop_at = got->stop_at};
	return inflate_stream(type, packed, len, size, NULL, put, got);
}

static void streams(void)
{
	for (__u32 type = ELFCOMPRESS_ZLIB; type <= ELFCOMPRESS_ZSTD; type++) {
		size_t len = pack(type);
		struct got got = {0};

		ASSERT_INT(inflate_check(type, len, PLAIN_BYTES), 0);
		ASSERT_INT(stream(type, len, PLAIN_BYTES, &got), 0);
		ASSERT_INT(got.n, PLAIN_BYTES);
		ASSERT_INT(got.wrong, 0);
		CU_ASSERT_TRUE(got.largest <= PLAIN_BYTES / 4); /* it is one */
		got.stop_at = PLAIN_BYTES / 2;
		ASSERT_INT(stream(type, len, PLAIN_BYTES, &got), -EDOM);
		CU_ASSERT_TRUE(got.n < PLAIN_BYTES);
	}
}

static void refuses_damage(void)
{
	for (__u32 type = ELFCOMPRESS_ZLIB; type <= ELFCOMPRESS_ZSTD; type++) {
		size_t len = pack(type);
		struct got got = {0};

		ASSERT_INT(stream(type, len, PLAIN_BYTES - 1, &got), -EINVAL);
		ASSERT_INT(stream(type, len, PLAIN_BYTES + 1, &got), -EINVAL);
		ASSERT_INT(stream(type, len - 1, PLAIN_BYTES, &got), -EINVAL);
		ASSERT_INT(stream(type, len / 2, PLAIN_BYTES, &got), -EINVAL);
		ASSERT_INT(stream(type, 0, PLAIN_BYTES, &got), -EINVAL);
		memset(packed + len / 2, 0xa5, 16); /* these zstd frames have no checksum */
		if (stream(type, len, PLAIN_BYTES, &got) != -EINVAL)
			CU_ASSERT_TRUE(type == ELFCOMPRESS_ZSTD && got.wrong);
		ASSERT_INT(inflate_check(type, 1, PLAIN_BYTES), -EFBIG);
	}
	ASSERT_INT(inflate_check(3, PLAIN_BYTES, PLAIN_BYTES), -ENOTSUP);
}

/* A linker may write several frames in a row. */
static void takes_frames(void)
{
	size_t half = PLAIN_BYTES / 2, len;
	struct got got = {0};

	pack(ELFCOMPRESS_ZSTD);
	len = ZSTD_compress(packed, PACKED_BYTES, plain, half, 3);
	len += ZSTD_compress(packed + len, PACKED_BYTES - len, plain + half, half, 3);
	ASSERT_INT(stream(ELFCOMPRESS_ZSTD, len, PLAIN_BYTES, &got), 0);
	ASSERT_INT(got.wrong, 0);
}

/* The frame of a stream whose length was not known when it began asks for its whole window. */
static int stream_with_window(int log2)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_outBuffer out = {packed, PACKED_BYTES, 0};
	ZSTD_inBuffer in = {plain, PLAIN_BYTES, 0};
	struct got got = {0};

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, log2);
	ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue);
	ASSERT_INT(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	return stream(ELFCOMPRESS_ZSTD, out.pos, PLAIN_BYTES, &got);
}

static void bounds_windows(void)
{
	pack(ELFCOMPRESS_ZSTD);
	ASSERT_INT(stream_with_window(26), 0);
	ASSERT_INT(stream_with_window(27), -EINVAL);
}

SUITE(inflate, {"streams", streams}, {"refuses damage", refuses_damage},
      {"takes frames", takes_frames}, {"bounds windows", bounds_windows});
