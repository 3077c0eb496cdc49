/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sorted list of executable mappings of one address space: changing it, and compiling it into a
 * map set for the unwinder. Only process.c uses this. Owner: the router thread.
 */
#pragma once

#include "profiler/base/vec.h"
#include "profiler/process.h"

struct map_list *map_list_new(void);
/* A copy of its own for a process that changes it; NULL when memory ends. */
struct map_list *map_list_clone(const struct map_list *list);
/* Free the list (its blob too); references to objects are given back. */
void map_list_free(struct map_list *list, struct segments *segments);

/* Add a mapping; what it overlaps is cut or removed. Takes a reference to its object. 1: changed,
 * 0: it said nothing new, -ENOMEM. */
MUST_CHECK int map_list_add(struct map_list *list, const struct mapping *mapping);
const struct mapping *map_list_find(const struct map_list *list, __u64 addr);
/* Whether an object that the list waited for when it was compiled is there now. */
bool map_list_has_news(const struct map_list *list);

/* Compile into a new blob and give the old one back; the kernel side learns of it elsewhere. 0,
 * -ENOSPC when segments are full (the old blob stays), -ENOMEM. */
MUST_CHECK int map_list_publish(struct map_list *list, struct segments *segments);
