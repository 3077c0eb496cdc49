// SPDX-License-Identifier: Apache-2.0
/*
 * The pprof encoder of pprof.h. Two passes over a part's samples: the first numbers what they use
 * (and measures, so that a part can be closed in time), the second writes. Every message is
 * protobuf-c's, but one at a time: filled, packed and handed on. For 100,000 stacks of 40 frames a
 * whole tree of messages takes 75 MiB, this 1 MiB in the same time (tests/bench/export_bench.c); a
 * writer by hand saves a quarter of that time, a tenth with compression.
 *
 * Memory: 8 bytes per string, function, mapping and location of the profile; none per sample.
 */
#include "profiler/export/pprof.h"

#include <errno.h>

#include "profiler/base/clock.h"
#include "profiler/export/pprof.pb-c.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"

/* Field numbers of Profile; the messages behind them are in pprof.proto. */
enum {
	FIELD_SAMPLE_TYPE = 1,
	FIELD_SAMPLE = 2,
	FIELD_MAPPING = 3,
	FIELD_LOCATION = 4,
	FIELD_FUNCTION = 5,
	FIELD_STRING = 6,
	WIRE_BYTES = 2,
};

/* Dense numbers from 1 for the entries of a table that a part uses, in order of first use. */
struct numbering {
	__u32 *number; /* by entry; 0: not used */
	VEC(__u32) used;
};

struct part {
	const struct profile *profile;
	const struct export_options *options;
	struct sink *sink;
	struct numbering strings, functions, mappings, locations;
	struct numbering gaps; /* `[N frames]`, by N: they follow the profile's own entries */
	struct buf scratch;    /* the message that is being written, and what it points to */
	Pprof__Label labels[PROFILE_MAX_LABELS], *label_list[PROFILE_MAX_LABELS];
	Pprof__Line lines[PROFILE_MAX_LINES], *line_list[PROFILE_MAX_LINES];
	uint64_t ids[PROFILE_MAX_FRAMES];
	__u32 first, end, n_samples;
	__u32 max_frames; /* of a stack; 0: any */
	unsigned index;
	size_t bytes; /* of what is numbered so far, once written */
	int err;
};

/* ---- wire format ----------------------------------------------------------------------------- */
static inline unsigned varint_size(__u64 value)
{
	return value ? (70u - (unsigned)__builtin_clzll(value)) / 7 : 1;
}

static size_t field_size(__u64 value)
{
	return value ? 1 + varint_size(value) : 0;
}

/* Of len bytes with their field and length before them. */
static size_t record_size(size_t len)
{
	return 1 + varint_size(len) + len;
}

static void write_head(struct sink *sink, unsigned field, size_t len)
{
	sink_char(sink, (char)(field << 3 | WIRE_BYTES));
	for (; len >= 0x80; len >>= 7)
		sink_char(sink, (char)(len | 0x80));
	sink_char(sink, (char)len);
}

static void write_message(struct part *part, unsigned field, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);

	buf_reset(&part->scratch);
	if (buf_reserve(&part->scratch, len)) {
		part->err = part->scratch.err;
		return;
	}
	protobuf_c_message_pack(message, (uint8_t *)part->scratch.data);
	write_head(part->sink, field, len);
	sink_add(part->sink, part->scratch.data, len);
}

/* ---- numbering ------------------------------------------------------------------------------- */
static int numbering_init(struct numbering *n, size_t len)
{
	n->number = calloc(len, sizeof(*n->number));
	return n->number ? 0 : -ENOMEM;
}

static void numbering_fini(struct numbering *n)
{
	free(n->number);
	vec_free(&n->used);
}

static void numbering_truncate(struct numbering *n, size_t len)
{
	while (n->used.len > len)
		n->number[n->used.data[--n->used.len]] = 0;
}

/* True when it is new. */
static bool use(struct part *part, struct numbering *n, __u32 entry)
{
	if (n->number[entry])
		return false;
	if (vec_push(&n->used, entry)) {
		part->err = -ENOMEM;
		return false;
	}
	n->number[entry] = (__u32)n->used.len;
	return true;
}

static void use_string(struct part *part, __u32 id)
{
	if (use(part, &part->strings, id))
		part->bytes += record_size(part->profile->strings.entries.data[id].len);
}

/* Strings count from 0, and 0 is "". */
static __s64 string_number(const struct part *part, __u32 id)
{
	return (__s64)part->strings.number[id] - 1;
}

static void use_function(struct part *part, __u32 id)
{
	const struct profile_function *f = &part->profile->functions.data[id];

	if (!use(part, &part->functions, id))
		return;
	use_string(part, f->name);
	use_string(part, f->system_name);
	use_string(part, f->file);
	part->bytes += record_size(
		field_size(part->functions.number[id]) +
		field_size((__u64)string_number(part, f->name)) +
		field_size((__u64)string_number(part, f->system_name ? f->system_name : f->name)) +
		field_size((__u64)string_number(part, f->file)) + field_size(f->start_line));
}

static void use_mapping(struct part *part, __u32 id)
{
	const struct profile_mapping *m = &part->profile->mappings.data[id];

	if (!id || !use(part, &part->mappings, id))
		return;
	use_string(part, m->file);
	use_string(part, m->build_id);
	part->bytes += record_size(field_size(part->mappings.number[id]) + field_size(m->start) +
				   field_size(m->limit) + field_size(m->offset) +
				   field_size((__u64)string_number(part, m->file)) +
				   field_size((__u64)string_number(part, m->build_id)) +
				   4 * field_size(true));
}

static size_t line_size(const struct part *part, const struct profile_line *line)
{
	return field_size(part->functions.number[line->function]) + field_size(line->line) +
	       field_size(line->column);
}

static size_t location_size(const struct part *part, __u32 id)
{
	const struct profile_location *l = &part->profile->locations.data[id];
	size_t size = field_size(part->locations.number[id]) +
		      field_size(part->mappings.number[l->mapping]) + field_size(l->address);

	for (__u32 i = 0; i < l->n_lines; i++)
		size += 2 + line_size(part, &part->profile->lines.data[l->first_line + i]);
	return size;
}

static void use_location(struct part *part, __u32 id)
{
	const struct profile_location *l = &part->profile->locations.data[id];

	if (!use(part, &part->locations, id))
		return;
	use_mapping(part, l->mapping);
	for (__u32 i = 0; i < l->n_lines; i++)
		use_function(part, part->profile->lines.data[l->first_line + i].function);
	part->bytes += record_size(location_size(part, id));
}

/* ---- stacks ---------------------------------------------------------------------------------- */
/* A stack as it is written: leaf side, how many are left out, root side. */
struct cut {
	const __u32 *frames;
	__u32 n_leaf, n_gap, n_root;
};

static struct cut cut_stack(const struct part *part, __u32 stack)
{
	const struct profile_stack *s = &part->profile->stacks.data[stack];
	struct cut cut = {.frames = s->frames, .n_leaf = s->n_frames};

	if (part->max_frames && s->n_frames > part->max_frames) {
		cut.n_leaf = part->max_frames / 2;
		cut.n_root = part->max_frames - cut.n_leaf - 1;
		cut.n_gap = s->n_frames - cut.n_leaf - cut.n_root;
	}
	return cut;
}

static const __u32 *cut_root(const struct cut *cut)
{
	return cut->frames + cut->n_leaf + cut->n_gap;
}

static void use_gap(struct part *part, __u32 n)
{
	if (n && use(part, &part->gaps, n))
		part->bytes += 3 * record_size(32); /* location, function and name, at most */
}

static void gap_name(__u32 n, char out[32])
{
	snprintf(out, 32, "[%u frames]", n);
}

/* ---- samples --------------------------------------------------------------------------------- */
static bool has_value(const struct part *part, const struct profile_sample *s)
{
	for (unsigned t = 0; t < part->profile->n_types; t++)
		if (s->values[t])
			return true;
	return false;
}

static bool label_wanted(const struct part *part, const struct profile_label *l)
{
	return !l->str || part->options->string_labels;
}

static size_t use_labels(struct part *part, __u32 labels)
{
	const struct profile_label_set *set = &part->profile->label_sets.data[labels];
	size_t size = 0;

	for (__u32 i = 0; i < set->n_labels; i++) {
		const struct profile_label *l = &set->labels[i];

		if (!label_wanted(part, l))
			continue;
		use_string(part, l->key);
		use_string(part, l->str);
		use_string(part, l->unit);
		size += record_size(field_size((__u64)string_number(part, l->key)) +
				    field_size((__u64)string_number(part, l->str)) +
				    field_size((__u64)l->num) +
				    field_size((__u64)string_number(part, l->unit)));
	}
	return size;
}

static void use_sample(struct part *part, const struct profile_sample *s)
{
	struct cut cut = cut_stack(part, s->stack);
	size_t ids = cut.n_gap ? 5 : 0, values = 0;

	for (__u32 i = 0; i < cut.n_leaf; i++) {
		use_location(part, cut.frames[i]);
		ids += varint_size(part->locations.number[cut.frames[i]]);
	}
	use_gap(part, cut.n_gap);
	for (__u32 i = 0; i < cut.n_root; i++) {
		use_location(part, cut_root(&cut)[i]);
		ids += varint_size(part->locations.number[cut_root(&cut)[i]]);
	}
	for (unsigned t = 0; t < part->profile->n_types; t++)
		values += varint_size((__u64)s->values[t]);
	part->bytes +=
		record_size(record_size(ids) + record_size(values) + use_labels(part, s->labels));
}

static void fill_labels(struct part *part, Pprof__Sample *out, __u32 labels)
{
	const struct profile_label_set *set = &part->profile->label_sets.data[labels];

	out->label = part->label_list;
	for (__u32 i = 0; i < set->n_labels; i++) {
		const struct profile_label *l = &set->labels[i];
		Pprof__Label *label = &part->labels[out->n_label];

		if (!label_wanted(part, l))
			continue;
		pprof__label__init(label);
		label->key = string_number(part, l->key);
		label->str = string_number(part, l->str);
		label->num = l->num;
		label->num_unit = string_number(part, l->unit);
		out->label[out->n_label++] = label;
	}
}

static void write_sample(struct part *part, const struct profile_sample *s)
{
	struct cut cut = cut_stack(part, s->stack);
	int64_t values[PROFILE_MAX_TYPES];
	Pprof__Sample out = PPROF__SAMPLE__INIT;

	for (__u32 i = 0; i < cut.n_leaf; i++)
		part->ids[out.n_location_id++] = part->locations.number[cut.frames[i]];
	if (cut.n_gap)
		part->ids[out.n_location_id++] =
			part->locations.used.len + part->gaps.number[cut.n_gap];
	for (__u32 i = 0; i < cut.n_root; i++)
		part->ids[out.n_location_id++] = part->locations.number[cut_root(&cut)[i]];
	for (unsigned t = 0; t < part->profile->n_types; t++)
		values[t] = s->values[t];
	out.location_id = part->ids;
	out.n_value = part->profile->n_types;
	out.value = values;
	fill_labels(part, &out, s->labels);
	write_message(part, FIELD_SAMPLE, &out.base);
}

/* ---- tables ---------------------------------------------------------------------------------- */
static void write_location(struct part *part, __u32 id)
{
	const struct profile_location *l = &part->profile->locations.data[id];
	Pprof__Location out = PPROF__LOCATION__INIT;

	out.id = part->locations.number[id];
	out.mapping_id = part->mappings.number[l->mapping];
	out.address = l->address;
	out.n_line = l->n_lines;
	out.line = part->line_list;
	for (__u32 i = 0; i < l->n_lines; i++) {
		const struct profile_line *line = &part->profile->lines.data[l->first_line + i];

		pprof__line__init(&part->lines[i]);
		part->lines[i].function_id = part->functions.number[line->function];
		part->lines[i].line = line->line;
		part->lines[i].column = line->column;
		part->line_list[i] = &part->lines[i];
	}
	write_message(part, FIELD_LOCATION, &out.base);
}

/* What is known about the code of a mapping, from the locations of this part. */
static void mapping_flags(const struct part *part, Pprof__Mapping *messages)
{
	const struct profile *p = part->profile;

	for (size_t i = 0; i < part->locations.used.len; i++) {
		const struct profile_location *l = &p->locations.data[part->locations.used.data[i]];
		Pprof__Mapping *m;

		if (!l->mapping)
			continue;
		m = &messages[part->mappings.number[l->mapping] - 1];
		m->has_functions |= l->named;
		m->has_inline_frames |= l->n_lines > 1;
		for (__u32 k = 0; k < l->n_lines; k++) {
			const struct profile_line *line = &p->lines.data[l->first_line + k];

			m->has_filenames |= p->functions.data[line->function].file != 0;
			m->has_line_numbers |= line->line != 0;
		}
	}
}

static void write_mappings(struct part *part)
{
	size_t n = part->mappings.used.len;
	Pprof__Mapping *messages = calloc(n + 1, sizeof(*messages));

	if (!messages) {
		part->err = -ENOMEM;
		return;
	}
	mapping_flags(part, messages);
	for (size_t i = 0; i < n; i++) {
		const struct profile_mapping *m =
			&part->profile->mappings.data[part->mappings.used.data[i]];
		Pprof__Mapping *out = &messages[i];

		out->base = (ProtobufCMessage)PROTOBUF_C_MESSAGE_INIT(&pprof__mapping__descriptor);
		out->id = i + 1;
		out->memory_start = m->start;
		out->memory_limit = m->limit;
		out->file_offset = m->offset;
		out->filename = string_number(part, m->file);
		out->build_id = string_number(part, m->build_id);
		write_message(part, FIELD_MAPPING, &out->base);
	}
	free(messages);
}

static void write_functions(struct part *part)
{
	for (size_t i = 0; i < part->functions.used.len; i++) {
		const struct profile_function *f =
			&part->profile->functions.data[part->functions.used.data[i]];
		Pprof__Function out = PPROF__FUNCTION__INIT;

		out.id = i + 1;
		out.name = string_number(part, f->name);
		out.system_name = string_number(part, f->system_name ? f->system_name : f->name);
		out.filename = string_number(part, f->file);
		out.start_line = f->start_line;
		write_message(part, FIELD_FUNCTION, &out.base);
	}
}

static void write_strings(struct part *part)
{
	for (size_t i = 0; i < part->strings.used.len; i++) {
		const struct strtab_entry *e =
			&part->profile->strings.entries.data[part->strings.used.data[i]];

		write_head(part->sink, FIELD_STRING, e->len);
		sink_add(part->sink, e->s, e->len);
	}
}

/* The function, location and name of each `[N frames]`, behind all others. */
static void write_gaps(struct part *part)
{
	for (size_t i = 0; i < part->gaps.used.len; i++) {
		Pprof__Line line = PPROF__LINE__INIT, *lines[1] = {&line};
		Pprof__Function function = PPROF__FUNCTION__INIT;
		Pprof__Location location = PPROF__LOCATION__INIT;
		char name[32];

		gap_name(part->gaps.used.data[i], name);
		write_head(part->sink, FIELD_STRING, strlen(name));
		sink_str(part->sink, name);
		function.id = part->functions.used.len + i + 1;
		function.name = function.system_name = (__s64)(part->strings.used.len + i);
		write_message(part, FIELD_FUNCTION, &function.base);
		line.function_id = function.id;
		location.id = part->locations.used.len + i + 1;
		location.n_line = 1;
		location.line = lines;
		write_message(part, FIELD_LOCATION, &location.base);
	}
}

/* ---- the head -------------------------------------------------------------------------------- */
/* A period type is always said: without one a profile has no place in receivers' type lists. */
static struct profile_type period_type(const struct profile *p)
{
	return p->period_type.type ? p->period_type : p->types[p->default_type];
}

/* What is mapped from files that are no libraries; `[...]` is the kernel, the vDSO. */
static bool is_executable(const char *file)
{
	const char *slash = strrchr(file, '/');

	for (const char *so = slash ? slash : file; (so = strstr(so, ".so")); so++)
		if (!so[3] || so[3] == '.')
			return false;
	return *file && *file != '[';
}

/* go tool pprof calls the whole profile by its first mapping. That is the executable's; the kernel's
 * where there are several, for none of them is the whole. 0: no better than any other. */
static __u32 main_mapping(const struct profile *p)
{
	__u32 main = 0, kernel = 0;

	if (p->main_mapping)
		return p->main_mapping < p->mappings.len ? p->main_mapping : 0;
	for (__u32 i = 1; i < p->mappings.len; i++) {
		const char *file = profile_str(p, p->mappings.data[i].file);

		if (!kernel && !strncmp(file, "[kernel", 7))
			kernel = i;
		else if (!main && is_executable(file))
			main = i;
	}
	for (__u32 i = main + 1; main && i < p->mappings.len; i++)
		if (p->mappings.data[i].file != p->mappings.data[main].file &&
		    is_executable(profile_str(p, p->mappings.data[i].file)))
			return kernel;
	return main;
}

static void use_head(struct part *part)
{
	const struct profile *p = part->profile;

	use_string(part, PROFILE_STR_EMPTY);
	for (unsigned t = 0; t < p->n_types; t++) {
		use_string(part, p->types[t].type);
		use_string(part, p->types[t].unit);
	}
	use_string(part, period_type(p).type);
	use_string(part, period_type(p).unit);
	for (unsigned i = 0; i < p->n_comments; i++)
		use_string(part, p->comments[i]);
	use_mapping(part, main_mapping(p));
	part->bytes += 200;
}

static Pprof__ValueType type_message(const struct part *part, struct profile_type type)
{
	Pprof__ValueType out = PPROF__VALUE_TYPE__INIT;

	out.type = string_number(part, type.type);
	out.unit = string_number(part, type.unit);
	return out;
}

/* All that is there once, as a Profile of its own: messages joined are one message. */
static void write_once(struct part *part)
{
	const struct profile *p = part->profile;
	Pprof__ValueType types[PROFILE_MAX_TYPES], *type_list[PROFILE_MAX_TYPES];
	Pprof__ValueType period = type_message(part, period_type(p));
	int64_t comments[PROFILE_MAX_COMMENTS];
	Pprof__Profile out = PPROF__PROFILE__INIT;
	size_t len;

	for (unsigned t = 0; t < p->n_types; t++) {
		types[t] = type_message(part, p->types[t]);
		type_list[t] = &types[t];
	}
	for (unsigned i = 0; i < p->n_comments; i++)
		comments[i] = string_number(part, p->comments[i]);
	out.n_sample_type = p->n_types;
	out.sample_type = type_list;
	out.period_type = &period;
	out.period = p->period ? (__s64)p->period : 1;
	out.time_nanos = p->time_ns ? (__s64)(p->time_ns + part->index * NS_PER_MS) : 0;
	out.duration_nanos = (__s64)p->duration_ns;
	out.n_comment = p->n_comments;
	out.comment = comments;
	out.default_sample_type = string_number(part, p->types[p->default_type].type);
	len = pprof__profile__get_packed_size(&out);
	buf_reset(&part->scratch);
	if (buf_reserve(&part->scratch, len)) {
		part->err = part->scratch.err;
		return;
	}
	pprof__profile__pack(&out, (uint8_t *)part->scratch.data);
	sink_add(part->sink, part->scratch.data, len);
}

/* ---- parts ----------------------------------------------------------------------------------- */
static void part_fini(struct part *part)
{
	numbering_fini(&part->strings);
	numbering_fini(&part->functions);
	numbering_fini(&part->mappings);
	numbering_fini(&part->locations);
	numbering_fini(&part->gaps);
	buf_fini(&part->scratch);
}

static int part_init(struct part *part)
{
	const struct profile *p = part->profile;
	int err = numbering_init(&part->strings, p->strings.entries.len);

	if (!err)
		err = numbering_init(&part->functions, p->functions.len);
	if (!err)
		err = numbering_init(&part->mappings, p->mappings.len);
	if (!err)
		err = numbering_init(&part->locations, p->locations.len);
	if (!err)
		err = numbering_init(&part->gaps, PROFILE_MAX_FRAMES + 1);
	return err;
}

/* Add a sample unless the part grows beyond `limit`: then nothing is changed, and false. */
static bool try_sample(struct part *part, const struct profile_sample *s, size_t limit)
{
	size_t strings = part->strings.used.len, functions = part->functions.used.len;
	size_t mappings = part->mappings.used.len, locations = part->locations.used.len;
	size_t gaps = part->gaps.used.len, bytes = part->bytes;

	use_sample(part, s);
	if (!limit || part->bytes <= limit || part->err)
		return true;
	numbering_truncate(&part->strings, strings);
	numbering_truncate(&part->functions, functions);
	numbering_truncate(&part->mappings, mappings);
	numbering_truncate(&part->locations, locations);
	numbering_truncate(&part->gaps, gaps);
	part->bytes = bytes;
	return false;
}

/* Number samples from part->first on until the part is full or the profile ends. */
static void fill(struct part *part, const struct pprof_limits *limits)
{
	const struct profile *p = part->profile;

	for (part->end = part->first; part->end < p->samples.len && !part->err; part->end++) {
		const struct profile_sample *s = &p->samples.data[part->end];

		if (!has_value(part, s))
			continue;
		if (limits->max_samples && part->n_samples == limits->max_samples)
			return;
		while (!try_sample(part, s, limits->max_bytes)) {
			__u32 n = p->stacks.data[s->stack].n_frames;

			if (part->n_samples)
				return;
			/* Alone and still too large: less of its stack, down to leaf and root. */
			part->max_frames = MIN(part->max_frames ? part->max_frames : n, n) / 2;
			if (part->max_frames < 3) {
				part->max_frames = 3;
				try_sample(part, s, 0);
				break;
			}
		}
		part->n_samples++;
		if (part->max_frames != part->options->max_frames) {
			part->end++;
			return;
		}
	}
}

static void write_part(struct part *part)
{
	const struct profile *p = part->profile;

	write_once(part);
	for (__u32 i = part->first; i < part->end && !part->err && !part->sink->err; i++)
		if (has_value(part, &p->samples.data[i]))
			write_sample(part, &p->samples.data[i]);
	write_mappings(part);
	for (size_t i = 0; i < part->locations.used.len && !part->err; i++)
		write_location(part, part->locations.used.data[i]);
	write_functions(part);
	write_strings(part);
	write_gaps(part);
}

static bool more_samples(const struct part *part)
{
	for (__u32 i = part->end; i < part->profile->samples.len; i++)
		if (has_value(part, &part->profile->samples.data[i]))
			return true;
	return false;
}

/* One part, plain, into a sink. */
static int encode(struct part *part, const struct pprof_limits *limits)
{
	int err = part_init(part);

	if (!err) {
		use_head(part);
		fill(part, limits);
		if (!part->err)
			write_part(part);
		err = part->err ? part->err : part->sink->err;
	}
	part_fini(part);
	return err;
}

/* The same through gzip where that is asked for. */
static int encode_packed(struct part *part, const struct pprof_limits *limits)
{
	int level = part->options->gzip_level;
	struct sink_gzip gzip;
	int err;

	if (level < 0)
		return encode(part, limits);
	err = sink_gzip_init(&gzip, part->sink, level ? level : 1);
	if (err)
		return err;
	part->sink = &gzip.sink;
	err = encode(part, limits);
	if (!err)
		err = sink_finish(&gzip.sink);
	sink_gzip_fini(&gzip);
	return err;
}

int pprof_write_part(const struct profile *profile, const struct export_options *options,
		     const struct pprof_limits *limits, struct pprof_split *split,
		     struct sink *sink)
{
	struct part *part;
	int err;

	if (!profile->n_types)
		return -EINVAL;
	part = calloc(1, sizeof(*part));
	if (!part)
		return -ENOMEM;
	part->profile = profile;
	part->options = options;
	part->sink = sink;
	part->first = split->next;
	part->max_frames = options->max_frames;
	part->index = split->n_parts;
	err = encode_packed(part, limits);
	if (!err) {
		split->next = part->end;
		split->n_parts++;
		split->done = !more_samples(part);
	}
	free(part);
	return err;
}

int pprof_write(const struct profile *profile, const struct export_options *options,
		struct sink *sink)
{
	struct pprof_split split = {0};

	return pprof_write_part(profile, options, &(struct pprof_limits){0}, &split, sink);
}
