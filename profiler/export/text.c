// SPDX-License-Identifier: Apache-2.0
/*
 * A table for the terminal: what was measured and in which programs most of it (by the name of the
 * thread, comm), then one line per function with its own share and
 * the share of all stacks it is on (counted once however often it recurs), most of its own first.
 * Columns are as wide as what they hold, the name is last, since it may be long: 2,000 characters
 * of templates push nothing aside. With options->columns a line fits a terminal of that width; else
 * nothing is cut.
 */
#include "profiler/base/cleanup.h"
#include "profiler/base/plain.h"
#include "profiler/export/frames.h"
#include "profiler/export/name_fit.h"
#include "profiler/export/sink.h"
#include "profiler/export/summary.h"

#define DEFAULT_ROWS  60u
#define MAX_PROGRAMS  6u
#define SHARE_COLUMNS 7	 /* 100.0 % */
#define MIN_NAME      16 /* columns, on however narrow a terminal */
#define INLINED	      " (inlined)"

struct row {
	__u64 self, total;
	__u32 frame;
	__u32 stamp; /* 1 + the sample that was counted last */
};

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->self != y->self)
		return x->self > y->self ? -1 : 1;
	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return x->frame < y->frame ? -1 : 1;
}

static void count_sample(const struct frames *f, __u32 sample, struct row *rows)
{
	__u64 value = (__u64)f->profile->samples.data[sample].values[f->type];
	struct frame_iter it = frame_iter_of(f, sample);
	__u32 frame, leaf = UINT32_MAX;

	if (!value)
		return;
	while ((frame = frame_iter_next(&it)) != UINT32_MAX) {
		leaf = frame;
		if (rows[frame].stamp == sample + 1)
			continue;
		rows[frame].stamp = sample + 1;
		rows[frame].total += value;
	}
	if (leaf != UINT32_MAX)
		rows[leaf].self += value;
}

static void write_head(struct sink *sink, const struct summary *s)
{
	struct buf line = {0};
	size_t at;

	put_plain(&line, s->title);
	buf_str(&line, *s->host ? " on " : "");
	put_plain(&line, s->host);
	buf_char(&line, '\n');
	at = line.len;
	summary_time(&line, s);
	if (line.len > at)
		buf_char(&line, '\n');
	summary_line(&line, s);
	buf_char(&line, '\n');
	summary_kinds(&line, s);
	buf_char(&line, '\n');
	for (unsigned i = 0; i < s->profile->n_comments; i++) {
		put_plain(&line, profile_str(s->profile, s->profile->comments[i]));
		buf_char(&line, '\n');
	}
	sink_add(sink, line.data, line.len);
	if (line.err && !sink->err)
		sink->err = line.err;
	buf_fini(&line);
}

static void write_line(struct sink *sink, struct buf *line)
{
	buf_char(line, '\n');
	sink_add(sink, line->data, line->len);
	if (line->err && !sink->err)
		sink->err = line->err;
	buf_fini(line);
}

static int compare_totals(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return x->frame < y->frame ? -1 : 1;
}

/* `postgres 61.0 %, nginx 12.5 %`, as many as fit; nothing where nothing has a comm. */
static void write_programs(struct sink *sink, const struct frames *f, struct row *groups,
			   size_t n_groups, const struct summary *s, unsigned terminal)
{
	struct buf line = {0}, part = {0};

	qsort(groups, n_groups, sizeof(*groups), compare_totals);
	for (size_t i = 0; i < MIN(n_groups, MAX_PROGRAMS) && groups[i].total; i++) {
		buf_reset(&part);
		buf_str(&part, i ? ", " : "");
		put_plain(&part, f->list.data[groups[i].frame].name);
		buf_char(&part, ' ');
		summary_share(&part, groups[i].total, s->total);
		if (terminal && part.data &&
		    text_columns(line.data ? line.data : "") + text_columns(part.data) > terminal)
			break;
		buf_str(&line, part.data ? part.data : "");
	}
	if (line.len)
		write_line(sink, &line);
	buf_fini(&line);
	buf_fini(&part);
}

/* How wide the table's columns are; of values without their shares. */
struct columns {
	int self, total, object, name; /* name 0: as long as it is */
};

static const char *object_of(const struct frame *frame)
{
	if (frame->kind == FRAME_NATIVE || frame->kind == FRAME_MARK)
		return frame->module;
	return *frame->module && frame->kind != FRAME_KERNEL
		       ? frame->module
		       : frame_kind_name((enum frame_kind)frame->kind);
}

/* A cell's text, plain, in at most `most` columns (0: any). */
static void put_fit(struct buf *out, const char *text, int most)
{
	struct buf plain = {0};

	put_plain(&plain, text);
	if (plain.data && most)
		name_fit(out, plain.data, (size_t)most);
	else
		buf_str(out, plain.data ? plain.data : "");
	buf_fini(&plain);
}

static void pad(struct buf *out, size_t used, int width)
{
	for (; used < (size_t)width; used++)
		buf_char(out, ' ');
}

/* `  838 ms  21.1 %`, or its heading */
static void put_value(struct buf *out, const char *value, const char *share, int width)
{
	pad(out, text_columns(value), width);
	buf_printf(out, "%s %*s", value, SHARE_COLUMNS, share);
}

static int value_columns(const struct summary *s, __u64 value)
{
	struct buf text = {0};
	int n;

	summary_value(&text, value, s->unit);
	n = (int)text_columns(text.data ? text.data : "");
	buf_fini(&text);
	return n;
}

static int object_columns(const struct frame *frame)
{
	struct buf text = {0};
	int n;

	put_plain(&text, object_of(frame));
	n = (int)text_columns(text.data ? text.data : "");
	buf_fini(&text);
	return n;
}

static struct columns fit_columns(const struct frames *f, const struct row *rows, __u32 n,
				  const struct summary *s, unsigned terminal)
{
	struct columns c = {.self = 8, .total = 8, .object = (int)strlen("object")};
	int used;

	for (__u32 i = 0; i < n; i++) {
		int object = object_columns(&f->list.data[rows[i].frame]);

		c.self = MAX(c.self, value_columns(s, rows[i].self));
		c.total = MAX(c.total, value_columns(s, rows[i].total));
		c.object = MAX(c.object, object);
	}
	if (!terminal)
		return c;
	c.object = MIN(c.object, (int)terminal / 6);
	used = c.self + c.total + 2 * (1 + SHARE_COLUMNS) + 2 + 2 + c.object + 2;
	c.name = MAX((int)terminal - used, MIN_NAME);
	return c;
}

static void write_row(struct sink *sink, const struct frames *f, const struct row *row,
		      const struct summary *s, const struct columns *c)
{
	const struct frame *frame = &f->list.data[row->frame];
	int name = c->name && frame->inlined ? c->name - (int)strlen(INLINED) : c->name;
	struct buf line = {0}, value = {0}, share = {0};
	size_t at;

	for (unsigned i = 0; i < 2; i++) {
		__u64 v = i ? row->total : row->self;

		buf_reset(&value);
		buf_reset(&share);
		summary_value(&value, v, s->unit);
		summary_share(&share, v, s->total);
		put_value(&line, value.data ? value.data : "", share.data ? share.data : "",
			  i ? c->total : c->self);
		buf_str(&line, "  ");
	}
	buf_fini(&value);
	buf_fini(&share);
	at = line.len;
	put_fit(&line, object_of(frame), c->object);
	pad(&line, line.data ? text_columns(line.data + at) : 0, c->object);
	buf_str(&line, "  ");
	put_fit(&line, frame->name, name);
	if (frame->inlined)
		buf_str(&line, INLINED);
	write_line(sink, &line);
}

static void write_table(struct sink *sink, const struct frames *f, const struct row *rows, __u32 n,
			const struct summary *s, unsigned terminal)
{
	struct columns c = fit_columns(f, rows, n, s, terminal);
	struct buf line = {0};

	buf_char(&line, '\n');
	put_value(&line, "self", "", c.self);
	buf_str(&line, "  ");
	put_value(&line, "total", "", c.total);
	buf_printf(&line, "  %-*s  function", c.object, "object");
	write_line(sink, &line);
	for (__u32 i = 0; i < n; i++)
		write_row(sink, f, &rows[i], s, &c);
}

/* Rows of programs to the front; how many. */
static size_t part_programs(const struct frames *f, struct row *rows)
{
	size_t n = 0;

	for (size_t i = 0; i < f->list.len; i++) {
		struct row row = rows[i];

		if (f->list.data[row.frame].kind != FRAME_GROUP)
			continue;
		rows[i] = rows[n];
		rows[n++] = row;
	}
	return n;
}

int text_write(const struct profile *profile, const struct export_options *options,
	       struct sink *sink)
{
	__u32 max = options->max_rows ? options->max_rows : DEFAULT_ROWS, n = 0;
	struct frames f;
	int err = frames_open(&f, profile, options->type, EXPORT_GROUP_COMM, true);
	_free_ struct row *all = err ? NULL : calloc(f.list.len + 1, sizeof(*all));
	size_t n_programs, n_rows;
	struct row *rows;
	struct summary s;

	if (!all) {
		frames_close(&f);
		return -ENOMEM;
	}
	for (__u32 i = 0; i < f.list.len; i++)
		all[i].frame = i;
	for (__u32 i = 0; f.type < profile->n_types && i < profile->samples.len; i++)
		count_sample(&f, i, all);
	n_programs = part_programs(&f, all);
	rows = all + n_programs;
	n_rows = f.list.len - n_programs;
	qsort(rows, n_rows, sizeof(*rows), compare_rows);
	s = summary_of(profile, options, f.type);
	write_head(sink, &s);
	write_programs(sink, &f, all, n_programs, &s, options->columns);
	while (n < n_rows && n < max && rows[n].total)
		n++;
	write_table(sink, &f, rows, n, &s, options->columns);
	if (n < n_rows && rows[n].total)
		sink_printf(sink, "... and %zu more\n", n_rows - n);
	frames_close(&f);
	return sink->err;
}
