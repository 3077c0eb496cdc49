// SPDX-License-Identifier: Apache-2.0
/*
 * From a segment to the index, the one way in: what a writer has just appended, what a crash left
 * without its entry, and a whole store whose index was damaged.
 */
#include <errno.h>
#include <stdlib.h>

#include "profiler/base/json.h"
#include "profiler/store/index.h"
#include "profiler/store/store.h"

struct rest {
	struct store_index *index;
	const struct segment_file *file;
	struct dict *dict;
	VEC(__s64) series; /* by the dictionary's number; -1: not asked yet */
	struct columns columns;
	struct block block;
	/* Windows met, in all and since the last minute that was entered. */
	__u64 n_windows, n_since_minute;
};

static const char *text_of(const struct dict *dict, __u32 string)
{
	return strtab_get(&dict->strings, string);
}

static int series_of(struct rest *r, __u32 series, __s64 *ret_id)
{
	const struct dict_series *s = &r->dict->series.data[series];
	const struct dict_kind *kind = &r->dict->kinds.data[s->kind];
	const struct profile_type *type = &kind->types[kind->default_type];
	struct buf labels = {0};
	struct json j = json_into(&labels);
	int err;

	while (r->series.len <= series) {
		err = vec_push(&r->series, -1);
		if (err)
			return err;
	}
	*ret_id = r->series.data[series];
	if (*ret_id >= 0)
		return 0;
	json_object(&j, NULL);
	for (__u32 i = 0; i < s->n_labels; i++) {
		const struct dict_label *label = &r->dict->labels.data[s->first_label + i];

		json_str(&j, text_of(r->dict, label->name), text_of(r->dict, label->value));
	}
	json_end(&j);
	err = labels.err;
	if (!err)
		err = store_index_series(r->index, text_of(r->dict, kind->name),
					 text_of(r->dict, type->type), text_of(r->dict, type->unit),
					 labels.data, ret_id);
	if (!err)
		r->series.data[series] = *ret_id;
	buf_fini(&labels);
	return err;
}

/* Entries come sorted by series. */
static int add_points(struct rest *r)
{
	const struct entry *e = r->columns.entries.data;
	size_t n = r->columns.entries.len;

	for (size_t i = 0; i < n;) {
		__u32 series = e[i].series;
		__u32 type = r->dict->kinds.data[r->dict->series.data[series].kind].default_type;
		__s64 samples = 0, value = 0, id;
		int err;

		for (; i < n && e[i].series == series; i++) {
			if (__builtin_add_overflow(samples, e[i].values[0], &samples) ||
			    __builtin_add_overflow(value, e[i].values[type], &value))
				samples = value = INT64_MAX;
		}
		err = series_of(r, series, &id);
		if (!err)
			err = store_index_add_point(r->index, r->file->id, r->block.at, id, samples,
						    value);
		if (err)
			return err;
	}
	return 0;
}

/* A sum stands for every window that lies between the one before it and itself (store_read.c). Behind
 * a damaged sum the next one holds less than that: its windows are read instead. */
static bool holds_all(const struct rest *r, enum block_kind kind, const struct facts *facts)
{
	return kind == BLOCK_WINDOW ||
	       facts->windows >= (kind == BLOCK_MINUTE ? r->n_since_minute : r->n_windows);
}

static void count_block(struct rest *r, enum block_kind kind)
{
	r->n_windows += kind == BLOCK_WINDOW;
	r->n_since_minute += kind == BLOCK_WINDOW;
	if (kind == BLOCK_MINUTE)
		r->n_since_minute = 0;
}

/* 0; 1: the block is damaged; -errno: the index refuses. */
static int add_block(struct rest *r, bool decode)
{
	struct cursor in = cursor_of(r->block.raw.data, r->block.raw.len);
	int err;

	if (r->block.kind == BLOCK_DICT) {
		err = decode ? dict_decode(r->dict, in) : 0;
		if (err)
			return err == -ENOMEM ? err : 1;
		return store_index_add_block(r->index, r->file->id, &r->block, NULL);
	}
	r->columns.entries.len = 0;
	r->columns.facts = (struct facts){0};
	err = columns_decode(&r->columns, r->dict, in);
	if (err)
		return err == -ENOMEM ? err : 1;
	if (!holds_all(r, r->block.kind, &r->columns.facts))
		return 0;
	count_block(r, r->block.kind);
	err = store_index_add_block(r->index, r->file->id, &r->block, &r->columns.facts);
	if (!err && r->block.kind != BLOCK_HOUR)
		err = add_points(r);
	return err;
}

/* One that is in the index already: what later ones refer to. As add_block. */
static int known_block(struct rest *r)
{
	int err = 0;

	count_block(r, r->block.kind);
	if (r->block.kind == BLOCK_DICT)
		err = dict_decode(r->dict, cursor_of(r->block.raw.data, r->block.raw.len));
	return err && err != -ENOMEM ? 1 : err;
}

static void drop(struct store_report *report, __u64 bytes)
{
	report->dropped_blocks++;
	report->dropped_bytes += bytes;
}

int store_index_rest(struct store_index *index, const struct segment_file *file, __u64 from,
		     struct dict *dict, bool decode, __u64 *ret_end, struct store_report *report)
{
	struct rest r = {.index = index, .file = file, .dict = dict};
	__u64 at = decode ? SEGMENT_FILE_HEAD : from;
	int err;

	while (!(err = segment_file_read(file, at, &r.block)) || (err == -EBADMSG && r.block.end)) {
		if (!err && at < from) /* only what later ones refer to */
			err = known_block(&r);
		else if (!err)
			err = add_block(&r, decode);
		if (err < 0 && err != -EBADMSG)
			break;
		if (err)
			drop(report, r.block.end - at);
		else if (at >= from)
			report->recovered_blocks++;
		at = r.block.end;
	}
	if (err == -EBADMSG) /* a torn end */
		drop(report, file->bytes - at);
	*ret_end = at;
	vec_free(&r.series);
	columns_fini(&r.columns);
	block_fini(&r.block);
	return err == -ENODATA || err == -EBADMSG ? 0 : err;
}
