// SPDX-License-Identifier: Apache-2.0
/* Things of one profile in another one; a profile beside its baseline (profile_set_base). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/profile_internal.h"

/* ---- from one profile into another one ------------------------------------------------------- */

int merge_init(struct merge *m, struct profile *to, const struct profile *from)
{
	*m = (struct merge){
		.to = to,
		.from = from,
		.strings = hmap_no_ids(from->strings.entries.len),
		.mappings = hmap_no_ids(from->mappings.len),
		.functions = hmap_no_ids(from->functions.len),
		.locations = hmap_no_ids(from->locations.len),
	};
	return m->strings && m->mappings && m->functions && m->locations ? 0 : -ENOMEM;
}

void merge_fini(struct merge *m)
{
	free(m->strings);
	free(m->mappings);
	free(m->functions);
	free(m->locations);
	vec_free(&m->frames);
}

static __u32 string_of(struct merge *m, __u32 id)
{
	if (m->strings[id] == UINT32_MAX)
		m->strings[id] = profile_cstring(m->to, profile_str(m->from, id));
	return m->strings[id];
}

__u32 merge_mapping(struct merge *m, __u32 id)
{
	struct profile_mapping mapping = m->from->mappings.data[id];

	if (!id)
		return 0;
	if (m->mappings[id] == UINT32_MAX) {
		mapping.file = string_of(m, mapping.file);
		mapping.build_id = string_of(m, mapping.build_id);
		m->mappings[id] = profile_mapping(m->to, &mapping);
	}
	return m->mappings[id];
}

static __u32 function_of(struct merge *m, __u32 id)
{
	struct profile_function f = m->from->functions.data[id];

	if (m->functions[id] == UINT32_MAX) {
		f.name = string_of(m, f.name);
		f.system_name = string_of(m, f.system_name);
		f.file = string_of(m, f.file);
		m->functions[id] = profile_function(m->to, &f);
	}
	return m->functions[id];
}

__u32 merge_location(struct merge *m, __u32 id)
{
	const struct profile_location *l = &m->from->locations.data[id];
	struct profile_line lines[PROFILE_MAX_LINES];

	if (m->locations[id] != UINT32_MAX)
		return m->locations[id];
	for (__u32 i = 0; i < l->n_lines; i++) {
		lines[i] = m->from->lines.data[l->first_line + i];
		lines[i].function = function_of(m, lines[i].function);
	}
	m->locations[id] = profile_location(m->to, l->kind, merge_mapping(m, l->mapping),
					    l->address, lines, l->n_lines);
	if (!l->named)
		m->to->locations.data[m->locations[id]].named = 0;
	return m->locations[id];
}

__u32 merge_labels(struct merge *m, __u32 id)
{
	const struct profile_label_set *set = &m->from->label_sets.data[id];
	struct profile_label labels[PROFILE_MAX_LABELS];

	for (__u32 i = 0; i < set->n_labels; i++) {
		labels[i] = set->labels[i];
		labels[i].key = string_of(m, labels[i].key);
		labels[i].str = string_of(m, labels[i].str);
		labels[i].unit = string_of(m, labels[i].unit);
	}
	return profile_labels(m->to, labels, set->n_labels);
}

int merge_frames(struct merge *m, const __u32 *frames, size_t n)
{
	if (vec_reserve(&m->frames, m->frames.len + n))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		m->frames.data[m->frames.len++] = merge_location(m, frames[i]);
	return 0;
}

/* ---- a baseline ------------------------------------------------------------------------------ */

static int merge_samples(struct merge *m)
{
	unsigned n = m->from->n_types;

	vec_for_each (s, &m->from->samples) {
		static const __s64 none[PROFILE_MAX_TYPES];
		const struct profile_stack *stack = &m->from->stacks.data[s->stack];
		__s64 values[PROFILE_MAX_TYPES] = {0};

		if (!memcmp(s->values, none, n * sizeof(*none)))
			continue;
		m->frames.len = 0;
		if (merge_frames(m, stack->frames, stack->n_frames))
			return -ENOMEM;
		memcpy(values + n, s->values, n * sizeof(*values));
		profile_add(m->to, profile_stack(m->to, m->frames.data, m->frames.len),
			    merge_labels(m, s->labels), values);
	}
	return 0;
}

static bool same_types(const struct profile *a, const struct profile *b)
{
	if (a->n_types != b->n_types || a->n_types * 2 > PROFILE_MAX_TYPES)
		return false;
	for (unsigned i = 0; i < a->n_types; i++)
		if (strcmp(profile_str(a, a->types[i].type), profile_str(b, b->types[i].type)) ||
		    strcmp(profile_str(a, a->types[i].unit), profile_str(b, b->types[i].unit)))
			return false;
	return true;
}

int profile_set_base(struct profile *profile, const struct profile *base)
{
	unsigned n = profile->n_types;
	struct merge m;
	int err;
	char name[128];

	if (!same_types(profile, base) || profile->base_types)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "base_%s",
			 profile_str(profile, profile->types[i].type));
		profile_add_type(profile, name, profile_str(profile, profile->types[i].unit));
	}
	profile->base_types = n;
	profile->base_time_ns = base->time_ns;
	profile->base_duration_ns = base->duration_ns;
	err = merge_init(&m, profile, base);
	if (!err)
		err = merge_samples(&m);
	merge_fini(&m);
	return err;
}
