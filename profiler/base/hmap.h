/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open-addressing index: hash -> u32 value (an index into the caller's own array). The caller owns
 * keys and compares them; the map keeps 32 bits of each hash, so a false match is rare and growing
 * needs no look at the keys. Linear probing, at most 3/4 full, deletion by backward shift (no
 * tombstones, so churn does not slow it down).
 *
 *	__u32 i;
 *	hmap_for_each_match(&map, hash, i)
 *		if (items[i].key == key)
 *			return &items[i];
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/check.h"

#define HMAP_NONE UINT32_MAX

/* n ids, all HMAP_NONE: of things by their number elsewhere. malloc'd; NULL when memory ends. */
static inline __u32 *hmap_no_ids(size_t n)
{
	__u32 *ids = malloc(n * sizeof(*ids) + 1);

	if (ids)
		memset(ids, 0xff, n * sizeof(*ids));
	return ids;
}

struct hmap {
	struct hmap_slot {
		__u32 hash, value; /* value HMAP_NONE: empty */
	} * slots;
	__u32 mask; /* slots - 1; 0: nothing allocated */
	__u32 len;
};

/* Room for n entries without growing. 0 or -ENOMEM. */
MUST_CHECK int hmap_reserve(struct hmap *map, __u32 n);
/* Adds without looking for an equal key: find first. value must not be HMAP_NONE. 0 or -ENOMEM. */
MUST_CHECK int hmap_add(struct hmap *map, __u64 hash, __u32 value);
/* Removes the entry with this hash and value; false when there is none. */
bool hmap_del(struct hmap *map, __u64 hash, __u32 value);
/* Points the entry (hash, from) at `to`; false when there is none. */
bool hmap_move(struct hmap *map, __u64 hash, __u32 from, __u32 to);
void hmap_clear(struct hmap *map);
void hmap_fini(struct hmap *map);

/* Iteration state is the probe distance; not for direct use. Returns HMAP_NONE at the end. */
static inline __u32 hmap_next_match(const struct hmap *map, __u64 hash, __u32 *probe)
{
	__u32 low = (__u32)hash;

	if (!map->mask)
		return HMAP_NONE;
	for (;; ++*probe) {
		const struct hmap_slot *slot = &map->slots[(low + *probe) & map->mask];

		if (slot->value == HMAP_NONE)
			return HMAP_NONE;
		if (slot->hash == low) {
			++*probe;
			return slot->value;
		}
	}
}

#define hmap_for_each_match(map, hash_, value_)                                                    \
	for (__u32 hmap_probe_ = 0;                                                                \
	     ((value_) = hmap_next_match((map), (hash_), &hmap_probe_)) != HMAP_NONE;)

/* 64-bit mixers for keys that are numbers; use XXH3_64bits for bytes. */
static inline __u64 hash_u64(__u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

static inline __u64 hash_mix(__u64 hash, __u64 x)
{
	return hash_u64(hash * 0x9e3779b97f4a7c15ULL + x);
}
