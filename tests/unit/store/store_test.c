// SPDX-License-Identifier: Apache-2.0
/*
 * The local store against a plain list of everything that was put into it: whatever range, choice
 * and grouping is asked for, whatever sums it is read from, after restarts, torn ends, damage and a
 * lost index.
 */
#include "profiler/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/vec.h"
#include "profiler/profile.h"
#include "profiler/store/index.h"
#include "profiler/store/store_read.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define PERIOD	  52631578
#define N_LEAVES  40
#define N_SERVICE 3

/* What went in. */
struct put {
	__u64 start_ns, end_ns;
	unsigned service, leaf, pid;
	__s64 samples;
};
static VEC(struct put) all;

static unsigned next_random(unsigned *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* main;work;leaf_N, every third leaf with an inlined line, every fifth without a name. */
static __u32 stack_of(struct profile *p, unsigned leaf)
{
	struct profile_mapping m = {.start = 0x1000, .limit = 0x9000};
	struct profile_line lines[2] = {{.line = leaf}, {.line = 7}};
	__u32 frames[3], mapping;
	char name[32];

	snprintf(name, sizeof(name), "leaf_%u", leaf);
	m.file = profile_cstring(p, "/bin/prog");
	m.build_id = profile_cstring(p, "c0ffee");
	mapping = profile_mapping(p, &m);
	lines[0].function =
		profile_function(p, &(struct profile_function){.name = profile_cstring(p, name)});
	lines[1].function =
		profile_function(p, &(struct profile_function){.name = profile_cstring(p, "outer"),
							       .start_line = 3});
	frames[0] = leaf % 5 == 0
			    ? profile_unnamed_location(p, FRAME_NATIVE, mapping, 0x2000 + leaf, 0)
			    : profile_location(p, FRAME_NATIVE, mapping, 0x1000 + leaf, lines,
					       leaf % 3 == 0 ? 2 : 1);
	frames[1] = profile_named_location(p, FRAME_KERNEL, "work");
	frames[2] = profile_named_location(p, FRAME_NATIVE, "main");
	return profile_stack(p, frames, 3);
}

static int put_window(struct store *store, __u64 start_ns, __u64 end_ns, unsigned *state)
{
	struct facts facts = {.start_ns = start_ns,
			      .end_ns = end_ns,
			      .start_mono_ns = start_ns - STORES_T0,
			      .samples = 100,
			      .whole = 99,
			      .lost = 1};
	int err = store_begin(store, &facts);

	for (unsigned service = 0; service < N_SERVICE && !err; service++) {
		char name[16];
		struct dict_label_text labels[] = {{"host", "h"}, {"service_name", name}};
		struct profile *p = stores_profile(PERIOD);

		snprintf(name, sizeof(name), "s%u", service);
		for (unsigned n = next_random(state) % 12; n-- > 0;) {
			struct put put = {start_ns,
					  end_ns,
					  service,
					  next_random(state) % N_LEAVES,
					  100 + next_random(state) % 4,
					  1 + next_random(state) % 9};
			__s64 values[] = {put.samples, put.samples * PERIOD};

			profile_add(p, stack_of(p, put.leaf),
				    profile_thread_labels(p, "worker", NULL, put.pid, put.pid * 10),
				    values);
			CU_ASSERT_FATAL(!vec_push(&all, put));
		}
		err = store_add(store, labels, 2, p);
		profile_free(p);
	}
	return err ? err : store_end(store);
}

static const char *fresh_dir(const char *name)
{
	static char dir[512];

	snprintf(dir, sizeof(dir), "%s/%s", test_dir(), name);
	all.len = 0;
	return dir;
}

/* Windows of 15 s on the grid from STORES_T0. */
static void fill(struct store *store, unsigned first, unsigned n)
{
	unsigned state = first + 1, failed = 0;

	for (unsigned i = first; i < first + n; i++)
		failed += put_window(store, STORES_T0 + i * 15 * NS_PER_S,
				     STORES_T0 + (i + 1) * 15 * NS_PER_S, &state) != 0;
	ASSERT_INT(failed, 0);
}

/* ---- reading against the list ---------------------------------------------------------------- */

struct want {
	int service, pid; /* -1: any */
};

static bool series_wanted(void *arg, const struct store_labels *labels)
{
	const struct want *want = arg;
	const char *name = dict_series_label(labels->dict, labels->series, "service_name");

	return want->service < 0 || (name && atoi(name + 1) == want->service);
}

static bool thread_wanted(void *arg, __u32 pid, __u32 tid, const char *comm)
{
	const struct want *want = arg;

	return want->pid < 0 ||
	       ((int)pid == want->pid && tid == pid * 10 && !strcmp(comm, "worker"));
}

static struct profile *ask(const char *dir, __u64 from_ns, __u64 to_ns, struct want want,
			   enum store_group group, struct store_result *result)
{
	struct store_reader *reader = store_reader_new(dir);
	struct store_choice choice = {
		.kind = "cpu",
		.from_ns = from_ns,
		.to_ns = to_ns,
		.series = series_wanted,
		.thread = thread_wanted,
		.arg = &want,
		.group = group,
	};
	struct profile *p = profile_new(NULL);

	ASSERT_INT(store_read_profile(reader, &choice, p, result), 0);
	store_reader_free(reader);
	return p;
}

static bool counts(const struct put *put, __u64 from_ns, __u64 to_ns, struct want want)
{
	__u64 middle = (put->start_ns + put->end_ns) / 2;

	return middle >= from_ns && middle < to_ns &&
	       (want.service < 0 || (int)put->service == want.service) &&
	       (want.pid < 0 || (int)put->pid == want.pid);
}

static int leaf_of(const struct profile *p, __u32 stack)
{
	const struct profile_location *l = &p->locations.data[p->stacks.data[stack].frames[0]];
	const struct profile_line *line = &p->lines.data[l->first_line];
	const char *name = profile_str(p, p->functions.data[line->function].name);

	if (strncmp(name, "leaf_", 5))
		return !l->named ? (int)(l->address - 0x2000) : -1;
	return l->n_lines == (atoi(name + 5) % 3 == 0 ? 2 : 1) ? atoi(name + 5) : -1;
}

/* The whole of an answer, leaf by leaf; how many blocks it was read from. */
static __u32 compare(const char *dir, __u64 from_ns, __u64 to_ns, struct want want,
		     enum store_group group)
{
	__s64 wanted[N_LEAVES] = {0}, got[N_LEAVES] = {0};
	struct store_result result;
	struct profile *p = ask(dir, from_ns, to_ns, want, group, &result);
	unsigned wrong = 0;

	vec_for_each (put, &all)
		if (counts(put, from_ns, to_ns, want))
			wanted[put->leaf] += put->samples;
	vec_for_each (s, &p->samples) {
		int leaf = s->values[0] ? leaf_of(p, s->stack) : -2;

		if (leaf == -2)
			continue;
		if (leaf < 0 || leaf >= N_LEAVES || s->values[1] != s->values[0] * PERIOD ||
		    p->stacks.data[s->stack].n_frames != 3)
			wrong++;
		else
			got[leaf] += s->values[0];
	}
	ASSERT_INT(wrong, 0);
	CU_ASSERT(!memcmp(wanted, got, sizeof(got)));
	ASSERT_INT(result.skipped_blocks, 0);
	ASSERT_INT(result.facts.samples, result.facts.windows * 100);
	profile_free(p);
	return result.n_blocks;
}

static void any_range(const char *dir, unsigned n_windows)
{
	unsigned state = 5;
	__u64 end_ns = STORES_T0 + n_windows * 15 * NS_PER_S;

	for (int i = 0; i < 60; i++) {
		__u64 a = STORES_T0 - NS_PER_S +
			  next_random(&state) % (n_windows * 15 + 2) * NS_PER_S;
		__u64 b = STORES_T0 - NS_PER_S +
			  next_random(&state) % (n_windows * 15 + 2) * NS_PER_S;
		struct want want = {(int)(next_random(&state) % (N_SERVICE + 1)) - 1,
				    i % 3 ? -1 : 100 + (int)(next_random(&state) % 4)};

		compare(dir, MIN(a, b), MAX(a, b), want, (enum store_group)(i % 4));
	}
	compare(dir, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
	compare(dir, STORES_T0, end_ns, (struct want){1, -1}, STORE_GROUP_PID);
}

static void ranges_and_sums(void)
{
	const char *dir = fresh_dir("ranges");
	struct store *store = stores_open(dir, NULL, NULL);
	__u32 blocks;

	if (!store)
		return;
	fill(store, 0, 800); /* 3 h 20 min */
	any_range(dir, 800);
	/* 22:13:20 to 01:33:20: three hours that are over, and 34 minutes. */
	blocks = compare(dir, STORES_T0, STORES_T0 + 800 * 15 * NS_PER_S, (struct want){-1, -1},
			 STORE_GROUP_NONE);
	CU_ASSERT(blocks < 40);
	ASSERT_INT(store_stats(store).n_segments, 4);
	store_close(store);
	any_range(dir, 800);
	blocks = compare(dir, STORES_T0, STORES_T0 + 800 * 15 * NS_PER_S, (struct want){-1, -1},
			 STORE_GROUP_NONE);
	ASSERT_INT(blocks, 4); /* an hour each */
}

static void restarts(void)
{
	const char *dir = fresh_dir("restarts");
	struct store_report report;

	for (unsigned i = 0; i < 10; i++) {
		struct store *store = stores_open(dir, NULL, &report);

		if (!store)
			return;
		ASSERT_INT(report.n_segments, i);
		ASSERT_INT(report.recovered_blocks, 0);
		fill(store, i * 20, 20);
		store_close(store);
	}
	any_range(dir, 200);
}

static void every_group_is_kept_apart(void)
{
	const char *dir = fresh_dir("groups");
	struct store *store = stores_open(dir, NULL, NULL);
	struct store_result result;
	struct profile *p;
	__s64 by_pid[4] = {0}, wanted[4] = {0};

	if (!store)
		return;
	fill(store, 0, 40);
	p = ask(dir, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_TID, &result);
	vec_for_each (put, &all)
		wanted[put->pid - 100] += put->samples;
	vec_for_each (s, &p->samples) {
		const struct profile_label *pid, *tid;

		if (!s->values[0])
			continue;
		pid = profile_label_find(p, s->labels, PROFILE_STR_PID);
		tid = profile_label_find(p, s->labels, PROFILE_STR_TID);
		CU_ASSERT_FATAL(pid && tid && pid->num >= 100 && pid->num < 104);
		ASSERT_INT(tid->num, pid->num * 10);
		by_pid[pid->num - 100] += s->values[0];
	}
	CU_ASSERT(!memcmp(by_pid, wanted, sizeof(wanted)));
	profile_free(p);
	store_close(store);
}

/* The rate of sampling changes in the middle of a minute: one series, one point a window. */
static int put_rate(struct store *store, __u64 start_ns, __u64 period, __s64 samples)
{
	struct profile *p = stores_profile(period);

	profile_add(p, stack_of(p, 1), 0, (__s64[]){samples, samples * (__s64)period});
	return stores_put(store, "s0", start_ns, start_ns + 15 * NS_PER_S, p);
}

static int sum_point(void *arg, const struct index_point *point)
{
	__s64 *sums = arg;

	sums[0]++;
	sums[1] += point->samples;
	sums[2] += point->value;
	return 0;
}

static void the_rate_changes(void)
{
	const char *dir = fresh_dir("rates");
	struct store *store = stores_open(dir, NULL, NULL);
	struct store_index *index;
	struct store_report report;
	char error[512], path[700];
	__s64 sums[3] = {0};

	if (!store)
		return;
	for (__u64 i = 0; i < 12; i++)
		ASSERT_INT(put_rate(store, STORES_T0 + i * 15 * NS_PER_S, i % 2 ? 20 : 10, 3), 0);
	ASSERT_INT(store_stats(store).windows_total, 12);
	store_close(store);
	snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME, dir);
	ASSERT_INT(unlink(path), 0);
	store = stores_open(dir, NULL, &report);
	ASSERT_INT(report.dropped_blocks, 0);
	store_close(store);
	ASSERT_INT(store_index_open(dir, false, &index, error, sizeof(error)), 0);
	ASSERT_INT(store_index_points(index, BLOCK_MINUTE, 0, ~0ull, sum_point, sums), 0);
	CU_ASSERT(sums[0] >= 3 && sums[0] <= 5); /* minutes: two rates are one point */
	ASSERT_INT(sums[1], 36);
	ASSERT_INT(sums[2], 36 * 15);
	store_index_close(index);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void path_of(char *path, size_t size, const char *dir, __u64 id)
{
	char name[SEGMENT_FILE_NAME];

	segment_file_name(id, name);
	snprintf(path, size, "%s/%s", dir, name);
}

/* A copy of the folder, as a crash would leave it. */
static void copy_store(const char *from, const char *to)
{
	char command[2400];

	snprintf(command, sizeof(command), "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
	ASSERT_INT(system(command), 0);
}

/* Cut the open segment anywhere: everything whole before the cut is there again. */
static void torn_ends(void)
{
	static char dir[512], copy[512], path[1200];
	struct store *store;
	struct stat st;
	unsigned state = 9;

	snprintf(dir, sizeof(dir), "%s", fresh_dir("torn"));
	snprintf(copy, sizeof(copy), "%s/torn-copy", test_dir());
	store = stores_open(dir, NULL, NULL);
	if (!store)
		return;
	fill(store, 0, 30);
	path_of(path, sizeof(path), dir, 1);
	ASSERT_INT(stat(path, &st), 0);
	for (int i = 0; i < 25; i++) {
		off_t cut =
			SEGMENT_FILE_HEAD + next_random(&state) % (st.st_size - SEGMENT_FILE_HEAD);
		struct store_report report;
		struct store_result result;
		struct store *again;
		struct profile *p;
		__u64 last = 0, total = 0;

		copy_store(dir, copy);
		path_of(path, sizeof(path), copy, 1);
		ASSERT_INT(truncate(path, cut), 0);
		again = stores_open(copy, NULL, &report);
		if (!again)
			break;
		p = ask(copy, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE, &result);
		ASSERT_INT(result.skipped_blocks, 0);
		vec_for_each (put, &all)
			if (put->end_ns <= STORES_T0 + result.facts.windows * 15 * NS_PER_S) {
				total += put->samples;
				last = put->end_ns;
			}
		ASSERT_INT(profile_total(p, 0), total);
		CU_ASSERT(!last || result.facts.end_ns >= last);
		profile_free(p);
		ASSERT_INT(stat(path, &st), 0);
		CU_ASSERT(st.st_size <= cut);
		store_close(again);
		path_of(path, sizeof(path), dir, 1);
		ASSERT_INT(stat(path, &st), 0);
	}
	store_close(store);
}

static void drop_table(const char *path)
{
	sqlite3 *db;

	ASSERT_INT(sqlite3_open(path, &db), SQLITE_OK);
	ASSERT_INT(sqlite3_exec(db, "DROP TABLE point", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_lost_index_is_made_again(void)
{
	static const char *const ways[] = {"gone", "rubbish", "short", "no table"};
	static char dir[512], copy[512], path[1200];
	struct store *store;

	snprintf(dir, sizeof(dir), "%s", fresh_dir("index"));
	store = stores_open(dir, NULL, NULL);
	if (!store)
		return;
	fill(store, 0, 300);
	store_close(store);
	for (int way = 0; way < 4; way++) {
		struct store_report report;
		FILE *f;

		snprintf(copy, sizeof(copy), "%s/index-%s", test_dir(), ways[way]);
		copy_store(dir, copy);
		snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME, copy);
		if (way == 0)
			ASSERT_INT(unlink(path), 0);
		if (way == 1 && (f = fopen(path, "r+"))) {
			for (int i = 0; i < 20000; i++)
				fputc(i * 7, f);
			fclose(f);
		}
		if (way == 2)
			ASSERT_INT(truncate(path, 5000), 0);
		if (way == 3)
			drop_table(path);
		store = stores_open(copy, NULL, &report);
		if (!store)
			continue;
		ASSERT_INT(report.index_made, way != 0);
		CU_ASSERT(report.recovered_blocks > 300);
		ASSERT_INT(report.dropped_blocks, 0);
		any_range(copy, 300);
		store_close(store);
	}
}

/* Flip bytes anywhere in a segment and make the index anew: no crash, what is read is a part of
 * what was put in. */
static void damage_takes_only_what_it_hits(void)
{
	static char dir[512], copy[512], path[1200];
	struct store *store;
	struct stat st;
	unsigned state = 77, dropped = 0;
	__u64 total = 0;

	snprintf(dir, sizeof(dir), "%s", fresh_dir("damage"));
	snprintf(copy, sizeof(copy), "%s/damage-copy", test_dir());
	store = stores_open(dir, NULL, NULL);
	if (!store)
		return;
	fill(store, 0, 60);
	store_close(store);
	vec_for_each (put, &all)
		total += put->samples;
	for (int i = 0; i < 40; i++) {
		struct store_report report;
		struct store_result result;
		struct profile *p;
		off_t at;
		FILE *f;

		copy_store(dir, copy);
		snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME, copy);
		if (i % 2)
			ASSERT_INT(unlink(path), 0);
		path_of(path, sizeof(path), copy, 1);
		ASSERT_INT(stat(path, &st), 0);
		at = next_random(&state) % st.st_size;
		f = fopen(path, "r+");
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		fseek(f, at, SEEK_SET);
		fputc((int)next_random(&state), f);
		fclose(f);
		store = stores_open(copy, NULL, &report);
		if (!store)
			continue;
		p = ask(copy, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE, &result);
		CU_ASSERT(profile_total(p, 0) <= total);
		dropped += report.dropped_blocks || report.foreign_segments;
		profile_free(p);
		store_close(store);
	}
	CU_ASSERT(dropped > 10);
}

/* The place of the nth block of a kind in a segment; 0: there is none. */
static __u64 nth_block(const char *dir, enum block_kind kind, unsigned n)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	struct block block = {0};
	struct segment_file file;
	__u64 at = SEGMENT_FILE_HEAD, found = 0;

	ASSERT_INT(segment_file_open(dir_fd, 1, &file), 0);
	for (; !found && !segment_file_read(&file, at, &block); at = block.end)
		if (block.kind == kind && !n--)
			found = at;
	block_fini(&block);
	segment_file_close(&file);
	close(dir_fd);
	return found;
}

static void damage_block(const char *dir, enum block_kind kind, unsigned nth)
{
	__u64 at = nth_block(dir, kind, nth);
	char path[1200];
	FILE *f;

	CU_ASSERT_FATAL(at > 0);
	path_of(path, sizeof(path), dir, 1);
	f = fopen(path, "r+");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fseek(f, (long)(at + BLOCK_HEAD + 9), SEEK_SET);
	fputs("damage", f);
	fclose(f);
}

/* The minute behind a damaged one stands for fewer windows than lie before it: nothing is lost. */
static void a_damaged_sum_loses_nothing(void)
{
	static char dir[512], copy[512], path[1200];
	struct store_report report;
	struct store *store, *again;

	snprintf(dir, sizeof(dir), "%s", fresh_dir("sum"));
	snprintf(copy, sizeof(copy), "%s/sum-copy", test_dir());
	store = stores_open(dir, NULL, NULL);
	if (!store)
		return;
	fill(store, 0, 60);
	copy_store(dir, copy); /* still open: no sum of the hour */
	damage_block(copy, BLOCK_MINUTE, 5);
	snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME, copy);
	ASSERT_INT(unlink(path), 0);
	again = stores_open(copy, NULL, &report);
	ASSERT_INT(report.dropped_blocks, 1);
	compare(copy, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
	any_range(copy, 60);
	store_close(again);
	store_close(store);
}

/* Sums that the index still trusts: what they hold is read in their place. */
static void damaged_sums_are_made_again(void)
{
	static char dir[512];
	struct store *store;

	snprintf(dir, sizeof(dir), "%s", fresh_dir("sums"));
	store = stores_open(dir, NULL, NULL);
	if (!store)
		return;
	fill(store, 0, 300); /* an hour and some minutes */
	store_close(store);
	damage_block(dir, BLOCK_HOUR, 0);
	compare(dir, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
	damage_block(dir, BLOCK_MINUTE, 7);
	damage_block(dir, BLOCK_MINUTE, 0);
	compare(dir, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
	any_range(dir, 300);
}

/* A clock that is set back, and forward by a day: nothing counts twice, nothing is lost. */
static void clocks_jump(void)
{
	const char *dir = fresh_dir("clock");
	static const __s64 shift_s[] = {0, -600, 86400, -3, 40};
	struct store *store = stores_open(dir, NULL, NULL);
	unsigned state = 3;

	if (!store)
		return;
	for (unsigned i = 0; i < 100; i++) {
		__u64 start = STORES_T0 + (i * 15 + (__u64)shift_s[i / 20]) * NS_PER_S;

		ASSERT_INT(put_window(store, start, start + 15 * NS_PER_S, &state), 0);
	}
	compare(dir, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
	compare(dir, STORES_T0 - 3600 * NS_PER_S, STORES_T0 + 7200 * NS_PER_S,
		(struct want){-1, -1}, STORE_GROUP_NONE);
	/* A night of suspend within a window: eight hours of it on the wall. */
	ASSERT_INT(put_window(store, STORES_T0 + 3000 * NS_PER_S,
			      STORES_T0 + (3000 + 8 * 3600) * NS_PER_S, &state),
		   0);
	ASSERT_INT(put_window(store, STORES_T0 + (3000 + 8 * 3600) * NS_PER_S,
			      STORES_T0 + (3015 + 8 * 3600) * NS_PER_S, &state),
		   0);
	compare(dir, STORES_T0 + 7200 * NS_PER_S, STORES_T0 + 40000 * NS_PER_S,
		(struct want){-1, -1}, STORE_GROUP_NONE);
	store_close(store);
	compare(dir, 0, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
	compare(dir, STORES_T0 + 86400 * NS_PER_S, ~0ull, (struct want){-1, -1}, STORE_GROUP_NONE);
}

static void folders_that_cannot_be_used(void)
{
	struct store_report report;
	struct store *store;
	char error[512] = "", path[600];
	FILE *f;

	CU_ASSERT(store_open("/proc/nowhere", &stores_wide, &store, &report, error, sizeof(error)) <
		  0);
	CU_ASSERT(strstr(error, "/proc/nowhere") != NULL);
	/* A folder with somebody's own files in it: they stay. */
	snprintf(path, sizeof(path), "%s/mine", test_dir());
	ASSERT_INT(mkdir(path, 0700), 0);
	strcat(path, "/0000000000000007.seg");
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("something of somebody else, longer than the head of a segment", f);
	fclose(f);
	strrchr(path, '/')[0] = 0;
	store = stores_open(path, NULL, &report);
	ASSERT_INT(report.foreign_segments, 1);
	ASSERT_INT(store_stats(store).oldest_ns, 0);
	store_close(store);
	strcat(path, "/0000000000000007.seg");
	ASSERT_INT(access(path, F_OK), 0);
}

SUITE_TIMEOUT(store, 300, {"any range equals a list", ranges_and_sums},
	      {"restarts begin segments", restarts},
	      {"processes and threads are kept apart", every_group_is_kept_apart},
	      {"the rate changes", the_rate_changes}, {"torn ends are cut off", torn_ends},
	      {"a lost index is made again", a_lost_index_is_made_again},
	      {"damage takes only what it hits", damage_takes_only_what_it_hits},
	      {"a damaged sum loses nothing", a_damaged_sum_loses_nothing},
	      {"damaged sums are made again", damaged_sums_are_made_again},
	      {"clocks jump", clocks_jump},
	      {"folders that cannot be used", folders_that_cannot_be_used});
