// SPDX-License-Identifier: Apache-2.0
/* Stacks in 64 bits, see stack_hash.h. */
#include "profiler/store/stack_hash.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/profile.h"
#include "profiler/store/dict.h"

static int init(struct stack_hashes *h, const size_t n[5])
{
	__u64 **arrays[] = {&h->strings, &h->mappings, &h->functions, &h->locations, &h->nodes};

	*h = (struct stack_hashes){0};
	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
		*arrays[i] = calloc(n[i] + 1, sizeof(**arrays[i]));
		if (!*arrays[i])
			return -ENOMEM;
	}
	return 0;
}

int stack_hashes_of_profile(struct stack_hashes *hashes, const struct profile *p)
{
	return init(hashes, (size_t[]){p->strings.entries.len, p->mappings.len, p->functions.len,
				       p->locations.len, 0});
}

int stack_hashes_of_dict(struct stack_hashes *hashes, const struct dict *d)
{
	return init(hashes, (size_t[]){d->strings.entries.len, d->mappings.len, d->functions.len,
				       d->locations.len, d->nodes.len});
}

void stack_hashes_fini(struct stack_hashes *h)
{
	free(h->strings);
	free(h->mappings);
	free(h->functions);
	free(h->locations);
	free(h->nodes);
	vec_free(&h->path);
	*h = (struct stack_hashes){0};
}

static __u64 of_string(struct stack_hashes *h, const struct strtab *strings, __u32 id)
{
	const struct strtab_entry *e = &strings->entries.data[id];

	if (!h->strings[id])
		h->strings[id] = XXH3_64bits(e->s, e->len) ?: 1;
	return h->strings[id];
}

static __u64 of_mapping(struct stack_hashes *h, const struct strtab *strings, __u32 id, __u32 file,
			__u32 build_id, __u64 start, __u64 limit, __u64 offset)
{
	__u64 hash;

	if (h->mappings[id])
		return h->mappings[id];
	hash = hash_mix(of_string(h, strings, file), of_string(h, strings, build_id));
	hash = hash_mix(hash_mix(hash_mix(hash, start), limit), offset);
	return h->mappings[id] = hash ?: 1;
}

static __u64 of_function(struct stack_hashes *h, const struct strtab *strings, __u32 id, __u32 name,
			 __u32 system_name, __u32 file, __u32 start_line)
{
	__u64 hash;

	if (h->functions[id])
		return h->functions[id];
	hash = hash_mix(of_string(h, strings, name), of_string(h, strings, system_name));
	hash = hash_mix(hash_mix(hash, of_string(h, strings, file)), start_line);
	return h->functions[id] = hash ?: 1;
}

static __u64 of_place(__u64 mapping, bool named, __u64 address, __u8 kind, __u16 n_lines)
{
	return hash_mix(hash_mix(mapping, named ? 0 : address),
			(__u64)n_lines << 16 | (__u64)kind << 1 | named);
}

static __u64 of_profile_location(struct stack_hashes *h, const struct profile *p, __u32 id)
{
	const struct profile_location *l = &p->locations.data[id];
	const struct profile_mapping *m = &p->mappings.data[l->mapping];
	__u64 hash = 0;

	if (h->locations[id])
		return h->locations[id];
	if (l->mapping)
		hash = of_mapping(h, &p->strings, l->mapping, m->file, m->build_id, m->start,
				  m->limit, m->offset);
	hash = of_place(hash, l->named, l->address, l->kind, l->n_lines);
	for (__u32 i = 0; i < l->n_lines; i++) {
		const struct profile_line *line = &p->lines.data[l->first_line + i];
		const struct profile_function *f = &p->functions.data[line->function];

		hash = hash_mix(hash, of_function(h, &p->strings, line->function, f->name,
						  f->system_name, f->file, f->start_line));
		hash = hash_mix(hash, line->line);
	}
	return h->locations[id] = hash ?: 1;
}

static __u64 of_dict_location(struct stack_hashes *h, const struct dict *d, __u32 id)
{
	const struct dict_location *l = &d->locations.data[id];
	const struct dict_mapping *m = &d->mappings.data[l->mapping];
	__u64 hash = 0;

	if (h->locations[id])
		return h->locations[id];
	if (l->mapping)
		hash = of_mapping(h, &d->strings, l->mapping, m->file, m->build_id, m->start,
				  m->limit, m->offset);
	hash = of_place(hash, l->named, l->address, l->kind, l->n_lines);
	for (__u32 i = 0; i < l->n_lines; i++) {
		const struct dict_line *line = &d->lines.data[l->first_line + i];
		const struct dict_function *f = &d->functions.data[line->function];

		hash = hash_mix(hash, of_function(h, &d->strings, line->function, f->name,
						  f->system_name, f->file, f->start_line));
		hash = hash_mix(hash, line->line);
	}
	return h->locations[id] = hash ?: 1;
}

__u64 stack_hash_in_profile(struct stack_hashes *h, const struct profile *p, __u32 stack)
{
	const struct profile_stack *s = &p->stacks.data[stack];
	__u64 hash = 0;

	for (__u32 i = s->n_frames; i-- > 0;)
		hash = hash_mix(hash, of_profile_location(h, p, s->frames[i]));
	return hash ?: 1;
}

/* Up to a node whose hash is known, and down again. */
__u64 stack_hash_in_dict(struct stack_hashes *h, const struct dict *d, __u32 node)
{
	__u64 hash;

	h->path.len = 0;
	for (; node && !h->nodes[node]; node = d->nodes.data[node].parent)
		if (vec_push(&h->path, node))
			return 0;
	hash = h->nodes[node]; /* of the root: 0 */
	while (h->path.len) {
		node = h->path.data[--h->path.len];
		hash = hash_mix(hash, of_dict_location(h, d, d->nodes.data[node].location)) ?: 1;
		h->nodes[node] = hash;
	}
	return hash ?: 1;
}
