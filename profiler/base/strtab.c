// SPDX-License-Identifier: Apache-2.0
/* String interning, see strtab.h. XXH3 over the bytes, entries in one arena. */
#include "profiler/base/strtab.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define STRTAB_DEFAULT_BYTES ((size_t)1 << 30)

int strtab_init(struct strtab *tab, size_t max_bytes)
{
	*tab = (struct strtab){.max_bytes = max_bytes ? max_bytes : STRTAB_DEFAULT_BYTES};
	if (vec_push(&tab->entries, (struct strtab_entry){.s = ""}) ||
	    hmap_add(&tab->index, XXH3_64bits("", 0), 0)) {
		strtab_fini(tab);
		return -ENOMEM;
	}
	return 0;
}

int strtab_append(struct strtab *tab, const char *s, size_t len)
{
	char *copy;

	if (tab->arena.used + len > tab->max_bytes)
		return -ENOSPC;
	copy = arena_strndup(&tab->arena, s, len);
	return copy ? vec_push(&tab->entries, (struct strtab_entry){.s = copy, .len = (__u32)len})
		    : -ENOMEM;
}

static __u32 add(struct strtab *tab, const char *s, size_t len, __u64 hash)
{
	__u32 id = (__u32)tab->entries.len;
	char *copy = arena_strndup(&tab->arena, s, len);

	if (!copy || vec_push(&tab->entries, (struct strtab_entry){.s = copy, .len = (__u32)len}))
		return 0;
	if (hmap_add(&tab->index, hash, id)) {
		tab->entries.len--;
		return 0;
	}
	return id;
}

__u32 strtab_id(struct strtab *tab, const char *s, size_t len)
{
	__u64 hash = XXH3_64bits(s, len);
	__u32 id;

	hmap_for_each_match (&tab->index, hash, id) {
		const struct strtab_entry *e = &tab->entries.data[id];

		if (e->len == len && !memcmp(e->s, s, len))
			return id;
	}
	/* The marker itself is always let in, so the recursion ends. */
	if (tab->arena.used + len > tab->max_bytes &&
	    !(len == strlen(STRTAB_FULL) && !memcmp(s, STRTAB_FULL, len))) {
		tab->refused_total++;
		return strtab_id(tab, STRTAB_FULL, strlen(STRTAB_FULL));
	}
	return add(tab, s, len, hash);
}

const char *strtab_get(const struct strtab *tab, __u32 id)
{
	return id < tab->entries.len ? tab->entries.data[id].s : "";
}

void strtab_fini(struct strtab *tab)
{
	arena_fini(&tab->arena);
	hmap_fini(&tab->index);
	vec_free(&tab->entries);
}
