// SPDX-License-Identifier: Apache-2.0
#include "profiler/export/export.h"

#include <jansson.h>

#include "profiler/base/utf8.h"
#include "profiler/export/name_fit.h"
#include "profiler/export/sink.h"
#include "profiler/export/tree.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"
#include "tests/unit/test.h"

/* The whole output; the caller frees it. */
static char *write_all(const struct profile *p, const char *format,
		       const struct export_options *options, size_t *ret_len)
{
	struct buf buf = {0};
	struct sink_buf sink;

	sink_buf_init(&sink, &buf);
	ASSERT_INT(export_format_find(format)->write(p, options, &sink.sink), 0);
	ASSERT_INT(sink_finish(&sink.sink), 0);
	buf_reserve(&buf, 1);
	if (ret_len)
		*ret_len = buf.len;
	return buf.data;
}

static void formats(void)
{
	static const struct {
		const char *path, *format;
	} paths[] = {
		{"x.pb.gz", "pprof"},
		{"a/b.folded", "folded"},
		{"x.html", "html"},
		{"x.svg", "svg"},
		{"x.speedscope.json", "speedscope"},
		{"x.json", "json"},
		{"x.txt", "text"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct export_format *f = export_format_of_path(paths[i].path);

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		ASSERT_STR(f->name, paths[i].format);
		CU_ASSERT(f == export_format_find(paths[i].format));
		ASSERT_INT(f->text, strcmp(f->name, "pprof") != 0);
		CU_ASSERT(strlen(f->content_type) > 0 && strlen(f->help) > 0);
	}
	CU_ASSERT_PTR_NULL(export_formats[ARRAY_SIZE(paths)].name);
	CU_ASSERT_PTR_NULL(export_format_of_path("x.gz"));
	CU_ASSERT_PTR_NULL(export_format_of_path(".json")); /* a hidden file, no ending */
	CU_ASSERT_PTR_NULL(export_format_find("PPROF"));
}

static void folded(void)
{
	static const char lines[] = "a;main;f_[i];g 2\n"
				    "a;main;f_[i];g;sys_[k] 3\n"
				    "a;[truncated];x_[j] 1\n"
				    "b;main 4\n";
	struct profile *p = profile_of_folded(lines, strlen(lines));
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	char *out = write_all(p, "folded", &options, NULL);

	ASSERT_STR(out, "a;[truncated];x_[j] 1\na;main;f_[i];g;sys_[k] 3\na;main;f_[i];g 2\n"
			"b;main 4\n");
	free(out);
	options.group = EXPORT_GROUP_NONE;
	options.type = 1;
	out = write_all(p, "folded", &options, NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\nmain 40404040\n"));
	free(out);
	profile_free(p);
}

static void folded_names(void)
{
	struct profile *p = profile_nasty();
	size_t len, lines = 0;
	char *out = write_all(p, "folded", &EXPORT_OPTIONS_DEFAULT, &len);

	CU_ASSERT(strstr(out, "\nnasty;main;caller;a:b c d e_[k] 3\n") ||
		  strstr(out, ";a:b c d e"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "de\\xffep: ;[truncated];[unknown];"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "[unknown];nasty+0x1234;nasty+0x1234;nasty+0x1234"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, ";deep+") == NULL ? "" : NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, ";inlined_4;inlined_3_[i];inlined_2_[i];"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "not\\xff\\xfeutf8\\xc3"));
	CU_ASSERT_PTR_NULL(strstr(out, ";;"));
	for (char *line = out; *line; line = strchr(line, '\n') + 1) {
		char *end = strchr(line, '\n'), *count = memrchr(line, ' ', (size_t)(end - line));

		CU_ASSERT(count && count > line && count[1] >= '1' && count[1] <= '9');
		lines++;
	}
	ASSERT_INT(lines, 20);
	free(out);
	profile_free(p);
}

static void groups(void)
{
	struct profile *p = profile_new(NULL);
	__u32 stack;
	char *out;

	profile_add_type(p, "samples", "count");
	stack = profile_named_location(p, FRAME_NATIVE, "f");
	stack = profile_stack(p, &stack, 1);
	profile_add(p, stack, profile_thread_labels(p, "java", "GC-1", 5, 6), (__s64[]){1});
	profile_add(p, stack, profile_thread_labels(p, "java", "", 5, 7), (__s64[]){2});
	profile_add(p, stack, 0, (__s64[]){4});
	out = write_all(p, "folded",
			&(struct export_options){.type = -1, .group = EXPORT_GROUP_PID}, NULL);
	ASSERT_STR(out, "[unknown];f 4\njava (5);f 3\n");
	free(out);
	out = write_all(p, "folded",
			&(struct export_options){.type = -1, .group = EXPORT_GROUP_TID}, NULL);
	ASSERT_STR(out, "GC-1 (6);f 1\n[unknown];f 4\njava (7);f 2\n");
	free(out);
	out = write_all(p, "folded",
			&(struct export_options){.type = -1, .group = EXPORT_GROUP_NONE}, NULL);
	ASSERT_STR(out, "f 7\n");
	free(out);
	profile_free(p);
}

static void text_counts_recursion_once(void)
{
	static const char lines[] = "a;main;f;f;f;g 2\na;main;f 3\nb;other 5\n";
	struct profile *p = profile_of_folded(lines, strlen(lines));
	struct export_options options = {
		.type = 0, .title = "a title", .host = "box", .max_rows = 3};
	char *out = write_all(p, "text", &options, NULL);

	CU_ASSERT_PTR_NOT_NULL(strstr(out, "a title on box\n2026-09-21 14:13:20 - 14:13:30 UTC, 10s"
					   "\n10 samples, 100.0 % whole stacks, 0 lost\n"
					   "native 100.0 %\na 50.0 %, b 50.0 %\n\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\n       3  30.0 %         5  50.0 %  a       f\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\n       2  20.0 %         2  20.0 %  a       g\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "... and "));
	CU_ASSERT_PTR_NULL(strstr(out, "  main  "));
	free(out);
	profile_free(p);
}

/* A table of long names: it fits the terminal, and without one nothing is cut. */
static void text_fits_the_terminal(void)
{
	static const unsigned widths[] = {0, 80, 200};
	char name[2001], lines[4400];
	struct profile *p;

	memset(name, 'x', sizeof(name) - 1);
	memcpy(name, "ns::of<", 7);
	memcpy(name + sizeof(name) - 11, ">::leaf()", 10);
	snprintf(lines, sizeof(lines), "a;main;%s 5\na;main;short 4\na;%s_[i] 1\n", name, name);
	p = profile_of_folded(lines, strlen(lines));
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		struct export_options options = {.type = 0, .columns = widths[i]};
		char *out = write_all(p, "text", &options, NULL), *line, *rest, *at_;
		ptrdiff_t name_at = -1;

		CU_ASSERT(!strstr(out, name) == !!widths[i]);
		CU_ASSERT(!widths[i] || strstr(out, "  ns::of<\u2026>::leaf()\n"));
		for (line = strtok_r(strstr(out, "\n\n"), "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest)) {
			CU_ASSERT(!widths[i] || text_columns(line) <= widths[i]);
			if (name_at < 0)
				name_at = strstr(line, "function") - line;
			at_ = strstr(line, "short");
			CU_ASSERT(!at_ || at_ - line == name_at);
		}
		free(out);
	}
	profile_free(p);
}

/* Columns of a table, delta-coded or not. */
static json_int_t at(const json_t *column, size_t i, bool delta)
{
	json_int_t value = 0;

	for (size_t k = delta ? 0 : i; k <= i; k++)
		value += json_integer_value(json_array_get(column, k));
	return value;
}

static void json_table(void)
{
	static const char lines[] = "a;main;f [lib/x.so];g 2\na;main;f [lib/x.so] 3\nb;main 5\n";
	struct profile *p = profile_of_folded(lines, strlen(lines));
	char *out = write_all(p, "json", &(struct export_options){.type = 1, .host = "h"}, NULL);
	json_t *doc = json_loads(out, 0, NULL), *nodes = json_object_get(doc, "nodes");
	json_t *frames = json_object_get(doc, "frames"), *strings = json_object_get(doc, "strings");
	static const struct {
		const char *name, *module;
		int parent, self, total, kind;
	} want[] = {
		{"all", "", 0, 0, 10, FRAME_GROUP},
		{"a", "", 0, 0, 5, FRAME_GROUP},
		{"main", "a", 1, 0, 5, 0},
		{"f", "x.so", 2, 3, 5, 0},
		{"g", "a", 3, 2, 2, 0},
		{"b", "", 0, 0, 5, FRAME_GROUP},
		{"main", "b", 5, 5, 5, 0},
	};

	CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
	ASSERT_INT(json_integer_value(json_object_get(doc, "version")), 1);
	ASSERT_INT(json_integer_value(json_object_get(doc, "scale")), 10101010);
	ASSERT_INT(json_integer_value(json_object_get(doc, "samples")), 10);
	ASSERT_INT(json_integer_value(json_object_get(doc, "all_nodes")), ARRAY_SIZE(want));
	ASSERT_INT(json_array_size(json_object_get(nodes, "parent")), ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		size_t row = (size_t)at(json_object_get(nodes, "frame"), i, true);
		size_t name = (size_t)at(json_object_get(frames, "name"), row, true);
		size_t module = (size_t)at(json_object_get(frames, "module"), row, true);

		ASSERT_STR(json_string_value(json_array_get(strings, name)), want[i].name);
		ASSERT_STR(json_string_value(json_array_get(strings, module)), want[i].module);
		ASSERT_INT((json_int_t)i - at(json_object_get(nodes, "parent"), i, false),
			   want[i].parent);
		ASSERT_INT(at(json_object_get(nodes, "self"), i, false), want[i].self);
		ASSERT_INT(at(json_object_get(nodes, "total"), i, false), want[i].total);
		ASSERT_INT(at(json_object_get(frames, "kind"), row, false), want[i].kind);
	}
	json_decref(doc);
	free(out);
	profile_free(p);
}

/* Parents add up to their children and self, whatever was cut. */
static void check_tree(const struct tree *tree, __u64 total)
{
	size_t n = tree->nodes.len;
	__u64 *sum = calloc(n, sizeof(*sum));

	for (size_t i = n; i-- > 1;) {
		const struct tree_node *node = &tree->nodes.data[i];

		CU_ASSERT(node->parent < i && node->weight.total == node->weight.self + sum[i] &&
			  node->weight.total);
		sum[node->parent] += node->weight.total;
	}
	ASSERT_INT(tree->nodes.data[0].weight.total, total);
	ASSERT_INT(sum[0], total);
	free(sum);
}

static void tree_keeps_the_largest(void)
{
	struct profile *p = profile_made_up(2000, 20);
	struct tree all, cut;

	ASSERT_INT(tree_open(&all, p, &(struct export_options){.max_nodes = 1u << 30}), 0);
	ASSERT_INT(all.nodes.len, all.n_all);
	check_tree(&all, profile_total(p, 0));
	for (__u32 max = 2; max < 20000; max = max * 3 + 1) {
		__u64 least = UINT64_MAX;
		size_t n_kept = 0, n_large = 0;

		ASSERT_INT(tree_open(&cut, p, &(struct export_options){.max_nodes = max}), 0);
		ASSERT_INT(cut.n_all, all.n_all);
		CU_ASSERT(cut.nodes.len <= max);
		CU_ASSERT(max < 1000 || cut.nodes.len > MIN(max, cut.n_all) * 95 / 100);
		check_tree(&cut, profile_total(p, 0));
		for (size_t i = 1; i < cut.nodes.len; i++)
			if (cut.nodes.data[i].frame != TREE_OTHER)
				least = MIN(least, cut.nodes.data[i].weight.total);
		/* Of the least ones as many as there is room for; every larger one. */
		least += least / 64;
		for (size_t i = 1; i < cut.nodes.len; i++)
			n_kept += cut.nodes.data[i].frame != TREE_OTHER &&
				  cut.nodes.data[i].weight.total > least;
		for (size_t i = 1; i < all.nodes.len; i++)
			n_large += all.nodes.data[i].weight.total > least;
		ASSERT_INT(n_kept, n_large);
		tree_close(&cut);
	}
	tree_close(&all);
	profile_free(p);
}

static void nasty_names_stay_text(void)
{
	static const char *const formats[] = {"folded",	    "text", "json",
					      "speedscope", "svg",  "html"};
	struct profile *p = profile_nasty();

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t len;
		char *out = write_all(p, formats[i], &EXPORT_OPTIONS_DEFAULT, &len);

		for (size_t at_ = 0, n; at_ < len; at_ += n) {
			n = utf8_len(out + at_, len - at_);
			CU_ASSERT_FATAL(n > 0);
			CU_ASSERT(out[at_] != 0);
			if (i < 2) /* for a terminal: nothing of C0, DEL and C1 but its own lines */
				CU_ASSERT(out[at_] == '\n' ||
					  (n == 1 && out[at_] >= ' ' && out[at_] != 0x7f) ||
					  n > 2 || memcmp(out + at_, "\xc2\xa0", n) >= 0);
		}
		if (!strcmp(formats[i], "json") || !strcmp(formats[i], "speedscope")) {
			json_t *doc = json_loadb(out, len, 0, NULL);

			CU_ASSERT_PTR_NOT_NULL(doc);
			json_decref(doc);
		}
		if (!strcmp(formats[i], "svg"))
			CU_ASSERT_PTR_NULL(strstr(out, "<script"));
		free(out);
	}
	profile_free(p);
}

static void empty_profiles(void)
{
	struct profile *p = profile_new(NULL);

	profile_add_type(p, "samples", "count");
	for (const struct export_format *f = export_formats; f->name; f++) {
		size_t len;
		char *out = write_all(p, f->name, &EXPORT_OPTIONS_DEFAULT, &len);

		CU_ASSERT(len > 0 || !strcmp(f->name, "folded"));
		free(out);
	}
	profile_free(p);
}

/* No encoder goes on, or forgets, when its sink fails. */
static void a_full_disk(void)
{
	struct profile *p = profile_made_up(3000, 20);

	for (const struct export_format *f = export_formats; f->name; f++) {
		struct buf buf = {.limit = 20000};
		struct sink_buf sink;
		int err;

		sink_buf_init(&sink, &buf);
		err = f->write(p, &EXPORT_OPTIONS_DEFAULT, &sink.sink);
		if (!err)
			err = sink_finish(&sink.sink);
		ASSERT_INT(err, strcmp(f->name, "text") ? -EFBIG : 0);
		buf_fini(&buf);
	}
	profile_free(p);
}

SUITE(export, {"formats", formats}, {"folded", folded}, {"folded names", folded_names},
      {"groups", groups}, {"text counts recursion once", text_counts_recursion_once},
      {"text fits the terminal", text_fits_the_terminal}, {"json table", json_table},
      {"tree keeps the largest", tree_keeps_the_largest},
      {"nasty names stay text", nasty_names_stay_text}, {"empty profiles", empty_profiles},
      {"a full disk", a_full_disk});
