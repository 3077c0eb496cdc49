// SPDX-License-Identifier: Apache-2.0
/*
 * What the store drops, and when: the rule of store.h. Age is recorded time, so no clock can make
 * anything old; size holds always; files of other versions go in their turn.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/store/store.h"
#include "profiler/store/store_read.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define WINDOW_S 15
#define HOUR_S	 3600
#define DAY_S	 86400

static const struct store_limits day = {.retention_ns = DAY_S * NS_PER_S, .max_bytes = 1ull << 30};
static const struct store_limits two_hours = {.retention_ns = 2 * HOUR_S * NS_PER_S,
					      .max_bytes = 1ull << 30};

/* A window of one sample, `at_s` after STORES_T0 by the host's clock, which may be any. */
static void put(struct store *store, __s64 at_s, __s64 length_s)
{
	__u64 at_ns = STORES_T0 + (__u64)at_s * NS_PER_S;
	struct profile *p = stores_profile(1);
	__u32 frame = profile_named_location(p, FRAME_NATIVE, "f");

	profile_add(p, profile_stack(p, &frame, 1), 0, (__s64[]){1, 1});
	ASSERT_INT(stores_put(store, "s", at_ns, at_ns + (__u64)length_s * NS_PER_S, p), 0);
}

/* The agent runs for `length_s`, its clock says `at_s` at the start. */
static void run(struct store *store, __s64 at_s, __s64 length_s)
{
	for (__s64 s = 0; s < length_s; s += WINDOW_S)
		put(store, at_s + s, WINDOW_S);
}

/* All samples there are: one a window. */
static __s64 samples(const char *dir)
{
	struct store_reader *reader = store_reader_new(dir);
	struct store_choice choice = {.kind = "cpu", .to_ns = ~0ull};
	struct profile *p = profile_new(NULL);
	struct store_result result;
	__s64 total;

	ASSERT_INT(store_read_profile(reader, &choice, p, &result), 0);
	total = profile_total(p, 0);
	profile_free(p);
	store_reader_free(reader);
	return total;
}

static const char *fresh_dir(const char *name)
{
	static char dir[512];

	snprintf(dir, sizeof(dir), "%s/%s", test_dir(), name);
	return dir;
}

static void what_is_old_goes(void)
{
	const char *dir = fresh_dir("old");
	struct store *store = stores_open(dir, &two_hours, NULL);
	struct store_stats stats;

	run(store, 0, 6 * HOUR_S);
	stats = store_stats(store);
	CU_ASSERT(stats.n_segments >= 3 && stats.n_segments <= 4);
	CU_ASSERT(stats.expired_total >= 3);
	ASSERT_INT(stats.evicted_total, 0);
	CU_ASSERT(stats.oldest_ns >= STORES_T0 + 3 * HOUR_S * NS_PER_S);
	CU_ASSERT(samples(dir) >= 2 * HOUR_S / WINDOW_S && samples(dir) <= 3 * HOUR_S / WINDOW_S);
	store_close(store);
}

/* An agent that never runs for as long as it keeps things. */
static void restarts_do_not_make_it_younger(void)
{
	const char *dir = fresh_dir("restarts");

	for (__s64 i = 0; i < 20; i++) {
		struct store *store = stores_open(dir, &two_hours, NULL);

		run(store, i * HOUR_S / 2, HOUR_S / 2);
		CU_ASSERT(store_stats(store).n_segments <= 7);
		store_close(store);
	}
	CU_ASSERT(samples(dir) >= 2 * HOUR_S / WINDOW_S && samples(dir) <= 3 * HOUR_S / WINDOW_S);
}

/* One jump: by just over the retention, by two days back, by ten years either way. */
static void no_jump_loses_anything(void)
{
	static const __s64 jumps_s[] = {86500, -2 * DAY_S, 3650 * (__s64)DAY_S,
					-3650 * (__s64)DAY_S, 1};

	for (size_t i = 0; i < ARRAY_SIZE(jumps_s); i++) {
		char name[32];
		const char *dir;
		struct store *store;
		__s64 n = 3 * HOUR_S / WINDOW_S;

		snprintf(name, sizeof(name), "jump-%zu", i);
		dir = fresh_dir(name);
		store = stores_open(dir, &day, NULL);
		run(store, 0, 3 * HOUR_S);
		put(store, 3 * HOUR_S + jumps_s[i], WINDOW_S);
		ASSERT_INT(samples(dir), n + 1);
		/* It stays so for hours, also over a restart; then it is set right again. */
		run(store, 3 * HOUR_S + WINDOW_S + jumps_s[i], 3 * HOUR_S);
		store_close(store);
		ASSERT_INT(samples(dir), 2 * n + 1);
		store = stores_open(dir, &day, NULL);
		run(store, 7 * HOUR_S, HOUR_S);
		ASSERT_INT(store_stats(store).expired_total, 0);
		ASSERT_INT(samples(dir), 2 * n + 1 + HOUR_S / WINDOW_S);
		store_close(store);
	}
}

/* A window within which the clock was set, or the host slept, counts as a window. */
static void a_long_window_is_a_window(void)
{
	const char *dir = fresh_dir("asleep");
	struct store *store = stores_open(dir, &two_hours, NULL);
	__s64 n = HOUR_S / WINDOW_S;

	run(store, 0, HOUR_S);
	for (__s64 i = 0; i < 5; i++)
		put(store, HOUR_S + i * DAY_S, DAY_S);
	ASSERT_INT(samples(dir), n + 5);
	store_close(store);
	store = stores_open(dir, &two_hours, NULL);
	ASSERT_INT(samples(dir), n + 5);
	store_close(store);
}

/* The host was off for days, or its clock is wrong at the start: what is there stays until the agent
 * has recorded as much anew. The windows are of 2023, so any clock of today is such a one. */
static void a_start_drops_nothing(void)
{
	const char *dir = fresh_dir("start");
	struct store *store = stores_open(dir, &two_hours, NULL);
	struct store_report report;

	run(store, 0, HOUR_S);
	store_close(store);
	store = stores_open(dir, &two_hours, &report);
	CU_ASSERT(report.n_segments >= 1);
	ASSERT_INT(samples(dir), HOUR_S / WINDOW_S);
	run(store, 3 * DAY_S, 100 * 60);
	ASSERT_INT(store_stats(store).expired_total, 0);
	run(store, 3 * DAY_S + 2 * HOUR_S, HOUR_S);
	CU_ASSERT(store_stats(store).expired_total >= 1);
	CU_ASSERT(store_stats(store).oldest_ns >= STORES_T0 + 3 * DAY_S * NS_PER_S);
	store_close(store);
}

/* ---- files of other versions ----------------------------------------------------------------- */

static void foreign_segment(const char *dir, const char *name, off_t bytes)
{
	char path[700];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fwrite("BQSTORE1\x09\0\0\0\0\0\0\0sixteen of boot!timetime", 1, 40, f);
	fclose(f);
	ASSERT_INT(truncate(path, bytes), 0);
}

static bool is_there(const char *dir, const char *name)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !access(path, F_OK);
}

static void foreign_segments_get_old(void)
{
	static const char name[] = "0000000000000001.seg";
	const char *dir = fresh_dir("foreign-age");
	struct store_report report;
	struct store *store;

	ASSERT_INT(mkdir(dir, 0700), 0);
	foreign_segment(dir, name, 100000);
	store = stores_open(dir, &two_hours, &report);
	ASSERT_INT(report.foreign_segments, 1);
	run(store, 0, 2 * HOUR_S - 60);
	CU_ASSERT(is_there(dir, name) && store_stats(store).bytes > 100000);
	ASSERT_INT(store_stats(store).oldest_ns, STORES_T0);
	run(store, 2 * HOUR_S - 60, 120);
	CU_ASSERT(!is_there(dir, name));
	ASSERT_INT(store_stats(store).expired_total, 1);
	ASSERT_INT(samples(dir), (2 * HOUR_S + 60) / WINDOW_S);
	store_close(store);
}

static void foreign_segments_count_by_size(void)
{
	struct store_limits small = {.retention_ns = DAY_S * NS_PER_S,
				     .max_bytes = STORE_MIN_BYTES};
	const char *dir = fresh_dir("foreign-size");
	struct store_report report;
	struct store *store;

	ASSERT_INT(mkdir(dir, 0700), 0);
	foreign_segment(dir, "0000000000000003.seg", 40 << 20);
	foreign_segment(dir, "0000000000000005.seg", 30 << 20);
	store = stores_open(dir, &small, &report);
	ASSERT_INT(report.foreign_segments, 2);
	ASSERT_INT(report.n_segments, 1);
	ASSERT_INT(store_stats(store).evicted_total, 1);
	CU_ASSERT(!is_there(dir, "0000000000000003.seg"));
	CU_ASSERT(is_there(dir, "0000000000000005.seg"));
	put(store, 0, WINDOW_S);
	CU_ASSERT(is_there(dir, "0000000000000006.seg"));
	store_close(store);
}

/* A segment whose own head is damaged: the index forgets it, the file keeps its place. */
static void a_segment_becomes_foreign(void)
{
	const char *dir = fresh_dir("becomes");
	struct store *store = stores_open(dir, &day, NULL);
	struct store_report report;
	char path[700];
	FILE *f;

	run(store, 0, 600);
	store_close(store);
	snprintf(path, sizeof(path), "%s/0000000000000001.seg", dir);
	f = fopen(path, "r+");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("X", f);
	fclose(f);
	for (int i = 0; i < 2; i++) {
		store = stores_open(dir, &day, &report);
		ASSERT_INT(report.foreign_segments, 1);
		CU_ASSERT(store_stats(store).n_segments >= 1 && store_stats(store).bytes > 0);
		ASSERT_INT(store_stats(store).oldest_ns, 0);
		ASSERT_INT(samples(dir), 0);
		store_close(store);
	}
	CU_ASSERT(is_there(dir, "0000000000000001.seg"));
}

SUITE_TIMEOUT(store_retention, 300, {"what is old goes", what_is_old_goes},
	      {"restarts do not make it younger", restarts_do_not_make_it_younger},
	      {"no jump of the clock loses anything", no_jump_loses_anything},
	      {"a long window is a window", a_long_window_is_a_window},
	      {"a start drops nothing", a_start_drops_nothing},
	      {"foreign segments get old", foreign_segments_get_old},
	      {"foreign segments count by size", foreign_segments_count_by_size},
	      {"a segment becomes foreign", a_segment_becomes_foreign});
