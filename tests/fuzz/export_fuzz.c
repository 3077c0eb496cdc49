// SPDX-License-Identifier: Apache-2.0
/*
 * Any profile through every encoder: bytes become calls of the profile's builder (names, ids and
 * limits as wild as they like); what comes out must be UTF-8 where it is text, JSON where it says
 * so, and pprof that protobuf-c decodes to the same total, whole and in parts.
 */
#include <stdlib.h>

#include <jansson.h>

#include "profiler/base/cursor.h"
#include "profiler/base/utf8.h"
#include "profiler/export/pprof.h"
#include "profiler/export/pprof.pb-c.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static __u32 take_string(struct cursor *c, struct profile *p)
{
	size_t len = cursor_u8(c);
	const char *s;

	if (len == 255)
		len = cursor_u16(c);
	len = MIN(len, cursor_left(c));
	s = cursor_bytes(c, len);
	return profile_string(p, s ? s : "", len);
}

static void take_stack(struct cursor *c, struct profile *p, __u32 *stack)
{
	__u32 frames[600];
	size_t n = cursor_u8(c), repeat = cursor_u8(c) % 3 + 1, len = 0;

	for (size_t i = 0; i < n; i++) {
		__u32 l = cursor_u8(c);

		for (size_t k = 0; k < repeat && len < ARRAY_SIZE(frames); k++)
			frames[len++] = l;
	}
	*stack = profile_stack(p, frames, len);
}

static void take_location(struct cursor *c, struct profile *p)
{
	struct profile_line lines[300];
	size_t n = cursor_u8(c) % 4;
	__u32 function;

	if (n == 3)
		n = cursor_u8(c) + 40u;
	function = profile_function(p, &(struct profile_function){.name = take_string(c, p),
								  .system_name = take_string(c, p),
								  .file = take_string(c, p),
								  .start_line = cursor_u32(c)});
	for (size_t i = 0; i < n; i++)
		lines[i] = (struct profile_line){function - function % (__u32)(i + 1), cursor_u8(c),
						 (__u32)i};
	profile_location(p, (enum frame_kind)(cursor_u8(c) % FRAME_GROUP), cursor_u8(c),
			 cursor_u64(c), lines, n);
}

static __u32 take_labels(struct cursor *c, struct profile *p)
{
	struct profile_label labels[40];
	size_t n = cursor_u8(c) % ARRAY_SIZE(labels);

	if (n < 8)
		return profile_thread_labels(p, "comm", n & 1 ? "thread" : "", cursor_u8(c),
					     cursor_u8(c));
	for (size_t i = 0; i < n; i++)
		labels[i] = (struct profile_label){.key = take_string(c, p),
						   .str = cursor_u8(c) & 1 ? take_string(c, p) : 0,
						   .unit = cursor_u8(c) & 1 ? PROFILE_STR_COMM : 0,
						   .num = cursor_s64(c)};
	return profile_labels(p, labels, n);
}

static struct profile *build(struct cursor *c)
{
	struct profile *p = profile_new(&(struct profile_limits){
		.max_stacks = cursor_u8(c) & 1 ? 0 : cursor_u8(c),
		.max_bytes = cursor_u8(c) & 1 ? 0 : (size_t)cursor_u16(c) * 16});
	__u32 stack = 0, labels = 0;

	CHECK(p);
	profile_add_type(p, "samples", "count");
	if (cursor_u8(c) & 1)
		p->default_type = profile_add_type(p, "cpu", "nanoseconds");
	p->time_ns = cursor_u64(c) >> 1;
	p->duration_ns = cursor_u64(c) >> 1;
	p->main_mapping = cursor_u8(c);
	while (cursor_left(c) && !c->bad) {
		switch (cursor_u8(c) % 6) {
		case 0:
			take_location(c, p);
			break;
		case 1:
			take_stack(c, p, &stack);
			break;
		case 2:
			labels = take_labels(c, p);
			break;
		case 3:
			profile_add(p, stack, labels, (__s64[]){cursor_u8(c), cursor_s64(c)});
			break;
		case 4:
			profile_mapping(p, &(struct profile_mapping){.start = cursor_u32(c),
								     .limit = cursor_u64(c),
								     .offset = cursor_u8(c),
								     .file = take_string(c, p),
								     .build_id = 0});
			break;
		default:
			profile_add_comment(p, profile_str(p, take_string(c, p)));
		}
	}
	return p;
}

static void check_text(const char *name, const struct buf *out)
{
	for (size_t i = 0, n; i < out->len; i += n) {
		n = utf8_len(out->data + i, out->len - i);
		CHECK(n && out->data[i]);
	}
	if (strcmp(name, "json") && strcmp(name, "speedscope"))
		return;
	json_t *doc = json_loadb(out->data, out->len, 0, NULL);

	CHECK(doc);
	json_decref(doc);
}

static __u64 pprof_total(const struct buf *out)
{
	Pprof__Profile *p = pprof__profile__unpack(NULL, out->len, (const uint8_t *)out->data);
	__u64 total = 0;

	CHECK(p);
	for (size_t i = 0; i < p->n_sample; i++) {
		total += (__u64)p->sample[i]->value[0];
		for (size_t k = 0; k < p->sample[i]->n_location_id; k++)
			CHECK(p->sample[i]->location_id[k] - 1 < p->n_location);
	}
	for (size_t i = 0; i < p->n_location; i++) {
		CHECK(p->location[i]->n_line && p->location[i]->mapping_id <= p->n_mapping);
		for (size_t k = 0; k < p->location[i]->n_line; k++)
			CHECK(p->location[i]->line[k]->function_id - 1 < p->n_function);
	}
	for (size_t i = 0; i < p->n_function; i++)
		CHECK((__u64)p->function[i]->name < p->n_string_table && p->function[i]->name);
	pprof__profile__free_unpacked(p, NULL);
	return total;
}

static __u64 in_parts(const struct profile *p, struct export_options *options, size_t max_bytes)
{
	struct pprof_limits limits = {.max_bytes = max_bytes, .max_samples = 7};
	struct pprof_split split = {0};
	__u64 total = 0;

	while (!split.done) {
		struct buf out = {0};
		struct sink_buf sink;

		sink_buf_init(&sink, &out);
		CHECK(!pprof_write_part(p, options, &limits, &split, &sink.sink));
		CHECK(!sink_finish(&sink.sink));
		total += pprof_total(&out);
		buf_fini(&out);
	}
	return total;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct export_options options = {.gzip_level = -1};
	struct profile *p;
	size_t max_bytes;

	options.type = cursor_u8(&c) % 4 - 1;
	options.group = (enum export_group)(cursor_u8(&c) % 4);
	options.max_nodes = cursor_u8(&c);
	options.max_frames = cursor_u8(&c);
	options.string_labels = cursor_u8(&c) & 1;
	options.columns = cursor_u8(&c);
	max_bytes = cursor_u16(&c);
	p = build(&c);
	for (const struct export_format *f = export_formats; f->name; f++) {
		struct buf out = {0};
		struct sink_buf sink;

		sink_buf_init(&sink, &out);
		CHECK(!f->write(p, &options, &sink.sink));
		CHECK(!sink_finish(&sink.sink));
		if (f->text)
			check_text(f->name, &out);
		else
			CHECK(pprof_total(&out) == profile_total(p, 0));
		buf_fini(&out);
	}
	CHECK(in_parts(p, &options, max_bytes) == profile_total(p, 0));
	profile_free(p);
	return 0;
}
