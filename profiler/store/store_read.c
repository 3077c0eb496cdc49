// SPDX-License-Identifier: Apache-2.0
/* The local store's reading half, see store_read.h. */
#include "profiler/store/store_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/profile.h"
#include "profiler/store/index.h"
#include "profiler/store/store.h"
#include "profiler/store/store_plan.h"

#define ERROR_BYTES 512
#define MAX_BLOCKS  (1u << 20)
#define FLOOR_PARTS 10000 /* of a segment: 0.01 %, a fifth of a pixel on a wide screen */

struct store_reader {
	char *dir;
	int dir_fd;
	struct store_index *index;
	dev_t dev; /* of its file */
	ino_t ino;
	char error[ERROR_BYTES];
};

/* Stacks of one segment with what they add up to. */
struct sum {
	__u32 node, group, kind;
	__s64 values[PROFILE_MAX_TYPES];
};

/* The profile's ids by the dictionary's; UINT32_MAX: not asked yet. */
struct profile_ids {
	VEC(__u32) by_id;
};

/* What a choice said, by id: -1 not asked yet. */
struct answers {
	VEC(__s8) by_id;
};

struct reading {
	struct store_reader *reader;
	const struct store_choice *choice;
	struct store_result *result;
	/* Where entries go: added up into the profile, or to visit. */
	struct profile *profile;
	int (*visit)(void *arg, const struct store_point *point);
	enum block_kind coarsest;
	VEC(struct planned) plan;
	/* of the segment at hand */
	__u64 segment;
	struct dict dict;
	struct columns columns;
	struct block block;
	VEC(struct sum) sums;
	struct hmap sum_index;
	struct answers series_wanted, thread_wanted;
	struct profile_ids strings, mappings, functions, locations;
	struct stack_hashes hashes;
	VEC(__u32) frames;
	/* of all segments: the profile's stacks by what they are */
	VEC(struct known_stack {
		__u64 hash;
		__u32 stack;
	})
	known;
	struct hmap known_index;
	bool full; /* folding the profile does not help any more */
	/* Once the profile was folded: by node of the segment, the value of it and what it called; what
	 * is below the floor need not come into the profile at all. */
	VEC(__u64) totals;
	__u64 floor;
	unsigned n_read; /* segments, with the one at hand */
};

struct store_reader *store_reader_new(const char *dir)
{
	struct store_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->dir_fd = -1;
	reader->dir = strdup(dir);
	if (!reader->dir) {
		free(reader);
		return NULL;
	}
	return reader;
}

static void close_reader(struct store_reader *reader)
{
	store_index_close(reader->index);
	reader->index = NULL;
	if (reader->dir_fd >= 0)
		close(reader->dir_fd);
	reader->dir_fd = -1;
}

void store_reader_free(struct store_reader *reader)
{
	if (!reader)
		return;
	close_reader(reader);
	free(reader->dir);
	free(reader);
}

const char *store_reader_error(const struct store_reader *reader)
{
	return reader->error;
}

/* The index may have been set aside, and made anew, since it was opened. */
static bool is_replaced(const struct store_reader *reader)
{
	struct stat st;

	return fstatat(reader->dir_fd, STORE_INDEX_NAME, &st, AT_SYMLINK_NOFOLLOW) ||
	       st.st_ino != reader->ino || st.st_dev != reader->dev;
}

static int open_index(struct store_reader *reader)
{
	struct stat st;

	if (fstatat(reader->dir_fd, STORE_INDEX_NAME, &st, AT_SYMLINK_NOFOLLOW)) {
		int err = -errno;

		snprintf(reader->error, sizeof(reader->error), "no index in '%s': %s", reader->dir,
			 strerror(-err));
		return err;
	}
	reader->dev = st.st_dev;
	reader->ino = st.st_ino;
	return store_index_open(reader->dir, false, &reader->index, reader->error,
				sizeof(reader->error));
}

int store_reader_begin(struct store_reader *reader, struct store_index **ret_index)
{
	int err = 0;

	if (reader->dir_fd < 0)
		reader->dir_fd = open(reader->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (reader->dir_fd < 0) {
		err = -errno;
		snprintf(reader->error, sizeof(reader->error), "'%s': %s", reader->dir,
			 strerror(-err));
		return err;
	}
	if (reader->index && is_replaced(reader)) {
		store_index_close(reader->index);
		reader->index = NULL;
	}
	if (!reader->index)
		err = open_index(reader);
	if (!err)
		err = store_index_begin(reader->index);
	if (err && reader->index) {
		snprintf(reader->error, sizeof(reader->error), "the index in '%s': %s", reader->dir,
			 store_index_error(reader->index));
		close_reader(reader);
	}
	if (!err)
		*ret_index = reader->index;
	return err;
}

void store_reader_end(struct store_reader *reader)
{
	if (reader->index)
		store_index_rollback(reader->index); /* nothing was written */
}

/* ---- the plan: which blocks ------------------------------------------------------------------ */

static int collect(void *arg, const struct index_block *block)
{
	struct reading *r = arg;

	return r->plan.len < MAX_BLOCKS ? vec_push(&r->plan, (struct planned){.block = *block})
					: -E2BIG;
}

/* ---- one segment ----------------------------------------------------------------------------- */

static const char *text(const struct reading *r, __u32 string)
{
	return strtab_get(&r->dict.strings, string);
}

static int no_answers(struct answers *answers, size_t n)
{
	if (vec_reserve(&answers->by_id, n))
		return -ENOMEM;
	if (n)
		memset(answers->by_id.data, -1, n);
	return 0;
}

static bool series_wanted(struct reading *r, __u32 series)
{
	const struct store_choice *c = r->choice;
	__s8 *known = &r->series_wanted.by_id.data[series];
	struct store_labels labels = {&r->dict, series};
	const struct dict_kind *kind;

	if (*known < 0) {
		kind = &r->dict.kinds.data[r->dict.series.data[series].kind];
		*known = !strcmp(text(r, kind->name), c->kind) &&
			 (!c->series || c->series(c->arg, &labels));
	}
	return *known;
}

static bool thread_wanted(struct reading *r, __u32 thread)
{
	const struct store_choice *c = r->choice;
	const struct dict_thread *t = &r->dict.threads.data[thread];
	__s8 *known;

	if (!c->thread)
		return true;
	known = &r->thread_wanted.by_id.data[thread];
	if (*known < 0)
		*known = c->thread(c->arg, t->pid, t->tid, text(r, t->comm));
	return *known;
}

/* Threads of a group count as one: as their name, their process, or as nobody. */
static __u32 group_of(const struct reading *r, __u32 thread)
{
	switch (r->choice->group) {
	case STORE_GROUP_TID:
	case STORE_GROUP_PID: /* its threads' names name it */
		return thread;
	case STORE_GROUP_COMM:
		return r->dict.threads.data[thread].comm;
	default:
		return 0;
	}
}

static int add_entry(struct reading *r, const struct entry *e)
{
	struct sum sum = {.node = e->node,
			  .group = group_of(r, e->thread),
			  .kind = r->dict.series.data[e->series].kind};
	__u64 hash = hash_mix((__u64)sum.node << 32 | sum.group, sum.kind);
	__u32 i;
	int err;

	hmap_for_each_match (&r->sum_index, hash, i) {
		struct sum *s = &r->sums.data[i];

		if (s->node != sum.node || s->group != sum.group || s->kind != sum.kind)
			continue;
		for (int t = 0; t < PROFILE_MAX_TYPES; t++)
			if (__builtin_add_overflow(s->values[t], e->values[t], &s->values[t]))
				s->values[t] = INT64_MAX;
		return 0;
	}
	memcpy(sum.values, e->values, sizeof(sum.values));
	err = vec_push(&r->sums, sum);
	return err ? err : hmap_add(&r->sum_index, hash, (__u32)r->sums.len - 1);
}

static int visit_entry(struct reading *r, const struct entry *e)
{
	const struct dict_kind *kind = &r->dict.kinds.data[r->dict.series.data[e->series].kind];
	const struct facts *facts = &r->columns.facts;
	struct store_point point = {
		.dict = &r->dict,
		.segment = r->segment,
		.series = e->series,
		.thread = e->thread,
		.start_ns = facts->start_ns,
		.end_ns = MAX(facts->end_ns, facts->start_ns + 1),
		.samples = e->values[0],
		.value = e->values[kind->default_type],
	};

	return r->visit(r->choice->arg, &point);
}

/* 0; 1: the block is damaged or gone; -errno. */
static int add_block(struct reading *r, const struct segment_file *file, __u64 at)
{
	int err = segment_file_read(file, at, &r->block);

	r->columns.entries.len = 0;
	r->columns.facts = (struct facts){0};
	if (!err)
		err = columns_decode(&r->columns, &r->dict,
				     cursor_of(r->block.raw.data, r->block.raw.len));
	if (err == -EBADMSG || err == -ENODATA)
		return 1;
	if (err)
		return err;
	r->result->n_blocks++;
	facts_add(&r->result->facts, &r->columns.facts);
	vec_for_each (e, &r->columns.entries)
		if (!err && series_wanted(r, e->series) && thread_wanted(r, e->thread))
			err = r->visit ? visit_entry(r, e) : add_entry(r, e);
	return err;
}

/* What blocks up to `end` refer to. */
static int read_dict(struct reading *r, const struct segment_file *file, __u64 end)
{
	__u64 at = SEGMENT_FILE_HEAD;
	int err = 0;

	while (at < end && !err) {
		err = segment_file_read_kind(file, at, BLOCK_DICT, &r->block);
		if (!err && r->block.kind == BLOCK_DICT)
			err = dict_decode(&r->dict, cursor_of(r->block.raw.data, r->block.raw.len));
		if (err == -EBADMSG && r->block.end) {
			r->result->skipped_blocks++;
			err = 0;
		}
		at = r->block.end;
	}
	return err == -EBADMSG || err == -ENODATA ? 0 : err;
}

/* ---- into the profile ------------------------------------------------------------------------ */

static __u32 add_text(struct reading *r, __u32 string)
{
	__u32 *known = &r->strings.by_id.data[string];

	if (*known == UINT32_MAX)
		*known = profile_cstring(r->profile, text(r, string));
	return *known;
}

static void set_types(struct reading *r, const struct dict_kind *kind)
{
	struct profile *p = r->profile;

	if (p->n_types)
		return;
	for (__u32 i = 0; i < kind->n_types; i++)
		profile_add_type(p, text(r, kind->types[i].type), text(r, kind->types[i].unit));
	p->default_type = kind->default_type;
	profile_set_period(p, text(r, kind->period_type.type), text(r, kind->period_type.unit),
			   kind->period);
	p->name = add_text(r, kind->name);
}

static __u32 mapping_of(struct reading *r, __u32 mapping)
{
	const struct dict_mapping *m = &r->dict.mappings.data[mapping];
	__u32 *known = &r->mappings.by_id.data[mapping];

	if (!mapping)
		return 0;
	if (*known == UINT32_MAX)
		*known = profile_mapping(r->profile,
					 &(struct profile_mapping){m->start, m->limit, m->offset,
								   add_text(r, m->file),
								   add_text(r, m->build_id)});
	return *known;
}

static __u32 function_of(struct reading *r, __u32 function)
{
	const struct dict_function *f = &r->dict.functions.data[function];
	__u32 *known = &r->functions.by_id.data[function];

	if (*known == UINT32_MAX)
		*known = profile_function(r->profile,
					  &(struct profile_function){
						  add_text(r, f->name), add_text(r, f->system_name),
						  add_text(r, f->file), f->start_line});
	return *known;
}

static __u32 location_of(struct reading *r, __u32 location)
{
	const struct dict_location *l = &r->dict.locations.data[location];
	struct profile_line lines[PROFILE_MAX_LINES];
	__u32 *known = &r->locations.by_id.data[location];

	if (*known != UINT32_MAX)
		return *known;
	for (__u32 i = 0; i < l->n_lines; i++) {
		const struct dict_line *line = &r->dict.lines.data[l->first_line + i];

		lines[i] = (struct profile_line){function_of(r, line->function), line->line, 0};
	}
	*known = profile_location(r->profile, l->kind, mapping_of(r, l->mapping), l->address, lines,
				  l->n_lines);
	if (!l->named)
		r->profile->locations.data[*known].named = 0;
	return *known;
}

static __u32 labels_of(struct reading *r, __u32 group)
{
	const struct dict_thread *t;

	switch (r->choice->group) {
	case STORE_GROUP_COMM:
		return profile_thread_labels(r->profile, text(r, group), NULL, 0, 0);
	case STORE_GROUP_PID:
	case STORE_GROUP_TID:
		t = &r->dict.threads.data[group];
		return profile_thread_labels(r->profile, text(r, t->comm), NULL, t->pid,
					     r->choice->group == STORE_GROUP_TID ? t->tid : 0);
	default:
		return 0;
	}
}

/* Leaf first. More frames than a profile takes make it `[profile full]`. */
static int build_stack(struct reading *r, __u32 node, bool folded, __u32 *ret_stack)
{
	r->frames.len = 0;
	if (folded &&
	    vec_push(&r->frames, profile_named_location(r->profile, FRAME_MARK, PROFILE_OTHER)))
		return -ENOMEM;
	for (; node && r->frames.len <= PROFILE_MAX_FRAMES; node = r->dict.nodes.data[node].parent)
		if (vec_push(&r->frames, location_of(r, r->dict.nodes.data[node].location)))
			return -ENOMEM;
	*ret_stack = profile_stack(r->profile, r->frames.data, r->frames.len);
	return 0;
}

/* What is worth too little to be told apart: the node under which it counts. */
static __u32 kept_node(const struct reading *r, __u32 node)
{
	while (r->floor && node && r->totals.data[node] < r->floor)
		node = r->dict.nodes.data[node].parent;
	return node;
}

static int stack_of(struct reading *r, __u32 leaf, __u32 *ret_stack)
{
	__u32 node = kept_node(r, leaf), i;
	__u64 hash = node || !leaf ? stack_hash_in_dict(&r->hashes, &r->dict, node) : 1;
	int err;

	if (!hash)
		return -ENOMEM;
	if (node != leaf)
		hash = hash_mix(hash, 1);
	hmap_for_each_match (&r->known_index, hash, i) {
		if (r->known.data[i].hash == hash) {
			*ret_stack = r->known.data[i].stack;
			return 0;
		}
	}
	if (r->full) { /* no use in trying */
		r->profile->refused_total[PROFILE_TABLE_stacks]++;
		*ret_stack = 0;
		return 0;
	}
	err = build_stack(r, node, node != leaf, ret_stack);
	if (err || !*ret_stack)
		return err;
	err = vec_push(&r->known, (struct known_stack){hash, *ret_stack});
	return err ? err : hmap_add(&r->known_index, hash, (__u32)r->known.len - 1);
}

static int clear_ids(struct profile_ids *ids, size_t n)
{
	if (vec_reserve(&ids->by_id, n))
		return -ENOMEM;
	if (n)
		memset(ids->by_id.data, 0xff, n * sizeof(*ids->by_id.data));
	return 0;
}

/* Where not all of them fit, the largest do. */
static int by_value(const void *pa, const void *pb)
{
	const struct sum *a = pa, *b = pb;

	return a->values[0] != b->values[0] ? (a->values[0] < b->values[0] ? 1 : -1)
					    : (a->node < b->node ? -1 : a->node > b->node);
}

static int clear_segment_ids(struct reading *r)
{
	if (clear_ids(&r->strings, r->dict.strings.entries.len) ||
	    clear_ids(&r->mappings, r->dict.mappings.len) ||
	    clear_ids(&r->functions, r->dict.functions.len) ||
	    clear_ids(&r->locations, r->dict.locations.len))
		return -ENOMEM;
	return 0;
}

/* The profile's ids are others now. */
static int forget_profile_ids(struct reading *r)
{
	r->known.len = 0;
	hmap_clear(&r->known_index);
	return clear_segment_ids(r);
}

/* Room for one more stack: what is small so far gives way. Where that does not help, the rest of a
 * segment counts as `[profile full]`. */
static int make_room(struct reading *r)
{
	int err;

	if (r->full || profile_has_room(r->profile))
		return 0;
	err = profile_fold(r->profile);
	if (!err)
		err = forget_profile_ids(r);
	r->full = !err && !profile_has_room(r->profile);
	return err;
}

/* A profile that had to be folded needs no parts of a segment that nobody would see. */
static int set_floor(struct reading *r)
{
	struct profile *p = r->profile;
	size_t n = r->dict.nodes.len;

	r->floor = p->folded_below ? p->totals[p->default_type] / r->n_read / FLOOR_PARTS : 0;
	p->folded_below += r->floor;
	if (!r->floor)
		return 0;
	if (vec_reserve(&r->totals, n))
		return -ENOMEM;
	memset(r->totals.data, 0, n * sizeof(*r->totals.data));
	vec_for_each (s, &r->sums)
		r->totals.data[s->node] +=
			(__u64)s->values[r->dict.kinds.data[s->kind].default_type];
	for (size_t i = n; i-- > 1;)
		r->totals.data[r->dict.nodes.data[i].parent] += r->totals.data[i];
	return 0;
}

static int put_sums(struct reading *r)
{
	int err = stack_hashes_of_dict(&r->hashes, &r->dict);

	r->n_read++;
	if (!err)
		err = set_floor(r);
	if (!err)
		err = clear_segment_ids(r);
	if (!err && r->sums.len)
		qsort(r->sums.data, r->sums.len, sizeof(*r->sums.data), by_value);
	r->full = false;
	vec_for_each (s, &r->sums) {
		const struct dict_kind *kind = &r->dict.kinds.data[s->kind];
		__u32 stack;

		if (err)
			return err;
		set_types(r, kind);
		if (kind->n_types != r->profile->n_types)
			continue;
		err = make_room(r);
		if (!err)
			err = stack_of(r, s->node, &stack);
		if (!err)
			profile_add(r->profile, stack, labels_of(r, s->group), s->values);
	}
	return err;
}

static void forget_segment(struct reading *r)
{
	dict_fini(&r->dict);
	stack_hashes_fini(&r->hashes);
	r->sums.len = 0;
	hmap_clear(&r->sum_index);
}

static bool cancelled(const struct reading *r)
{
	return r->choice->cancelled && r->choice->cancelled(r->choice->arg);
}

/* What is chosen; for a sum that is damaged, what it holds. */
static int read_blocks(struct reading *r, const struct segment_file *file, struct planned *b,
		       size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && err >= 0; i++) {
		enum block_kind kind = b[i].block.kind;
		size_t first = store_plan_first(b, i);

		if (!b[i].chosen)
			continue;
		err = cancelled(r) ? -ECANCELED : add_block(r, file, b[i].block.at);
		if (err == 1 && kind != BLOCK_WINDOW &&
		    store_plan_choose(b + first, i - first, r->choice, kind - 1, r->visit))
			err = read_blocks(r, file, b + first, i - first);
		else
			r->result->skipped_blocks += err == 1;
	}
	return MIN(err, 0);
}

static int read_segment(struct reading *r, struct planned *b, size_t n)
{
	__u64 id = b->block.segment;
	struct segment_file file;
	int err;

	store_plan_sort(b, n);
	if (!store_plan_choose(b, n, r->choice, r->coarsest, r->visit))
		return 0;
	err = segment_file_open(r->reader->dir_fd, id, &file);
	if (err == -ENOENT || err == -EBADMSG) { /* dropped meanwhile */
		for (size_t i = 0; i < n; i++)
			r->result->skipped_blocks += b[i].chosen;
		return 0;
	}
	if (err)
		return err;
	r->segment = id;
	err = dict_init(&r->dict, STORE_DICT_BYTES);
	if (!err)
		err = read_dict(r, &file, b[n - 1].block.at);
	if (!err)
		err = no_answers(&r->series_wanted, r->dict.series.len);
	if (!err)
		err = no_answers(&r->thread_wanted, r->dict.threads.len);
	if (!err)
		err = read_blocks(r, &file, b, n);
	if (!err && r->profile)
		err = put_sums(r);
	forget_segment(r);
	segment_file_close(&file);
	return err;
}

static int read_all(struct reading *r)
{
	struct planned *b = r->plan.data;
	int err = 0;

	for (size_t i = 0, n; i < r->plan.len && !err; i += n) {
		for (n = 1; i + n < r->plan.len && b[i + n].block.segment == b[i].block.segment;
		     n++)
			;
		err = read_segment(r, b + i, n);
	}
	return err;
}

static int read_range(struct reading *r)
{
	struct store_reader *reader = r->reader;
	const struct store_choice *choice = r->choice;
	struct store_index *index;
	int err = store_reader_begin(reader, &index);

	*r->result = (struct store_result){0};
	if (err)
		return err;
	err = store_index_blocks(index, choice->from_ns, choice->to_ns, collect, r);
	if (err)
		snprintf(reader->error, sizeof(reader->error), "the index in '%s': %s", reader->dir,
			 err == -E2BIG ? "the range has too many windows"
				       : store_index_error(index));
	store_reader_end(reader); /* reading takes long: a view would hold up the log */
	if (!err)
		err = read_all(r);
	vec_free(&r->plan);
	columns_fini(&r->columns);
	block_fini(&r->block);
	vec_free(&r->sums);
	hmap_fini(&r->sum_index);
	vec_free(&r->series_wanted.by_id);
	vec_free(&r->thread_wanted.by_id);
	vec_free(&r->strings.by_id);
	vec_free(&r->mappings.by_id);
	vec_free(&r->functions.by_id);
	vec_free(&r->locations.by_id);
	vec_free(&r->frames);
	vec_free(&r->known);
	vec_free(&r->totals);
	hmap_fini(&r->known_index);
	return err;
}

int store_read_profile(struct store_reader *reader, const struct store_choice *choice,
		       struct profile *profile, struct store_result *ret_result)
{
	struct reading r = {.reader = reader,
			    .choice = choice,
			    .result = ret_result,
			    .profile = profile,
			    .coarsest = BLOCK_HOUR};

	return read_range(&r);
}

int store_read_points(struct store_reader *reader, const struct store_choice *choice,
		      enum block_kind coarsest,
		      int (*visit)(void *arg, const struct store_point *point),
		      struct store_result *ret_result)
{
	struct reading r = {.reader = reader,
			    .choice = choice,
			    .result = ret_result,
			    .visit = visit,
			    .coarsest = coarsest};

	return read_range(&r);
}
