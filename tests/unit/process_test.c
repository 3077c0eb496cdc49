// SPDX-License-Identifier: Apache-2.0
/*
 * process.h: lives of processes as the kernel tells them, in and out of order, lost in part, by the
 * thousand and by the million.
 */
#include "profiler/process.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "profiler/base/clock.h"
#include "profiler/map_list.h"
#include "tests/unit/test.h"

#define TABLE_MAX 64
#define S	  NS_PER_S
#define MB	  (1u << 20)
#define BIG_BYTES (32u << 20)

static struct world {
	struct segments *segments;
	struct object_table *objects;
	struct process_table *table;
	unsigned loads, reads;
	__u32 gone; /* a pid that does not run any more */
} w;

static void load_object(void *arg UNUSED, struct object *object,
			const struct process *process UNUSED, const struct mapping *mapping UNUSED)
{
	struct object_image *image = calloc(1, sizeof(*image));

	w.loads++;
	image->fd = -1;
	image->state = OBJECT_NO_ROWS;
	image->why = "";
	object_set_image(object, image);
}

static void read_maps(void *arg UNUSED, __u32 pid UNUSED)
{
	w.reads++;
}

static bool is_alive(void *arg UNUSED, __u32 pid)
{
	return pid != w.gone;
}

static void setup(__u32 max, size_t segment_bytes)
{
	struct process_table_options o = {
		.procs_fd = -1,
		.max = max,
		.ops = {.load_object = load_object, .read_maps = read_maps, .is_alive = is_alive},
	};

	w = (struct world){.segments = segments_new(-1, segment_bytes)};
	w.objects = object_table_new(w.segments, 8192);
	o.segments = w.segments;
	o.objects = w.objects;
	w.table = process_table_new(&o);
}

static void teardown(void)
{
	process_table_free(w.table);
	object_table_free(w.objects);
	segments_free(w.segments);
}

static void map_file(__u32 pid, __u64 time_ns, __u64 start, __u64 inode)
{
	struct mapping range = {.start = start, .end = start + 0x1000};
	struct object_key key = {.major = 8, .inode = inode};

	process_on_mmap(w.table, pid, time_ns, &range, &key, "/bin/a file");
}

static void exec_done(__u32 pid, __u64 time_ns, __u64 cgroup)
{
	struct rec head = {.pid = pid, .time_ns = time_ns, .cgroup_id = cgroup};

	process_on_exec_done(w.table, &head);
}

static void end_all(void)
{
	__u64 now_ns = clock_monotonic_ns();

	process_table_publish(w.table);
	process_table_sweep(w.table, now_ns + 2 * PROCESS_KEEP_NS);
	for (__u32 pid = 0; pid < 100000; pid++)
		process_on_exit(w.table, pid, now_ns);
	process_table_sweep(w.table, now_ns + 2 * PROCESS_KEEP_NS);
}

static struct process *get(__u32 pid)
{
	struct process *process = process_find(w.table, pid);

	CU_ASSERT_PTR_NOT_NULL_FATAL(process);
	return process;
}

/* exec, fork, map in the child, exec in the child: who sees what. */
static void a_family(void)
{
	struct process *parent, *child;
	struct image *first;

	setup(TABLE_MAX, 4 * MB);
	process_on_exec(w.table, 10, 100);
	map_file(10, 110, 0x400000, 1);
	exec_done(10, 120, 77);
	parent = get(10);
	ASSERT_INT(parent->image->cgroup_id, 77);
	CU_ASSERT(parent->image->exe && parent->image->exe->key.inode == 1);
	process_on_fork(w.table, 10, 11, 200);
	child = get(11);
	CU_ASSERT(child->maps == parent->maps && child->image != parent->image);
	ASSERT_INT(child->parent, 10);
	ASSERT_INT(child->image->cgroup_id, 77);
	CU_ASSERT(child->image->exe == parent->image->exe);
	CU_ASSERT_PTR_NOT_NULL(process_mapping(child, 0x400800));
	map_file(11, 210, 0x500000, 2);
	CU_ASSERT(child->maps != parent->maps);
	CU_ASSERT_PTR_NULL(process_mapping(parent, 0x500800));
	CU_ASSERT_PTR_NOT_NULL(process_mapping(child, 0x500800));
	CU_ASSERT_PTR_NOT_NULL(process_mapping(child, 0x400800));
	ASSERT_INT(process_table_stats(w.table).n_mappings, 3);
	first = image_ref(child->image);
	process_on_exec(w.table, 11, 300);
	CU_ASSERT(get(11)->image != first && get(11)->image->generation > first->generation);
	CU_ASSERT_PTR_NULL(process_mapping(get(11), 0x400800));
	CU_ASSERT_PTR_NULL(get(11)->image->exe);
	CU_ASSERT(first->exe->key.inode == 1); /* who keeps the old image sees the old program */
	image_unref(first);
	process_on_exit(w.table, 10, 400);
	CU_ASSERT_PTR_NULL(process_mapping(get(10), 0x400800));
	process_on_exit(w.table, 99, 400); /* nobody knows that one */
	ASSERT_INT(process_table_stats(w.table).n_alive, 1);
	ASSERT_INT(process_table_stats(w.table).n_mappings, 0);
	end_all();
	process_table_free(w.table);
	w.table = NULL;
	ASSERT_INT(object_table_stats(w.objects).n, 2);
	CU_ASSERT(object_table_sweep(w.objects, 0) == 0); /* they cost no rows and may stay */
	object_table_free(w.objects);
	segments_free(w.segments);
}

static void a_pid_used_again(void)
{
	struct image *image;

	setup(TABLE_MAX, 4 * MB);
	process_on_exec(w.table, 10, 100);
	map_file(10, 110, 0x400000, 1);
	image = get(10)->image;
	process_on_exit(w.table, 10, 200);
	map_file(10, 210, 0x500000, 2); /* from the dead: nothing */
	CU_ASSERT_PTR_NULL(process_mapping(get(10), 0x500800));
	process_on_fork(w.table, 1, 10, 300);
	CU_ASSERT(get(10)->image != image && !get(10)->exit_ns);
	map_file(10, 310, 0x600000, 3);
	CU_ASSERT_PTR_NOT_NULL(process_mapping(get(10), 0x600800));
	CU_ASSERT_PTR_NULL(process_mapping(get(10), 0x400800));
	teardown();
}

/* What was missed is read from /proc, once. An answer that is older than the program is not its. */
static void snapshots(void)
{
	struct snapshot_map maps[] = {
		{.start = 0x400000,
		 .end = 0x401000,
		 .key = {8, 0, 1, OBJECT_ANY_GENERATION},
		 .path = "/bin/a"},
		{.start = 0x7000000, .end = 0x7001000, .path = "[vdso]"},
		{.start = 0x8000000, .end = 0x8001000, .path = ""},
	};

	setup(TABLE_MAX, 4 * MB);
	map_file(20, 100, 0x500000, 2); /* of somebody unknown */
	map_file(20, 101, 0x510000, 2);
	ASSERT_INT(w.reads, 1);
	process_on_snapshot(w.table, 20, 150, maps, ARRAY_SIZE(maps));
	CU_ASSERT(get(20)->maps_known);
	CU_ASSERT_PTR_NULL(process_mapping(get(20), 0x500800));
	CU_ASSERT_PTR_NOT_NULL(process_mapping(get(20), 0x400800));
	CU_ASSERT(process_mapping(get(20), 0x7000800)->object != NULL);
	CU_ASSERT(process_mapping(get(20), 0x8000800)->object == NULL);
	CU_ASSERT_PTR_NULL(process_mapping(get(20), 0x8001000));
	process_on_exec(w.table, 20, 200);
	process_on_snapshot(w.table, 20, 150, maps, ARRAY_SIZE(maps));
	CU_ASSERT_PTR_NULL(process_mapping(get(20), 0x400800));
	process_on_exit(w.table, 20, 300);
	process_on_snapshot(w.table, 20, 400, maps, ARRAY_SIZE(maps));
	CU_ASSERT_PTR_NULL(process_mapping(get(20), 0x400800));
	process_want_snapshot(w.table, get(20), 500);
	ASSERT_INT(w.reads, 1);
	teardown();
}

/* A full table refuses and counts; the ended make room, at once when it is crowded. */
static void a_full_table(void)
{
	__u64 now_ns = clock_monotonic_ns();

	setup(TABLE_MAX, 4 * MB);
	for (__u32 pid = 1; pid <= TABLE_MAX + 10; pid++)
		process_on_exec(w.table, pid, now_ns);
	ASSERT_INT(process_table_stats(w.table).n, TABLE_MAX);
	ASSERT_INT(process_table_stats(w.table).refused_total, 10);
	CU_ASSERT_PTR_NULL(process_get(w.table, 5000, now_ns));
	for (__u32 pid = 1; pid <= TABLE_MAX; pid += 2)
		process_on_exit(w.table, pid, now_ns);
	process_table_sweep(w.table, now_ns + PROCESS_CROWDED_NS - S);
	ASSERT_INT(process_table_stats(w.table).n,
		   TABLE_MAX); /* a late record may still speak of them */
	process_table_sweep(w.table, now_ns + PROCESS_CROWDED_NS + S);
	ASSERT_INT(process_table_stats(w.table).n, TABLE_MAX / 2);
	process_on_exit(w.table, 2, now_ns);
	process_table_sweep(w.table, now_ns + PROCESS_CROWDED_NS + S);
	CU_ASSERT_PTR_NOT_NULL(process_find(w.table, 2)); /* there is room: it stays a minute */
	process_table_sweep(w.table, now_ns + PROCESS_KEEP_NS + S);
	CU_ASSERT_PTR_NULL(process_find(w.table, 2));
	CU_ASSERT_PTR_NOT_NULL(process_find(w.table, 4));
	teardown();
}

/* Ring full: the exit never came. */
static void a_lost_exit(void)
{
	__u64 now_ns = clock_monotonic_ns();

	setup(TABLE_MAX, 4 * MB);
	process_on_exec(w.table, 30, now_ns);
	map_file(30, now_ns, 0x400000, 1);
	process_on_exec(w.table, 31, now_ns);
	w.gone = 30;
	process_table_sweep(w.table, now_ns + S); /* too fresh to ask */
	ASSERT_INT(get(30)->exit_ns, 0);
	process_table_sweep(w.table, now_ns + 20 * S);
	CU_ASSERT(get(30)->exit_ns != 0);
	CU_ASSERT_PTR_NULL(get(30)->maps);
	ASSERT_INT(get(31)->exit_ns, 0);
	ASSERT_INT(process_table_stats(w.table).lost_exits_total, 1);
	process_table_sweep(w.table, now_ns + 40 * S);
	ASSERT_INT(process_table_stats(w.table).lost_exits_total, 1);
	process_table_sweep(w.table, now_ns + 20 * S + 2 * PROCESS_KEEP_NS);
	CU_ASSERT_PTR_NULL(process_find(w.table, 30));
	teardown();
}

/* Segments were full for a while: what could not be published is, later. */
static void published_again(void)
{
	struct blob all;

	setup(TABLE_MAX, MB);
	CU_ASSERT_FATAL(!segments_alloc(w.segments, UNW_SEGMENT_WORDS, &all));
	process_on_exec(w.table, 40, 100);
	exec_done(40, 105, 0);
	map_file(40, 110, 0x400000, 1);
	process_table_publish(w.table);
	ASSERT_INT(get(40)->maps->n_published, 0);
	ASSERT_INT(process_table_stats(w.table).publish_failed_total, 1);
	process_table_publish(w.table); /* not in every batch */
	ASSERT_INT(process_table_stats(w.table).publish_failed_total, 1);
	segments_release(w.segments, &all);
	for (int i = 0; i < 50 && !get(40)->maps->n_published; i++) {
		process_table_sweep(w.table, clock_monotonic_ns());
		process_table_publish(w.table);
		if (!get(40)->maps->n_published) /* the grace period of what was released */
			clock_nanosleep(CLOCK_MONOTONIC, 0,
					&(struct timespec){.tv_nsec = 100 * NS_PER_MS}, NULL);
	}
	ASSERT_INT(get(40)->maps->n_published, 1);
	teardown();
}

/* A process of 5,000 mappings that maps on and on must not take the segments from all others. */
static void a_greedy_process(void)
{
	size_t most = 0;

	setup(TABLE_MAX, BIG_BYTES);
	process_on_exec(w.table, 50, 1);
	exec_done(50, 2, 0);
	for (unsigned i = 0; i < 5000; i++)
		map_file(50, 3, 0x10000000 + i * 0x2000ull, i + 1);
	process_table_publish(w.table);
	ASSERT_INT(get(50)->maps->n_published, 5000);
	for (unsigned i = 0; i < 2000; i++) {
		map_file(50, 4 + i, 0x900000000 + i * 0x1000ull, 6000 + i % 2);
		process_table_publish(w.table);
		most = MAX(most, segments_stats(w.segments).bytes_used);
	}
	CU_ASSERT(most < BIG_BYTES / 2);
	ASSERT_INT(process_table_stats(w.table).publish_failed_total, 0);
	CU_ASSERT(get(50)->maps->dirty || get(50)->maps->n_published == get(50)->maps->n);
	CU_ASSERT(process_table_waits(w.table) == get(50)->maps->dirty);
	for (int i = 0; i < 100 && get(50)->maps->dirty; i++) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 10 * NS_PER_MS},
				NULL);
		process_table_publish(w.table);
	}
	ASSERT_INT(get(50)->maps->n_published, get(50)->maps->n); /* and nothing is left out */
	CU_ASSERT(!process_table_waits(w.table));
	for (unsigned i = 0; i < 20000; i++)
		map_file(50, 5000, 0xa00000000 + i * 0x2000ull, 7000);
	ASSERT_INT(get(50)->maps->n, UNW_MAPSET_MAX);
	CU_ASSERT(process_table_stats(w.table).refused_total > 0);
	teardown();
}

/* fork, exec, map, exit, a million times: memory stays where it was. */
static void a_million_lives(void)
{
	size_t before = 0, after;
	__u64 now_ns = 1000 * S;

	setup(4096, 4 * MB);
	for (__u32 i = 0; i < 1000000; i++) {
		__u32 pid = 2 + i % 30000;

		now_ns += 2 * NS_PER_MS;
		process_on_fork(w.table, 1, pid, now_ns);
		process_on_exec(w.table, pid, now_ns);
		map_file(pid, now_ns, 0x400000, 1 + i % 20);
		map_file(pid, now_ns, 0x7f0000000000, 100);
		process_on_exit(w.table, pid, now_ns);
		if (i % 500 == 0) {
			process_table_publish(w.table);
			process_table_sweep(w.table, now_ns);
			object_table_sweep(w.objects, 0);
		}
		if (i == 200000)
			before = mallinfo2().uordblks;
	}
	after = mallinfo2().uordblks;
	CU_ASSERT(after < before + MB);
	CU_ASSERT(process_table_stats(w.table).n < 4096);
	ASSERT_INT(process_table_stats(w.table).refused_total, 0);
	ASSERT_INT(process_table_stats(w.table).n_mappings, 0);
	teardown();
}

/* Identity and perf map of an image: the first one stays; descriptors are bounded and closed. */
static void images(void)
{
	struct identity *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct image *image;

	setup(TABLE_MAX, 4 * MB);
	process_on_exec(w.table, 60, 1);
	image = image_ref(get(60)->image);
	atomic_init(&a->refs, 1);
	atomic_init(&b->refs, 1);
	image_set_identity(image, a);
	image_set_identity(image, b);
	CU_ASSERT(atomic_load(&image->identity) == a);
	teardown();
	image_unref(image);
}

SUITE(process, {"a family", a_family}, {"a pid used again", a_pid_used_again},
      {"snapshots", snapshots}, {"a full table", a_full_table}, {"a lost exit", a_lost_exit},
      {"published again", published_again}, {"a greedy process", a_greedy_process},
      {"a million lives", a_million_lives}, {"images", images});
