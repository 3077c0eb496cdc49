// SPDX-License-Identifier: Apache-2.0
/* Whatever is encoded here is decoded by protobuf-c and held against the profile. The rules of
 * strict readers are held by tests/oracle/pprof_check.py, which shares no code with the encoder. */
#include "profiler/export/pprof.h"

#include "profiler/export/pprof.pb-c.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"
#include "tests/unit/test.h"

static Pprof__Profile *encode(const struct profile *p, const struct export_options *options)
{
	struct export_options plain = *options;
	struct buf buf = {0};
	struct sink_buf sink;
	Pprof__Profile *out;

	plain.gzip_level = -1;
	sink_buf_init(&sink, &buf);
	ASSERT_INT(pprof_write(p, &plain, &sink.sink), 0);
	ASSERT_INT(sink_finish(&sink.sink), 0);
	out = pprof__profile__unpack(NULL, buf.len, (const uint8_t *)buf.data);
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	buf_fini(&buf);
	return out;
}

static const char *text(const Pprof__Profile *p, int64_t i)
{
	return i >= 0 && (size_t)i < p->n_string_table ? p->string_table[i] : "(bad string)";
}

static const char *frame_name(const Pprof__Profile *p, uint64_t location, size_t line)
{
	return text(p, p->function[p->location[location - 1]->line[line]->function_id - 1]->name);
}

static void everything_comes_back(void)
{
	struct profile *p = profile_new(NULL);
	struct profile_line lines[2] = {{.line = 11, .column = 3}, {.line = 22}};
	struct profile_mapping other = {.start = 1, .limit = 2},
			       mine = {.start = 0x1000, .limit = 0x9000, .offset = 0x500};
	__u32 location, stack;
	Pprof__Profile *out;
	Pprof__Location *l;
	Pprof__Mapping *m;

	profile_add_type(p, "samples", "count");
	p->default_type = profile_add_type(p, "cpu", "nanoseconds");
	profile_set_period(p, "cpu", "nanoseconds", 1234);
	p->time_ns = 1000000000;
	p->duration_ns = 77;
	profile_add_comment(p, "hello");
	other.file = profile_cstring(p, "/lib/other");
	mine.file = profile_cstring(p, "/bin/mine");
	mine.build_id = profile_cstring(p, "abcd");
	lines[0].function = profile_function(
		p, &(struct profile_function){.name = profile_cstring(p, "inner"),
					      .system_name = profile_cstring(p, "_Zinner"),
					      .file = profile_cstring(p, "a.c"),
					      .start_line = 10});
	lines[1].function = profile_function(
		p, &(struct profile_function){.name = profile_cstring(p, "outer")});
	location = profile_location(p, FRAME_NATIVE, profile_mapping(p, &other), 1, lines + 1, 1);
	p->main_mapping = profile_mapping(p, &mine);
	stack = profile_stack(
		p,
		(__u32[]){profile_location(p, FRAME_NATIVE, p->main_mapping, 0x1234, lines, 2),
			  location},
		2);
	profile_add(p, stack, profile_thread_labels(p, "comm", "thr", 5, 6), (__s64[]){3, 3702});
	out = encode(p, &(struct export_options){.string_labels = true});
	ASSERT_STR(text(out, out->sample_type[1]->type), "cpu");
	ASSERT_STR(text(out, out->sample_type[0]->unit), "count");
	ASSERT_STR(text(out, out->period_type->unit), "nanoseconds");
	ASSERT_STR(text(out, out->default_sample_type), "cpu");
	ASSERT_STR(text(out, out->comment[0]), "hello");
	ASSERT_INT(out->period, 1234);
	ASSERT_INT(out->time_nanos, 1000000000);
	ASSERT_INT(out->duration_nanos, 77);
	ASSERT_INT(out->n_mapping, 2);
	m = out->mapping[0]; /* the main binary first, whoever was met first */
	ASSERT_STR(text(out, m->filename), "/bin/mine");
	ASSERT_STR(text(out, m->build_id), "abcd");
	ASSERT_INT(m->memory_start, 0x1000);
	ASSERT_INT(m->memory_limit, 0x9000);
	ASSERT_INT(m->file_offset, 0x500);
	CU_ASSERT(m->has_functions && m->has_filenames && m->has_line_numbers &&
		  m->has_inline_frames);
	m = out->mapping[1];
	CU_ASSERT(m->has_functions && !m->has_filenames && m->has_line_numbers &&
		  !m->has_inline_frames);
	ASSERT_INT(out->n_sample, 1);
	ASSERT_INT(out->sample[0]->n_location_id, 2);
	ASSERT_INT(out->sample[0]->value[0], 3);
	ASSERT_INT(out->sample[0]->value[1], 3702);
	ASSERT_INT(out->sample[0]->n_label, 4);
	ASSERT_STR(text(out, out->sample[0]->label[0]->str), "comm");
	ASSERT_STR(text(out, out->sample[0]->label[3]->key), "tid");
	ASSERT_INT(out->sample[0]->label[3]->num, 6);
	l = out->location[out->sample[0]->location_id[0] - 1];
	ASSERT_INT(l->address, 0x1234);
	ASSERT_INT(l->mapping_id, 1);
	ASSERT_INT(l->n_line, 2);
	ASSERT_INT(l->line[0]->line, 11);
	ASSERT_INT(l->line[0]->column, 3);
	ASSERT_STR(frame_name(out, l->id, 0), "inner");
	ASSERT_STR(frame_name(out, l->id, 1), "outer");
	ASSERT_STR(text(out, out->function[l->line[0]->function_id - 1]->system_name), "_Zinner");
	ASSERT_STR(text(out, out->function[l->line[1]->function_id - 1]->system_name), "outer");
	ASSERT_INT(out->function[l->line[0]->function_id - 1]->start_line, 10);
	pprof__profile__free_unpacked(out, NULL);
	profile_free(p);
}

/* The first mapping's file of a profile with one sample in each of these. */
static void expect_first(const char *wanted, const char *const *files)
{
	struct profile *p = profile_new(NULL);
	Pprof__Profile *out;

	profile_add_type(p, "samples", "count");
	for (__u64 i = 0; files[i]; i++) {
		struct profile_mapping m = {.limit = 1 + i, .file = profile_cstring(p, files[i])};
		__u32 location =
			profile_location(p, FRAME_NATIVE, profile_mapping(p, &m), i, NULL, 0);

		profile_add(p, profile_stack(p, &location, 1), 0, (__s64[]){1});
	}
	out = encode(p, &EXPORT_OPTIONS_DEFAULT);
	ASSERT_STR(text(out, out->mapping[0]->filename), wanted);
	pprof__profile__free_unpacked(out, NULL);
	profile_free(p);
}
#define EXPECT_FIRST(wanted, ...) expect_first(wanted, (const char *const[]){__VA_ARGS__, NULL})

static void first_mapping(void)
{
	/* Two segments of one file are one executable. */
	EXPECT_FIRST("/bin/a", "/lib/libc.so.6", "[kernel.kallsyms]", "/bin/a", "[vdso]", "/bin/a");
	EXPECT_FIRST("[kernel.kallsyms]", "/bin/a", "/lib/libc.so", "/bin/b", "[kernel.kallsyms]");
	EXPECT_FIRST("/bin/a", "/bin/a", "/bin/b"); /* no kernel: as they came */
	EXPECT_FIRST("/lib/x.some.so", "/lib/x.some.so", "[kernel.kallsyms]");
	EXPECT_FIRST("/x.so/a.sort", "/lib/ld.so.2", "/x.so/a.sort", "[kernel.kallsyms]");
}

/* Strings, and unused entries of every table, stay out unless asked for. */
static void only_what_is_used(void)
{
	struct profile *p = profile_nasty();
	Pprof__Profile *out = encode(p, &EXPORT_OPTIONS_DEFAULT);
	__u64 total = 0;

	for (size_t i = 0; i < out->n_sample; i++) {
		total += (__u64)out->sample[i]->value[0];
		for (size_t k = 0; k < out->sample[i]->n_label; k++)
			ASSERT_INT(out->sample[i]->label[k]->str, 0);
	}
	ASSERT_INT(total, profile_total(p, 0));
	for (size_t i = 0; i < out->n_string_table; i++) {
		CU_ASSERT(strcmp(out->string_table[i], "zero") != 0);
		CU_ASSERT(strcmp(out->string_table[i], "comm") != 0);
		CU_ASSERT(strcmp(out->string_table[i], "[profile full]") != 0);
	}
	ASSERT_STR(out->string_table[0], "");
	pprof__profile__free_unpacked(out, NULL);
	profile_free(p);
}

static void long_stacks_lose_their_middle(void)
{
	struct profile *p = profile_new(NULL);
	__u32 frames[2000];
	Pprof__Profile *out;
	Pprof__Sample *s;
	char name[32];

	profile_add_type(p, "samples", "count");
	for (__u32 i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		frames[i] = profile_named_location(p, FRAME_NATIVE, name);
	}
	profile_add(p, profile_stack(p, frames, 2000), 0, (__s64[]){1});
	profile_add(p, profile_stack(p, frames, 1500), 0, (__s64[]){1});
	profile_add(p, profile_stack(p, frames, 1000), 0, (__s64[]){1});
	out = encode(p, &(struct export_options){.max_frames = 1000});
	s = out->sample[0];
	ASSERT_INT(s->n_location_id, 1000);
	ASSERT_STR(frame_name(out, s->location_id[0], 0), "f0");
	ASSERT_STR(frame_name(out, s->location_id[499], 0), "f499");
	ASSERT_STR(frame_name(out, s->location_id[500], 0), "[1001 frames]");
	ASSERT_STR(frame_name(out, s->location_id[501], 0), "f1501");
	ASSERT_STR(frame_name(out, s->location_id[999], 0), "f1999");
	ASSERT_STR(frame_name(out, out->sample[1]->location_id[500], 0), "[501 frames]");
	ASSERT_INT(out->sample[2]->n_location_id, 1000);
	ASSERT_STR(frame_name(out, out->sample[2]->location_id[500], 0), "f500");
	pprof__profile__free_unpacked(out, NULL);
	profile_free(p);
}

/* All parts of a split; what they add up to, and the most bytes and samples of one. */
struct parts {
	unsigned n;
	__u64 total, last_time;
	size_t max_bytes, max_samples;
};

static struct parts split(const struct profile *p, struct pprof_limits limits)
{
	struct export_options options = {.gzip_level = -1};
	struct pprof_split at = {0};
	struct parts parts = {0};

	while (!at.done && parts.n < 100000) {
		struct buf buf = {0};
		struct sink_buf sink;
		Pprof__Profile *out;

		sink_buf_init(&sink, &buf);
		ASSERT_INT(pprof_write_part(p, &options, &limits, &at, &sink.sink), 0);
		ASSERT_INT(sink_finish(&sink.sink), 0);
		out = pprof__profile__unpack(NULL, buf.len, (const uint8_t *)buf.data);
		CU_ASSERT_PTR_NOT_NULL_FATAL(out);
		for (size_t i = 0; i < out->n_sample; i++)
			parts.total += (__u64)out->sample[i]->value[0];
		if (parts.n)
			ASSERT_INT(out->time_nanos - (int64_t)parts.last_time, 1000000);
		parts.last_time = (__u64)out->time_nanos;
		parts.max_bytes = MAX(parts.max_bytes, buf.len);
		parts.max_samples = MAX(parts.max_samples, out->n_sample);
		parts.n++;
		pprof__profile__free_unpacked(out, NULL);
		buf_fini(&buf);
	}
	ASSERT_INT(at.n_parts, parts.n);
	return parts;
}

static void splits(void)
{
	struct profile *p = profile_made_up(3000, 30);
	struct parts parts = split(p, (struct pprof_limits){.max_bytes = 100000});
	__u64 total = profile_total(p, 0);

	ASSERT_INT(parts.total, total);
	CU_ASSERT(parts.n > 5 && parts.max_bytes <= 100000 && parts.max_bytes > 95000);
	parts = split(p, (struct pprof_limits){.max_samples = 1000});
	ASSERT_INT(parts.total, total);
	ASSERT_INT(parts.n, (p->samples.len - 1 + 999) / 1000);
	ASSERT_INT(parts.max_samples, 1000);
	parts = split(p, (struct pprof_limits){0});
	ASSERT_INT(parts.n, 1);
	/* Smaller than any sample: one a part, with what must be of its stack. */
	parts = split(p, (struct pprof_limits){.max_bytes = 300});
	ASSERT_INT(parts.total, total);
	ASSERT_INT(parts.n, p->samples.len - 1);
	profile_free(p);
}

/* One stack with 1,500 frames does not fit 40 kB: it loses frames, not the sample. */
static void a_sample_too_large(void)
{
	struct profile *p = profile_nasty();
	struct parts parts = split(p, (struct pprof_limits){.max_bytes = 9000});

	ASSERT_INT(parts.total, profile_total(p, 0));
	CU_ASSERT(parts.max_bytes <= 9000);
	CU_ASSERT(parts.n > 1);
	profile_free(p);
}

static void edges(void)
{
	struct profile *p = profile_new(NULL);
	struct export_options options = {.gzip_level = -1};
	struct buf buf = {.limit = 10};
	struct sink_buf sink;
	struct sink nothing;
	Pprof__Profile *out;

	sink_null_init(&nothing);
	ASSERT_INT(pprof_write(p, &options, &nothing), -EINVAL); /* no sample type */
	profile_add_type(p, "samples", "count");
	out = encode(p, &options);
	ASSERT_INT(out->n_sample, 0);
	ASSERT_STR(text(out, out->period_type->type), "samples");
	ASSERT_INT(out->period, 1);
	pprof__profile__free_unpacked(out, NULL);
	sink_buf_init(&sink, &buf);
	for (int i = 0; i < 2000; i++)
		profile_add_comment(p, "a comment that fills");
	profile_add(p, 0, 0, (__s64[]){1});
	options.gzip_level = 9;
	if (!pprof_write(p, &options, &sink.sink))
		ASSERT_INT(sink_finish(&sink.sink), -EFBIG);
	buf_fini(&buf);
	profile_free(p);
}

SUITE(pprof, {"everything comes back", everything_comes_back}, {"first mapping", first_mapping},
      {"only what is used", only_what_is_used},
      {"long stacks lose their middle", long_stacks_lose_their_middle}, {"splits", splits},
      {"a sample too large", a_sample_too_large}, {"edges", edges});
