// SPDX-License-Identifier: Apache-2.0
/*
 * Version 1 of the store on disk, written down once more: a segment made here by hand is read by
 * this version, and what this version writes is the same bytes. A change of the format that would
 * leave users' stores behind, or mistake them, fails here: give it a new version and a way to read
 * the old one, and keep this test as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/store/store.h"
#include "profiler/store/store_read.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define T0     (1700000000 * NS_PER_S)
#define PERIOD 1000

struct bytes {
	size_t len;
	__u8 data[4096];
};

static void put(struct bytes *b, const void *data, size_t len)
{
	CU_ASSERT_FATAL(b->len + len <= sizeof(b->data));
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

/* LEB128 */
static void number(struct bytes *b, __u64 value)
{
	__u8 byte;

	do {
		byte = (__u8)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		put(b, &byte, 1);
		value >>= 7;
	} while (value);
}

static void numbers(struct bytes *b, const __u64 *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		number(b, values[i]);
}
#define NUMBERS(b, ...)                                                                            \
	numbers(b, (const __u64[]){__VA_ARGS__},                                                   \
		sizeof((const __u64[]){__VA_ARGS__}) / sizeof(__u64))

static void fixed(struct bytes *b, __u64 value, int width)
{
	for (int i = 0; i < width; i++)
		put(b, &(__u8){(__u8)(value >> 8 * i)}, 1);
}

/* ---- the description ------------------------------------------------------------------------- */

/* One series {service_name="s"}, of two threads; the stacks main;leaf (leaf has a mapping, a file
 * and something inlined) and main;0x1234 (without a name). */
static struct bytes dictionary(void)
{
	static const char *const strings[] = {/* 1 */ "cpu",	 "samples",	 "count",
					      "nanoseconds",	 "service_name", "s",
					      /* 7 */ "main",	 "/bin/x",	 "c0ffee",
					      "inlined",	 "a.c",		 "leaf",
					      /* 13 */ "worker", "x+0x1234"};
	struct bytes b = {0};

	NUMBERS(&b, 1, ARRAY_SIZE(strings)); /* the first id (0 is ""), how many */
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		number(&b, strlen(strings[i]));
		put(&b, strings[i], strlen(strings[i]));
	}
	/* mappings: file, build ID, start, limit, offset */
	NUMBERS(&b, 1, 1, 8, 9, 0x1000, 0x9000, 0x200);
	/* functions: name, system name, file, line; the last only says where it is */
	NUMBERS(&b, 0, 4, 7, 0, 0, 0, 10, 0, 11, 5, 12, 0, 11, 3, 14, 0, 0, 0);
	/* locations: kind << 1 | named, mapping, address unless named, lines: (function, line) */
	NUMBERS(&b, 0, 3, FRAME_NATIVE << 1 | 1, 0, 1, 0, 0);
	NUMBERS(&b, FRAME_NATIVE << 1 | 1, 1, 2, 1, 6, 2, 4);
	NUMBERS(&b, FRAME_NATIVE << 1, 1, 0x1234, 1, 3, 0);
	/* nodes: how far back the parent is, location */
	NUMBERS(&b, 1, 3, 1, 0, 1, 1, 2, 2);
	/* threads: pid, tid, comm */
	NUMBERS(&b, 1, 2, 100, 1000, 13, 200, 2000, 13);
	/* kinds: name, types, the one to show first, (type, unit) each, period's, period */
	NUMBERS(&b, 0, 1, 1, 2, 1, 2, 3, 1, 4, 1, 4, PERIOD);
	/* series: kind, labels (name, value) */
	NUMBERS(&b, 0, 1, 0, 1, 5, 6);
	return b;
}

static struct bytes window(void)
{
	struct bytes b = {0};

	/* start, length, CLOCK_MONOTONIC; samples, whole, lost, windows; entries */
	NUMBERS(&b, T0, 15 * NS_PER_S, 77, 9, 8, 1, 1, 2);
	NUMBERS(&b, 0, 0);	/* series, each by its distance from the last */
	NUMBERS(&b, 2 * 2, 2);	/* nodes 2, 3: zigzag */
	NUMBERS(&b, 2 * 1, 2);	/* threads 1, 2 */
	NUMBERS(&b, 7, 2);	/* samples */
	NUMBERS(&b, 0, 2 * 50); /* nanoseconds: what they differ from samples x period, zigzag */
	return b;
}

/* As hash_mix of base/hmap.h, whose result is on disk here. */
static __u64 seed_of(__u64 kind, __u64 raw, __u64 packed)
{
	__u64 x = kind * 0x9e3779b97f4a7c15ull + (raw << 32 | packed);

	for (int i = 0; i < 2; i++)
		x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static void block(struct bytes *file, __u16 kind, const struct bytes *raw)
{
	__u8 packed[4096];
	size_t n = ZSTD_compress(packed, sizeof(packed), raw->data, raw->len, 1);

	CU_ASSERT_FATAL(!ZSTD_isError(n));
	put(file, "QBLK", 4);
	fixed(file, kind, 2);
	fixed(file, 0, 2);
	fixed(file, n, 4);
	fixed(file, raw->len, 4);
	fixed(file, XXH3_64bits_withSeed(packed, n, seed_of(kind, raw->len, n)), 8);
	put(file, packed, n);
}

static struct bytes segment(void)
{
	struct bytes file = {0}, dict = dictionary(), one = window();

	put(&file, "BQSTORE1", 8);
	fixed(&file, 1, 4); /* version */
	fixed(&file, 0, 4);
	put(&file, "sixteen of boot!", 16);
	fixed(&file, T0, 8);
	block(&file, 1, &dict);
	block(&file, 2, &one);
	return file;
}

/* ---- reading it ------------------------------------------------------------------------------ */

static const char *name_of(const struct profile *p, __u32 location, __u32 line)
{
	const struct profile_location *l = &p->locations.data[location];

	return profile_str(p, p->functions.data[p->lines.data[l->first_line + line].function].name);
}

static void check_profile(const struct profile *p)
{
	unsigned seen = 0;

	ASSERT_INT(profile_total(p, 0), 9);
	ASSERT_INT(profile_total(p, 1), 9 * PERIOD + 50);
	ASSERT_INT(p->period, PERIOD);
	ASSERT_STR(profile_str(p, p->types[1].unit), "nanoseconds");
	vec_for_each (s, &p->samples) {
		const struct profile_stack *stack = &p->stacks.data[s->stack];
		const struct profile_location *leaf = &p->locations.data[stack->frames[0]];

		if (!s->values[0])
			continue;
		seen++;
		ASSERT_INT(stack->n_frames, 2);
		ASSERT_STR(name_of(p, stack->frames[1], 0), "main");
		ASSERT_STR(profile_str(p, p->mappings.data[leaf->mapping].build_id), "c0ffee");
		if (s->values[0] == 7) {
			ASSERT_INT(leaf->n_lines, 2);
			ASSERT_STR(name_of(p, stack->frames[0], 0), "inlined");
			ASSERT_STR(name_of(p, stack->frames[0], 1), "leaf");
			ASSERT_INT(p->lines.data[leaf->first_line].line, 6);
		} else {
			ASSERT_INT(leaf->named, 0);
			ASSERT_INT(leaf->address, 0x1234);
		}
	}
	ASSERT_INT(seen, 2);
}

static void version_1_is_read(void)
{
	struct store_choice choice = {.kind = "cpu", .to_ns = ~0ull};
	struct bytes file = segment();
	struct store_report report;
	struct store_result result;
	struct store_reader *reader;
	struct profile *p = profile_new(NULL);
	char dir[512], path[600];
	struct store *store;
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/old", test_dir());
	ASSERT_INT(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/0000000000000001.seg", dir);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	ASSERT_INT(fwrite(file.data, 1, file.len, f), file.len);
	fclose(f);
	store = stores_open(dir, NULL, &report);
	ASSERT_INT(report.dropped_blocks, 0);
	ASSERT_INT(report.recovered_blocks, 2);
	store_close(store);
	reader = store_reader_new(dir);
	ASSERT_INT(store_read_profile(reader, &choice, p, &result), 0);
	ASSERT_INT(result.facts.samples, 9);
	ASSERT_INT(result.facts.lost, 1);
	ASSERT_INT(result.facts.end_ns, T0 + 15 * NS_PER_S);
	check_profile(p);
	store_reader_free(reader);
	profile_free(p);
}

/* ---- writing it ------------------------------------------------------------------------------ */

static struct profile *the_profile(void)
{
	struct profile *p = profile_new(NULL);
	struct profile_mapping m = {.start = 0x1000, .limit = 0x9000, .offset = 0x200};
	struct profile_line lines[2] = {{.line = 6}, {.line = 4}};
	__u32 frames[2], mapping, main_, stack;

	profile_add_type(p, "samples", "count");
	p->default_type = profile_add_type(p, "cpu", "nanoseconds");
	profile_set_period(p, "cpu", "nanoseconds", PERIOD);
	p->name = profile_cstring(p, "cpu");
	m.file = profile_cstring(p, "/bin/x");
	m.build_id = profile_cstring(p, "c0ffee");
	mapping = profile_mapping(p, &m);
	main_ = profile_named_location(p, FRAME_NATIVE, "main");
	lines[0].function =
		profile_function(p, &(struct profile_function){profile_cstring(p, "inlined"), 0,
							       profile_cstring(p, "a.c"), 5});
	lines[1].function =
		profile_function(p, &(struct profile_function){profile_cstring(p, "leaf"), 0,
							       profile_cstring(p, "a.c"), 3});
	frames[0] = profile_location(p, FRAME_NATIVE, mapping, 0x1100, lines, 2);
	frames[1] = main_;
	stack = profile_stack(p, frames, 2);
	profile_add(p, stack, profile_thread_labels(p, "worker", NULL, 100, 1000),
		    (__s64[]){7, 7 * PERIOD});
	frames[0] = profile_unnamed_location(p, FRAME_NATIVE, mapping, 0x1234, 0x1234);
	stack = profile_stack(p, frames, 2);
	profile_add(p, stack, profile_thread_labels(p, "worker", NULL, 200, 2000),
		    (__s64[]){2, 2 * PERIOD + 50});
	return p;
}

static void check_block(const struct segment_file *file, __u64 *at, enum block_kind kind,
			const struct bytes *wanted)
{
	struct block got = {0};

	ASSERT_INT(segment_file_read(file, *at, &got), 0);
	ASSERT_INT(got.kind, kind);
	ASSERT_INT(got.raw.len, wanted->len);
	CU_ASSERT(got.raw.len == wanted->len && !memcmp(got.raw.data, wanted->data, wanted->len));
	*at = got.end;
	block_fini(&got);
}

static void version_1_is_written(void)
{
	struct dict_label_text label = {"service_name", "s"};
	struct facts facts = {.start_ns = T0,
			      .end_ns = T0 + 15 * NS_PER_S,
			      .start_mono_ns = 77,
			      .samples = 9,
			      .whole = 8,
			      .lost = 1};
	struct bytes dict = dictionary(), one = window();
	struct profile *p = the_profile();
	struct segment_file file;
	struct store_report report;
	__u64 at = SEGMENT_FILE_HEAD;
	char dir[512];
	struct store *store;
	int fd;

	snprintf(dir, sizeof(dir), "%s/new", test_dir());
	store = stores_open(dir, NULL, &report);
	ASSERT_INT(store_begin(store, &facts), 0);
	ASSERT_INT(store_add(store, &label, 1, p), 0);
	ASSERT_INT(store_end(store), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_INT(segment_file_open(fd, 1, &file), 0);
	ASSERT_INT(file.made_ns, T0);
	check_block(&file, &at, BLOCK_DICT, &dict);
	check_block(&file, &at, BLOCK_WINDOW, &one);
	segment_file_close(&file);
	close(fd);
	profile_free(p);
	store_close(store);
}

SUITE(store_format, {"version 1 is read", version_1_is_read},
      {"version 1 is written", version_1_is_written});
