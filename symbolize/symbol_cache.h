/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects by file identity (device, inode, size, times of change: a file that was replaced is
 * another one), kept while they are used, the least recently used going when there are too many or
 * their anonymous memory goes beyond the budget. A file that was refused is remembered too. One
 * thread.
 */
#pragma once

#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "symbolize/symbol.h"

struct symbol_cache {
	struct symbol_options options;
	size_t max_objects;   /* mapped files are a limited good (mapfile.h) */
	__u64 max_name_bytes; /* anonymous memory of all objects */
	VEC(struct symbol_entry) entries;
	struct hmap index;
	__u64 clock;
	__u64 hits_total, misses_total, refused_total, evicted_total;
};

/* 0 for either bound: 128 objects, 8 MiB. options are copied, what they point to is borrowed. */
void symbol_cache_init(struct symbol_cache *cache, const struct symbol_options *options,
		       size_t max_objects, __u64 max_name_bytes);
void symbol_cache_fini(struct symbol_cache *cache);

/* The object of the file behind fd; arguments as for symbol_object_open. Borrowed until the next
 * call on this cache. NULL: refused or out of memory. */
struct symbol_object *symbol_cache_get(struct symbol_cache *cache, int fd, const char *path,
				       int root_fd);
/* Calls `each` for every object that is open. */
void symbol_cache_each(const struct symbol_cache *cache,
		       void (*each)(const struct symbol_object *object));
