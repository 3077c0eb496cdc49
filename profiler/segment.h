/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that BPF programs and user space share: blobs (parts and map sets, bpf/unwind.h) in 1 MiB
 * segments, each a BPF array map, made on demand and mapped here. Without a kernel side (tests, no
 * privileges) the segments are plain memory and everything else is the same.
 *
 * A freed blob may still be read by a program that looked up its place a moment ago: the space is
 * reused only after SEGMENT_GRACE_NS.
 *
 * Thread-safe. Calls are short, but a new segment is 10-25 ms: the kernel waits until no program can
 * see the old map. So the loader makes one ahead (segments_make_room).
 */
#pragma once

#include "bpf/unwind.h"
#include "profiler/base/check.h"

#define SEGMENT_GRACE_NS (2ull * 1000 * 1000 * 1000)

struct segments;

struct blob {
	__u32 segment, offset, n_words; /* n_words 0: none */
};

/* map_fd: the ARRAY_OF_MAPS `segments` (kept by the caller), or -1 for plain memory. budget: bytes
 * of all segments. NULL when memory ends. */
struct segments *segments_new(int map_fd, size_t budget);
void segments_free(struct segments *segments);

/* n_words (<= a segment) of zeroed space at an even offset. 0, -ENOSPC when the budget is used up,
 * or -errno of the map that could not be made. */
MUST_CHECK int segments_alloc(struct segments *segments, __u32 n_words, struct blob *ret_blob);
/* A further segment when none has room for the largest part: where nobody waits for it. */
void segments_make_room(struct segments *segments);
/* Give a blob back and forget it; a blob of 0 words is ignored. */
void segments_release(struct segments *segments, struct blob *blob);
/* The words of a blob. */
__u32 *segments_words(struct segments *segments, const struct blob *blob);
/* The words of a whole segment, as the unwinder sees it; NULL when there is none. */
const __u32 *segments_base(const struct segments *segments, __u32 segment);

struct segments_stats {
	__u64 bytes_used, bytes_reserved, budget;
	__u32 n_segments;
};
struct segments_stats segments_stats(struct segments *segments);
