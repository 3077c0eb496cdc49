/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings as the kernel lays them out, in memory files: tests play the kernel. A BPF ring has its
 * data mapped twice in a row by the kernel; here both copies are written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"

struct fake_ring {
	int fd;
	size_t size; /* of the data; a power of two, whole pages */
	bool perf;   /* else BPF */
	__u8 *memory;
	__u64 pos; /* where the next record goes */
};

void fake_ring_open(struct fake_ring *ring, bool perf, size_t size);
void fake_ring_close(struct fake_ring *ring);
/* BPF: a record of `len` bytes with flag bits (BPF_RINGBUF_BUSY_BIT, _DISCARD_BIT); its word can be
 * set again, once its place is known. perf: the bytes are the record, header and all. False: no
 * room. */
bool fake_ring_put(struct fake_ring *ring, const void *record, size_t len, __u32 flags);
void fake_ring_set_word(struct fake_ring *ring, __u64 pos, __u32 word);
/* What the reader gave back. */
__u64 fake_ring_consumed(const struct fake_ring *ring);
/* Where the producer says it is, whatever was written. */
void fake_ring_set_end(struct fake_ring *ring, __u64 pos);
