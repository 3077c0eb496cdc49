// SPDX-License-Identifier: Apache-2.0
/* Requests as items, see push_item.h. */
#include "profiler/push/push_item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "profiler/base/clock.h"
#include "profiler/base/cursor.h"
#include "profiler/push/push.pb-c.h"
#include "profiler/push/push_split.h"

#define RECORD_VERSION 1
/* Halves are this far apart, doubled with each halving, so that no two pieces share a millisecond;
 * the encoder's own parts stand less than this apart. */
#define SPLIT_SHIFT_NS (64 * NS_PER_MS)

static void make_uuid(char out[37])
{
	__u8 r[16];

	if (getrandom(r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		memset(r, 0, sizeof(r)); /* the server only logs it */
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12],
		 r[13], r[14], r[15]);
}

struct push_item *push_item_new(const struct push_label_set *labels, const void *pprof, size_t len,
				size_t raw_bytes, __u64 time_ns)
{
	Pyroscope__LabelPair pairs[PUSH_MAX_LABELS], *pair_list[PUSH_MAX_LABELS];
	Pyroscope__RawSample sample = PYROSCOPE__RAW_SAMPLE__INIT, *samples = &sample;
	Pyroscope__RawProfileSeries series = PYROSCOPE__RAW_PROFILE_SERIES__INIT, *list = &series;
	Pyroscope__PushRequest request = PYROSCOPE__PUSH_REQUEST__INIT;
	struct push_item *item;
	char uuid[37];
	size_t packed;

	for (size_t i = 0; i < labels->n; i++) {
		pyroscope__label_pair__init(&pairs[i]);
		pairs[i].name = (char *)(uintptr_t)labels->labels[i].name;
		pairs[i].value = (char *)(uintptr_t)labels->labels[i].value;
		pair_list[i] = &pairs[i];
	}
	make_uuid(uuid);
	sample.raw_profile = (ProtobufCBinaryData){.len = len, .data = (void *)(uintptr_t)pprof};
	sample.id = uuid;
	series.n_labels = labels->n;
	series.labels = pair_list;
	series.n_samples = 1;
	series.samples = &samples;
	request.n_series = 1;
	request.series = &list;
	packed = pyroscope__push_request__get_packed_size(&request);
	item = malloc(sizeof(*item) + packed);
	if (!item)
		return NULL;
	*item = (struct push_item){.time_ns = time_ns,
				   .raw_bytes = raw_bytes,
				   .series = labels->hash,
				   .len = pyroscope__push_request__pack(&request, item->body)};
	return item;
}

void push_item_record(const struct push_item *item, struct push_item_head *scratch,
		      struct iovec pieces[2])
{
	*scratch = (struct push_item_head){.version = RECORD_VERSION,
					   .depth = item->depth,
					   .attempts = item->attempts,
					   .limited = item->limited,
					   .raw_bytes = item->raw_bytes,
					   .series = item->series};
	pieces[0] = (struct iovec){.iov_base = scratch, .iov_len = sizeof(*scratch)};
	pieces[1] = (struct iovec){.iov_base = (void *)(uintptr_t)item->body, .iov_len = item->len};
}

struct push_item *push_item_read(const void *record, size_t len, __u64 time_ns)
{
	struct cursor c = cursor_of(record, len);
	const void *p = cursor_bytes(&c, sizeof(struct push_item_head));
	struct push_item_head head;
	struct push_item *item;

	if (!p)
		return NULL;
	memcpy(&head, p, sizeof(head));
	if (head.version != RECORD_VERSION || head.depth > PUSH_MAX_DEPTH || !cursor_left(&c))
		return NULL;
	len = cursor_left(&c);
	item = malloc(sizeof(*item) + len);
	if (!item)
		return NULL;
	*item = (struct push_item){.time_ns = time_ns,
				   .raw_bytes = head.raw_bytes,
				   .series = head.series,
				   .depth = head.depth,
				   .attempts = head.attempts,
				   .limited = head.limited,
				   .len = len};
	memcpy(item->body, c.pos, len);
	return item;
}

/* The labels of a decoded series; false when it is none of ours. */
static bool read_labels(const Pyroscope__RawProfileSeries *series, __u64 hash,
			struct push_label_set *ret_set)
{
	if (series->n_labels > PUSH_MAX_LABELS || series->n_samples != 1)
		return false;
	*ret_set = (struct push_label_set){.n = series->n_labels, .hash = hash};
	for (size_t i = 0; i < series->n_labels; i++)
		ret_set->labels[i] =
			(struct push_label){series->labels[i]->name, series->labels[i]->value};
	return true;
}

int push_item_split(const struct push_item *item, struct push_item *ret_halves[2])
{
	__u64 shift_ns = SPLIT_SHIFT_NS << item->depth;
	Pyroscope__PushRequest *request;
	struct push_half halves[2] = {0};
	struct push_label_set labels;
	int err = -EINVAL;

	if (item->depth >= PUSH_MAX_DEPTH)
		return -E2BIG;
	request = pyroscope__push_request__unpack(NULL, item->len, item->body);
	if (!request)
		return -EINVAL;
	if (request->n_series == 1 && read_labels(request->series[0], item->series, &labels)) {
		ProtobufCBinaryData *raw = &request->series[0]->samples[0]->raw_profile;

		err = push_split(raw->data, raw->len, shift_ns, halves);
	}
	for (int i = 0; i < 2 && !err; i++) {
		ret_halves[i] =
			push_item_new(&labels, halves[i].pprof.data, halves[i].pprof.len,
				      halves[i].raw_bytes, item->time_ns + (i ? shift_ns : 0));
		if (!ret_halves[i]) {
			err = -ENOMEM;
			free(i ? ret_halves[0] : NULL);
			break;
		}
		ret_halves[i]->depth = item->depth + 1;
	}
	buf_fini(&halves[0].pprof);
	buf_fini(&halves[1].pprof);
	pyroscope__push_request__free_unpacked(request, NULL);
	return err;
}
