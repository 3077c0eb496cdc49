/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading end of one ring: a BPF ring buffer or a perf ring, of one CPU. Unlike libbpf's
 * consumer it can look at the next record without taking it, which is what merging many rings by
 * time needs. Records are borrowed from the ring until ring_release.
 *
 * Layouts: BPF ring, kernel/bpf/ringbuf.c (457f44363a88, 5.8): consumer page, producer page, data
 * mapped twice; a record is u32 length with a busy and a discard bit, u32, payload, 8-aligned. perf
 * ring: include/uapi/linux/perf_event.h, struct perf_event_mmap_page; a record may wrap.
 *
 * Thread: the router's, but for what says so.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>

#include "bpf/record.h"
#include "profiler/base/check.h"

struct ring; /* of BPF records */

/* Map the BPF ring buffer behind map_fd (kept by the caller) of `bytes` data bytes. 0 or -errno. */
MUST_CHECK int ring_open(int map_fd, size_t bytes, struct ring **ret_ring);
/* The next complete record, NULL when there is none (or it is still being written). Every record
 * has at least a struct rec and the size that its head says; others are dropped and counted. */
const struct rec *ring_peek(struct ring *ring);
/* Step over the record that ring_peek showed. */
void ring_pop(struct ring *ring);
/* Give the space of popped records back to the kernel. */
void ring_release(struct ring *ring);
/* Bytes waiting, and the size, for /debug/state: from any thread. */
size_t ring_fill(const struct ring *ring);
size_t ring_size(const struct ring *ring);
__u64 ring_bad_total(const struct ring *ring);
void ring_close(struct ring *ring);

struct perf_ring;

/* Map the ring of a perf event fd (kept by the caller); pages is a power of two. 0 or -errno. */
MUST_CHECK int perf_ring_open(int event_fd, unsigned pages, struct perf_ring **ret_ring);
/* The next record, whole (a wrapped one is copied together), or NULL. */
const struct perf_event_header *perf_ring_peek(struct perf_ring *ring);
void perf_ring_pop(struct perf_ring *ring);
void perf_ring_release(struct perf_ring *ring);
size_t perf_ring_fill(const struct perf_ring *ring);
size_t perf_ring_size(const struct perf_ring *ring);
void perf_ring_close(struct perf_ring *ring);
