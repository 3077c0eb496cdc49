// SPDX-License-Identifier: Apache-2.0
/*
 * The dictionary's reading half, see dict.h. The bytes are our own and carry a check, but a disk
 * may lie: every id is compared with what is there, every count with what is left.
 */
#include <errno.h>
#include <string.h>

#include "profiler/store/dict.h"
#include "profiler/store/varint.h"

/* A table's part: false (and bad) unless it goes on where the table ends. */
static bool begin(struct cursor *in, size_t len, __u64 *ret_n)
{
	__u64 first = cursor_uleb(in), n = cursor_uleb(in);

	if (first != len || n > cursor_left(in)) { /* an entry has a byte at least */
		cursor_fail(in);
		return false;
	}
	*ret_n = n;
	return true;
}

/* A number below `end`. */
static __u32 below(struct cursor *in, size_t end)
{
	__u64 value = cursor_uleb(in);

	if (value >= end) {
		cursor_fail(in);
		return 0;
	}
	return (__u32)value;
}

static __u32 string_of(struct dict *dict, struct cursor *in)
{
	return below(in, dict->strings.entries.len);
}

static int get_strings(struct dict *dict, struct cursor *in)
{
	__u64 n;

	if (!begin(in, dict->strings.entries.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad; i++) {
		__u64 len = cursor_uleb(in);
		const char *s = cursor_bytes(in, len);
		int err;

		if (!s || memchr(s, 0, len)) {
			cursor_fail(in);
			break;
		}
		err = strtab_append(&dict->strings, s, len);
		if (err)
			return err;
	}
	return 0;
}

static int get_mappings(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->mappings.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_mapping m = {0};

		m.file = string_of(dict, in);
		m.build_id = string_of(dict, in);
		m.start = cursor_uleb(in);
		m.limit = cursor_uleb(in);
		m.offset = cursor_uleb(in);
		if (!in->bad)
			err = vec_push(&dict->mappings, m);
	}
	return err;
}

static int get_functions(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->functions.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_function f = {0};

		f.name = string_of(dict, in);
		f.system_name = string_of(dict, in);
		f.file = string_of(dict, in);
		f.start_line = (__u32)cursor_uleb(in);
		if (!in->bad)
			err = vec_push(&dict->functions, f);
	}
	return err;
}

static int get_locations(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->locations.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_location l = {.first_line = (__u32)dict->lines.len};
		__u32 bits = below(in, FRAME_KIND_COUNT << 1);

		l.kind = (__u8)(bits >> 1);
		l.named = bits & 1;
		l.mapping = below(in, dict->mappings.len);
		l.address = l.named ? 0 : cursor_uleb(in);
		l.n_lines = (__u16)below(in, PROFILE_MAX_LINES + 1);
		if (!l.n_lines)
			cursor_fail(in);
		for (__u32 k = 0; k < l.n_lines && !in->bad && !err; k++) {
			struct dict_line line = {.function = below(in, dict->functions.len)};

			line.line = (__u32)cursor_uleb(in);
			if (!in->bad)
				err = vec_push(&dict->lines, line);
		}
		if (!in->bad && !err)
			err = vec_push(&dict->locations, l);
	}
	return err;
}

static int get_nodes(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->nodes.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_node node = {0};
		__u64 up = cursor_uleb(in);

		node.location = below(in, dict->locations.len);
		if (!up || up > dict->nodes.len) {
			cursor_fail(in);
			break;
		}
		node.parent = (__u32)(dict->nodes.len - up);
		if (!in->bad)
			err = vec_push(&dict->nodes, node);
	}
	return err;
}

static int get_threads(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->threads.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_thread t = {0};

		t.pid = (__u32)cursor_uleb(in);
		t.tid = (__u32)cursor_uleb(in);
		t.comm = string_of(dict, in);
		if (!in->bad)
			err = vec_push(&dict->threads, t);
	}
	return err;
}

static struct profile_type type_of(struct dict *dict, struct cursor *in)
{
	struct profile_type type;

	type.type = string_of(dict, in);
	type.unit = string_of(dict, in);
	return type;
}

static int get_kinds(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->kinds.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_kind k;

		memset(&k, 0, sizeof(k));
		k.name = string_of(dict, in);
		k.n_types = below(in, PROFILE_MAX_TYPES + 1);
		k.default_type = below(in, k.n_types);
		for (__u32 t = 0; t < k.n_types; t++)
			k.types[t] = type_of(dict, in);
		k.period_type = type_of(dict, in);
		k.period = cursor_uleb(in);
		if (!in->bad)
			err = vec_push(&dict->kinds, k);
	}
	return err;
}

static int get_series(struct dict *dict, struct cursor *in)
{
	__u64 n;
	int err = 0;

	if (!begin(in, dict->series.len, &n))
		return 0;
	for (__u64 i = 0; i < n && !in->bad && !err; i++) {
		struct dict_series s = {.first_label = (__u32)dict->labels.len};

		s.kind = below(in, dict->kinds.len);
		s.n_labels = below(in, DICT_MAX_LABELS + 1);
		for (__u32 k = 0; k < s.n_labels && !in->bad && !err; k++) {
			struct dict_label label;

			label.name = string_of(dict, in);
			label.value = string_of(dict, in);
			err = vec_push(&dict->labels, label);
		}
		if (!in->bad && !err)
			err = vec_push(&dict->series, s);
	}
	return err;
}

int dict_decode(struct dict *dict, struct cursor in)
{
	static int (*const tables[])(struct dict *, struct cursor *) = {
		get_strings, get_mappings, get_functions, get_locations,
		get_nodes,   get_threads,  get_kinds,	  get_series,
	};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		int err = tables[i](dict, &in);

		if (err)
			return err;
		if (in.bad)
			return -EBADMSG;
		if (dict_bytes(dict) > dict->max_bytes)
			return -ENOSPC;
	}
	return cursor_left(&in) ? -EBADMSG : 0;
}

const char *dict_series_label(const struct dict *dict, __u32 series, const char *name)
{
	const struct dict_series *s = &dict->series.data[series];

	for (__u32 i = 0; i < s->n_labels; i++) {
		const struct dict_label *label = &dict->labels.data[s->first_label + i];

		if (!strcmp(strtab_get(&dict->strings, label->name), name))
			return strtab_get(&dict->strings, label->value);
	}
	return NULL;
}
