// SPDX-License-Identifier: Apache-2.0
/* BPF and perf ring consumers, see ring.h. */
#include "profiler/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_HEADER 8u /* u32 length and flags, u32 page offset */

struct ring {
	__u64 *consumer; /* page of its own, ours to write */
	const __u64 *producer;
	const __u8 *data; /* mapped twice in a row, so a record never wraps for us */
	size_t size;
	__u64 pos;	/* of the next record; others may look: ring_fill */
	__u64 next_pos; /* behind the record shown by peek */
	__u64 bad_total;
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int ring_open(int map_fd, size_t bytes, struct ring **ret_ring)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	void *p;
	int err;

	if (!ring)
		return -ENOMEM;
	ring->size = bytes;
	p = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	ring->consumer = p;
	p = mmap(NULL, page_size() + 2 * bytes, PROT_READ, MAP_SHARED, map_fd, (off_t)page_size());
	if (p == MAP_FAILED)
		goto fail;
	ring->producer = p;
	ring->data = (const __u8 *)p + page_size();
	ring->pos = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
	*ret_ring = ring;
	return 0;
fail:
	err = -errno;
	ring_close(ring);
	return err;
}

static void step_over(struct ring *ring)
{
	__atomic_store_n(&ring->pos, ring->next_pos, __ATOMIC_RELEASE);
}

const struct rec *ring_peek(struct ring *ring)
{
	__u64 end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);

	while (ring->pos < end) {
		const __u8 *at = ring->data + (ring->pos & (ring->size - 1));
		__u32 word = __atomic_load_n((const __u32 *)at, __ATOMIC_ACQUIRE);
		__u32 len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		const struct rec *rec = (const struct rec *)(at + RING_HEADER);

		if (word & BPF_RINGBUF_BUSY_BIT)
			return NULL;
		ring->next_pos = ring->pos + ALIGN_UP((__u64)len + RING_HEADER, 8);
		if (ring->next_pos > end) { /* cannot be; start anew behind it */
			ring->next_pos = end;
			len = 0;
		}
		if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
			if (len >= sizeof(*rec) && rec->size >= sizeof(*rec) && rec->size <= len &&
			    rec->kind > REC_NONE && rec->kind < REC_KINDS)
				return rec;
			ring->bad_total++;
		}
		step_over(ring);
	}
	return NULL;
}

void ring_pop(struct ring *ring)
{
	step_over(ring);
}

void ring_release(struct ring *ring)
{
	__atomic_store_n(ring->consumer, ring->pos, __ATOMIC_RELEASE);
}

size_t ring_fill(const struct ring *ring)
{
	/* Our own place first: the kernel's is never before it, whatever happens between. */
	__u64 pos = __atomic_load_n(&ring->pos, __ATOMIC_ACQUIRE);
	__u64 end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);

	return (size_t)MIN(end - pos, (__u64)ring->size);
}

size_t ring_size(const struct ring *ring)
{
	return ring->size;
}

__u64 ring_bad_total(const struct ring *ring)
{
	return ring->bad_total;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer)
		munmap(ring->consumer, page_size());
	if (ring->producer)
		munmap((void *)(uintptr_t)ring->producer, page_size() + 2 * ring->size);
	free(ring);
}

struct perf_ring {
	struct perf_event_mmap_page *page;
	const __u8 *data;
	size_t size;
	__u64 pos;
	size_t shown;		       /* bytes of the record that peek showed */
	_Alignas(8) __u8 whole[65536]; /* a wrapped record; header.size is 16 bits */
};

int perf_ring_open(int event_fd, unsigned pages, struct perf_ring **ret_ring)
{
	struct perf_ring *ring = calloc(1, sizeof(*ring));
	void *p;

	if (!ring)
		return -ENOMEM;
	ring->size = pages * page_size();
	p = mmap(NULL, page_size() + ring->size, PROT_READ | PROT_WRITE, MAP_SHARED, event_fd, 0);
	if (p == MAP_FAILED) {
		int err = -errno;

		free(ring);
		return err;
	}
	ring->page = p;
	ring->data = (const __u8 *)p + page_size();
	ring->pos = ring->page->data_tail;
	*ret_ring = ring;
	return 0;
}

const struct perf_event_header *perf_ring_peek(struct perf_ring *ring)
{
	__u64 head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	size_t at = ring->pos & (ring->size - 1), first;
	const struct perf_event_header *h;

	if (ring->pos == head)
		return NULL;
	h = (const struct perf_event_header *)(ring->data + at); /* 8-aligned, so never split */
	ring->shown = h->size;
	if (h->size < sizeof(*h) || h->size % 8 || h->size > head - ring->pos) {
		ring->pos = head; /* cannot be; start anew behind it */
		return NULL;
	}
	first = ring->size - at;
	if (h->size <= first)
		return h;
	memcpy(ring->whole, ring->data + at, first);
	memcpy(ring->whole + first, ring->data, ring->shown - first);
	return (const struct perf_event_header *)ring->whole;
}

void perf_ring_pop(struct perf_ring *ring)
{
	ring->pos += ring->shown;
}

void perf_ring_release(struct perf_ring *ring)
{
	__atomic_store_n(&ring->page->data_tail, ring->pos, __ATOMIC_RELEASE);
}

size_t perf_ring_fill(const struct perf_ring *ring)
{
	return (size_t)(__atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE) - ring->pos);
}

size_t perf_ring_size(const struct perf_ring *ring)
{
	return ring->size;
}

void perf_ring_close(struct perf_ring *ring)
{
	if (!ring)
		return;
	munmap(ring->page, page_size() + ring->size);
	free(ring);
}
