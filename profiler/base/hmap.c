// SPDX-License-Identifier: Apache-2.0
/* The open-addressing index of hmap.h. Load <= 3/4; a slot is 8 bytes. */
#include "profiler/base/hmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HMAP_MIN_SLOTS 16u
#define HMAP_MAX_SLOTS (1u << 30)

static void insert(struct hmap_slot *slots, __u32 mask, __u32 hash, __u32 value)
{
	__u32 i = hash & mask;

	while (slots[i].value != HMAP_NONE)
		i = (i + 1) & mask;
	slots[i] = (struct hmap_slot){.hash = hash, .value = value};
}

int hmap_reserve(struct hmap *map, __u32 n)
{
	__u64 want = HMAP_MIN_SLOTS;
	struct hmap_slot *slots;

	while (want * 3 / 4 < n)
		want *= 2;
	if (map->mask && want <= (__u64)map->mask + 1)
		return 0;
	if (want > HMAP_MAX_SLOTS)
		return -ENOMEM;
	slots = malloc(want * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots, 0xff, want * sizeof(*slots));
	for (__u32 i = 0; map->mask && i <= map->mask; i++)
		if (map->slots[i].value != HMAP_NONE)
			insert(slots, (__u32)want - 1, map->slots[i].hash, map->slots[i].value);
	free(map->slots);
	map->slots = slots;
	map->mask = (__u32)want - 1;
	return 0;
}

int hmap_add(struct hmap *map, __u64 hash, __u32 value)
{
	int err = hmap_reserve(map, map->len + 1);

	BUG_ON(value == HMAP_NONE);
	if (err)
		return err;
	insert(map->slots, map->mask, (__u32)hash, value);
	map->len++;
	return 0;
}

static __u32 locate(const struct hmap *map, __u32 hash, __u32 value)
{
	if (!map->mask)
		return HMAP_NONE;
	for (__u32 i = hash & map->mask;; i = (i + 1) & map->mask) {
		if (map->slots[i].value == HMAP_NONE)
			return HMAP_NONE;
		if (map->slots[i].hash == hash && map->slots[i].value == value)
			return i;
	}
}

bool hmap_del(struct hmap *map, __u64 hash, __u32 value)
{
	__u32 hole = locate(map, (__u32)hash, value);

	if (hole == HMAP_NONE)
		return false;
	for (__u32 i = (hole + 1) & map->mask; map->slots[i].value != HMAP_NONE;
	     i = (i + 1) & map->mask) {
		__u32 home = map->slots[i].hash & map->mask;

		/* Move i into the hole unless its home lies cyclically within (hole, i]. */
		if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole].value = HMAP_NONE;
	map->len--;
	return true;
}

bool hmap_move(struct hmap *map, __u64 hash, __u32 from, __u32 to)
{
	__u32 i = locate(map, (__u32)hash, from);

	if (i == HMAP_NONE)
		return false;
	map->slots[i].value = to;
	return true;
}

void hmap_clear(struct hmap *map)
{
	if (map->mask)
		memset(map->slots, 0xff, ((size_t)map->mask + 1) * sizeof(*map->slots));
	map->len = 0;
}

void hmap_fini(struct hmap *map)
{
	free(map->slots);
	*map = (struct hmap){0};
}
