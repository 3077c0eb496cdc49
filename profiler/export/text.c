// SPDX-License-Identifier: Apache-2.0
/*
 * A table for the terminal: what was measured, then one line per function with its own share and
 * the share of all stacks it is on (counted once however often it recurs), most of its own first.
 */
#include "profiler/base/cleanup.h"
#include "profiler/base/plain.h"
#include "profiler/export/frames.h"
#include "profiler/export/sink.h"
#include "profiler/export/summary.h"

#define DEFAULT_ROWS 60u

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

static void write_row(struct sink *sink, const struct frames *f, const struct row *row,
		      const struct summary *s)
{
	const struct frame *frame = &f->list.data[row->frame];
	struct buf cell = {0};

	for (unsigned i = 0; i < 2; i++) {
		__u64 value = i ? row->total : row->self;

		buf_reset(&cell);
		summary_value(&cell, value, s->unit);
		sink_printf(sink, "%12s ", cell.data ? cell.data : "");
		buf_reset(&cell);
		summary_share(&cell, value, s->total);
		sink_printf(sink, "%8s", cell.data ? cell.data : "");
	}
	buf_reset(&cell);
	buf_str(&cell, "  ");
	put_plain(&cell, frame->name);
	if (frame->inlined)
		buf_str(&cell, " (inlined)");
	if (*frame->module && frame->kind != FRAME_KERNEL) {
		buf_str(&cell, "  [");
		put_plain(&cell, frame->module);
		buf_char(&cell, ']');
	} else if (frame->kind != FRAME_NATIVE && frame->kind != FRAME_MARK) {
		buf_printf(&cell, "  [%s]", frame_kind_name((enum frame_kind)frame->kind));
	}
	buf_char(&cell, '\n');
	sink_add(sink, cell.data, cell.len);
	if (cell.err && !sink->err)
		sink->err = cell.err;
	buf_fini(&cell);
}

int text_write(const struct profile *profile, const struct export_options *options,
	       struct sink *sink)
{
	__u32 max = options->max_rows ? options->max_rows : DEFAULT_ROWS, n = 0;
	struct frames f;
	int err = frames_open(&f, profile, options->type, EXPORT_GROUP_NONE, true);
	_free_ struct row *rows = err ? NULL : calloc(f.list.len + 1, sizeof(*rows));
	struct summary s;

	if (!rows) {
		frames_close(&f);
		return -ENOMEM;
	}
	for (__u32 i = 0; i < f.list.len; i++)
		rows[i].frame = i;
	for (__u32 i = 0; f.type < profile->n_types && i < profile->samples.len; i++)
		count_sample(&f, i, rows);
	qsort(rows, f.list.len, sizeof(*rows), compare_rows);
	s = summary_of(profile, options, f.type);
	write_head(sink, &s);
	sink_printf(sink, "\n%12s %8s%12s %8s  %s\n", "self", "", "total", "", "function");
	for (; n < f.list.len && n < max && rows[n].total; n++)
		write_row(sink, &f, &rows[n], &s);
	if (n < f.list.len && rows[n].total)
		sink_printf(sink, "... and %zu more\n", f.list.len - n);
	frames_close(&f);
	return sink->err;
}
