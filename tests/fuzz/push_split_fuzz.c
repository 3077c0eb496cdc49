// SPDX-License-Identifier: Apache-2.0
/*
 * Records of a spool that anybody may have written, and the pprof in them: a record becomes an item
 * or is refused, an item splits or says why not. Halves of a profile that protobuf-c understands
 * are understood too, and hold each sample once.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "profiler/base/clock.h"
#include "profiler/export/pprof.pb-c.h"
#include "profiler/push/push.pb-c.h"
#include "profiler/push/push_item.h"
#include "profiler/push/push_split.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static void *limited_alloc(void *arg, size_t size)
{
	size_t *left = arg;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

static void plain_free(void *arg UNUSED, void *p)
{
	free(p);
}

/* Samples of a profile; -1 for one that protobuf-c refuses. */
static long long samples_of(const void *data, size_t len)
{
	size_t left = 64 << 20;
	ProtobufCAllocator allocator = {limited_alloc, plain_free, &left};
	Pprof__Profile *p = pprof__profile__unpack(&allocator, len, data);
	long long n = p ? (long long)p->n_sample : -1;

	if (p)
		pprof__profile__free_unpacked(p, &allocator);
	return n;
}

static void *unzip(const struct push_half *half)
{
	void *out = malloc(half->raw_bytes ? half->raw_bytes : 1);
	uLongf len = half->raw_bytes;
	z_stream z = {.next_in = (Bytef *)half->pprof.data,
		      .avail_in = (uInt)half->pprof.len,
		      .next_out = out,
		      .avail_out = (uInt)len};

	CHECK(out && inflateInit2(&z, 15 + 16) == Z_OK);
	CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == half->raw_bytes);
	inflateEnd(&z);
	return out;
}

static void split_profile(const __u8 *data, size_t size)
{
	long long n = samples_of(data, size), sum = 0;
	struct push_half halves[2];
	int err = push_split(data, size, 64 * NS_PER_MS, halves);

	if (err)
		return;
	for (int i = 0; i < 2; i++) {
		void *raw = unzip(&halves[i]);
		long long part = samples_of(raw, halves[i].raw_bytes);

		if (n >= 0) {
			CHECK(part >= 0);
			sum += part;
		}
		free(raw);
		buf_fini(&halves[i].pprof);
	}
	CHECK(n < 0 || sum == n);
}

static void split_record(const __u8 *data, size_t size)
{
	struct push_item *item = push_item_read(data, size, NS_PER_S), *halves[2];
	Pyroscope__PushRequest *request;

	if (!item)
		return;
	CHECK(item->len + sizeof(struct push_item_head) == size);
	if (!push_item_split(item, halves)) {
		for (int i = 0; i < 2; i++) {
			CHECK(halves[i]->depth == item->depth + 1);
			request = pyroscope__push_request__unpack(NULL, halves[i]->len,
								  halves[i]->body);
			CHECK(request && request->n_series == 1);
			pyroscope__push_request__free_unpacked(request, NULL);
			free(halves[i]);
		}
	}
	free(item);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		split_record(data + 1, size - 1);
	else
		split_profile(data + 1, size - 1);
	return 0;
}
