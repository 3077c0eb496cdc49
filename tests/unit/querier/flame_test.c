// SPDX-License-Identifier: Apache-2.0
/* Flame graphs in rows: the documented example, and rows made here by brute force from folded text. */
#include "profiler/querier/flame.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/export/export.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"
#include "tests/unit/test.h"

/* main(self 120; bar 90; foo 90, of which self 30 and bar 60); a comm before each. */
static const char example[] = "x;main 120\nx;main;bar 90\nx;main;foo 30\nx;main;foo;bar 60\n";

static struct profile *folded(const char *text)
{
	struct profile *p = profile_of_folded(text, strlen(text));

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return p;
}

/* "0,300,0,total 0,300,120,main ..." with a | between rows. */
static void describe(struct buf *out, size_t n_levels, Querier__Level *const *levels,
		     char *const *names, size_t width)
{
	for (size_t i = 0; i < n_levels; i++) {
		ASSERT_INT(levels[i]->n_values % width, 0);
		for (size_t at = 0; at < levels[i]->n_values; at += width) {
			buf_str(out, at ? " " : i ? "|" : "");
			for (size_t k = 0; k + 1 < width; k++)
				buf_printf(out, "%lld,", (long long)levels[i]->values[at + k]);
			buf_str(out, names[levels[i]->values[at + width - 1]]);
		}
	}
}

static void assert_graph(const char *text, const struct flame_options *options, const char *wanted)
{
	struct profile *p = folded(text);
	Querier__FlameGraph *g;
	struct arena arena = {0};
	struct buf out = {0};

	ASSERT_INT(flame_graph(p, options, &arena, &g), 0);
	describe(&out, g->n_levels, g->levels, g->names, 4);
	ASSERT_STR(out.data, wanted);
	ASSERT_STR(g->names[0], "total");
	ASSERT_INT(g->total, g->levels[0]->values[1]);
	buf_fini(&out);
	arena_fini(&arena);
	profile_free(p);
}

static void documented_example(void)
{
	struct flame_options options = {.max_nodes = 100};

	assert_graph(example, &options,
		     "0,300,0,total|0,300,120,main|120,90,90,bar 0,90,30,foo|240,60,60,bar");
	assert_graph("", &options, "0,0,0,total");
	/* Inlined or not is the same function here; `b` and `b_[i]` are two frames elsewhere. */
	assert_graph("x;a;b 1\nx;a;b_[i] 2\nx;a;b;c 4\nx;a;b_[i];c 8\n", &options,
		     "0,15,0,total|0,15,0,a|0,15,3,b|3,12,12,c");
	/* Same name on two levels, and order by bytes, not by first seen. */
	assert_graph("x;b;b 1\nx;a 2\nx;Z 4\n", &options,
		     "0,7,0,total|0,4,4,Z 0,2,2,a 0,1,0,b|6,1,1,b");
}

static void small_nodes_become_other(void)
{
	struct flame_options options = {.max_nodes = 4};

	assert_graph("x;a 100\nx;b 5\nx;c 6\nx;z 200\n", &options,
		     "0,311,0,total|0,100,100,a 0,11,11,other 0,200,200,z");
}

static void call_sites_choose(void)
{
	Querier__Location main_ = QUERIER__LOCATION__INIT, foo = QUERIER__LOCATION__INIT;
	Querier__Location *sites[] = {&main_, &foo};
	struct flame_options options = {.max_nodes = 100, .call_sites = sites, .n_call_sites = 2};

	main_.name = (char[]){"main"};
	foo.name = (char[]){"foo"};
	assert_graph(example, &options, "0,90,0,total|0,90,0,main|0,90,30,foo|30,60,60,bar");
	options.n_call_sites = 1;
	assert_graph(example, &options,
		     "0,300,0,total|0,300,120,main|120,90,90,bar 0,90,30,foo|240,60,60,bar");
	sites[0] = &foo;
	assert_graph(example, &options, "0,0,0,total");
}

static void both_sides(void)
{
	struct profile *left = folded(example), *right = folded("x;main;bar 10\nx;new 7\n");
	struct flame_options options = {.max_nodes = 100};
	Querier__FlameGraphDiff *g;
	struct arena arena = {0};
	struct buf out = {0};

	ASSERT_INT(profile_set_base(left, right), 0);
	ASSERT_INT(flame_graph_diff(left, &options, &arena, &g), 0);
	describe(&out, g->n_levels, g->levels, g->names, 7);
	ASSERT_STR(out.data, "0,300,0,0,17,0,total"
			     "|0,300,120,0,10,0,main 0,0,0,0,7,7,new"
			     "|120,90,90,0,10,10,bar 0,90,30,0,0,0,foo"
			     "|240,60,60,10,0,0,bar");
	ASSERT_INT(g->leftticks, 300);
	ASSERT_INT(g->rightticks, 17);
	ASSERT_INT(g->total, 317);
	ASSERT_INT(g->max_self, 120);
	buf_fini(&out);
	arena_fini(&arena);
	profile_free(left);
	profile_free(right);
}

/* ---- brute force: bars from lines of folded stacks, sorted as text ----------------------------- */

/* One line a bar, `depth:path TOTAL`, of folded stacks: every prefix of each. */
static void paths_of_folded(char *text, struct buf *out)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strrchr(line, ' '), *p = line;

		for (; p; p = strchr(p + 1, ';'))
			if (p != line)
				buf_printf(out, "%.*s %s\n", (int)(p - line), line, space + 1);
		buf_printf(out, "%.*s %s\n", (int)(space - line), line, space + 1);
	}
}

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Equal paths added up; one string of `path TOTAL` lines in order; frees the input. */
static char *sum_lines(struct buf *in)
{
	VEC(char *) lines = {0};
	struct buf out = {0};
	char *save = NULL;

	for (char *line = strtok_r(in->data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		CU_ASSERT_FATAL(!vec_push(&lines, line));
	qsort(lines.data, lines.len, sizeof(char *), by_line);
	for (size_t i = 0, next; i < lines.len; i = next) {
		size_t len = (size_t)(strrchr(lines.data[i], ' ') - lines.data[i]);
		unsigned long long total = 0;

		for (next = i;
		     next < lines.len && !strncmp(lines.data[next], lines.data[i], len + 1) &&
		     strrchr(lines.data[next], ' ') == lines.data[next] + len;
		     next++)
			total += strtoull(lines.data[next] + len, NULL, 10);
		buf_printf(&out, "%.*s %llu\n", (int)len, lines.data[i], total);
	}
	vec_free(&lines);
	buf_fini(in);
	return out.data;
}

/* The same from rows: a bar's parent is the one above it that it lies within. */
static void paths_of_graph(const Querier__FlameGraph *g, struct buf *out)
{
	struct placed {
		__s64 x, end;
		char *path;
	};
	VEC(struct placed) above = {0}, row = {0};

	for (size_t i = 1; i < g->n_levels; i++) {
		const int64_t *v = g->levels[i]->values;
		size_t over = 0; /* both rows are from left to right */
		__s64 x = 0;

		for (size_t at = 0; at < g->levels[i]->n_values; at += 4) {
			struct placed p = {.x = x + v[at]};
			const char *up = "";

			p.end = x = p.x + v[at + 1];
			while (over < above.len && above.data[over].end < p.end)
				over++;
			if (over < above.len && above.data[over].x <= p.x)
				up = above.data[over].path;
			CU_ASSERT(i == 1 || *up);
			CU_ASSERT_FATAL(asprintf(&p.path, "%s%s%s", up, *up ? ";" : "",
						 g->names[v[at + 3]]) > 0);
			buf_printf(out, "%s %lld\n", p.path, (long long)v[at + 1]);
			CU_ASSERT_FATAL(!vec_push(&row, p));
		}
		vec_for_each (a, &above)
			free(a->path);
		above.len = 0;
		vec_for_each (p, &row)
			CU_ASSERT_FATAL(!vec_push(&above, *p));
		row.len = 0;
	}
	vec_for_each (a, &above)
		free(a->path);
	vec_free(&above);
	vec_free(&row);
}

/* _[k] and the like. */
static void drop_suffixes(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (p[0] == '_' && p[1] == '[')
			p += 3;
		else
			*to++ = *p;
	}
	*to = 0;
}

static void rows_are_the_stacks(void)
{
	struct profile *p = profile_made_up(1500, 20);
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	struct flame_options flame = {.max_nodes = 1000000};
	struct buf folded_text = {0}, wanted = {0}, found = {0};
	struct arena arena = {0};
	struct sink_buf sink;
	Querier__FlameGraph *g;
	char *a, *b;

	options.group = EXPORT_GROUP_NONE;
	sink_buf_init(&sink, &folded_text);
	ASSERT_INT(export_format_find("folded")->write(p, &options, &sink.sink), 0);
	ASSERT_INT(sink_finish(&sink.sink), 0);
	drop_suffixes(folded_text.data);
	paths_of_folded(folded_text.data, &wanted);
	ASSERT_INT(flame_graph(p, &flame, &arena, &g), 0);
	paths_of_graph(g, &found);
	a = sum_lines(&wanted);
	b = sum_lines(&found);
	CU_ASSERT(strlen(a) > 50000);
	CU_ASSERT(!strcmp(a, b));
	free(a);
	free(b);
	buf_fini(&folded_text);
	arena_fini(&arena);
	profile_free(p);
}

static void never_more_than_asked(void)
{
	struct profile *p = profile_made_up(1500, 20);

	for (__u32 max = 2; max < 5000; max = max * 3 + 1) {
		struct flame_options flame = {.max_nodes = max};
		struct arena arena = {0};
		Querier__FlameGraph *g;
		size_t n = 0, self = 0;

		ASSERT_INT(flame_graph(p, &flame, &arena, &g), 0);
		for (size_t i = 0; i < g->n_levels; i++) {
			n += g->levels[i]->n_values / 4;
			for (size_t at = 0; at < g->levels[i]->n_values; at += 4) {
				self += (size_t)g->levels[i]->values[at + 2];
				CU_ASSERT((size_t)g->levels[i]->values[at + 3] < g->n_names);
			}
		}
		CU_ASSERT(n <= max);
		ASSERT_INT(self, g->total);
		ASSERT_INT(g->total, profile_total(p, 0));
		arena_fini(&arena);
	}
	profile_free(p);
}

static void nasty_names_pass(void)
{
	struct profile *p = profile_nasty();
	struct flame_options flame = {.max_nodes = 100000};
	struct arena arena = {0};
	Querier__FlameGraph *g;

	ASSERT_INT(flame_graph(p, &flame, &arena, &g), 0);
	for (size_t i = 0; i < g->n_names; i++)
		CU_ASSERT(*g->names[i]);
	ASSERT_INT(g->total, profile_total(p, 0));
	arena_fini(&arena);
	profile_free(p);
}

SUITE(querier_flame, {"the documented example", documented_example},
      {"small nodes become other", small_nodes_become_other},
      {"call sites choose", call_sites_choose}, {"both sides of a comparison", both_sides},
      {"rows are the stacks", rows_are_the_stacks},
      {"never more nodes than asked for", never_more_than_asked},
      {"nasty names pass", nasty_names_pass});
