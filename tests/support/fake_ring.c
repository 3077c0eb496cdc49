// SPDX-License-Identifier: Apache-2.0
/* Rings in memory files, see fake_ring.h. */
#include "tests/support/fake_ring.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static size_t file_bytes(const struct fake_ring *ring)
{
	return ring->perf ? PAGE + ring->size : 2 * PAGE + 2 * ring->size;
}

static struct perf_event_mmap_page *perf_page(const struct fake_ring *ring)
{
	return (struct perf_event_mmap_page *)ring->memory;
}

static __u8 *data_of(const struct fake_ring *ring)
{
	return ring->memory + (ring->perf ? PAGE : 2 * PAGE);
}

void fake_ring_open(struct fake_ring *ring, bool perf, size_t size)
{
	*ring = (struct fake_ring){.size = size, .perf = perf, .fd = memfd_create("ring", 0)};
	BUG_ON(ring->fd < 0 || ftruncate(ring->fd, (off_t)file_bytes(ring)));
	ring->memory =
		mmap(NULL, file_bytes(ring), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	BUG_ON(ring->memory == MAP_FAILED);
}

void fake_ring_close(struct fake_ring *ring)
{
	munmap(ring->memory, file_bytes(ring));
	if (ring->fd >= 0)
		close(ring->fd);
}

static void write_at(struct fake_ring *ring, __u64 pos, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t at = (pos + i) & (ring->size - 1);

		data_of(ring)[at] = ((const __u8 *)bytes)[i];
		if (!ring->perf)
			data_of(ring)[at + ring->size] = ((const __u8 *)bytes)[i];
	}
}

__u64 fake_ring_consumed(const struct fake_ring *ring)
{
	return ring->perf ? perf_page(ring)->data_tail : *(__u64 *)ring->memory;
}

void fake_ring_set_end(struct fake_ring *ring, __u64 pos)
{
	ring->pos = pos;
	if (ring->perf)
		__atomic_store_n(&perf_page(ring)->data_head, pos, __ATOMIC_RELEASE);
	else
		__atomic_store_n((__u64 *)(ring->memory + PAGE), pos, __ATOMIC_RELEASE);
}

void fake_ring_set_word(struct fake_ring *ring, __u64 pos, __u32 word)
{
	write_at(ring, pos, &word, sizeof(word));
}

bool fake_ring_put(struct fake_ring *ring, const void *record, size_t len, __u32 flags)
{
	size_t head = ring->perf ? 0 : 8, step = ALIGN_UP(len + head, (size_t)8);

	if (ring->pos + step - fake_ring_consumed(ring) > ring->size)
		return false;
	if (head)
		fake_ring_set_word(ring, ring->pos, (__u32)len | flags);
	write_at(ring, ring->pos + head, record, len);
	fake_ring_set_end(ring, ring->pos + step);
	return true;
}
