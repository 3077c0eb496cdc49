// SPDX-License-Identifier: Apache-2.0
#include "profiler/push/push_split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "profiler/base/clock.h"
#include "profiler/export/pprof.pb-c.h"
#include "profiler/push/push.pb-c.h"
#include "profiler/push/push_item.h"
#include "tests/unit/push/stub.h"
#include "tests/unit/test.h"

#define T (1700000000ULL * NS_PER_S)

static Pprof__Profile *decode(const struct buf *gzip)
{
	static __u8 raw[16 << 20];
	z_stream z = {.next_in = (Bytef *)gzip->data,
		      .avail_in = (uInt)gzip->len,
		      .next_out = raw,
		      .avail_out = sizeof(raw)};
	Pprof__Profile *p;

	CU_ASSERT_FATAL(inflateInit2(&z, 31) == Z_OK);
	ASSERT_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
	p = pprof__profile__unpack(NULL, z.total_out, raw);
	inflateEnd(&z);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return p;
}

/* Every sample of a half still has its three frames with their own names; nothing else is left. */
static void check_half(const Pprof__Profile *p, unsigned first, unsigned n)
{
	char want[32];
	size_t used = 0;

	ASSERT_INT(p->n_sample, n);
	ASSERT_INT(p->n_location, n * 3);
	ASSERT_INT(p->n_function, n * 3);
	for (unsigned i = 0; i < n * 3 && i < p->n_location; i++) {
		const Pprof__Function *f = p->function[i];

		CU_ASSERT(p->sample[i / 3]->location_id[i % 3] == p->location[i]->id);
		CU_ASSERT(p->location[i]->line[0]->function_id == f->id);
		snprintf(want, sizeof(want), "f%u_", first * 3 + i);
		CU_ASSERT(!strncmp(p->string_table[f->name], want, strlen(want)));
	}
	for (size_t i = 0; i < p->n_string_table; i++)
		used += *p->string_table[i] != 0;
	ASSERT_INT(used, n * 3 + 2);
	ASSERT_STR(p->string_table[0], "");
	ASSERT_STR(p->string_table[p->sample_type[0]->type], "cpu");
	ASSERT_STR(p->string_table[p->period_type->unit], "nanoseconds");
	CU_ASSERT(p->period == 10000000);
}

static void halves(void)
{
	struct push_half out[2] = {0};
	struct buf pprof = {0};
	size_t raw = make_pprof(101, 20, T, &pprof);
	Pprof__Profile *p;

	ASSERT_INT(push_split(pprof.data, pprof.len, 64 * NS_PER_MS, out), 0);
	for (int i = 0; i < 2; i++) {
		p = decode(&out[i].pprof);
		check_half(p, i ? 50 : 0, i ? 51 : 50);
		CU_ASSERT((__u64)p->time_nanos == T + (i ? 64 * NS_PER_MS : 0));
		CU_ASSERT(out[i].raw_bytes < raw * 6 / 10);
		pprof__profile__free_unpacked(p, NULL);
		buf_fini(&out[i].pprof);
	}
	buf_fini(&pprof);
}

static void refusals(void)
{
	struct push_half out[2] = {0};
	struct buf pprof = {0};

	make_pprof(1, 20, T, &pprof);
	ASSERT_INT(push_split(pprof.data, pprof.len, 1, out), -E2BIG);
	buf_reset(&pprof);
	make_pprof(10, 20, T, &pprof);
	ASSERT_INT(push_split(pprof.data, pprof.len - 9, 1, out), -EINVAL);
	ASSERT_INT(push_split("\x12\x05xx", 4, 1, out), -EINVAL);
	ASSERT_INT(push_split("", 0, 1, out), -EINVAL);
	CU_ASSERT_PTR_NULL(out[0].pprof.data);
	buf_fini(&pprof);
}

/* Seven times halved, no two pieces share a millisecond. */
static void pieces_differ_in_time(void)
{
	struct push_label_set labels = {.labels = {{"__name__", "x"}}, .n = 1, .hash = 5};
	struct push_item *items[1 << PUSH_MAX_DEPTH], *next[2];
	struct buf pprof = {0};
	size_t raw = make_pprof(1 << PUSH_MAX_DEPTH, 4, T, &pprof), n = 1;

	items[0] = push_item_new(&labels, pprof.data, pprof.len, raw, T);
	for (unsigned depth = 0; depth < PUSH_MAX_DEPTH; depth++) {
		for (size_t i = 0; i < n; i++) {
			ASSERT_INT(push_item_split(items[i], next), 0);
			free(items[i]);
			items[i] = next[0];
			items[i + n] = next[1];
		}
		n *= 2;
	}
	for (size_t i = 0; i < n; i++) {
		Pyroscope__PushRequest *r =
			pyroscope__push_request__unpack(NULL, items[i]->len, items[i]->body);
		Pprof__Profile *p;

		CU_ASSERT_PTR_NOT_NULL_FATAL(r);
		ASSERT_STR(r->series[0]->labels[0]->value, "x");
		ASSERT_INT(items[i]->series, 5);
		p = decode(&(struct buf){.data = (char *)r->series[0]->samples[0]->raw_profile.data,
					 .len = r->series[0]->samples[0]->raw_profile.len});
		ASSERT_INT(p->n_sample, 1);
		CU_ASSERT((__u64)p->time_nanos == items[i]->time_ns);
		for (size_t j = 0; j < i; j++)
			CU_ASSERT(items[j]->time_ns / NS_PER_MS != items[i]->time_ns / NS_PER_MS);
		pprof__profile__free_unpacked(p, NULL);
		pyroscope__push_request__free_unpacked(r, NULL);
	}
	ASSERT_INT(push_item_split(items[0], next), -E2BIG);
	for (size_t i = 0; i < n; i++)
		free(items[i]);
	buf_fini(&pprof);
}

static void records(void)
{
	struct push_label_set labels = {.labels = {{"__name__", "x"}}, .n = 1, .hash = 77};
	struct push_item *item = push_item_new(&labels, "pprof", 5, 1234, T), *back;
	struct push_item_head head;
	struct iovec pieces[2];
	struct buf record = {0};

	item->depth = 3;
	item->attempts = 2;
	push_item_record(item, &head, pieces);
	for (int i = 0; i < 2; i++)
		buf_add(&record, pieces[i].iov_base, pieces[i].iov_len);
	back = push_item_read(record.data, record.len, T);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT(back->series == 77 && back->raw_bytes == 1234 && back->depth == 3 &&
		  back->attempts == 2 && back->time_ns == T && back->len == item->len &&
		  !memcmp(back->body, item->body, item->len));
	free(back);
	CU_ASSERT_PTR_NULL(push_item_read(record.data, sizeof(head), T));
	CU_ASSERT_PTR_NULL(push_item_read(record.data, 7, T));
	record.data[0] = 9; /* another version */
	CU_ASSERT_PTR_NULL(push_item_read(record.data, record.len, T));
	free(item);
	buf_fini(&record);
}

SUITE(push_split, {"halves", halves}, {"refusals", refusals},
      {"pieces differ in time", pieces_differ_in_time}, {"records", records});
