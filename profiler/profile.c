// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of profile.h. Each is an array plus an hmap from the hash of an entry's content to its
 * index; frames and labels lie in one arena. room_for() is the one place where a limit is kept.
 */
#include "profiler/profile.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/utf8.h"

#define DEFAULT_MAX_STACKS (1u << 20)
#define DEFAULT_MAX_BYTES  ((size_t)256 << 20)
#define MIN_BYTES	   ((size_t)64 << 10) /* the first growth of every table fits */

const char *frame_kind_name(enum frame_kind kind)
{
	static const char *const names[] = {
#define X(name, text, suffix) text,
		FRAME_KINDS(X)
#undef X
	};
	return (unsigned)kind < FRAME_KIND_COUNT ? names[kind] : "?";
}

const char *frame_kind_suffix(enum frame_kind kind)
{
	static const char *const suffixes[] = {
#define X(name, text, suffix) suffix,
		FRAME_KINDS(X)
#undef X
	};
	return (unsigned)kind < FRAME_KIND_COUNT ? suffixes[kind] : "";
}

const char *profile_table_name(enum profile_table table)
{
	static const char *const names[] = {
#define X(name) #name,
		PROFILE_TABLES(X)
#undef X
	};
	return (unsigned)table < PROFILE_TABLE_COUNT ? names[table] : "?";
}

/* ---- bounds ---------------------------------------------------------------------------------- */
static size_t index_bytes(const struct hmap *map)
{
	return map->mask ? ((size_t)map->mask + 1) * sizeof(*map->slots) : 0;
}

static size_t table_bytes(const struct profile *p)
{
	return p->mappings.cap * sizeof(*p->mappings.data) +
	       p->functions.cap * sizeof(*p->functions.data) +
	       p->lines.cap * sizeof(*p->lines.data) +
	       p->locations.cap * sizeof(*p->locations.data) +
	       p->stacks.cap * sizeof(*p->stacks.data) +
	       p->label_sets.cap * sizeof(*p->label_sets.data) +
	       p->samples.cap * sizeof(*p->samples.data) + index_bytes(&p->mapping_index) +
	       index_bytes(&p->function_index) + index_bytes(&p->location_index) +
	       index_bytes(&p->stack_index) + index_bytes(&p->label_index) +
	       index_bytes(&p->sample_index) + p->arena.used;
}

/* Beside the strings themselves. */
static size_t string_table_bytes(const struct profile *p)
{
	return p->strings.entries.cap * sizeof(*p->strings.entries.data) +
	       index_bytes(&p->strings.index);
}

size_t profile_bytes(const struct profile *p)
{
	return sizeof(*p) + table_bytes(p) - p->arena.used + p->arena.reserved +
	       p->strings.arena.reserved +
	       p->strings.entries.cap * sizeof(*p->strings.entries.data) +
	       index_bytes(&p->strings.index);
}

/* May a table of `len` of `cap` entries and its index take `n` more, with `extra` arena bytes?
 * Growing doubles, so that is what it costs. */
static bool room_for(const struct profile *p, size_t len, size_t cap, size_t item, size_t n,
		     const struct hmap *map, size_t extra)
{
	size_t growth = extra;

	if (len + n > cap)
		growth += (MAX(cap * 2, len + n) - cap) * item;
	if (map && (!map->mask || ((size_t)map->len + 1) * 4 > ((size_t)map->mask + 1) * 3))
		growth += MAX(index_bytes(map), 16 * sizeof(*map->slots));
	return table_bytes(p) + growth <= p->limits.max_bytes / 2;
}

#define ROOM_FOR(p, vec, n, map, extra)                                                            \
	room_for(p, (vec)->len, (vec)->cap, sizeof(*(vec)->data), n, map, extra)

#define SPARE_BYTES ((size_t)128 << 10) /* the frames of a long stack, lines of its locations */

bool profile_has_room(const struct profile *p)
{
#define HAS_ROOM(table, map) ROOM_FOR(p, &p->table, 1, &p->map, SPARE_BYTES)
	return HAS_ROOM(mappings, mapping_index) && HAS_ROOM(functions, function_index) &&
	       HAS_ROOM(locations, location_index) && HAS_ROOM(stacks, stack_index) &&
	       HAS_ROOM(label_sets, label_index) && HAS_ROOM(samples, sample_index) &&
	       ROOM_FOR(p, &p->lines, 1, NULL, SPARE_BYTES) &&
	       p->stacks.len < p->limits.max_stacks &&
	       p->strings.arena.used + string_table_bytes(p) * 2 < p->limits.max_bytes / 2;
#undef HAS_ROOM
}

/* Appends to a table and its index; 0 (and counted) when it may not or cannot grow. */
#define APPEND(p, table, map, hash, extra, ...)                                                    \
	({                                                                                         \
		__u32 new_id_ = (__u32)(p)->table.len;                                             \
		if (!ROOM_FOR(p, &(p)->table, 1, map, extra) ||                                    \
		    vec_push(&(p)->table, __VA_ARGS__)) {                                          \
			(p)->refused_total[PROFILE_TABLE_##table]++;                               \
			new_id_ = 0;                                                               \
		} else if (hmap_add(map, hash, new_id_)) {                                         \
			(p)->table.len--;                                                          \
			(p)->refused_total[PROFILE_TABLE_##table]++;                               \
			new_id_ = 0;                                                               \
		}                                                                                  \
		new_id_;                                                                           \
	})

/* ---- life ------------------------------------------------------------------------------------ */
/* The entries 0 that stand for what did not fit. */
static int add_first_entries(struct profile *p)
{
	static const __u32 full_stack[1] = {0};
	static const char *const strings[] = {
#define X(name, text) text,
		PROFILE_STRINGS(X)
#undef X
	};

	for (__u32 i = 0; i < PROFILE_STR_COUNT; i++)
		if (strtab_id(&p->strings, strings[i], strlen(strings[i])) != i)
			return -ENOMEM;
	if (!strtab_id(&p->strings, STRTAB_FULL, strlen(STRTAB_FULL)) ||
	    vec_push(&p->mappings, (struct profile_mapping){0}) ||
	    vec_push(&p->functions, (struct profile_function){.name = PROFILE_STR_FULL}) ||
	    vec_push(&p->lines, (struct profile_line){0}) ||
	    vec_push(&p->locations,
		     (struct profile_location){.n_lines = 1, .kind = FRAME_MARK, .named = true}) ||
	    vec_push(&p->stacks, (struct profile_stack){full_stack, 1}) ||
	    vec_push(&p->label_sets, (struct profile_label_set){0}) ||
	    vec_push(&p->samples, (struct profile_sample){0}) ||
	    hmap_add(&p->sample_index, hash_mix(0, 0), 0))
		return -ENOMEM;
	return 0;
}

struct profile *profile_new(const struct profile_limits *limits)
{
	struct profile *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	if (limits)
		p->limits = *limits;
	if (!p->limits.max_stacks)
		p->limits.max_stacks = DEFAULT_MAX_STACKS;
	if (!p->limits.max_bytes)
		p->limits.max_bytes = DEFAULT_MAX_BYTES;
	p->limits.max_bytes = MAX(p->limits.max_bytes, MIN_BYTES);
	if (strtab_init(&p->strings, p->limits.max_bytes / 2) || add_first_entries(p)) {
		profile_free(p);
		return NULL;
	}
	return p;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	strtab_fini(&p->strings);
	vec_free(&p->mappings);
	vec_free(&p->functions);
	vec_free(&p->lines);
	vec_free(&p->locations);
	vec_free(&p->stacks);
	vec_free(&p->label_sets);
	vec_free(&p->samples);
	arena_fini(&p->arena);
	hmap_fini(&p->mapping_index);
	hmap_fini(&p->function_index);
	hmap_fini(&p->location_index);
	hmap_fini(&p->stack_index);
	hmap_fini(&p->label_index);
	hmap_fini(&p->sample_index);
	free(p);
}

/* ---- strings --------------------------------------------------------------------------------- */
static bool is_clean(const char *s, size_t len)
{
	if (len > PROFILE_MAX_STRING)
		return false;
	for (size_t i = 0, n; i < len; i += n) {
		n = s[i] ? utf8_len(s + i, len - i) : 0;
		if (!n)
			return false;
	}
	return true;
}

/* One character of s as it may be printed; how many bytes of s it took. */
static size_t clean_char(const char *s, size_t len, char out[5], size_t *ret_n)
{
	size_t n = *s ? utf8_len(s, len) : 0;

	if (n) {
		memcpy(out, s, n);
		*ret_n = n;
		return n;
	}
	snprintf(out, 5, "\\x%02x", (unsigned char)*s);
	*ret_n = 4;
	return 1;
}

/* Head and tail of what is too long, with `...` between; \xHH for what is not text. */
static size_t clean(const char *s, size_t len, char out[PROFILE_MAX_STRING])
{
	static const char gap[] = "...";
	const size_t half = (PROFILE_MAX_STRING - strlen(gap)) / 2;
	size_t o = 0, i = 0, n;
	char c[5];

	while (i < len) {
		size_t step = clean_char(s + i, len - i, c, &n);

		if (len > PROFILE_MAX_STRING && o + n > half)
			break;
		if (o + n > PROFILE_MAX_STRING)
			return o; /* grew by its escapes: the end is cut */
		memcpy(out + o, c, n);
		o += n;
		i += step;
	}
	if (i == len)
		return o;
	memcpy(out + o, gap, strlen(gap));
	o += strlen(gap);
	i = MAX(i, len - half);
	while (i < len && ((unsigned char)s[i] & 0xc0) == 0x80)
		i++; /* not into the middle of a character */
	while (i < len) {
		i += clean_char(s + i, len - i, c, &n);
		if (o + n > PROFILE_MAX_STRING)
			break;
		memcpy(out + o, c, n);
		o += n;
	}
	return o;
}

__u32 profile_string(struct profile *p, const char *s, size_t len)
{
	char text[PROFILE_MAX_STRING];
	__u64 refused = p->strings.refused_total;
	size_t tables = string_table_bytes(p);
	__u32 id;

	if (!is_clean(s, len)) {
		len = clean(s, len, text);
		s = text;
	}
	p->strings.max_bytes = p->limits.max_bytes / 2 - MIN(tables, p->limits.max_bytes / 2);
	id = strtab_id(&p->strings, s, len);
	if (len && !id) { /* memory ended */
		p->refused_total[PROFILE_TABLE_strings]++;
		return strtab_id(&p->strings, STRTAB_FULL, strlen(STRTAB_FULL));
	}
	p->refused_total[PROFILE_TABLE_strings] += p->strings.refused_total - refused;
	return id;
}

__u32 profile_cstring(struct profile *p, const char *s)
{
	return profile_string(p, s, strlen(s));
}

/* ---- what was measured ----------------------------------------------------------------------- */
static struct profile_type make_type(struct profile *p, const char *type, const char *unit)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", type);
	for (char *c = text; *c; c++)
		if (*c == '-')
			*c = '_';
	return (struct profile_type){profile_cstring(p, text), profile_cstring(p, unit)};
}

unsigned profile_add_type(struct profile *p, const char *type, const char *unit)
{
	BUG_ON(p->n_types == PROFILE_MAX_TYPES);
	p->types[p->n_types] = make_type(p, type, unit);
	return p->n_types++;
}

void profile_set_period(struct profile *p, const char *type, const char *unit, __u64 period)
{
	p->period_type = make_type(p, type, unit);
	p->period = period;
}

void profile_add_comment(struct profile *p, const char *text)
{
	if (p->n_comments == PROFILE_MAX_COMMENTS) {
		p->refused_total[PROFILE_TABLE_strings]++;
		return;
	}
	p->comments[p->n_comments++] = profile_cstring(p, text);
}

/* ---- tables ---------------------------------------------------------------------------------- */
__u32 profile_mapping(struct profile *p, const struct profile_mapping *m)
{
	__u64 hash = hash_mix(hash_mix(hash_mix(hash_mix(m->start, m->limit), m->offset), m->file),
			      m->build_id);
	__u32 id;

	hmap_for_each_match (&p->mapping_index, hash, id) {
		const struct profile_mapping *have = &p->mappings.data[id];

		if (have->start == m->start && have->limit == m->limit &&
		    have->offset == m->offset && have->file == m->file &&
		    have->build_id == m->build_id)
			return id;
	}
	return APPEND(p, mappings, &p->mapping_index, hash, 0, *m);
}

__u32 profile_function(struct profile *p, const struct profile_function *function)
{
	struct profile_function f = *function;
	__u64 hash;
	__u32 id;

	if (!f.name)
		f.name = PROFILE_STR_UNKNOWN;
	if (f.system_name == f.name)
		f.system_name = 0;
	hash = hash_mix(hash_mix(hash_mix(f.name, f.system_name), f.file), f.start_line);
	hmap_for_each_match (&p->function_index, hash, id) {
		const struct profile_function *have = &p->functions.data[id];

		if (have->name == f.name && have->system_name == f.system_name &&
		    have->file == f.file && have->start_line == f.start_line)
			return id;
	}
	return APPEND(p, functions, &p->function_index, hash, 0, f);
}

/* The name of a frame that has no symbol. */
static __u32 stub_function(struct profile *p, __u32 mapping, __u64 address)
{
	const char *file = profile_str(p, p->mappings.data[mapping].file);
	const char *slash = strrchr(file, '/');
	char text[320];

	if (slash && slash[1])
		file = slash + 1;
	if (!*file)
		return profile_function(p, &(struct profile_function){.name = PROFILE_STR_UNKNOWN});
	snprintf(text, sizeof(text), "%.255s+0x%llx", file, (unsigned long long)address);
	return profile_function(p, &(struct profile_function){.name = profile_cstring(p, text)});
}

static __u32 add_location(struct profile *p, struct profile_location l,
			  const struct profile_line *lines, __u64 hash)
{
	l.first_line = (__u32)p->lines.len;
	if (!ROOM_FOR(p, &p->lines, l.n_lines, NULL, 0) ||
	    vec_reserve(&p->lines, p->lines.len + l.n_lines)) {
		p->refused_total[PROFILE_TABLE_locations]++;
		return 0;
	}
	for (__u32 i = 0; i < l.n_lines; i++) {
		struct profile_line line = lines[i];

		line.function = line.function < p->functions.len ? line.function : 0;
		p->lines.data[p->lines.len++] = line;
	}
	return APPEND(p, locations, &p->location_index, hash, 0, l);
}

static __u32 find_or_add_location(struct profile *p, struct profile_location l,
				  const struct profile_line *lines)
{
	size_t n_lines = l.n_lines;
	__u64 address = l.address, hash;
	__u32 id;

	hash = hash_mix(hash_mix(XXH3_64bits(lines, n_lines * sizeof(*lines)), address),
			(__u64)l.mapping << 8 | l.kind);
	hmap_for_each_match (&p->location_index, hash, id) {
		const struct profile_location *have = &p->locations.data[id];

		if (have->address == address && have->mapping == l.mapping &&
		    have->kind == l.kind && have->n_lines == n_lines && have->named == l.named &&
		    !memcmp(&p->lines.data[have->first_line], lines, n_lines * sizeof(*lines)))
			return id;
	}
	return add_location(p, l, lines, hash);
}

__u32 profile_location(struct profile *p, enum frame_kind kind, __u32 mapping, __u64 address,
		       const struct profile_line *lines, size_t n_lines)
{
	struct profile_line cut[PROFILE_MAX_LINES];
	struct profile_location l = {.address = address,
				     .mapping = mapping < p->mappings.len ? mapping : 0,
				     .kind = (unsigned)kind < FRAME_GROUP ? (__u8)kind
									  : FRAME_NATIVE,
				     .named = true};

	if (!n_lines)
		return profile_unnamed_location(p, kind, mapping, address, address);
	if (n_lines > PROFILE_MAX_LINES) { /* innermost ones and the physical function stay */
		memcpy(cut, lines, sizeof(cut));
		cut[PROFILE_MAX_LINES - 1] = lines[n_lines - 1];
		lines = cut;
		n_lines = PROFILE_MAX_LINES;
	}
	l.n_lines = (__u16)n_lines;
	return find_or_add_location(p, l, lines);
}

__u32 profile_unnamed_location(struct profile *p, enum frame_kind kind, __u32 mapping,
			       __u64 address, __u64 start)
{
	struct profile_location l = {.address = address,
				     .mapping = mapping < p->mappings.len ? mapping : 0,
				     .kind = (unsigned)kind < FRAME_GROUP ? (__u8)kind
									  : FRAME_NATIVE,
				     .n_lines = 1};
	struct profile_line line = {.function = stub_function(p, l.mapping, start)};

	return find_or_add_location(p, l, &line);
}

__u32 profile_named_location(struct profile *p, enum frame_kind kind, const char *name)
{
	struct profile_function f = {.name = profile_cstring(p, name)};
	struct profile_line line = {.function = profile_function(p, &f)};

	return profile_location(p, kind, 0, 0, &line, 1);
}

__u32 profile_stack(struct profile *p, const __u32 *frames, size_t n)
{
	size_t bytes = n * sizeof(*frames);
	__u32 *copy = NULL, id;
	__u64 hash;

	if (!n || n > PROFILE_MAX_FRAMES) {
		p->refused_total[PROFILE_TABLE_stacks]++;
		return 0;
	}
	hash = XXH3_64bits(frames, bytes);
	hmap_for_each_match (&p->stack_index, hash, id) {
		const struct profile_stack *have = &p->stacks.data[id];

		if (have->n_frames == n && !memcmp(have->frames, frames, bytes))
			return id;
	}
	if (p->stacks.len < p->limits.max_stacks &&
	    ROOM_FOR(p, &p->stacks, 1, &p->stack_index, bytes))
		copy = arena_alloc(&p->arena, bytes);
	if (!copy) {
		p->refused_total[PROFILE_TABLE_stacks]++;
		return 0;
	}
	memcpy(copy, frames, bytes);
	for (size_t i = 0; i < n; i++)
		if (copy[i] >= p->locations.len)
			copy[i] = 0;
	return APPEND(p, stacks, &p->stack_index, hash, 0, (struct profile_stack){copy, (__u32)n});
}

/* Sorted by key, first of equal ones, without empty ones. How many. */
static size_t sort_labels(const struct profile_label *labels, size_t n,
			  struct profile_label out[PROFILE_MAX_LABELS])
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < PROFILE_MAX_LABELS; i++) {
		struct profile_label l = labels[i];
		size_t at = len;

		while (at > 0 && out[at - 1].key > l.key)
			at--;
		if (!l.key || (at > 0 && out[at - 1].key == l.key))
			continue;
		memmove(&out[at + 1], &out[at], (len - at) * sizeof(*out));
		out[at] = (struct profile_label){.key = l.key, .str = l.str};
		if (!l.str) {
			out[at].num = l.num;
			out[at].unit = l.unit;
		}
		len++;
	}
	return len;
}

static bool same_labels(const struct profile_label *a, const struct profile_label *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].key != b[i].key || a[i].str != b[i].str || a[i].num != b[i].num ||
		    a[i].unit != b[i].unit)
			return false;
	return true;
}

__u32 profile_labels(struct profile *p, const struct profile_label *labels, size_t n)
{
	struct profile_label sorted[PROFILE_MAX_LABELS], *copy = NULL;
	__u64 hash = 0;
	__u32 id;

	n = sort_labels(labels, n, sorted);
	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++)
		hash = hash_mix(hash_mix(hash, (__u64)sorted[i].key << 32 | sorted[i].str),
				hash_mix(sorted[i].unit, (__u64)sorted[i].num));
	hmap_for_each_match (&p->label_index, hash, id) {
		const struct profile_label_set *have = &p->label_sets.data[id];

		if (have->n_labels == n && same_labels(have->labels, sorted, n))
			return id;
	}
	if (ROOM_FOR(p, &p->label_sets, 1, &p->label_index, n * sizeof(*copy)))
		copy = arena_alloc(&p->arena, n * sizeof(*copy));
	if (!copy) {
		p->refused_total[PROFILE_TABLE_label_sets]++;
		return 0;
	}
	memcpy(copy, sorted, n * sizeof(*copy));
	return APPEND(p, label_sets, &p->label_index, hash, 0,
		      (struct profile_label_set){copy, (__u32)n});
}

__u32 profile_thread_labels(struct profile *p, const char *comm, const char *thread, __u32 pid,
			    __u32 tid)
{
	struct profile_label labels[4];
	size_t n = 0;

	if (comm && *comm)
		labels[n++] = (struct profile_label){.key = PROFILE_STR_COMM,
						     .str = profile_cstring(p, comm)};
	if (thread && *thread)
		labels[n++] = (struct profile_label){.key = PROFILE_STR_THREAD,
						     .str = profile_cstring(p, thread)};
	if (pid)
		labels[n++] = (struct profile_label){.key = PROFILE_STR_PID, .num = pid};
	if (tid)
		labels[n++] = (struct profile_label){.key = PROFILE_STR_TID, .num = tid};
	return profile_labels(p, labels, n);
}

void profile_add(struct profile *p, __u32 stack, __u32 labels, const __s64 *values)
{
	struct profile_sample *sample = NULL;
	__u64 hash;
	__u32 id;

	stack = stack < p->stacks.len ? stack : 0;
	labels = labels < p->label_sets.len ? labels : 0;
	hash = hash_mix(stack, labels);
	hmap_for_each_match (&p->sample_index, hash, id) {
		struct profile_sample *have = &p->samples.data[id];

		if (have->stack == stack && have->labels == labels) {
			sample = have;
			break;
		}
	}
	if (!sample) {
		id = APPEND(p, samples, &p->sample_index, hash, 0,
			    (struct profile_sample){.stack = stack, .labels = labels});
		sample = &p->samples.data[id];
	}
	for (unsigned t = 0; t < p->n_types; t++) {
		__u64 value = (__u64)MAX(values[t], 0), room = (__u64)INT64_MAX - p->totals[t];

		value = MIN(value, room);
		p->totals[t] += value;
		sample->values[t] += (__s64)value;
	}
}

/* ---- questions ------------------------------------------------------------------------------- */
const struct profile_label *profile_label_find(const struct profile *p, __u32 labels, __u32 key)
{
	const struct profile_label_set *set = &p->label_sets.data[labels];

	for (__u32 i = 0; i < set->n_labels; i++)
		if (set->labels[i].key == key)
			return &set->labels[i];
	return NULL;
}

bool profile_stack_whole(const struct profile *p, __u32 stack)
{
	const struct profile_stack *s = &p->stacks.data[stack];

	return p->locations.data[s->frames[s->n_frames - 1]].kind != FRAME_MARK;
}

int profile_find_type(const struct profile *p, const char *type)
{
	for (unsigned t = 0; t < p->n_types; t++)
		if (!strcmp(profile_str(p, p->types[t].type), type))
			return (int)t;
	return -1;
}

__u64 profile_total(const struct profile *p, unsigned type)
{
	return type < p->n_types ? p->totals[type] : 0;
}

__u64 profile_whole_total(const struct profile *p, unsigned type)
{
	__u64 total = 0;

	for (size_t i = 0; type < p->n_types && i < p->samples.len; i++) {
		const struct profile_sample *s = &p->samples.data[i];

		if (profile_stack_whole(p, s->stack))
			total += (__u64)s->values[type];
	}
	return total;
}
