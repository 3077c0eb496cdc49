/* SPDX-License-Identifier: Apache-2.0 */
/* One profile on its way: the encoded request and what must be known about it. */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "profiler/base/check.h"
#include "profiler/push/push_labels.h"
#include "profiler/spool.h"

#define PUSH_MAX_DEPTH 7 /* of halving: 128 pieces */

struct push_item {
	struct push_item *next;
	__u64 time_ns;
	__u64 raw_bytes;
	__u64 series;	     /* hash of the label set */
	__u64 not_before_ns; /* monotonic */
	__u8 depth;	     /* times it was halved */
	__u8 attempts;	     /* that may have been stored, or failed inside the server */
	__u8 limited;	     /* times it met a rate limit */
	bool spooled;	     /* its record is still in the spool, at: */
	struct spool_place place;
	size_t len;
	__u8 body[]; /* PushRequest */
};

/* Bytes of memory it takes. */
static inline size_t push_item_bytes(const struct push_item *item)
{
	return sizeof(*item) + item->len;
}

/* Encode a request; NULL when memory ends. */
struct push_item *push_item_new(const struct push_label_set *labels, const void *pprof, size_t len,
				size_t raw_bytes, __u64 time_ns);
/* Its spool record: a head that lies in scratch, and the body. */
struct push_item_head {
	__u32 version;
	__u8 depth, attempts, limited, pad;
	__u64 raw_bytes, series;
};
void push_item_record(const struct push_item *item, struct push_item_head *scratch,
		      struct iovec pieces[2]);
/* Back from a record; NULL for a bad one or when memory ends. */
struct push_item *push_item_read(const void *record, size_t len, __u64 time_ns);
/* Two items of half the samples each; the first takes the item's time. 0, or -errno of push_split.
 */
MUST_CHECK int push_item_split(const struct push_item *item, struct push_item *ret_halves[2]);
