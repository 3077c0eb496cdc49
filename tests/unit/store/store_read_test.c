// SPDX-License-Identifier: Apache-2.0
/* Reading beside the writer: what a reader sees is a whole number of windows, never fewer than before,
 * also when the index is set aside under it; and stacks that differ in anything stay apart. */
#include "profiler/store/store_read.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/store/index.h"
#include "profiler/store/store.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define N_WINDOWS  300
#define N_READERS  2
#define OF_WINDOW  10
#define N_VARIANTS 9

static atomic_bool ended;

/* Takes the profile. */
static int put(struct store *store, __u64 start_ns, struct profile *p)
{
	return stores_put(store, "s", start_ns, start_ns + 15 * NS_PER_S, p);
}

static struct profile *numbered(unsigned i)
{
	struct profile *p = stores_profile(1);
	__u32 frame;
	char name[32];

	snprintf(name, sizeof(name), "function_%u", i % 50);
	frame = profile_named_location(p, FRAME_NATIVE, name);
	profile_add(p, profile_stack(p, &frame, 1), 0, (__s64[]){OF_WINDOW, OF_WINDOW});
	return p;
}

static __u64 read_all(struct store_reader *reader, struct store_result *result)
{
	struct store_choice choice = {.kind = "cpu", .to_ns = ~0ull};
	struct profile *p = profile_new(NULL);
	__u64 total = store_read_profile(reader, &choice, p, result) ? ~0ull : profile_total(p, 0);

	profile_free(p);
	return total;
}

static void *read_again_and_again(void *arg)
{
	struct store_reader *reader = store_reader_new(arg);
	__u64 last = 0;
	uintptr_t wrong = 0;

	while (!atomic_load(&ended)) {
		struct store_result result;
		__u64 total = read_all(reader, &result);

		wrong += total % OF_WINDOW || total < last || total != result.facts.samples ||
			 result.skipped_blocks;
		last = total;
	}
	store_reader_free(reader);
	return (void *)wrong;
}

static void beside_the_writer(void)
{
	pthread_t threads[N_READERS];
	char dir[512];
	struct store *store;
	unsigned failed = 0;

	snprintf(dir, sizeof(dir), "%s/beside", test_dir());
	store = stores_open(dir, NULL, NULL);
	CU_ASSERT_FATAL(store && !put(store, STORES_T0, numbered(0)));
	atomic_store(&ended, false);
	for (int i = 0; i < N_READERS; i++)
		CU_ASSERT_FATAL(!pthread_create(&threads[i], NULL, read_again_and_again, dir));
	for (unsigned i = 1; i < N_WINDOWS; i++)
		failed += put(store, STORES_T0 + i * 15 * NS_PER_S, numbered(i)) != 0;
	atomic_store(&ended, true);
	for (int i = 0; i < N_READERS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		CU_ASSERT_PTR_NULL(wrong);
	}
	ASSERT_INT(failed, 0);
	store_close(store);
}

static void the_index_is_replaced(void)
{
	char dir[512], index[600];
	struct store_reader *reader;
	struct store_result result;
	struct store *store;

	snprintf(dir, sizeof(dir), "%s/replaced", test_dir());
	snprintf(index, sizeof(index), "%s/" STORE_INDEX_NAME, dir);
	store = stores_open(dir, NULL, NULL);
	CU_ASSERT_FATAL(store && !put(store, STORES_T0, numbered(0)));
	reader = store_reader_new(dir);
	ASSERT_INT(read_all(reader, &result), OF_WINDOW);
	store_close(store);
	ASSERT_INT(unlink(index), 0);
	ASSERT_INT(read_all(reader, &result), ~0ull);
	CU_ASSERT(strstr(store_reader_error(reader), dir) != NULL);
	store = stores_open(dir, NULL, NULL);
	CU_ASSERT_FATAL(store && !put(store, STORES_T0 + 15 * NS_PER_S, numbered(1)));
	ASSERT_INT(read_all(reader, &result), 2 * OF_WINDOW);
	store_reader_free(reader);
	store_close(store);
}

/* The same stack but for one thing. */
static struct profile *variant(unsigned i)
{
	struct profile *p = stores_profile(1);
	struct profile_mapping m = {.start = 0x1000, .limit = 0x9000};
	struct profile_function f = {.start_line = i == 1 ? 8 : 7};
	struct profile_line lines[2] = {{.line = i == 2 ? 4 : 3}, {.line = 1}};
	__u32 frames[2], mapping;

	m.file = profile_cstring(p, i == 3 ? "/bin/b" : "/bin/a");
	m.build_id = profile_cstring(p, i == 4 ? "02" : "01");
	f.name = profile_cstring(p, i == 5 ? "other" : "name");
	f.file = profile_cstring(p, i == 6 ? "b.c" : "a.c");
	lines[0].function = lines[1].function = profile_function(p, &f);
	mapping = profile_mapping(p, &m);
	frames[0] = profile_location(p, i == 7 ? FRAME_JIT : FRAME_NATIVE, mapping, 0x1100, lines,
				     i == 8 ? 2 : 1);
	frames[1] = profile_named_location(p, FRAME_NATIVE, "main");
	profile_add(p, profile_stack(p, frames, 2), 0, (__s64[]){1 + i, 1 + i});
	return p;
}

static void stacks_stay_apart(void)
{
	struct store_choice choice = {.kind = "cpu", .to_ns = ~0ull};
	struct profile *p = profile_new(NULL);
	struct store_reader *reader;
	struct store_result result;
	struct store *store;
	unsigned seen = 0;
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/apart", test_dir());
	store = stores_open(dir, NULL, NULL);
	/* In one segment, then all again in others, in another order. */
	for (unsigned i = 0; i < 2 * N_VARIANTS; i++) {
		__u64 at = STORES_T0 + (i < N_VARIANTS ? i * 15 : i * 3600) * NS_PER_S;

		ASSERT_INT(put(store, at, variant(i * 4 % N_VARIANTS)), 0);
	}
	store_close(store);
	reader = store_reader_new(dir);
	ASSERT_INT(store_read_profile(reader, &choice, p, &result), 0);
	vec_for_each (s, &p->samples) {
		CU_ASSERT(s->values[0] % 2 == 0 && s->values[0] <= 2 * N_VARIANTS);
		seen |= 1u << s->values[0] / 2;
	}
	ASSERT_INT(seen >> 1, (1u << N_VARIANTS) - 1);
	store_reader_free(reader);
	profile_free(p);
}

/* Many stacks that nobody sees again, and late in the day one that counts. */
static void a_late_spike_is_seen(void)
{
	struct profile_limits limits = {.max_bytes = 3u << 20};
	struct store_choice choice = {.kind = "cpu", .to_ns = ~0ull};
	struct profile *p = profile_new(&limits);
	struct store_reader *reader;
	struct store_result result;
	struct store *store;
	__u64 total = 0, spike = 0;
	unsigned n = 0;
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/spike", test_dir());
	store = stores_open(dir, NULL, NULL);
	for (unsigned hour = 0; hour < 12; hour++) {
		struct profile *window = stores_profile(1);
		__u32 frames[3] = {0, profile_named_location(window, FRAME_NATIVE, "crowd"),
				   profile_named_location(window, FRAME_NATIVE, "main")};
		char name[32];

		for (unsigned i = 0; i < 3000; i++) {
			snprintf(name, sizeof(name), "small_%u", n++);
			frames[0] = profile_named_location(window, FRAME_NATIVE, name);
			profile_add(window, profile_stack(window, frames, 3), 0, (__s64[]){1, 1});
		}
		if (hour == 9) {
			frames[0] = profile_named_location(window, FRAME_NATIVE, "spike");
			profile_add(window, profile_stack(window, frames, 3), 0,
				    (__s64[]){9000, 9000});
		}
		total += profile_total(window, 0);
		ASSERT_INT(put(store, STORES_T0 + hour * 3600 * NS_PER_S, window), 0);
	}
	store_close(store);
	reader = store_reader_new(dir);
	ASSERT_INT(store_read_profile(reader, &choice, p, &result), 0);
	CU_ASSERT(p->folded_below > 0);
	ASSERT_INT(profile_total(p, 0), total);
	vec_for_each (s, &p->samples) {
		const struct profile_stack *stack = &p->stacks.data[s->stack];
		const struct profile_location *leaf = &p->locations.data[stack->frames[0]];
		__u32 name = p->functions.data[p->lines.data[leaf->first_line].function].name;

		CU_ASSERT(!s->values[0] || s->stack); /* nothing is `[profile full]` */
		if (!strcmp(profile_str(p, name), "spike"))
			spike += (__u64)s->values[0];
	}
	ASSERT_INT(spike, 9000);
	store_reader_free(reader);
	profile_free(p);
}

/* Between the file's making and that of its tables there is no store yet, rather than a strange one. */
static void before_the_index_is_made(void)
{
	struct store_choice choice = {.kind = "cpu", .to_ns = ~0ull};
	struct store_result result;
	struct store_reader *reader;
	struct profile *p = profile_new(NULL);
	char dir[256], path[300];
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/early", test_dir());
	CU_ASSERT_FATAL(!mkdir(dir, 0700));
	snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME, dir);
	f = fopen(path, "w"); /* as sqlite begins */
	CU_ASSERT_FATAL(f && !fclose(f));
	reader = store_reader_new(dir);
	ASSERT_INT(store_read_profile(reader, &choice, p, &result), -ENOENT);
	store_close(stores_open(dir, NULL, NULL));
	ASSERT_INT(store_read_profile(reader, &choice, p, &result), 0);
	store_reader_free(reader);
	profile_free(p);
}

SUITE_TIMEOUT(store_read, 120, {"beside the writer", beside_the_writer},
	      {"the index is replaced", the_index_is_replaced},
	      {"before the index is made", before_the_index_is_made},
	      {"stacks that differ stay apart", stacks_stay_apart},
	      {"a late spike is seen", a_late_spike_is_seen});
