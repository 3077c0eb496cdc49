// SPDX-License-Identifier: Apache-2.0
/*
 * Rings whose bytes are anybody's, the kernel side's and perf's, up to resolved samples in a
 * capture: what comes out is whole, what cannot be is counted, nothing is read outside a record.
 *
 * Input: pieces of {u8 what, u8 length in eights} + bytes. what: bit 0 perf's ring, else BPF's; bit
 * 1 repair the head, so that more than chance gets through; bit 2 end a batch.
 */
#include "profiler/resolve.h"

#include <linux/perf_event.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/ring.h"
#include "profiler/sideband.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_ring.h"

#define RING_BYTES (64u << 10)
#define PERF_PAGES 16u

static struct fake_ring fake, fake_perf;
static struct ring *ring;
static struct sideband *sideband;
static struct resolver *resolver;
static struct capture *captured;

static void open_rings(void)
{
	fake_ring_open(&fake, false, RING_BYTES);
	CHECK(!ring_open(fake.fd, RING_BYTES, &ring));
	fake_ring_open(&fake_perf, true, PERF_PAGES * (size_t)sysconf(_SC_PAGESIZE));
	CHECK(!sideband_open_fd(dup(fake_perf.fd), PERF_PAGES, &sideband));
}

static void on_sample(void *arg UNUSED, const struct sample *sample)
{
	CHECK(sample->stack && sample->image && sample->stack->stop < STOP_COUNT);
	CHECK(sample->stack->n_user <= USER_FRAMES_MAX);
	CHECK(!sample->comm[COMM_BYTES - 1]);
	capture_add(captured, sample);
}

static void read_rings(void)
{
	struct sideband_event event;
	const struct rec *rec;

	while ((rec = ring_peek(ring))) {
		CHECK(rec->size >= sizeof(*rec));
		resolver_record(resolver, rec);
		ring_pop(ring);
	}
	ring_release(ring);
	while (sideband_peek(sideband, &event)) {
		CHECK(event.path && strlen(event.path) < 65536);
		resolver_sideband(resolver, &event);
		sideband_pop(sideband);
	}
	sideband_release(sideband);
}

/* Heads as the kernel writes them; what follows stays as it is. */
static void repair_rec(__u8 *bytes, size_t len)
{
	struct rec *rec = (struct rec *)bytes;

	if (len < sizeof(*rec))
		return;
	rec->size = (__u16)len;
	rec->kind = (__u8)(REC_NONE + 1 + rec->kind % (REC_KINDS - 1));
	rec->source %= SOURCE_COUNT;
	rec->pid &= 7;
	if (rec->kind == REC_SAMPLE && len > sizeof(struct rec_sample))
		rec->size = sizeof(struct rec_sample);
	if (rec->kind == REC_SAMPLE || rec->kind == REC_STACK)
		bytes[sizeof(*rec)] &= 3; /* of few ids */
}

static void repair_perf(__u8 *bytes, size_t len)
{
	static const __u32 types[] = {PERF_RECORD_MMAP2, PERF_RECORD_COMM, PERF_RECORD_LOST};
	struct perf_event_header *h = (struct perf_event_header *)bytes;

	if (len < sizeof(*h))
		return;
	h->size = (__u16)len;
	h->type = types[h->type % ARRAY_SIZE(types)];
	h->misc &= (__u16) ~(PERF_RECORD_MISC_MMAP_BUILD_ID | PERF_RECORD_MISC_MMAP_DATA);
	if (len >= 16)
		*(__u32 *)(bytes + 8) &= 7;
	if (len >= 80)
		bytes[len - 17] = 0; /* the path ends */
}

static void put_piece(struct cursor *c)
{
	_Alignas(8) __u8 bytes[256 * 8] = {0};
	__u8 what = cursor_u8(c);
	size_t len = cursor_u8(c) * (size_t)8, have = MIN(len, cursor_left(c));
	const void *from = cursor_bytes(c, have);

	if (c->bad || !len)
		return;
	memcpy(bytes, from, have);
	if (what & 2) {
		if (what & 1)
			repair_perf(bytes, len);
		else
			repair_rec(bytes, len);
	}
	fake_ring_put(what & 1 ? &fake_perf : &fake, bytes, len, 0);
	if (!(what & 4))
		return;
	read_rings();
	resolver_batch_end(resolver, clock_monotonic_ns());
	resolver_tick(resolver, clock_monotonic_ns());
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct capture_options all = {.source = SOURCE_CPU, .by_thread = true, .max_entries = 16};
	struct cursor c = cursor_of(data, size);
	struct resolver_options o = {
		.procs_fd = -1,
		.max_processes = 6,
		.max_objects = 8,
		.max_frames = USER_FRAMES_MAX,
		.stacks_bytes = 4096,
		.on_sample = on_sample,
	};
	struct resolver_stats stats;

	if (!ring)
		open_rings();
	o.segments = segments_new(-1, 4u << 20);
	resolver = resolver_new(&o);
	captured = capture_new(&all, 19);
	CHECK(o.segments && resolver && captured);
	captured->start_ns = 0;
	while (cursor_left(&c))
		put_piece(&c);
	read_rings();
	resolver_flush(resolver);
	stats = resolver_stats(resolver);
	CHECK(stats.processes.n <= 6 && stats.objects.n <= 8 && !stats.pending);
	capture_finish(captured, clock_monotonic_ns());
	capture_free(captured);
	resolver_free(resolver);
	segments_free(o.segments);
	return 0;
}
