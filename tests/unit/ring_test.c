// SPDX-License-Identifier: Apache-2.0
/* ring.h: order, wrap, records that are being written, dropped or impossible. */
#include "profiler/ring.h"

#include <linux/bpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fake_ring.h"
#include "tests/unit/test.h"

#define BYTES 8192u

static bool put(struct fake_ring *fake, __u32 tid, size_t size, __u32 flags)
{
	_Alignas(8) __u8 bytes[4096] = {0};
	struct rec rec = {.size = (__u16)size, .kind = REC_EXEC, .tid = tid, .time_ns = tid};

	memcpy(bytes, &rec, sizeof(rec));
	return fake_ring_put(fake, bytes, size, flags);
}

static void setup(struct fake_ring *fake, struct ring **ring)
{
	fake_ring_open(fake, false, BYTES);
	CU_ASSERT_FATAL(!ring_open(fake->fd, BYTES, ring));
	ASSERT_INT(ring_size(*ring), BYTES);
}

/* A million bytes through eight thousand: every record, in order, once, whatever its size. */
static void order_and_wrap(void)
{
	struct fake_ring fake;
	struct ring *ring;
	__u32 written = 0, read = 0, wrong = 0;

	setup(&fake, &ring);
	while (read < 20000) {
		const struct rec *rec;

		while (put(&fake, written + 1, sizeof(struct rec) + written * 37 % 900, 0))
			written++;
		CU_ASSERT(ring_fill(ring) > BYTES / 2);
		while ((rec = ring_peek(ring))) {
			wrong += rec->tid != ++read;
			wrong += rec != ring_peek(ring); /* a look takes nothing */
			ring_pop(ring);
			if (read % 3 == 0)
				break;
		}
		ring_release(ring);
	}
	ASSERT_INT(wrong, 0);
	ASSERT_INT(ring_bad_total(ring), 0);
	ring_close(ring);
	fake_ring_close(&fake);
}

struct looker {
	const struct ring *ring;
	atomic_bool over;
	size_t most;
	__u64 looks;
};

static void *look(void *arg)
{
	struct looker *l = arg;

	do {
		l->most = MAX(l->most, ring_fill(l->ring));
		l->looks++;
	} while (!atomic_load(&l->over));
	return NULL;
}

/* How full it is may be asked for while records come and go. */
static void fill_from_another_thread(void)
{
	struct fake_ring fake;
	struct looker looker = {0};
	struct ring *ring;
	pthread_t thread;

	setup(&fake, &ring);
	looker.ring = ring;
	CU_ASSERT_FATAL(!pthread_create(&thread, NULL, look, &looker));
	for (__u32 i = 0; i < 300000; i++) {
		put(&fake, i + 1, sizeof(struct rec), 0);
		CU_ASSERT_FATAL(ring_peek(ring) != NULL);
		ring_pop(ring);
		ring_release(ring);
	}
	atomic_store(&looker.over, true);
	pthread_join(thread, NULL);
	CU_ASSERT(looker.looks > 0 && looker.most <= BYTES);
	ring_close(ring);
	fake_ring_close(&fake);
}

static void space_comes_back_by_release(void)
{
	struct fake_ring fake;
	struct ring *ring;

	setup(&fake, &ring);
	CU_ASSERT(put(&fake, 1, 100, 0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(ring_peek(ring));
	ring_pop(ring);
	ASSERT_INT(fake_ring_consumed(&fake), 0);
	ASSERT_INT(ring_fill(ring), 0);
	ring_release(ring);
	ASSERT_INT(fake_ring_consumed(&fake), 112); /* 8 + 100, in eights */
	ring_close(ring);
	fake_ring_close(&fake);
}

/* A record that another CPU still writes holds up those behind it; a discarded one is stepped over.
 */
static void busy_and_discarded(void)
{
	struct fake_ring fake;
	struct ring *ring;
	const struct rec *rec;

	setup(&fake, &ring);
	put(&fake, 1, 64, BPF_RINGBUF_BUSY_BIT);
	put(&fake, 2, 64, 0);
	CU_ASSERT_PTR_NULL(ring_peek(ring));
	fake_ring_set_word(&fake, 0, 64 | BPF_RINGBUF_DISCARD_BIT);
	rec = ring_peek(ring);
	CU_ASSERT(rec && rec->tid == 2);
	ring_pop(ring);
	CU_ASSERT_PTR_NULL(ring_peek(ring));
	ASSERT_INT(ring_bad_total(ring), 0);
	ring_close(ring);
	fake_ring_close(&fake);
}

static void impossible_records_are_counted(void)
{
	struct rec bad[] = {
		{.size = sizeof(struct rec), .kind = REC_NONE},
		{.size = sizeof(struct rec), .kind = REC_KINDS},
		{.size = sizeof(struct rec), .kind = 255},
		{.size = sizeof(struct rec) + 1, .kind = REC_EXEC}, /* longer than it is */
		{.size = sizeof(struct rec) - 1, .kind = REC_EXEC},
		{.size = 0, .kind = REC_EXEC},
	};
	struct fake_ring fake;
	struct ring *ring;
	const struct rec *rec;

	setup(&fake, &ring);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT(fake_ring_put(&fake, &bad[i], sizeof(bad[i]), 0));
	CU_ASSERT(fake_ring_put(&fake, &bad[0], 8, 0)); /* too short for a head */
	CU_ASSERT(put(&fake, 7, 64, 0));
	rec = ring_peek(ring);
	CU_ASSERT(rec && rec->tid == 7);
	ASSERT_INT(ring_bad_total(ring), ARRAY_SIZE(bad) + 1);
	ring_close(ring);
	fake_ring_close(&fake);
}

/* A length that leads behind the producer is damage: what is there is dropped, once, and counted.
 */
static void damaged_length(void)
{
	struct fake_ring fake;
	struct ring *ring;
	const struct rec *rec;

	setup(&fake, &ring);
	put(&fake, 1, 64, 0);
	fake_ring_set_word(&fake, 0, 4096);
	CU_ASSERT_PTR_NULL(ring_peek(ring));
	ASSERT_INT(ring_bad_total(ring), 1);
	ASSERT_INT(ring_fill(ring), 0);
	put(&fake, 2, 64, 0);
	rec = ring_peek(ring);
	CU_ASSERT(rec && rec->tid == 2);
	ring_close(ring);
	fake_ring_close(&fake);
}

static void no_ring(void)
{
	struct ring *ring;
	struct perf_ring *perf;

	CU_ASSERT(ring_open(-1, BYTES, &ring) < 0);
	CU_ASSERT(perf_ring_open(-1, 2, &perf) < 0);
	ring_close(NULL);
	perf_ring_close(NULL);
}

/* ---- perf's ring ----------------------------------------------------------------------------- */

static bool put_perf(struct fake_ring *fake, __u32 number, __u16 size)
{
	_Alignas(8) __u8 bytes[8192] = {0};
	struct perf_event_header h = {.type = number, .size = size};

	memset(bytes, (int)number, size);
	memcpy(bytes, &h, sizeof(h));
	return fake_ring_put(fake, bytes, size, 0);
}

/* Here a record may lie across the end: it is seen whole. */
static void perf_order_and_wrap(void)
{
	struct fake_ring fake;
	struct perf_ring *ring;
	__u32 written = 0, read = 0, wrong = 0;
	size_t size = 2 * (size_t)sysconf(_SC_PAGESIZE);

	fake_ring_open(&fake, true, size);
	CU_ASSERT_FATAL(!perf_ring_open(fake.fd, 2, &ring));
	ASSERT_INT(perf_ring_size(ring), size);
	while (read < 5000) {
		const struct perf_event_header *h;

		while (put_perf(&fake, (written + 1) & 0xff, (__u16)(16 + written * 56 % 1200)))
			written++;
		while ((h = perf_ring_peek(ring))) {
			const __u8 *bytes = (const __u8 *)h;

			read++;
			wrong += h->type != (read & 0xff) || h->size != 16 + (read - 1) * 56 % 1200;
			for (__u16 i = sizeof(*h); i < h->size; i++)
				wrong += bytes[i] != (read & 0xff);
			perf_ring_pop(ring);
		}
		ASSERT_INT(perf_ring_fill(ring), 0);
		perf_ring_release(ring);
	}
	ASSERT_INT(wrong, 0);
	perf_ring_close(ring);
	fake_ring_close(&fake);
}

static void perf_damaged(void)
{
	struct fake_ring fake;
	struct perf_ring *ring;

	fake_ring_open(&fake, true, 2 * (size_t)sysconf(_SC_PAGESIZE));
	CU_ASSERT_FATAL(!perf_ring_open(fake.fd, 2, &ring));
	put_perf(&fake, 1, 16);
	fake.memory[(size_t)sysconf(_SC_PAGESIZE) + 6] = 0; /* size 0 would never end */
	CU_ASSERT_PTR_NULL(perf_ring_peek(ring));
	put_perf(&fake, 2, 16);
	CU_ASSERT(perf_ring_peek(ring) && perf_ring_peek(ring)->type == 2);
	perf_ring_close(ring);
	fake_ring_close(&fake);
}

SUITE(ring, {"order and wrap", order_and_wrap},
      {"fill from another thread", fill_from_another_thread},
      {"space comes back by release", space_comes_back_by_release},
      {"busy and discarded", busy_and_discarded},
      {"impossible records are counted", impossible_records_are_counted},
      {"damaged length", damaged_length}, {"no ring", no_ring},
      {"perf: order and wrap", perf_order_and_wrap}, {"perf: damaged", perf_damaged});
