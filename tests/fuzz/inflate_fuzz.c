// SPDX-License-Identifier: Apache-2.0
/*
 * Deflate blocks, with a header and the right checksum where zlib finds an end: what zlib reads comes
 * out the same, what it refuses does not come out. Bytes behind the input cannot be read: it ends
 * where its last page does. The decoder is not instrumented, so coverage leads nowhere: half of the
 * inputs are seeds of streams that zlib packs, of which some bytes are then changed.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "symbolize/inflate.h"

#define IN_BYTES    ((size_t)1 << 20)
#define OUT_BYTES   ((size_t)4 << 20)
#define PLAIN_BYTES (200u << 10) /* more than a window and a step */
#define CHANGES_MAX 6u

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static __u8 expected[OUT_BYTES], plain[PLAIN_BYTES], packed[IN_BYTES];

struct got {
	size_t n, wanted;
};

static int put(void *arg, const __u8 *bytes, size_t n)
{
	struct got *got = arg;

	if (n > OUT_BYTES - got->n)
		abort();
	if (got->wanted && (n > got->wanted - got->n || memcmp(expected + got->n, bytes, n) != 0))
		abort();
	got->n += n;
	return 0;
}

static __u32 pick(__u64 *seed, __u32 n)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (__u32)((*seed >> 33) % n);
}

/* Runs of few or many different bytes, and repeats from near and far. */
static size_t make_plain(__u64 *seed)
{
	size_t len = pick(seed, 2u << pick(seed, 17)) % PLAIN_BYTES;

	for (size_t at = 0; at < len;) {
		size_t n = MIN(1 + pick(seed, 2u << pick(seed, 10)), len - at);
		__u32 symbols = 1u << pick(seed, 9);
		size_t back = at ? 1 + pick(seed, (__u32)MIN(at, (size_t)40000)) : 0;
		bool repeat = at && pick(seed, 2);

		for (size_t end = at + n; at < end; at++)
			plain[at] = repeat ? plain[at - back] : (__u8)pick(seed, symbols);
	}
	return len;
}

static size_t make_packed(__u64 seed)
{
	size_t n_plain = make_plain(&seed), n;
	z_stream z = {
		.next_in = plain,
		.next_out = packed,
		.avail_out = (uInt)IN_BYTES,
	};

	if (deflateInit2(&z, (int)pick(&seed, 10), Z_DEFLATED, -MAX_WBITS, 1 + (int)pick(&seed, 9),
			 (int)pick(&seed, 5)) != Z_OK)
		abort();
	while (n_plain - z.total_in) {
		z.avail_in = (uInt)(1 + pick(&seed, (__u32)(n_plain - z.total_in)));
		deflate(&z, (int)pick(&seed, 4)); /* up to Z_FULL_FLUSH */
	}
	deflate(&z, Z_FINISH);
	n = z.total_out;
	deflateEnd(&z);
	for (__u32 i = pick(&seed, CHANGES_MAX); n && i; i--)
		packed[pick(&seed, (__u32)n)] ^= (__u8)(1 + pick(&seed, 255));
	return pick(&seed, 8) ? n : pick(&seed, (__u32)n + 1);
}

/* The bytes of the blocks, by zlib; 0: they are damaged or give nothing. */
static size_t inflate_raw(const __u8 *data, size_t size, size_t *ret_len)
{
	z_stream z = {
		.next_in = (__u8 *)(uintptr_t)data,
		.avail_in = (uInt)size,
		.next_out = expected,
		.avail_out = (uInt)OUT_BYTES,
	};
	int ret;

	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		abort();
	ret = inflate(&z, Z_FINISH);
	*ret_len = ret == Z_STREAM_END ? z.total_in : size;
	inflateEnd(&z);
	return ret == Z_STREAM_END ? z.total_out : 0;
}

/* Room that ends with a page that cannot be touched. */
static __u8 *make_room(void)
{
	__u8 *room = mmap(NULL, IN_BYTES + 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED || mprotect(room + IN_BYTES, 4096, PROT_NONE))
		abort();
	return room;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static __u8 *room;
	struct got got = {0};
	size_t len, total;
	uLong sum;
	__u8 *at;
	int err;

	if (!room)
		room = make_room();
	if (size && data[0] & 1) {
		size = make_packed(XXH3_64bits(data, size));
		data = packed;
	}
	if (size > IN_BYTES - 6)
		return 0;
	got.wanted = inflate_raw(data, size, &len);
	at = room + IN_BYTES - len - 6;
	memcpy(at, "\x78\x9c", 2);
	memcpy(at + 2, data, len);
	sum = adler32(1, expected, (uInt)got.wanted);
	for (size_t i = 0; i < 4; i++)
		at[2 + len + i] = (__u8)(sum >> (24 - 8 * i));
	total = got.wanted ? got.wanted : OUT_BYTES;
	err = inflate_stream(ELFCOMPRESS_ZLIB, at, len + 6, total, NULL, put, &got);
	if ((err == 0) != (got.wanted != 0) || (!err && got.n != got.wanted))
		abort();
	return 0;
}
