// SPDX-License-Identifier: Apache-2.0
/* Stacks as text and as JSON, see stacks.h. Both walk the same frames: the kernel's as /proc names
 * them, then the profile's. */
#include <string.h>

#include "profiler/base/json.h"
#include "profiler/base/plain.h"
#include "profiler/stacks.h"

struct shown_frame {
	const char *function, *file, *kind, *object, *build_id;
	__u64 address; /* 0: unknown */
	__u32 line, column;
	bool inlined;
};

typedef void show_fn(void *arg, const struct shown_frame *frame);

static void each_kernel_frame(const char *text, show_fn *show, void *arg)
{
	struct kernel_frame k;

	while (kernel_frame_next(&text, &k)) {
		char function[256], object[80] = "[kernel]";
		struct shown_frame f = {.function = function,
					.file = "",
					.kind = frame_kind_name(FRAME_KERNEL),
					.object = object,
					.build_id = ""};

		snprintf(function, sizeof(function), "%.*s", k.function_len, k.function);
		if (k.module_len)
			snprintf(object, sizeof(object), "[%.*s]", k.module_len, k.module);
		show(arg, &f);
	}
}

static void each_line(const struct profile *p, const struct profile_location *l, show_fn *show,
		      void *arg)
{
	const struct profile_mapping *m = &p->mappings.data[l->mapping];
	struct shown_frame f = {
		.kind = frame_kind_name((enum frame_kind)l->kind),
		.object = l->kind == FRAME_KERNEL ? "[kernel]"
			  : l->kind == FRAME_JIT  ? "[jit]"
						  : profile_str(p, m->file),
		.build_id = profile_str(p, m->build_id),
		.address = l->address,
	};

	for (__u16 i = 0; i < l->n_lines; i++) {
		const struct profile_line *line = &p->lines.data[l->first_line + i];
		const struct profile_function *function = &p->functions.data[line->function];

		f.function = profile_str(p, function->name);
		f.file = profile_str(p, function->file);
		f.line = line->line;
		f.column = line->column;
		f.inlined = i + 1 < l->n_lines;
		show(arg, &f);
	}
}

static void each_frame(const struct stacks *s, const struct stacks_thread *t, show_fn *show,
		       void *arg)
{
	const struct profile *p = s->profile;
	const struct profile_stack *stack = &p->stacks.data[t->profile_stack];

	each_kernel_frame(t->kernel_stack, show, arg);
	for (__u32 i = 0; t->profile_stack && i < stack->n_frames; i++)
		each_line(p, &p->locations.data[stack->frames[i]], show, arg);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void put_frame(void *arg, const struct shown_frame *f)
{
	const char *slash = strrchr(f->object, '/');
	struct buf *out = arg;

	buf_str(out, "  ");
	put_plain(out, f->function);
	if (*f->object) {
		buf_str(out, " (");
		put_plain(out, slash ? slash + 1 : f->object);
		buf_char(out, ')');
	}
	if (*f->file) {
		buf_char(out, ' ');
		put_plain(out, f->file);
		buf_printf(out, ":%u", f->line);
	}
	buf_char(out, '\n');
}

void stacks_text(const struct stacks *s, const struct stacks_thread *t, struct buf *out)
{
	buf_printf(out, "%u ", t->tid);
	put_plain(out, t->stat.comm);
	buf_char(out, '\n');
	each_frame(s, t, put_frame, out);
	if (t->how == STACKS_NONE)
		buf_str(out, "  [running]\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static const char *const how_names[] = {
#define X(name, text) text,
	STACKS_HOW(X)
#undef X
};

static const struct stop_text {
	const char *label;
	bool whole;
} stops[STOP_COUNT] = {
#define X(name, label, whole) {label, whole},
	STOP_LIST(X)
#undef X
};

static void add_frame(void *arg, const struct shown_frame *f)
{
	struct json *j = arg;
	char address[24] = "";

	if (f->address)
		snprintf(address, sizeof(address), "0x%llx", (unsigned long long)f->address);
	json_object(j, NULL);
	json_str(j, "function", f->function);
	json_str(j, "file", f->file);
	json_u64(j, "line", f->line);
	json_u64(j, "column", f->column);
	json_bool(j, "inlined", f->inlined);
	json_str(j, "kind", f->kind);
	json_str(j, "object", f->object);
	json_str(j, "build_id", f->build_id);
	json_str(j, "address", address);
	json_end(j);
}

void stacks_json(const struct stacks *s, const struct stacks_thread *t, struct buf *out)
{
	bool taken = t->how != STACKS_NONE;
	struct json j = json_into(out);

	json_object(&j, NULL);
	json_u64(&j, "pid", s->pid);
	json_u64(&j, "tid", t->tid);
	json_str(&j, "comm", t->stat.comm);
	json_str(&j, "state", thread_state_name(t->stat.state));
	json_str(&j, "how", how_names[t->how]);
	json_str(&j, "stop", taken ? stops[t->stop].label : "running");
	json_bool(&j, "whole", taken && stops[t->stop].whole);
	json_array(&j, "frames");
	each_frame(s, t, add_frame, &j);
	json_end(&j);
	json_end(&j);
	buf_char(out, '\n');
}
