// SPDX-License-Identifier: Apache-2.0
/*
 * speedscope's JSON (www.speedscope.app/file-format-schema.json): shared frames, one sampled
 * profile of stacks root first. The group (comm, process, thread) is the root frame, so that its
 * left-heavy and sandwich views separate programs.
 */
#include "profiler/base/json.h"
#include "profiler/export/frames.h"
#include "profiler/export/sink.h"
#include "profiler/export/summary.h"

struct doc {
	struct frames frames;
	struct sink *sink;
	struct buf out;
	struct json json;
};

static void flush(struct doc *d, size_t at)
{
	if (d->out.len < at)
		return;
	if (d->out.err && !d->sink->err)
		d->sink->err = d->out.err;
	sink_add(d->sink, d->out.data, d->out.len);
	d->out.len = 0;
}

/* The units that the schema knows. */
static const char *unit_of(const char *unit)
{
	static const char *const known[] = {"nanoseconds", "microseconds", "milliseconds",
					    "seconds", "bytes"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(unit, known[i]))
			return unit;
	return "none";
}

static void write_frames(struct doc *d)
{
	struct json *j = &d->json;
	struct buf name = {0};

	json_object(j, "shared");
	json_array(j, "frames");
	for (size_t i = 0; i < d->frames.list.len; i++) {
		const struct frame *frame = &d->frames.list.data[i];

		buf_reset(&name);
		buf_str(&name, frame->name);
		if (frame->kind == FRAME_KERNEL)
			buf_str(&name, " [kernel]");
		else if (frame->inlined)
			buf_str(&name, " [inlined]");
		json_object(j, NULL);
		json_strn(j, "name", name.data ? name.data : "", name.len);
		if (*frame->file || *frame->module)
			json_str(j, "file", *frame->file ? frame->file : frame->module);
		if (*frame->file && frame->line)
			json_u64(j, "line", frame->line);
		json_end(j);
		flush(d, 32 << 10);
	}
	buf_fini(&name);
	json_end(j);
	json_end(j);
}

static void write_samples(struct doc *d)
{
	const struct frames *f = &d->frames;
	struct json *j = &d->json;

	json_array(j, "samples");
	for (size_t i = 0; i < f->n_samples; i++) {
		struct frame_iter it = frame_iter_of(f, f->samples[i]);
		__u32 frame;

		json_array(j, NULL);
		while ((frame = frame_iter_next(&it)) != UINT32_MAX)
			json_u64(j, NULL, frame);
		json_end(j);
		flush(d, 32 << 10);
	}
	json_end(j);
	json_array(j, "weights");
	for (size_t i = 0; i < f->n_samples; i++) {
		json_i64(j, NULL, f->profile->samples.data[f->samples[i]].values[f->type]);
		flush(d, 32 << 10);
	}
	json_end(j);
}

static void write_document(struct doc *d, const struct summary *s)
{
	struct json *j = &d->json;

	*j = json_into(&d->out);
	json_object(j, NULL);
	json_str(j, "$schema", "https://www.speedscope.app/file-format-schema.json");
	json_str(j, "exporter", "bianque " BIANQUE_VERSION);
	json_str(j, "name", s->title);
	json_u64(j, "activeProfileIndex", 0);
	write_frames(d);
	json_array(j, "profiles");
	json_object(j, NULL);
	json_str(j, "type", "sampled");
	json_str(j, "name", s->title);
	json_str(j, "unit", unit_of(s->unit));
	json_u64(j, "startValue", 0);
	json_u64(j, "endValue", s->total);
	write_samples(d);
	json_end(j);
	json_end(j);
	json_end(j);
	flush(d, 0);
}

int speedscope_write(const struct profile *profile, const struct export_options *options,
		     struct sink *sink)
{
	struct doc d = {.sink = sink};
	int err = frames_open(&d.frames, profile, options->type, options->group, true);

	if (!err)
		err = frames_sort(&d.frames);
	if (!err) {
		struct summary s = summary_of(profile, options, d.frames.type);

		write_document(&d, &s);
		err = d.out.err;
	}
	buf_fini(&d.out);
	frames_close(&d.frames);
	return err ? err : sink->err;
}
