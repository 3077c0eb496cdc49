// SPDX-License-Identifier: Apache-2.0
/* The node table of export.h: string table, frames and nodes as columns, delta-coded. */
#include "profiler/base/json.h"

#include "profiler/base/clock.h"
#include "profiler/export/sink.h"
#include "profiler/export/summary.h"
#include "profiler/export/tree.h"

enum { FLUSH_AT = 32 << 10, FLAG_OTHER = 1 };

struct table {
	struct tree tree;
	struct sink *sink;
	struct buf out;
	struct json json;
	struct strtab strings; /* of the document, numbered as they are met */
	__u32 *number;	       /* by frame: its row + 1; 0: not used */
	VEC(__u32) rows;       /* frame, or TREE_*, of each row */
	__u64 scale;	       /* greatest common divisor of all values */
};

static void flush(struct table *t, size_t at)
{
	if (t->out.len < at)
		return;
	if (t->out.err && !t->sink->err)
		t->sink->err = t->out.err;
	sink_add(t->sink, t->out.data, t->out.len);
	t->out.len = 0;
}

static void add_i64(struct table *t, __s64 value)
{
	json_i64(&t->json, NULL, value);
	flush(t, FLUSH_AT);
}

/* ---- numbering ------------------------------------------------------------------------------- */
static __u64 gcd(__u64 a, __u64 b)
{
	while (b) {
		__u64 rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* The root's frame is row 0, that of `other` row 1: both are always there. */
static int number_frames(struct table *t)
{
	int err = vec_push(&t->rows, TREE_ROOT);

	if (!err)
		err = vec_push(&t->rows, TREE_OTHER);
	t->number = calloc(t->tree.frames.list.len + 1, sizeof(*t->number));
	if (!t->number)
		return -ENOMEM;
	for (size_t i = 0; !err && i < t->tree.nodes.len; i++) {
		const struct tree_node *node = &t->tree.nodes.data[i];

		t->scale = gcd(t->scale, node->weight.self);
		t->scale = gcd(t->scale, node->weight.base_self);
		if (node->frame >= TREE_OTHER || t->number[node->frame])
			continue;
		err = vec_push(&t->rows, node->frame);
		t->number[node->frame] = (__u32)t->rows.len; /* row + 1 */
	}
	if (!t->scale)
		t->scale = 1;
	return err;
}

static __u32 row_of(const struct table *t, __u32 frame)
{
	if (frame == TREE_ROOT)
		return 0;
	return frame == TREE_OTHER ? 1 : t->number[frame] - 1;
}

/* A row's frame; the two that are none get one. */
static struct frame frame_of(const struct table *t, size_t row)
{
	struct tree_node node = {.frame = t->rows.data[row]};

	if (node.frame < TREE_OTHER)
		return t->tree.frames.list.data[node.frame];
	return (struct frame){.name = tree_node_name(&t->tree, &node),
			      .module = "",
			      .file = "",
			      .kind = FRAME_GROUP};
}

/* ---- the document ---------------------------------------------------------------------------- */
static void write_about(struct table *t, const struct summary *s)
{
	const struct profile *p = s->profile;
	struct json *j = &t->json;

	json_u64(j, "version", 1);
	json_str(j, "title", s->title);
	json_str(j, "host", s->host);
	json_str(j, "profile", s->name);
	json_str(j, "type", s->type);
	json_str(j, "unit", s->unit);
	json_u64(j, "time_ms", p->time_ns / NS_PER_MS);
	json_u64(j, "duration_ms", p->duration_ns / NS_PER_MS);
	if (t->tree.frames.base_type >= 0) {
		json_u64(j, "base_time_ms", p->base_time_ns / NS_PER_MS);
		json_u64(j, "base_duration_ms", p->base_duration_ns / NS_PER_MS);
	}
	json_u64(j, "samples", s->n_samples);
	json_u64(j, "whole", s->n_whole);
	json_u64(j, "lost", p->lost_total);
	json_u64(j, "all_nodes", t->tree.n_all);
	json_array(j, "comments");
	for (unsigned i = 0; i < p->n_comments; i++)
		json_str(j, NULL, profile_str(p, p->comments[i]));
	json_end(j);
	json_array(j, "kinds");
	for (unsigned k = 0; k < FRAME_KIND_COUNT; k++)
		json_str(j, NULL, frame_kind_name((enum frame_kind)k));
	json_end(j);
	json_u64(j, "scale", t->scale);
}

static const char *frame_text(const struct frame *frame, unsigned column)
{
	return column == 0 ? frame->name : column == 1 ? frame->module : frame->file;
}

static void write_frames(struct table *t)
{
	static const char *const texts[] = {"name", "module", "file"};
	struct json *j = &t->json;

	json_object(j, "frames");
	for (unsigned column = 0; column < ARRAY_SIZE(texts); column++) {
		__s64 last = 0;

		json_array(j, texts[column]);
		for (size_t row = 0; row < t->rows.len; row++) {
			struct frame frame = frame_of(t, row);
			const char *text = frame_text(&frame, column);
			__s64 id = strtab_id(&t->strings, text, strlen(text));

			add_i64(t, id - last);
			last = id;
		}
		json_end(j);
	}
	json_array(j, "line");
	for (size_t row = 0; row < t->rows.len; row++)
		add_i64(t, frame_of(t, row).line);
	json_end(j);
	json_array(j, "kind");
	for (size_t row = 0; row < t->rows.len; row++)
		add_i64(t, frame_of(t, row).kind);
	json_end(j);
	json_array(j, "inlined");
	for (size_t row = 0; row < t->rows.len; row++)
		add_i64(t, frame_of(t, row).inlined);
	json_end(j);
	json_end(j);
}

static void write_weights(struct table *t)
{
	static const struct {
		const char *name;
		size_t offset;
		bool of_base;
	} columns[] = {
		{"self", offsetof(struct frame_weight, self), false},
		{"total", offsetof(struct frame_weight, total), false},
		{"base_self", offsetof(struct frame_weight, base_self), true},
		{"base_total", offsetof(struct frame_weight, base_total), true},
	};

	for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
		if (columns[c].of_base && t->tree.frames.base_type < 0)
			continue;
		json_array(&t->json, columns[c].name);
		vec_for_each (node, &t->tree.nodes) {
			const char *weight = (const char *)&node->weight + columns[c].offset;

			add_i64(t, (__s64)(*(const __u64 *)weight / t->scale));
		}
		json_end(&t->json);
	}
}

static void write_nodes(struct table *t)
{
	const struct tree_node *nodes = t->tree.nodes.data;
	size_t n = t->tree.nodes.len;
	struct json *j = &t->json;
	__s64 last = 0;

	json_object(j, "nodes");
	json_array(j, "parent");
	for (size_t i = 0; i < n; i++)
		add_i64(t, (__s64)(i - nodes[i].parent));
	json_end(j);
	json_array(j, "frame");
	for (size_t i = 0; i < n; i++) {
		__s64 row = row_of(t, nodes[i].frame);

		add_i64(t, row - last);
		last = row;
	}
	json_end(j);
	write_weights(t);
	json_array(j, "flags");
	for (size_t i = 0; i < n; i++)
		add_i64(t, nodes[i].frame == TREE_OTHER ? FLAG_OTHER : 0);
	json_end(j);
	json_end(j);
}

static void write_strings(struct table *t)
{
	json_array(&t->json, "strings");
	for (__u32 i = 0; i < t->strings.entries.len; i++) {
		const struct strtab_entry *e = &t->strings.entries.data[i];

		json_strn(&t->json, NULL, e->s, e->len);
		flush(t, FLUSH_AT);
	}
	json_end(&t->json);
}

static int write_document(struct table *t, const struct profile *profile,
			  const struct export_options *options)
{
	struct summary s = summary_of(profile, options, t->tree.frames.type);
	int err = number_frames(t);

	if (err)
		return err;
	t->json = json_into(&t->out);
	json_object(&t->json, NULL);
	write_about(t, &s);
	write_frames(t);
	write_nodes(t);
	write_strings(t);
	json_end(&t->json);
	flush(t, 0);
	return t->out.err;
}

int json_write(const struct profile *profile, const struct export_options *options,
	       struct sink *sink)
{
	struct table t = {.sink = sink};
	int err = tree_open(&t.tree, profile, options);

	if (!err)
		err = strtab_init(&t.strings, 0);
	if (!err)
		err = write_document(&t, profile, options);
	strtab_fini(&t.strings);
	free(t.number);
	vec_free(&t.rows);
	buf_fini(&t.out);
	tree_close(&t.tree);
	return err ? err : sink->err;
}
