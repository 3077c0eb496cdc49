// SPDX-License-Identifier: Apache-2.0
/*
 * Folded stacks: `comm;root;...;leaf COUNT`, one line per distinct stack of names, a callee
 * before the rest of its caller. COUNT is samples. Suffixes: `_[k]` kernel, `_[i]` inlined, `_[j]`
 * JIT. A `;` in a name becomes `:`, a line break a space, other controls `?`. The comm comes first,
 * then a mark such as
 * `[truncated]` where there is one. A comparison has two counts, the baseline's first, as
 * difffolded.pl writes them and flamegraph.pl reads them.
 */
#include "profiler/export/export.h"

#include "profiler/base/plain.h"
#include "profiler/export/frames.h"
#include "profiler/export/sink.h"

#define FOLDED_MAX_LINE ((size_t)64 << 20)

struct folded {
	struct frames_visitor visitor;
	const struct frames *frames;
	struct sink *sink;
	struct buf path;
	VEC(size_t) ends; /* of path before each frame */
	int err;
};

static void add_name(struct buf *out, const struct frame *frame)
{
	size_t at = out->len;

	put_plain(out, frame->name);
	for (; at < out->len; at++)
		if (out->data[at] == ';')
			out->data[at] = ':';
	/* One suffix, as readers expect; inlined kernel code is kernel code first. */
	if (frame->inlined && frame->kind != FRAME_KERNEL)
		buf_str(out, "_[i]");
	else
		buf_str(out, frame_kind_suffix(frame->kind));
}

static void enter(struct frames_visitor *v, __u32 frame, size_t depth)
{
	struct folded *f = container_of(v, struct folded, visitor);

	if (vec_push(&f->ends, f->path.len))
		f->err = -ENOMEM;
	if (depth)
		buf_char(&f->path, ';');
	add_name(&f->path, &f->frames->list.data[frame]);
}

static void leave(struct frames_visitor *v, __u32 frame UNUSED, size_t depth UNUSED,
		  const struct frame_weight *weight)
{
	struct folded *f = container_of(v, struct folded, visitor);

	if (!f->ends.len)
		return;
	if (weight->self || weight->base_self) {
		sink_add(f->sink, f->path.data, f->path.len);
		sink_char(f->sink, ' ');
		if (f->frames->base_type >= 0) {
			sink_u64(f->sink, weight->base_self);
			sink_char(f->sink, ' ');
		}
		sink_u64(f->sink, weight->self);
		sink_char(f->sink, '\n');
	}
	f->path.len = f->ends.data[--f->ends.len];
}

int folded_write(const struct profile *profile, const struct export_options *options,
		 struct sink *sink)
{
	int type = options->type == EXPORT_TYPE_AUTO ? profile_find_type(profile, "samples")
						     : options->type;
	struct frames frames;
	struct folded f = {.visitor = {enter, leave}, .frames = &frames, .sink = sink};
	int err = frames_open(&frames, profile, type, options->group, false);

	f.path.limit = FOLDED_MAX_LINE;
	if (!err)
		err = frames_sort(&frames);
	if (!err)
		err = frames_walk(&frames, &f.visitor);
	if (!err)
		err = f.err ? f.err : f.path.err;
	buf_fini(&f.path);
	vec_free(&f.ends);
	frames_close(&frames);
	return err ? err : sink->err;
}
