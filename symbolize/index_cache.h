/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index files on disk: DIR/BUILDID-KEY.index, mode 0600. KEY is a keyed hash (SipHash-1-3, 128
 * bits, the key random and secret in DIR/key) over every byte that the index is made from, so that
 * no container can craft a file whose index stands in for another's. Files are replaced atomically;
 * the oldest go when the folder grows beyond its bound. Trouble with the disk is never an error
 * here: the index is then used without being kept.
 */
#pragma once

#include <stdbool.h>

#include "symbolize/elf.h"
#include "symbolize/index.h"

#define INDEX_CACHE_MAX_BYTES ((__u64)1 << 30)

struct index_cache {
	char *dir; /* NULL: nothing is kept */
	__u8 secret[16];
	__u64 max_bytes;
	__u64 hits_total, misses_total, damaged_total, stored_total, trimmed_total;
};

/* Make the folder if need be and take the secret. 0 or -errno (then the cache stays off). max_bytes
 * 0: INDEX_CACHE_MAX_BYTES. */
MUST_CHECK int index_cache_open(struct index_cache *cache, const char *dir, __u64 max_bytes);
void index_cache_close(struct index_cache *cache);

/* The key over the files that an index is made from; NULL entries are skipped. Every byte counts
 * once, however many sections hold it. 0, -ENOMEM, or -ECANCELED when a file's work is used up. */
MUST_CHECK int index_cache_key(const struct index_cache *cache, const struct elf *const *files,
			       size_t n, __u8 ret_key[INDEX_KEY_BYTES]);
/* 0 and the index, -ENOENT, or -EINVAL for a damaged one (which is removed). */
MUST_CHECK int index_cache_find(struct index_cache *cache, const struct elf *elf,
				const __u8 key[INDEX_KEY_BYTES], struct index *ret_index);
/* A file to write a new index to, and its final name once that is done. fd or -errno. */
MUST_CHECK int index_cache_begin(struct index_cache *cache, char *ret_path);
MUST_CHECK int index_cache_commit(struct index_cache *cache, const struct elf *elf,
				  const __u8 key[INDEX_KEY_BYTES], const char *path);
