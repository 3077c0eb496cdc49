// SPDX-License-Identifier: Apache-2.0
/* sideband.h: perf's records as the kernel writes them, and as it never does. */
#include "profiler/sideband.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/buf.h"
#include "tests/support/fake_ring.h"
#include "tests/unit/test.h"

static struct fake_ring fake;
static struct sideband *sideband;

static void setup(void)
{
	fake_ring_open(&fake, true, 8 * (size_t)sysconf(_SC_PAGESIZE));
	CU_ASSERT_FATAL(!sideband_open_fd(dup(fake.fd), 8, &sideband));
}

static void teardown(void)
{
	sideband_close(sideband);
	fake_ring_close(&fake);
}

static void put32(struct buf *b, __u32 v)
{
	buf_add(b, &v, sizeof(v));
}

static void put64(struct buf *b, __u64 v)
{
	buf_add(b, &v, sizeof(v));
}

/* Header, body, sample_id; cut or lengthened to `size` when that is not 0. */
static void put_record(__u32 type, __u16 misc, const struct buf *body, __u64 time_ns, __u16 size)
{
	struct perf_event_header h = {.type = type, .misc = misc};
	struct buf b = {0};

	h.size = (__u16)(size ? size : sizeof(h) + body->len + 16);
	buf_add(&b, &h, sizeof(h));
	buf_add(&b, body->data, body->len);
	put32(&b, 1);
	put32(&b, 2);
	put64(&b, time_ns);
	while (b.len < h.size)
		put64(&b, 0);
	CU_ASSERT(fake_ring_put(&fake, b.data, h.size, 0));
	buf_fini(&b);
}

static void put_mmap2(const char *path, __u16 misc, bool terminated)
{
	struct buf b = {0};

	put32(&b, 100);
	put32(&b, 101);
	put64(&b, 0x400000);
	put64(&b, 0x1000);
	put64(&b, 0x2000);
	put32(&b, 8);
	put32(&b, 1);
	put64(&b, 77);
	put64(&b, 5);
	put32(&b, 5);
	put32(&b, 2);
	buf_add(&b, path, strlen(path));
	if (terminated)
		do
			buf_char(&b, 0);
		while (b.len % 8);
	put_record(PERF_RECORD_MMAP2, misc, &b, 1234, 0);
	buf_fini(&b);
}

static void mappings(void)
{
	struct sideband_event e;

	setup();
	put_mmap2("/usr/lib/a b\n.so", 0, true);
	CU_ASSERT_FATAL(sideband_peek(sideband, &e));
	ASSERT_INT(e.kind, SIDEBAND_MMAP);
	ASSERT_INT(e.time_ns, 1234);
	ASSERT_INT(e.pid, 100);
	ASSERT_INT(e.tid, 101);
	ASSERT_INT(e.start, 0x400000);
	ASSERT_INT(e.len, 0x1000);
	ASSERT_INT(e.offset, 0x2000);
	ASSERT_INT(e.major, 8);
	ASSERT_INT(e.minor, 1);
	ASSERT_INT(e.inode, 77);
	ASSERT_INT(e.generation, 5);
	ASSERT_STR(e.path, "/usr/lib/a b\n.so");
	sideband_pop(sideband);
	CU_ASSERT(!sideband_peek(sideband, &e));
	sideband_release(sideband);
	ASSERT_INT(fake_ring_consumed(&fake), fake.pos);
	teardown();
}

static void put_comm(__u16 misc)
{
	struct buf b = {0};

	put32(&b, 200);
	put32(&b, 201);
	buf_add(&b, "prog\0\0\0\0", 8);
	put_record(PERF_RECORD_COMM, misc, &b, 5, 0);
	buf_fini(&b);
}

/* An exec is told; a program that renames itself is not. */
static void execs(void)
{
	struct sideband_event e;

	setup();
	put_comm(0);
	put_comm(PERF_RECORD_MISC_COMM_EXEC);
	CU_ASSERT_FATAL(sideband_peek(sideband, &e));
	ASSERT_INT(e.kind, SIDEBAND_EXEC);
	ASSERT_INT(e.pid, 200);
	sideband_pop(sideband);
	CU_ASSERT(!sideband_peek(sideband, &e));
	teardown();
}

static void losses(void)
{
	struct sideband_event e;
	struct buf b = {0};

	setup();
	put64(&b, 9);
	put64(&b, 42);
	put_record(PERF_RECORD_LOST, 0, &b, 7, 0);
	CU_ASSERT_FATAL(sideband_peek(sideband, &e));
	ASSERT_INT(e.kind, SIDEBAND_LOST);
	ASSERT_INT(e.n_lost, 42);
	ASSERT_INT(e.time_ns, 7);
	buf_fini(&b);
	teardown();
}

/* Cut, unterminated or unknown: passed over; the next one is seen. */
static void foreign_records(void)
{
	struct sideband_event e;
	struct buf none = {0};

	setup();
	put_mmap2("/no/end1", 0, false);
	put_mmap2("/by/build-id", PERF_RECORD_MISC_MMAP_BUILD_ID, true);
	put_mmap2("/data", PERF_RECORD_MISC_MMAP_DATA, true);
	put_record(PERF_RECORD_MMAP2, 0, &none, 1, 0);
	put_record(PERF_RECORD_MMAP2, 0, &none, 1, 16); /* not even a sample_id */
	put_record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, &none, 1, 0);
	put_record(PERF_RECORD_LOST, 0, &none, 1, 8);
	put_record(9999, 0, &none, 1, 64);
	put_comm(PERF_RECORD_MISC_COMM_EXEC);
	CU_ASSERT_FATAL(sideband_peek(sideband, &e));
	ASSERT_INT(e.kind, SIDEBAND_EXEC);
	teardown();
}

/* The kernel's own words: this process maps a page to execute. */
static void a_real_one(void)
{
	struct sideband *real;
	struct sideband_event e;
	bool seen = false;
	int cpu = 0;
	void *p;

	if (sideband_open(cpu, 8, &real))
		SKIP("perf events need root");
	sideband_close(real);
	for (cpu = 0; cpu < 64 && !seen; cpu++) {
		if (sideband_open(cpu, 8, &real))
			break;
		for (int i = 0; i < 200 && !seen; i++) {
			p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				 0);
			while (sideband_peek(real, &e)) {
				seen |= e.kind == SIDEBAND_MMAP && e.pid == (__u32)getpid() &&
					e.start == (__u64)(uintptr_t)p && e.len == 4096 &&
					!strcmp(e.path, "//anon");
				sideband_pop(real);
			}
			sideband_release(real);
			munmap(p, 4096);
			usleep(500);
		}
		sideband_close(real);
	}
	CU_ASSERT(seen);
}

SUITE(sideband, {"mappings", mappings}, {"execs", execs}, {"losses", losses},
      {"foreign records", foreign_records}, {"a real one", a_real_one});
