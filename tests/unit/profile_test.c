// SPDX-License-Identifier: Apache-2.0
#include "profiler/profile.h"

#include "tests/unit/test.h"

static void equal_entries_meet(void)
{
	struct profile *p = profile_new(NULL);
	struct profile_mapping m = {.start = 0x1000, .limit = 0x2000};
	struct profile_line line = {.line = 7};
	__u32 mapping, f, a, b, stack, labels;

	m.file = profile_cstring(p, "/usr/bin/x");
	mapping = profile_mapping(p, &m);
	ASSERT_INT(profile_mapping(p, &m), mapping);
	f = profile_function(p, &(struct profile_function){.name = profile_cstring(p, "f")});
	ASSERT_INT(profile_function(p, &(struct profile_function){.name = profile_cstring(p, "f")}),
		   f);
	line.function = f;
	a = profile_location(p, FRAME_NATIVE, mapping, 0x1010, &line, 1);
	ASSERT_INT(profile_location(p, FRAME_NATIVE, mapping, 0x1010, &line, 1), a);
	b = profile_location(p, FRAME_JIT, mapping, 0x1010, &line, 1);
	CU_ASSERT_NOT_EQUAL(a, b);
	stack = profile_stack(p, (__u32[]){a, b}, 2);
	ASSERT_INT(profile_stack(p, (__u32[]){a, b}, 2), stack);
	CU_ASSERT_NOT_EQUAL(profile_stack(p, (__u32[]){b, a}, 2), stack);
	labels = profile_thread_labels(p, "comm", "thread", 10, 11);
	ASSERT_INT(profile_thread_labels(p, "comm", "thread", 10, 11), labels);
	CU_ASSERT_NOT_EQUAL(profile_thread_labels(p, "comm", "thread", 10, 12), labels);
	ASSERT_INT(profile_thread_labels(p, "", NULL, 0, 0), 0);
	ASSERT_INT(profile_label_find(p, labels, PROFILE_STR_TID)->num, 11);
	ASSERT_STR(profile_str(p, profile_label_find(p, labels, PROFILE_STR_THREAD)->str),
		   "thread");
	CU_ASSERT_PTR_NULL(profile_label_find(p, 0, PROFILE_STR_TID));
	profile_free(p);
}

static void samples_sum(void)
{
	struct profile *p = profile_new(NULL);
	__u32 f = profile_named_location(p, FRAME_NATIVE, "f");
	__u32 mark = profile_named_location(p, FRAME_MARK, "[truncated]");
	__u32 whole = profile_stack(p, &f, 1), cut = profile_stack(p, (__u32[]){f, mark}, 2);
	__u32 labels = profile_thread_labels(p, "a", NULL, 1, 1);

	profile_add_type(p, "samples", "count");
	profile_add_type(p, "off-cpu", "nanoseconds");
	ASSERT_STR(profile_str(p, p->types[1].type), "off_cpu");
	ASSERT_INT(profile_find_type(p, "off_cpu"), 1);
	ASSERT_INT(profile_find_type(p, "cpu"), -1);
	profile_add(p, whole, labels, (__s64[]){1, 100});
	profile_add(p, whole, labels, (__s64[]){2, 200});
	profile_add(p, whole, 0, (__s64[]){4, -5});
	profile_add(p, cut, labels, (__s64[]){8, INT64_MAX});
	profile_add(p, cut, labels, (__s64[]){8, 1});
	ASSERT_INT(p->samples.len, 4);
	ASSERT_INT(p->samples.data[1].values[1], 300);
	ASSERT_INT(p->samples.data[2].values[1], 0);
	ASSERT_INT(p->samples.data[3].values[1], INT64_MAX - 300);
	ASSERT_INT(profile_total(p, 1), INT64_MAX);
	ASSERT_INT(profile_total(p, 0), 23);
	ASSERT_INT(profile_whole_total(p, 0), 7);
	ASSERT_INT(profile_total(p, 9), 0);
	profile_free(p);
}

static void names_are_never_empty(void)
{
	struct profile *p = profile_new(NULL);
	__u32 m = profile_mapping(
		p, &(struct profile_mapping){.file = profile_cstring(p, "/usr/lib/libx.so.1")});
	__u32 l[3] = {profile_location(p, FRAME_NATIVE, m, 0x1234, NULL, 0),
		      profile_location(p, FRAME_KERNEL, 0, 0xffff, NULL, 0),
		      profile_named_location(p, FRAME_PYTHON, "")};
	static const char *const names[] = {"libx.so.1+0x1234", "[unknown]", "[unknown]"};

	for (unsigned i = 0; i < 3; i++) {
		const struct profile_location *at = &p->locations.data[l[i]];

		ASSERT_STR(
			profile_str(p,
				    p->functions.data[p->lines.data[at->first_line].function].name),
			names[i]);
		ASSERT_INT(at->named, i == 2);
	}
	profile_free(p);
}

static void strings_are_made_fit(void)
{
	struct profile *p = profile_new(NULL);
	char long_name[40000];
	const char *s;

	ASSERT_STR(profile_str(p, profile_string(p, "a\0b", 3)), "a\\x00b");
	ASSERT_STR(profile_str(p, profile_cstring(p, "x\xff\xc3\xa9\xed\xa0\x80")),
		   "x\\xff\xc3\xa9\\xed\\xa0\\x80");
	ASSERT_STR(profile_str(p, profile_cstring(p, "a;\n\t</script>")), "a;\n\t</script>");
	ASSERT_INT(profile_string(p, "", 0), 0);
	for (size_t i = 0; i < sizeof(long_name); i++)
		long_name[i] = "\xc3\xa9"[i & 1];
	s = profile_str(p, profile_string(p, long_name, sizeof(long_name)));
	CU_ASSERT(strlen(s) <= PROFILE_MAX_STRING && strlen(s) > PROFILE_MAX_STRING - 8);
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\xc3\xa9...\xc3\xa9"));
	CU_ASSERT_PTR_NULL(strstr(s, "\\x"));
	memset(long_name, 0xff, PROFILE_MAX_STRING);
	s = profile_str(p, profile_string(p, long_name, PROFILE_MAX_STRING));
	ASSERT_INT(strlen(s), PROFILE_MAX_STRING);
	memset(long_name, 0xff, sizeof(long_name));
	s = profile_str(p, profile_string(p, long_name, sizeof(long_name)));
	CU_ASSERT(strlen(s) <= PROFILE_MAX_STRING);
	profile_free(p);
}

/* Whatever ends first, ids stay valid, totals stay right, and it is counted. */
static void full_is_counted_not_lost(void)
{
	struct profile *p = profile_new(&(struct profile_limits){.max_bytes = 256 << 10});
	__u64 refused = 0;
	char name[64];

	profile_add_type(p, "samples", "count");
	for (__u32 i = 0; i < 50000; i++) {
		__u32 frames[2];

		snprintf(name, sizeof(name), "function_number_%u", i);
		frames[0] = profile_named_location(p, FRAME_NATIVE, name);
		frames[1] = profile_named_location(p, FRAME_NATIVE, "main");
		profile_add(p, profile_stack(p, frames, 2),
			    profile_thread_labels(p, "c", NULL, i + 1, i + 1), (__s64[]){1});
	}
	ASSERT_INT(profile_total(p, 0), 50000);
	CU_ASSERT(profile_bytes(p) < 2 * (256 << 10)); /* an arena's last block may be half empty */
	for (unsigned t = 0; t < PROFILE_TABLE_COUNT; t++)
		refused += p->refused_total[t];
	CU_ASSERT(refused > 0);
	CU_ASSERT(p->samples.data[0].values[0] > 0);
	profile_free(p);
}

static void stack_limit(void)
{
	struct profile *p = profile_new(&(struct profile_limits){.max_stacks = 3});
	__u32 frames[PROFILE_MAX_FRAMES + 1] = {0};

	profile_add_type(p, "samples", "count");
	for (unsigned i = 0; i < 5; i++) {
		__u32 l = profile_location(p, FRAME_NATIVE, 0, i, NULL, 0);

		ASSERT_INT(profile_stack(p, &l, 1), i < 2 ? i + 1 : 0);
	}
	ASSERT_INT(profile_stack(p, frames, PROFILE_MAX_FRAMES + 1), 0);
	ASSERT_INT(profile_stack(p, frames, 0), 0);
	ASSERT_INT(p->refused_total[PROFILE_TABLE_stacks], 5);
	CU_ASSERT_FALSE(profile_stack_whole(p, 0));
	profile_add(p, 77, 77, (__s64[]){3}); /* ids of nothing */
	ASSERT_INT(p->samples.data[0].values[0], 3);
	profile_free(p);
}

static void many_inlined_lines(void)
{
	struct profile *p = profile_new(NULL);
	struct profile_line lines[PROFILE_MAX_LINES + 50];
	const struct profile_location *l;

	for (__u32 i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i] = (struct profile_line){.line = i + 1};
	l = &p->locations.data[profile_location(p, FRAME_NATIVE, 0, 1, lines, ARRAY_SIZE(lines))];
	ASSERT_INT(l->n_lines, PROFILE_MAX_LINES);
	ASSERT_INT(p->lines.data[l->first_line].line, 1);
	ASSERT_INT(p->lines.data[l->first_line + PROFILE_MAX_LINES - 1].line, ARRAY_SIZE(lines));
	profile_free(p);
}

static void names_of_things(void)
{
	ASSERT_STR(frame_kind_name(FRAME_KERNEL), "kernel");
	ASSERT_STR(frame_kind_suffix(FRAME_KERNEL), "_[k]");
	ASSERT_STR(frame_kind_name(FRAME_KIND_COUNT), "?");
	ASSERT_STR(profile_table_name(PROFILE_TABLE_label_sets), "label_sets");
}

SUITE(profile, {"equal entries meet", equal_entries_meet}, {"samples sum", samples_sum},
      {"names are never empty", names_are_never_empty},
      {"strings are made fit", strings_are_made_fit},
      {"full is counted, not lost", full_is_counted_not_lost}, {"stack limit", stack_limit},
      {"many inlined lines", many_inlined_lines}, {"names of things", names_of_things});
