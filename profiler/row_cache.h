/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled rows on disk, so that a restart costs reading them: one file per object under
 * CACHE_DIR/rows, named by its content key. The key is the build ID (if any) and a hash of the CFI
 * bytes themselves, keyed with a secret of this host: two files with one build ID but other CFI (a
 * container may lie) never share rows.
 *
 * A cache file is checked (magic, version, checksum, every bound) before use; a damaged one is
 * removed and the rows are compiled again. Written whole and renamed. When the disk is full or the
 * folder cannot be written, everything works without it, said once. The folder is kept below
 * max_bytes, least recently used first.
 *
 * Thread: the loader's.
 */
#pragma once

#include <stdbool.h>

#include "symbolize/elf.h"
#include "symbolize/unwind.h"

struct row_cache;

/* dir: CACHE_DIR. NULL when memory ends; a folder that cannot be used makes a cache that stores
 * nothing. */
struct row_cache *row_cache_open(const char *dir, __u64 max_bytes);
void row_cache_close(struct row_cache *cache);

/* The rows of the file, from the cache alone; NULL: it has none. */
struct unwind_table *row_cache_find(struct row_cache *cache, struct elf *elf);
/* unwind_compile through the cache; cache may be NULL. A file whose work is over is never stored. */
struct unwind_table *row_cache_compile(struct row_cache *cache, struct elf *elf,
				       enum unwind_skip *ret_why, bool *ret_from_cache);

struct row_cache_stats {
	__u64 hits_total, misses_total, damaged_total, failed_total;
};
struct row_cache_stats row_cache_stats(const struct row_cache *cache);
