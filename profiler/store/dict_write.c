// SPDX-License-Identifier: Apache-2.0
/* The dictionary's writing half, see dict.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "profiler/store/dict.h"
#include "profiler/store/varint.h"

#define DICT_INDEXES(d)                                                                            \
	&(d)->mapping_index, &(d)->function_index, &(d)->location_index, &(d)->node_index,         \
		&(d)->thread_index, &(d)->kind_index, &(d)->series_index, &(d)->known_index

int dict_init(struct dict *dict, size_t max_bytes)
{
	int err;

	memset(dict, 0, sizeof(*dict));
	dict->max_bytes = max_bytes;
	err = strtab_init(&dict->strings, max_bytes);
	/* 0 is no mapping, the empty stack, no thread. */
	if (!err)
		err = vec_push(&dict->mappings, (struct dict_mapping){0});
	if (!err)
		err = vec_push(&dict->nodes, (struct dict_node){0});
	if (!err)
		err = vec_push(&dict->threads, (struct dict_thread){0});
	if (err) {
		dict_fini(dict);
		return err;
	}
	dict_written(dict);
	return 0;
}

void dict_fini(struct dict *dict)
{
	struct hmap *indexes[] = {DICT_INDEXES(dict)};

	strtab_fini(&dict->strings);
#define X(table, type) vec_free(&dict->table);
	DICT_TABLES(X)
#undef X
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
		hmap_fini(indexes[i]);
	vec_free(&dict->known);
}

static size_t index_bytes(const struct hmap *index)
{
	return index->mask ? (index->mask + (size_t)1) * sizeof(*index->slots) : 0;
}

size_t dict_bytes(const struct dict *dict)
{
	size_t bytes = dict->strings.arena.reserved + index_bytes(&dict->strings.index) +
		       dict->strings.entries.len * sizeof(*dict->strings.entries.data) +
		       dict->known.len * sizeof(*dict->known.data);
	const struct hmap *indexes[] = {DICT_INDEXES(dict)};

#define X(table, type) bytes += dict->table.len * sizeof(*dict->table.data);
	DICT_TABLES(X)
#undef X
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
		bytes += index_bytes(indexes[i]);
	return bytes;
}

/* ---- importing ------------------------------------------------------------------------------- */

int dict_import_init(struct dict_import *import, const struct profile *profile)
{
	*import = (struct dict_import){
		.profile = profile,
		.strings = hmap_no_ids(profile->strings.entries.len),
		.mappings = hmap_no_ids(profile->mappings.len),
		.functions = hmap_no_ids(profile->functions.len),
		.locations = hmap_no_ids(profile->locations.len),
		.stacks = hmap_no_ids(profile->stacks.len),
	};
	return import->strings && import->mappings && import->functions && import->locations &&
			       import->stacks
		       ? stack_hashes_of_profile(&import->hashes, profile)
		       : -ENOMEM;
}

void dict_import_fini(struct dict_import *import)
{
	free(import->strings);
	free(import->mappings);
	free(import->functions);
	free(import->locations);
	free(import->stacks);
	stack_hashes_fini(&import->hashes);
	memset(import, 0, sizeof(*import));
}

/* Add an item to a table unless an equal one is there; all are plain structs without padding or
 * are zeroed before they are filled. */
#define INTERN(dict, table, index, item, ret_id)                                                   \
	({                                                                                         \
		__u64 hash_ = XXH3_64bits(&(item), sizeof(item));                                  \
		__u32 id_;                                                                         \
		int err_ = 1;                                                                      \
                                                                                                   \
		hmap_for_each_match (&(dict)->index, hash_, id_)                                   \
			if (!memcmp(&(dict)->table.data[id_], &(item), sizeof(item))) {            \
				err_ = 0;                                                          \
				break;                                                             \
			}                                                                          \
		if (err_) {                                                                        \
			id_ = (__u32)(dict)->table.len;                                            \
			err_ = room(dict);                                                         \
			if (!err_)                                                                 \
				err_ = vec_push(&(dict)->table, item);                             \
			if (!err_ && hmap_add(&(dict)->index, hash_, id_)) {                       \
				(dict)->table.len--;                                               \
				err_ = -ENOMEM;                                                    \
			}                                                                          \
		}                                                                                  \
		if (!err_)                                                                         \
			*(ret_id) = id_;                                                           \
		err_;                                                                              \
	})

static int room(const struct dict *dict)
{
	return dict_bytes(dict) < dict->max_bytes ? 0 : -ENOSPC;
}

static int add_text(struct dict *dict, const char *s, size_t len, __u32 *ret_id)
{
	__u64 refused = dict->strings.refused_total;
	__u32 id = strtab_id(&dict->strings, s, len);

	if (dict->strings.refused_total != refused)
		return -ENOSPC;
	if (!id && len)
		return -ENOMEM;
	*ret_id = id;
	return 0;
}

static int add_string(struct dict *dict, struct dict_import *import, __u32 string, __u32 *ret_id)
{
	__u32 *known = &import->strings[string];
	int err = 0;

	if (*known == UINT32_MAX) {
		const struct strtab_entry *e = &import->profile->strings.entries.data[string];

		err = add_text(dict, e->s, e->len, known);
	}
	*ret_id = *known;
	return err;
}

static int add_mapping(struct dict *dict, struct dict_import *import, __u32 id, __u32 *ret_id)
{
	const struct profile_mapping *m = &import->profile->mappings.data[id];
	struct dict_mapping item = {.start = m->start, .limit = m->limit, .offset = m->offset};
	__u32 *known = &import->mappings[id];
	int err = 0;

	if (!id) {
		*ret_id = 0;
		return 0;
	}
	if (*known == UINT32_MAX) {
		err = add_string(dict, import, m->file, &item.file);
		if (!err)
			err = add_string(dict, import, m->build_id, &item.build_id);
		if (!err)
			err = INTERN(dict, mappings, mapping_index, item, known);
	}
	*ret_id = *known;
	return err;
}

static int add_function(struct dict *dict, struct dict_import *import, __u32 id, __u32 *ret_id)
{
	const struct profile_function *f = &import->profile->functions.data[id];
	struct dict_function item = {.start_line = f->start_line};
	__u32 *known = &import->functions[id];
	int err = 0;

	if (*known == UINT32_MAX) {
		err = add_string(dict, import, f->name, &item.name);
		if (!err)
			err = add_string(dict, import, f->system_name, &item.system_name);
		if (!err)
			err = add_string(dict, import, f->file, &item.file);
		if (!err)
			err = INTERN(dict, functions, function_index, item, known);
	}
	*ret_id = *known;
	return err;
}

/* Equal when everything but the place of its lines is, and the lines are. */
static bool same_location(const struct dict *dict, __u32 id, const struct dict_location *b)
{
	const struct dict_location *a = &dict->locations.data[id];

	return a->address == b->address && a->mapping == b->mapping && a->n_lines == b->n_lines &&
	       a->kind == b->kind && a->named == b->named &&
	       !memcmp(&dict->lines.data[a->first_line], &dict->lines.data[b->first_line],
		       a->n_lines * sizeof(*dict->lines.data));
}

/* Its lines are the last of the table; given back when it is there already. */
static int intern_location(struct dict *dict, struct dict_location *item, __u32 *ret_id)
{
	__u64 hash = XXH3_64bits(&dict->lines.data[item->first_line],
				 item->n_lines * sizeof(*dict->lines.data));
	__u32 id;
	int err;

	hash = hash_mix(hash_mix(hash, item->address), (__u64)item->mapping << 8 | item->kind);
	hmap_for_each_match (&dict->location_index, hash, id) {
		if (same_location(dict, id, item)) {
			dict->lines.len = item->first_line;
			*ret_id = id;
			return 0;
		}
	}
	id = (__u32)dict->locations.len;
	err = room(dict);
	if (!err)
		err = vec_push(&dict->locations, *item);
	if (!err && hmap_add(&dict->location_index, hash, id)) {
		dict->locations.len--;
		err = -ENOMEM;
	}
	*ret_id = id;
	return err;
}

static int add_location(struct dict *dict, struct dict_import *import, __u32 id, __u32 *ret_id)
{
	const struct profile_location *l = &import->profile->locations.data[id];
	struct dict_location item = {
		.address = l->named ? 0 : l->address,
		.first_line = (__u32)dict->lines.len,
		.n_lines = l->n_lines,
		.kind = l->kind,
		.named = l->named,
	};
	__u32 *known = &import->locations[id];
	int err;

	*ret_id = *known;
	if (*known != UINT32_MAX)
		return 0;
	err = add_mapping(dict, import, l->mapping, &item.mapping);
	for (__u32 i = 0; i < l->n_lines && !err; i++) {
		const struct profile_line *line = &import->profile->lines.data[l->first_line + i];
		struct dict_line copy = {.line = line->line};

		err = add_function(dict, import, line->function, &copy.function);
		if (!err)
			err = vec_push(&dict->lines, copy);
	}
	if (!err)
		err = intern_location(dict, &item, known);
	if (err)
		dict->lines.len = item.first_line;
	*ret_id = *known;
	return err;
}

/* Frame by frame, as nodes. */
static int add_nodes(struct dict *dict, struct dict_import *import, __u32 stack, __u32 *ret_node)
{
	const struct profile_stack *s = &import->profile->stacks.data[stack];
	struct dict_node node = {0};
	__u32 id = 0;
	int err = 0;

	for (__u32 i = s->n_frames; i-- > 0 && !err;) {
		node.parent = id;
		err = add_location(dict, import, s->frames[i], &node.location);
		if (!err)
			err = INTERN(dict, nodes, node_index, node, &id);
	}
	if (!err)
		*ret_node = id;
	return err;
}

static int know(struct dict *dict, __u64 hash, __u32 node)
{
	int err = room(dict);

	if (!err)
		err = vec_push(&dict->known, (struct dict_known){hash, node});
	if (!err && hmap_add(&dict->known_index, hash, (__u32)dict->known.len - 1)) {
		dict->known.len--;
		err = -ENOMEM;
	}
	return err;
}

int dict_add_stack(struct dict *dict, struct dict_import *import, __u32 stack, __u32 *ret_node)
{
	__u32 *node = &import->stacks[stack], i;
	__u64 hash = 0;
	int err;

	if (*node == UINT32_MAX) {
		hash = stack_hash_in_profile(&import->hashes, import->profile, stack);
		hmap_for_each_match (&dict->known_index, hash, i)
			if (dict->known.data[i].hash == hash)
				*node = dict->known.data[i].node;
	}
	if (*node == UINT32_MAX) {
		__u32 id = 0;

		err = add_nodes(dict, import, stack, &id);
		if (!err)
			err = know(dict, hash, id);
		if (err)
			return err;
		*node = id;
	}
	*ret_node = *node;
	return 0;
}

int dict_add_thread(struct dict *dict, struct dict_import *import, __u32 labels, __u32 *ret_thread)
{
	const struct profile *p = import->profile;
	const struct profile_label *pid = profile_label_find(p, labels, PROFILE_STR_PID);
	const struct profile_label *tid = profile_label_find(p, labels, PROFILE_STR_TID);
	const struct profile_label *comm = profile_label_find(p, labels, PROFILE_STR_COMM);
	struct dict_thread item = {.pid = pid ? (__u32)pid->num : 0,
				   .tid = tid ? (__u32)tid->num : 0};
	int err = comm ? add_string(dict, import, comm->str, &item.comm) : 0;

	if (!err && !item.pid && !item.tid && !item.comm) {
		*ret_thread = 0;
		return 0;
	}
	return err ? err : INTERN(dict, threads, thread_index, item, ret_thread);
}

static int add_kind(struct dict *dict, struct dict_import *import, __u32 *ret_id)
{
	const struct profile *p = import->profile;
	struct dict_kind item;
	int err;

	memset(&item, 0, sizeof(item));
	item.n_types = p->n_types;
	item.default_type = p->default_type;
	item.period = p->period;
	err = add_string(dict, import, p->name, &item.name);
	for (unsigned i = 0; i < p->n_types && !err; i++) {
		err = add_string(dict, import, p->types[i].type, &item.types[i].type);
		if (!err)
			err = add_string(dict, import, p->types[i].unit, &item.types[i].unit);
	}
	if (!err)
		err = add_string(dict, import, p->period_type.type, &item.period_type.type);
	if (!err)
		err = add_string(dict, import, p->period_type.unit, &item.period_type.unit);
	return err ? err : INTERN(dict, kinds, kind_index, item, ret_id);
}

static bool same_series(const struct dict *dict, __u32 id, const struct dict_series *b)
{
	const struct dict_series *a = &dict->series.data[id];

	return a->kind == b->kind && a->n_labels == b->n_labels &&
	       !memcmp(&dict->labels.data[a->first_label], &dict->labels.data[b->first_label],
		       a->n_labels * sizeof(*dict->labels.data));
}

static int intern_series(struct dict *dict, const struct dict_series *item, __u32 *ret_series)
{
	__u64 hash = hash_mix(XXH3_64bits(dict->labels.data + item->first_label,
					  item->n_labels * sizeof(*dict->labels.data)),
			      item->kind);
	__u32 id;
	int err;

	hmap_for_each_match (&dict->series_index, hash, id) {
		if (same_series(dict, id, item)) {
			dict->labels.len = item->first_label;
			*ret_series = id;
			return 0;
		}
	}
	id = (__u32)dict->series.len;
	err = vec_push(&dict->series, *item);
	if (!err && hmap_add(&dict->series_index, hash, id)) {
		dict->series.len--;
		err = -ENOMEM;
	}
	*ret_series = id;
	return err;
}

int dict_add_series(struct dict *dict, struct dict_import *import,
		    const struct dict_label_text *labels, size_t n_labels, __u32 *ret_series)
{
	struct dict_series item = {.first_label = (__u32)dict->labels.len,
				   .n_labels = (__u32)MIN(n_labels, (size_t)DICT_MAX_LABELS)};
	int err = room(dict);

	if (!err)
		err = add_kind(dict, import, &item.kind);
	for (__u32 i = 0; i < item.n_labels && !err; i++) {
		struct dict_label label;

		err = add_text(dict, labels[i].name, strlen(labels[i].name), &label.name);
		if (!err)
			err = add_text(dict, labels[i].value, strlen(labels[i].value),
				       &label.value);
		if (!err)
			err = vec_push(&dict->labels, label);
	}
	if (!err)
		err = intern_series(dict, &item, ret_series);
	if (err)
		dict->labels.len = item.first_label;
	return err;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static struct dict_mark mark_now(const struct dict *dict)
{
	return (struct dict_mark){.strings = (__u32)dict->strings.entries.len,
#define X(table, type) .table = (__u32)dict->table.len,
				  DICT_TABLES(X)
#undef X
	};
}

bool dict_has_news(const struct dict *dict)
{
	struct dict_mark now = mark_now(dict);

	return memcmp(&now, &dict->written, sizeof(now)) != 0;
}

void dict_written(struct dict *dict)
{
	dict->written = mark_now(dict);
}

static void put_kind(struct buf *out, const struct dict_kind *k)
{
	put_uleb(out, k->name);
	put_uleb(out, k->n_types);
	put_uleb(out, k->default_type);
	for (__u32 i = 0; i < k->n_types; i++) {
		put_uleb(out, k->types[i].type);
		put_uleb(out, k->types[i].unit);
	}
	put_uleb(out, k->period_type.type);
	put_uleb(out, k->period_type.unit);
	put_uleb(out, k->period);
}

static void put_location(struct buf *out, const struct dict *dict, const struct dict_location *l)
{
	put_uleb(out, (__u32)l->kind << 1 | l->named);
	put_uleb(out, l->mapping);
	if (!l->named)
		put_uleb(out, l->address);
	put_uleb(out, l->n_lines);
	for (__u32 i = 0; i < l->n_lines; i++) {
		put_uleb(out, dict->lines.data[l->first_line + i].function);
		put_uleb(out, dict->lines.data[l->first_line + i].line);
	}
}

static void put_series(struct buf *out, const struct dict *dict, const struct dict_series *s)
{
	put_uleb(out, s->kind);
	put_uleb(out, s->n_labels);
	for (__u32 i = 0; i < s->n_labels; i++) {
		put_uleb(out, dict->labels.data[s->first_label + i].name);
		put_uleb(out, dict->labels.data[s->first_label + i].value);
	}
}

/* How a table's part begins: id of the first entry, count. */
static __u32 put_range(struct buf *out, __u32 first, size_t len)
{
	put_uleb(out, first);
	put_uleb(out, len - first);
	return first;
}

static void put_strings(struct buf *out, const struct dict *dict)
{
	size_t n = dict->strings.entries.len;

	for (__u32 i = put_range(out, dict->written.strings, n); i < n; i++) {
		put_uleb(out, dict->strings.entries.data[i].len);
		buf_add(out, dict->strings.entries.data[i].s, dict->strings.entries.data[i].len);
	}
}

static void put_mappings(struct buf *out, const struct dict *dict)
{
	size_t n = dict->mappings.len;

	for (__u32 i = put_range(out, dict->written.mappings, n); i < n; i++) {
		const struct dict_mapping *m = &dict->mappings.data[i];

		put_uleb(out, m->file);
		put_uleb(out, m->build_id);
		put_uleb(out, m->start);
		put_uleb(out, m->limit);
		put_uleb(out, m->offset);
	}
}

static void put_functions(struct buf *out, const struct dict *dict)
{
	size_t n = dict->functions.len;

	for (__u32 i = put_range(out, dict->written.functions, n); i < n; i++) {
		const struct dict_function *f = &dict->functions.data[i];

		put_uleb(out, f->name);
		put_uleb(out, f->system_name);
		put_uleb(out, f->file);
		put_uleb(out, f->start_line);
	}
}

static void put_nodes(struct buf *out, const struct dict *dict)
{
	size_t n = dict->nodes.len;

	for (__u32 i = put_range(out, dict->written.nodes, n); i < n; i++) {
		put_uleb(out, i - dict->nodes.data[i].parent);
		put_uleb(out, dict->nodes.data[i].location);
	}
}

static void put_threads(struct buf *out, const struct dict *dict)
{
	size_t n = dict->threads.len;

	for (__u32 i = put_range(out, dict->written.threads, n); i < n; i++) {
		put_uleb(out, dict->threads.data[i].pid);
		put_uleb(out, dict->threads.data[i].tid);
		put_uleb(out, dict->threads.data[i].comm);
	}
}

void dict_encode(const struct dict *dict, struct buf *out)
{
	put_strings(out, dict);
	put_mappings(out, dict);
	put_functions(out, dict);
	for (__u32 i = put_range(out, dict->written.locations, dict->locations.len);
	     i < dict->locations.len; i++)
		put_location(out, dict, &dict->locations.data[i]);
	put_nodes(out, dict);
	put_threads(out, dict);
	for (__u32 i = put_range(out, dict->written.kinds, dict->kinds.len); i < dict->kinds.len;
	     i++)
		put_kind(out, &dict->kinds.data[i]);
	for (__u32 i = put_range(out, dict->written.series, dict->series.len); i < dict->series.len;
	     i++)
		put_series(out, dict, &dict->series.data[i]);
}
