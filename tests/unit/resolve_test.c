// SPDX-License-Identifier: Apache-2.0
/* resolve.h: records in every order to samples; nothing vanishes without its count. */
#include "profiler/resolve.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/loader.h"
#include "tests/unit/test.h"

#define N_KNOWN 64u
#define ID	(1ull << 63 | 8)

static struct segments *segments;
static struct resolver *r;
static struct loader *loader; /* of the next setup; NULL: none */
static __u64 known[N_KNOWN];
static struct {
	unsigned n;
	__u64 frames[4];
	__u16 n_user, n_kernel;
	__u8 stop;
	__u32 pid;
	char comm[COMM_BYTES];
} last;

static void on_sample(void *arg UNUSED, const struct sample *s)
{
	last.n++;
	last.n_user = s->stack->n_user;
	last.n_kernel = s->stack->n_kernel;
	last.stop = s->stack->stop;
	last.pid = s->pid;
	memcpy(last.frames, s->stack->frames,
	       MIN((size_t)(s->stack->n_user + s->stack->n_kernel), ARRAY_SIZE(last.frames)) * 8);
	memcpy(last.comm, s->comm, COMM_BYTES);
}

static void setup(__u32 max_processes)
{
	struct resolver_options o = {
		.procs_fd = -1,
		.known = known,
		.n_known = N_KNOWN,
		.max_processes = max_processes,
		.max_objects = 16,
		.max_frames = 128,
		.stacks_bytes = 1u << 20,
		.on_sample = on_sample,
		.loader = loader,
	};

	memset(&last, 0, sizeof(last));
	memset(known, 0, sizeof(known));
	o.segments = segments = segments_new(-1, 4u << 20);
	r = resolver_new(&o);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
}

static void teardown(void)
{
	resolver_free(r);
	segments_free(segments);
}

static void put_stack(__u64 id, __u32 pid, __u16 n_user, __u16 n_kernel, __u8 stop, __u16 size)
{
	struct {
		struct rec_stack s;
		__u64 frames[8];
	} rec = {.s = {.head = {.kind = REC_STACK, .pid = pid, .time_ns = 5},
		       .stack_id = id,
		       .n_user = n_user,
		       .n_kernel = n_kernel,
		       .stop = stop},
		 .frames = {11, 22, 33, 44}};

	rec.s.head.size = size ? size : (__u16)(sizeof(rec.s) + (size_t)(n_user + n_kernel) * 8);
	resolver_record(r, &rec.s.head);
}

static void put_sample(__u64 id, __u32 pid, __u64 time_ns)
{
	struct rec_sample rec = {
		.head = {.size = sizeof(rec),
			 .kind = REC_SAMPLE,
			 .pid = pid,
			 .tid = pid,
			 .time_ns = time_ns},
		.stack_id = id,
		.weight = 1,
		.comm = "sixteen bytes !",
	};

	resolver_record(r, &rec.head);
}

static __u64 lost(enum loss why)
{
	return resolver_stats(r).lost[why];
}

static void a_stack_crosses_once(void)
{
	setup(8);
	put_stack(ID, 10, 2, 1, STOP_ROOT, 0);
	put_sample(ID, 10, 10);
	put_sample(ID, 11, 11);
	ASSERT_INT(last.n, 2);
	CU_ASSERT(last.n_user == 2 && last.n_kernel == 1 && last.stop == STOP_ROOT);
	CU_ASSERT(last.frames[0] == 11 && last.frames[2] == 33 && last.pid == 11);
	ASSERT_STR(last.comm, "sixteen bytes !");
	ASSERT_INT(resolver_stats(r).stops[STOP_ROOT], 2);
	ASSERT_INT(resolver_stats(r).stacks.n, 1);
	teardown();
}

/* Its record was lost though marked as sent: counted once, and asked for anew. */
static void a_stack_that_never_came(void)
{
	setup(8);
	known[ID & (N_KNOWN - 2)] = ID;
	put_sample(ID, 10, 10);
	ASSERT_INT(last.n, 0);
	ASSERT_INT(lost(LOSS_STACK_UNKNOWN), 1);
	ASSERT_INT(known[ID & (N_KNOWN - 2)], 0);
	put_stack(ID, 10, 1, 0, STOP_ROOT, 0);
	put_sample(ID, 10, 11);
	ASSERT_INT(last.n, 1);
	teardown();
}

static void bad_records(void)
{
	struct rec heads[] = {
		{.size = sizeof(struct rec_sample) + 8, .kind = REC_SAMPLE},
		{.size = sizeof(struct rec_sample) - 8, .kind = REC_SAMPLE},
		{.size = sizeof(struct rec), .kind = REC_STACK},
		{.size = sizeof(struct rec), .kind = REC_COPY},
		{.size = sizeof(struct rec), .kind = REC_FORK},
		{.size = sizeof(struct rec), .kind = REC_KINDS},
	};

	setup(8);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		resolver_record(r, &heads[i]);
	ASSERT_INT(lost(LOSS_BAD_RECORD), ARRAY_SIZE(heads));
	put_stack(ID, 10, 5, 0, STOP_ROOT, sizeof(struct rec_stack) + 32); /* frames it lacks */
	put_stack(ID, 10, 1, 0, STOP_COUNT, 0);
	put_stack(ID, 10, USER_FRAMES_MAX + 1, 0, STOP_ROOT, 60000);
	put_stack(ID, 10, 0, KERNEL_FRAMES_MAX + 1, STOP_ROOT, 60000);
	ASSERT_INT(lost(LOSS_BAD_RECORD), ARRAY_SIZE(heads) + 4);
	ASSERT_INT(resolver_stats(r).stacks.n, 0);
	teardown();
}

static void a_full_table(void)
{
	setup(2);
	put_stack(ID, 10, 1, 0, STOP_ROOT, 0);
	for (__u32 pid = 10; pid < 15; pid++)
		put_sample(ID, pid, pid);
	ASSERT_INT(last.n, 2);
	ASSERT_INT(lost(LOSS_TABLE_FULL), 3);
	teardown();
}

/* A copy of a process that nobody can tell about: its leaf at least, and the kernel's frames. */
static void copies(void)
{
	static struct {
		struct rec_copy c;
		__u8 stack[256];
	} rec;

	setup(8);
	rec.c.head = (struct rec){.size = sizeof(rec), .kind = REC_COPY, .pid = 10, .time_ns = 5};
	rec.c.regs[DWARF_PC] = 0x1234;
	rec.c.stack_bytes = sizeof(rec.stack);
	rec.c.n_kernel = 2;
	rec.c.kernel[0] = 77;
	rec.c.weight = 1;
	resolver_record(r, &rec.c.head);
	ASSERT_INT(last.n, 1);
	CU_ASSERT(last.n_user == 1 && last.n_kernel == 2);
	CU_ASSERT(last.frames[0] == 0x1234 && last.frames[1] == 77);
	ASSERT_INT(last.stop, STOP_NOT_LOADED);
	ASSERT_INT(resolver_stats(r).copies_total, 1);
	rec.c.stack_bytes = sizeof(rec.stack) + 1; /* more than there is */
	resolver_record(r, &rec.c.head);
	rec.c.stack_bytes = UINT32_MAX;
	resolver_record(r, &rec.c.head);
	rec.c.stack_bytes = 8;
	rec.c.n_kernel = KERNEL_FRAMES_MAX + 1;
	resolver_record(r, &rec.c.head);
	ASSERT_INT(lost(LOSS_BAD_RECORD), 3);
	ASSERT_INT(last.n, 1);
	teardown();
}

static void side_band(void)
{
	struct sideband_event map = {.kind = SIDEBAND_MMAP,
				     .time_ns = 10,
				     .pid = 10,
				     .start = 0x400000,
				     .len = 0x1000,
				     .major = 8,
				     .inode = 5,
				     .path = "/bin/x"};
	struct sideband_event exec = {.kind = SIDEBAND_EXEC, .time_ns = 20, .pid = 10};
	const struct process *p;

	setup(8);
	resolver_sideband(r, &map);
	p = process_find(resolver_processes(r), 10);
	CU_ASSERT(p && process_mapping(p, 0x400fff));
	map.len = UINT64_MAX; /* around the end of the address space */
	map.start = 0x500000;
	resolver_sideband(r, &map);
	CU_ASSERT_PTR_NULL(process_mapping(p, 0x500000));
	resolver_sideband(r, &exec);
	CU_ASSERT_PTR_NULL(process_mapping(p, 0x400fff));
	resolver_batch_end(r, 100);
	teardown();
}

/* Mappings that perf lost are read from /proc, not at each loss, but after the last one, too. */
static void lost_mappings(void)
{
	struct sideband_event loss = {.kind = SIDEBAND_LOST, .n_lost = 5};
	__u64 now_ns = clock_monotonic_ns();

	setup(8);
	resolver_scan(r);
	for (int i = 0; i < 3; i++)
		resolver_sideband(r, &loss);
	ASSERT_INT(lost(LOSS_SIDEBAND), 15);
	resolver_tick(r, now_ns + NS_PER_S);
	ASSERT_INT(resolver_stats(r).scans_total, 1); /* just done */
	resolver_tick(r, now_ns + 20 * NS_PER_S);
	ASSERT_INT(resolver_stats(r).scans_total, 2);
	resolver_tick(r, now_ns + 40 * NS_PER_S);
	ASSERT_INT(resolver_stats(r).scans_total, 2);
	teardown();
}

/* Ask for its mappings and wait for the answer; what other questions answer comes along. */
static void read_maps(__u32 pid)
{
	__u64 before = loader_stats(loader).maps_total;

	CU_ASSERT(loader_read_maps(loader, pid));
	for (int i = 0; i < 2000 && loader_stats(loader).maps_total == before; i++)
		usleep(1000);
	resolver_answers(r);
}

/* Said of processes that lack something by it, and once: not of those that never ran. */
static void unreadable_mappings(void)
{
	struct loader_options o = {.procfs = test_dir()};
	struct sideband_event exec = {.kind = SIDEBAND_EXEC, .pid = 12, .time_ns = 5};
	char path[300];

	snprintf(path, sizeof(path), "%s/12/maps", test_dir()); /* a folder: EISDIR */
	ASSERT_INT(fs_mkdirs(path), 0);
	ASSERT_INT(log_set_level("process", "error"), 0);
	o.segments = segments_new(-1, 4u << 20);
	ASSERT_INT(loader_start(&o, &loader), 0);
	setup(8);
	read_maps(12); /* nobody knows it */
	resolver_sideband(r, &exec);
	CU_ASSERT_FATAL(process_find(resolver_processes(r), 12) != NULL);
	read_maps(12);
	CU_ASSERT(!process_find(resolver_processes(r), 12)->unreadable);
	put_stack(ID, 12, 2, 1, STOP_ROOT, 0);
	put_sample(ID, 12, 10);
	read_maps(12);
	CU_ASSERT(process_find(resolver_processes(r), 12)->unreadable);
	loader_stop(loader);
	loader = NULL;
	teardown();
	segments_free(o.segments);
}

SUITE(resolve, {"a stack crosses once", a_stack_crosses_once},
      {"a stack that never came", a_stack_that_never_came}, {"bad records", bad_records},
      {"a full table", a_full_table}, {"copies", copies}, {"side-band", side_band},
      {"lost mappings", lost_mappings}, {"unreadable mappings", unreadable_mappings});
