// SPDX-License-Identifier: Apache-2.0
#include "tests/support/profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"

#define HZ 99

static struct profile *new_cpu_profile(void)
{
	struct profile *p = profile_new(NULL);

	if (!p)
		return NULL;
	p->name = profile_cstring(p, "cpu");
	profile_add_type(p, "samples", "count");
	p->default_type = profile_add_type(p, "cpu", "nanoseconds");
	profile_set_period(p, "cpu", "nanoseconds", NS_PER_S / HZ);
	p->time_ns = 1790000000ull * NS_PER_S + 123456789;
	p->duration_ns = 10 * NS_PER_S;
	return p;
}

static void add_samples(struct profile *p, __u32 stack, __u32 labels, __u64 n)
{
	profile_add(p, stack, labels, (__s64[]){(__s64)n, (__s64)(n * (NS_PER_S / HZ))});
}

/* ---- folded text ----------------------------------------------------------------------------- */
struct reader {
	struct profile *profile;
	__u32 frames[PROFILE_MAX_FRAMES]; /* root first while a line is read */
	size_t n_frames;
	struct profile_line lines[PROFILE_MAX_LINES]; /* of the last frame, outermost first */
	size_t n_lines;
	enum frame_kind kind;
	__u32 mapping;
	__u64 address;
};

static bool ends_with(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && !memcmp(s + len - n, end, n);
}

/* The frame whose lines are gathered becomes a location: lines innermost first. */
static void close_frame(struct reader *r)
{
	struct profile_line lines[PROFILE_MAX_LINES];

	if (!r->n_lines)
		return;
	for (size_t i = 0; i < r->n_lines; i++)
		lines[i] = r->lines[r->n_lines - 1 - i];
	if (r->n_frames < PROFILE_MAX_FRAMES)
		r->frames[r->n_frames++] = profile_location(r->profile, r->kind, r->mapping,
							    r->address, lines, r->n_lines);
	r->n_lines = 0;
}

static __u64 address_of(const char *s, size_t len)
{
	__u64 hash = 0;

	for (size_t i = 0; i < len; i++)
		hash = hash_mix(hash, (unsigned char)s[i]);
	return 0x1000 + (hash & 0xfffff0);
}

static __u32 mapping_of(struct profile *p, const char *file, size_t len)
{
	struct profile_mapping m = {.start = 0x1000, .limit = 0x2000000, .offset = 0x1000};
	char text[300], id[17];

	snprintf(text, sizeof(text), "%.*s", (int)MIN(len, sizeof(text) - 1), file);
	m.file = profile_cstring(p, text);
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)address_of(text, strlen(text)));
	m.build_id = profile_cstring(p, id);
	return profile_mapping(p, &m);
}

/* `name [object]` or `name [file.py:12]`; len without the object. */
static size_t take_object(struct reader *r, const char *name, size_t len, __u32 *ret_mapping,
			  struct profile_function *function)
{
	const char *open = len > 3 && name[len - 1] == ']' ? memrchr(name, '[', len) : NULL;
	const char *colon;

	if (!open || open < name + 2 || open[-1] != ' ')
		return len;
	colon = memrchr(open, ':', (size_t)(name + len - open));
	if (colon) {
		function->file = profile_string(r->profile, open + 1, (size_t)(colon - open - 1));
		function->start_line = (__u32)atoi(colon + 1);
	} else {
		*ret_mapping = mapping_of(r->profile, open + 1, (size_t)(name + len - 2 - open));
	}
	return (size_t)(open - 1 - name);
}

static void add_name(struct reader *r, const char *name, size_t len, __u32 main_mapping)
{
	enum frame_kind kind = FRAME_NATIVE;
	struct profile_function function = {0};
	bool inlined = false;
	__u32 mapping = main_mapping;

	if (ends_with(name, len, "_[k]"))
		kind = FRAME_KERNEL;
	else if (ends_with(name, len, "_[j]"))
		kind = FRAME_JIT;
	else
		inlined = ends_with(name, len, "_[i]");
	if (kind != FRAME_NATIVE || inlined)
		len -= 4;
	else if (!r->n_frames && !r->n_lines &&
		 (!strncmp(name, "[truncated]", len) ||
		  !strncmp(name, "[incomplete:", MIN(len, 12u))))
		kind = FRAME_MARK;
	if (kind != FRAME_NATIVE)
		mapping = 0;
	if (kind == FRAME_KERNEL)
		mapping = mapping_of(r->profile, "[kernel.kallsyms]", 17);
	len = take_object(r, name, len, &mapping, &function);
	if (function.file && ends_with(profile_str(r->profile, function.file),
				       strlen(profile_str(r->profile, function.file)), ".py"))
		kind = FRAME_PYTHON;
	function.name = profile_string(r->profile, name, len);
	if (!inlined || !r->n_lines || r->n_lines == PROFILE_MAX_LINES) {
		close_frame(r);
		r->kind = kind;
		r->mapping = kind == FRAME_PYTHON ? 0 : mapping;
	}
	r->address = kind == FRAME_PYTHON || kind == FRAME_MARK ? 0 : address_of(name, len);
	r->lines[r->n_lines++] = (struct profile_line){
		.function = profile_function(r->profile, &function), .line = function.start_line};
}

static void add_line(struct reader *r, const char *line, size_t len)
{
	const char *space = memrchr(line, ' ', len), *semi = memchr(line, ';', len);
	__u32 leaf_first[PROFILE_MAX_FRAMES], main_mapping;
	char comm[64], path[80];
	__u64 n;

	if (!space || !semi || semi > space)
		return;
	n = strtoull(space + 1, NULL, 10);
	snprintf(comm, sizeof(comm), "%.*s", (int)(semi - line), line);
	snprintf(path, sizeof(path), "/usr/bin/%s", comm);
	main_mapping = mapping_of(r->profile, path, strlen(path));
	r->n_frames = 0;
	while (semi < space) {
		const char *name = semi + 1;

		semi = memchr(name, ';', (size_t)(space - name));
		semi = semi ? semi : space;
		if (semi > name)
			add_name(r, name, (size_t)(semi - name), main_mapping);
	}
	close_frame(r);
	for (size_t i = 0; i < r->n_frames; i++)
		leaf_first[i] = r->frames[r->n_frames - 1 - i];
	add_samples(r->profile, profile_stack(r->profile, leaf_first, r->n_frames),
		    profile_thread_labels(r->profile, comm, comm,
					  (__u32)address_of(comm, 3) & 0x7fff,
					  (__u32)address_of(comm, 3) & 0x7fff),
		    n);
}

struct profile *profile_of_folded(const char *text, size_t len)
{
	struct reader *r = calloc(1, sizeof(*r));
	const char *end = text + len;
	struct profile *p;

	if (!r)
		return NULL;
	r->profile = new_cpu_profile();
	while (r->profile && text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));

		eol = eol ? eol : end;
		add_line(r, text, (size_t)(eol - text));
		text = eol + 1;
	}
	p = r->profile;
	free(r);
	return p;
}

/* ---- made up --------------------------------------------------------------------------------- */
struct maker {
	struct profile *profile;
	__u64 random;
	__u32 n_functions;
	__u32 mappings[40];
};

static __u32 dice(struct maker *m, __u32 n)
{
	m->random = hash_u64(m->random + 0x9e3779b97f4a7c15ull);
	return (__u32)(m->random % n);
}

/* Small numbers far more often than large ones. */
static __u32 steep(struct maker *m, __u32 n)
{
	__u32 a = dice(m, n), b = dice(m, n), c = dice(m, n);

	a = MIN(a, b);
	return MIN(a, c);
}

static __u32 made_up_location(struct maker *m, __u32 function)
{
	struct profile *p = m->profile;
	__u32 n = 1 + (function % 3 == 0 ? function % 4 : 0), site = steep(m, 4);
	struct profile_line lines[4];
	char text[128];

	for (__u32 i = 0; i < n; i++) {
		struct profile_function f = {.start_line = 10 + function % 900};
		__u32 k = i + 1 < n ? function + 77 * (i + 1) : function;

		snprintf(text, sizeof(text),
			 "subsystem%u::Component%u::do_operation_%u(int, void*)", k % 23, k % 311,
			 k);
		f.name = profile_cstring(p, text);
		snprintf(text, sizeof(text), "_ZN9subsystem%u12do_operation%uEiPv", k % 23, k);
		f.system_name = profile_cstring(p, text);
		snprintf(text, sizeof(text), "/usr/src/project/subsystem%u/component%u.cc", k % 23,
			 k % 311);
		f.file = profile_cstring(p, text);
		lines[i] = (struct profile_line){.function = profile_function(p, &f),
						 .line = f.start_line + site * 3};
	}
	return profile_location(p, FRAME_NATIVE, m->mappings[function % ARRAY_SIZE(m->mappings)],
				0x10000 + function * 256ull + site * 16, lines, n);
}

struct profile *profile_made_up(__u32 n_stacks, __u32 depth)
{
	struct maker m = {.profile = new_cpu_profile(), .random = 42, .n_functions = 20000};
	static __u32 stack[PROFILE_MAX_FRAMES], frames[PROFILE_MAX_FRAMES],
		functions[PROFILE_MAX_FRAMES];
	__u32 labels[64];
	char text[64];

	if (!m.profile)
		return NULL;
	for (__u32 i = 0; i < ARRAY_SIZE(m.mappings); i++) {
		snprintf(text, sizeof(text), "/usr/lib/x86_64-linux-gnu/libmodule%u.so.1", i);
		m.mappings[i] = mapping_of(m.profile, text, strlen(text));
	}
	for (__u32 i = 0; i < ARRAY_SIZE(labels); i++) {
		snprintf(text, sizeof(text), "worker-%u", i % 8);
		labels[i] = profile_thread_labels(m.profile, text, text, 1000 + i % 8, 1000 + i);
	}
	depth = MIN(depth, (__u32)PROFILE_MAX_FRAMES);
	for (__u64 tries = 0; tries < n_stacks * 20ull && m.profile->stacks.len <= n_stacks;
	     tries++) {
		/* Root first: each stack leaves the last one somewhere, and callees go by callers.
		 */
		__u32 keep = m.profile->stacks.len > 1 && depth ? depth - 1 - steep(&m, depth) : 0;

		for (__u32 i = keep; i < depth; i++) {
			functions[i] =
				(__u32)hash_mix(i ? functions[i - 1] : 0, steep(&m, i ? 9 : 400)) %
				m.n_functions;
			stack[i] = made_up_location(&m, functions[i]);
		}
		for (__u32 i = 0; i < depth; i++)
			frames[i] = stack[depth - 1 - i];
		add_samples(m.profile, profile_stack(m.profile, frames, depth),
			    labels[steep(&m, ARRAY_SIZE(labels))], 1 + steep(&m, 20));
	}
	return m.profile;
}

/* ---- nasty ----------------------------------------------------------------------------------- */
static void add_named(struct profile *p, enum frame_kind kind, const char *name)
{
	__u32 frames[3] = {profile_named_location(p, kind, name),
			   profile_named_location(p, FRAME_NATIVE, "caller"),
			   profile_named_location(p, FRAME_NATIVE, "main")};

	add_samples(p, profile_stack(p, frames, 3), profile_thread_labels(p, "nasty", "t", 7, 8),
		    3);
}

static void add_deep(struct profile *p)
{
	static __u32 frames[PROFILE_MAX_FRAMES];
	struct profile_line lines[5] = {{0}};
	char text[32];

	for (__u32 i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "inlined_%u", i);
		lines[i] = (struct profile_line){
			.function = profile_function(
				p, &(struct profile_function){.name = profile_cstring(p, text)}),
			.line = i + 1,
			.column = i};
	}
	frames[0] =
		profile_location(p, FRAME_NATIVE, mapping_of(p, "/opt/deep", 9), 0x2000, lines, 5);
	for (__u32 i = 1; i < 1499; i++)
		frames[i] = profile_location(p, FRAME_NATIVE, 0, 0x100000 + i % 700, NULL, 0);
	frames[1499] = profile_named_location(p, FRAME_MARK, "[truncated]");
	add_samples(p, profile_stack(p, frames, 1500),
		    profile_thread_labels(p,
					  "de\xff"
					  "ep;\n",
					  NULL, 9, 9),
		    1);
}

struct profile *profile_nasty(void)
{
	static const char *const names[] = {
		"",
		"</script><script>alert(1)</script>",
		"<!--",
		"]]>",
		"a;b c\nd\re",
		"\x01\x02\x1b[31mred\x7f",
		"\xc2\x9b"
		"31mred \xc2\xa0",
		"not\xff\xfeutf8\xc3",
		"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x80\xae gnirts",
		"\"quoted\\\"'`${x}",
		"std::vector<int, std::allocator<int> >::push_back(int&&)",
		"core::fmt::Formatter::pad_integral::{closure#0}",
		"\xf0\x9f\x94\xa5 fire",
		"&amp;&lt;",
		"\xef\xbf\xbe noncharacter",
		"100%s%n",
	};
	struct profile *p = new_cpu_profile();
	__u32 m, f, pair[2];
	char *longest;

	if (!p)
		return NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		add_named(p, (enum frame_kind)(i % FRAME_MARK), names[i]);
	longest = malloc(5001);
	if (longest) {
		for (unsigned i = 0; i < 5000; i++)
			longest[i] = (char)('a' + i % 26);
		longest[5000] = 0;
		add_named(p, FRAME_NATIVE, longest);
	}
	free(longest);
	add_deep(p);
	m = p->main_mapping = mapping_of(p, "/usr/bin/nasty", 14);
	f = profile_location(p, FRAME_NATIVE, m, 0x1234, NULL, 0);
	add_samples(p, profile_stack(p, (__u32[]){f, f, f, f}, 4), 0, 5); /* recursion, no labels */
	add_samples(p, profile_stack(p, &f, 1), profile_thread_labels(p, "zero", "", 1, 2), 0);
	pair[0] = f;
	pair[1] = profile_named_location(p, FRAME_MARK, "[incomplete:no_cfi]");
	profile_add(p, profile_stack(p, pair, 2), profile_thread_labels(p, "huge", "", 3, 4),
		    (__s64[]){1, (__s64)1 << 50});
	profile_add_comment(p, "a comment with </script> and \xff");
	p->lost_total = 12;
	return p;
}
