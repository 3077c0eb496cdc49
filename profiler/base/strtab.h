/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interned strings: equal bytes, equal id. Id 0 is always "". Strings live until fini. Bounded by
 * max_bytes: beyond it strtab_id answers the id of STRTAB_FULL and counts in `refused`.
 * One thread at a time.
 */
#pragma once

#include "profiler/base/arena.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"

#define STRTAB_FULL "[string table full]"

struct strtab {
	struct arena arena;
	struct hmap index;
	VEC(struct strtab_entry {
		const char *s;
		__u32 len;
	})
	entries;
	size_t max_bytes; /* 0: 1 GiB */
	__u64 refused_total;
};

/* 0 or -ENOMEM. */
MUST_CHECK int strtab_init(struct strtab *tab, size_t max_bytes);
/* The id of s (len bytes, no NUL needed); 0 when memory ends. */
__u32 strtab_id(struct strtab *tab, const char *s, size_t len);
/* The next id, without looking for an equal string: for tables that are read back. strtab_id does
 * not find it. 0 or -ENOMEM; -ENOSPC beyond max_bytes. */
MUST_CHECK int strtab_append(struct strtab *tab, const char *s, size_t len);
/* Borrowed until fini; "" for an id out of range. */
const char *strtab_get(const struct strtab *tab, __u32 id);
void strtab_fini(struct strtab *tab);
