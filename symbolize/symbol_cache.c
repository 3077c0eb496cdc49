// SPDX-License-Identifier: Apache-2.0
/* Objects by identity with a budget, see symbol_cache.h. */
#include "symbolize/symbol_cache.h"

#include <errno.h>
#include <sys/stat.h>

#define DEFAULT_OBJECTS	   128u
#define DEFAULT_NAME_BYTES ((__u64)8 << 20)

struct file_identity {
	__u64 dev, ino, size, mtime_ns, ctime_ns;
};

struct symbol_entry {
	struct file_identity id;
	struct symbol_object *object; /* NULL: refused */
	__u64 used;
};

void symbol_cache_init(struct symbol_cache *cache, const struct symbol_options *options,
		       size_t max_objects, __u64 max_name_bytes)
{
	*cache = (struct symbol_cache){
		.options = *options,
		.max_objects = max_objects ? max_objects : DEFAULT_OBJECTS,
		.max_name_bytes = max_name_bytes ? max_name_bytes : DEFAULT_NAME_BYTES,
	};
}

void symbol_cache_fini(struct symbol_cache *cache)
{
	vec_for_each (e, &cache->entries)
		symbol_object_free(e->object);
	vec_free(&cache->entries);
	hmap_fini(&cache->index);
}

static __u64 hash_of(const struct file_identity *id)
{
	return hash_mix(hash_mix(hash_mix(id->dev, id->ino), id->size ^ id->mtime_ns),
			id->ctime_ns);
}

static int identity_of(int fd, struct file_identity *ret_id)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*ret_id = (struct file_identity){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.size = (__u64)st.st_size,
		.mtime_ns = (__u64)st.st_mtim.tv_sec * 1000000000u + (__u64)st.st_mtim.tv_nsec,
		.ctime_ns = (__u64)st.st_ctim.tv_sec * 1000000000u + (__u64)st.st_ctim.tv_nsec,
	};
	return 0;
}

static void evict(struct symbol_cache *cache, size_t i)
{
	size_t last = cache->entries.len - 1;

	hmap_del(&cache->index, hash_of(&cache->entries.data[i].id), (__u32)i);
	symbol_object_free(cache->entries.data[i].object);
	if (i != last) {
		hmap_move(&cache->index, hash_of(&cache->entries.data[last].id), (__u32)last,
			  (__u32)i);
		cache->entries.data[i] = cache->entries.data[last];
	}
	cache->entries.len--;
	cache->evicted_total++;
}

/* Make room for one more. */
static void shrink(struct symbol_cache *cache)
{
	for (;;) {
		__u64 bytes = 0;
		size_t oldest = 0;

		for (size_t i = 0; i < cache->entries.len; i++) {
			struct symbol_info info;

			if (cache->entries.data[i].used < cache->entries.data[oldest].used)
				oldest = i;
			if (!cache->entries.data[i].object)
				continue;
			symbol_object_info(cache->entries.data[i].object, &info);
			bytes += info.name_bytes;
		}
		if (!cache->entries.len ||
		    (cache->entries.len < cache->max_objects && bytes <= cache->max_name_bytes))
			return;
		evict(cache, oldest);
	}
}

struct symbol_object *symbol_cache_get(struct symbol_cache *cache, int fd, const char *path,
				       int root_fd)
{
	struct symbol_entry entry = {.used = ++cache->clock};
	enum elf_refusal why;
	__u32 i;

	if (identity_of(fd, &entry.id))
		return NULL;
	hmap_for_each_match (&cache->index, hash_of(&entry.id), i) {
		struct symbol_entry *e = &cache->entries.data[i];

		if (memcmp(&e->id, &entry.id, sizeof(e->id)) != 0)
			continue;
		e->used = cache->clock;
		cache->hits_total++;
		return e->object;
	}
	cache->misses_total++;
	shrink(cache);
	if (symbol_object_open(fd, path, root_fd, &cache->options, &entry.object, &why)) {
		entry.object = NULL;
		cache->refused_total++;
	}
	if (vec_push(&cache->entries, entry)) {
		symbol_object_free(entry.object);
		return NULL;
	}
	if (hmap_add(&cache->index, hash_of(&entry.id), (__u32)cache->entries.len - 1)) {
		cache->entries.len--;
		symbol_object_free(entry.object);
		return NULL;
	}
	return entry.object;
}

void symbol_cache_each(const struct symbol_cache *cache,
		       void (*each)(const struct symbol_object *object))
{
	for (size_t i = 0; i < cache->entries.len; i++)
		if (cache->entries.data[i].object)
			each(cache->entries.data[i].object);
}
