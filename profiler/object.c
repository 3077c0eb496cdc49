// SPDX-License-Identifier: Apache-2.0
/* The table of objects, see object.h. Ids are slots of one array; slot 0 is never used. */
#include "profiler/object.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/record.h"
#include "profiler/base/clock.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"

#define DELETED_SUFFIX " (deleted)"

struct object_table {
	struct segments *segments;
	VEC(struct object *) slots; /* by id; NULL: free */
	VEC(__u32) free_ids;
	struct hmap by_key;
	__u32 n, max;
	__u64 refused_total;
};

static __u64 key_hash(const struct object_key *key)
{
	return hash_mix(hash_u64((__u64)key->major << 32 | key->minor), key->inode);
}

static bool key_equal(const struct object_key *a, const struct object_key *b)
{
	return a->inode == b->inode && a->major == b->major && a->minor == b->minor &&
	       (a->generation == b->generation || a->generation == OBJECT_ANY_GENERATION ||
		b->generation == OBJECT_ANY_GENERATION);
}

void object_image_free(struct object_image *image, struct segments *segments)
{
	if (!image)
		return;
	for (size_t i = 0; i < image->n_parts && image->blobs; i++)
		segments_release(segments, &image->blobs[i]);
	if (image->fd >= 0)
		close(image->fd);
	free(image->blobs);
	free(image->parts);
	free(image->loads);
	free(image);
}

struct object_table *object_table_new(struct segments *segments, __u32 max)
{
	struct object_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->segments = segments;
	table->max = MIN(max, (__u32)FRAME_FILE_MASK);
	if (vec_push(&table->slots, NULL)) {
		free(table);
		return NULL;
	}
	return table;
}

static void object_free(struct object *object, struct segments *segments)
{
	object_image_free(object->image, segments);
	object_image_free(object->old, segments);
	free(object->path);
	free(object);
}

void object_table_free(struct object_table *table)
{
	if (!table)
		return;
	vec_for_each (slot, &table->slots) {
		if (*slot)
			object_free(*slot, table->segments);
	}
	vec_free(&table->slots);
	vec_free(&table->free_ids);
	hmap_fini(&table->by_key);
	free(table);
}

static struct object *object_new(const struct object_key *key, const char *path)
{
	struct object *object = calloc(1, sizeof(*object));
	size_t len = strlen(path), suffix = strlen(DELETED_SUFFIX);
	const char *slash;

	if (!object)
		return NULL;
	if (len > suffix && !strcmp(path + len - suffix, DELETED_SUFFIX))
		len -= suffix;
	object->path = strndup(path, len);
	if (!object->path) {
		free(object);
		return NULL;
	}
	slash = strrchr(object->path, '/');
	object->name = slash && slash[1] ? slash + 1 : object->path;
	object->key = *key;
	atomic_init(&object->refs, 1);
	return object;
}

static bool insert(struct object_table *table, struct object *object)
{
	if (table->free_ids.len) {
		object->id = table->free_ids.data[--table->free_ids.len];
	} else {
		object->id = (__u32)table->slots.len;
		if (vec_push(&table->slots, NULL))
			return false;
	}
	if (hmap_add(&table->by_key, key_hash(&object->key), object->id)) {
		/* the id is lost, which only costs a slot */
		return false;
	}
	table->slots.data[object->id] = object;
	table->n++;
	return true;
}

struct object *object_get(struct object_table *table, const struct object_key *key,
			  const char *path)
{
	struct object *object;
	__u32 id;

	hmap_for_each_match (&table->by_key, key_hash(key), id) {
		object = table->slots.data[id];
		if (!key_equal(&object->key, key))
			continue;
		if (object->key.generation == OBJECT_ANY_GENERATION)
			object->key.generation = key->generation;
		return object_ref(object);
	}
	object = table->n < table->max ? object_new(key, path) : NULL;
	if (object && insert(table, object))
		return object;
	if (object)
		object_free(object, table->segments);
	table->refused_total++;
	return NULL;
}

struct object *object_ref(struct object *object)
{
	atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
	return object;
}

void object_unref(struct object *object)
{
	if (object)
		atomic_fetch_sub_explicit(&object->refs, 1, memory_order_release);
}

struct object *object_by_id(const struct object_table *table, __u32 id)
{
	return id < table->slots.len ? table->slots.data[id] : NULL;
}

void object_set_image(struct object *object, struct object_image *image)
{
	object->state = image->state;
	object->loaded_ns = clock_monotonic_ns();
	if (object->image && image->state == OBJECT_GONE) {
		object_image_free(image, NULL); /* there is nothing in it */
		return;
	}
	object->old = object->image;
	object->image = image;
}

bool object_first_cut(struct object *object)
{
	return !atomic_exchange(&object->cut, true);
}

void object_each(const struct object_table *table,
		 bool (*visit)(void *arg, const struct object *object), void *arg)
{
	vec_for_each (slot, &table->slots) {
		if (*slot && !visit(arg, *slot))
			return;
	}
}

int object_take_fd(const struct object *object)
{
	struct object_image *image = object->image;

	return image ? atomic_exchange(&image->fd, -1) : -1;
}

void object_table_close_files(struct object_table *table, __u64 before_ns)
{
	vec_for_each (slot, &table->slots) {
		const struct object *object = *slot;
		int fd;

		if (!object || !object->image || object->loaded_ns >= before_ns ||
		    atomic_load_explicit(&object->sampled, memory_order_relaxed))
			continue;
		fd = object_take_fd(object);
		if (fd >= 0)
			close(fd);
	}
}

static size_t row_bytes(const struct object *object)
{
	const struct object_image *image = object->image;
	size_t bytes = 0;

	for (size_t i = 0; image && i < image->n_parts; i++)
		bytes += (size_t)image->blobs[i].n_words * 4;
	return bytes;
}

static bool is_idle(const struct object *object)
{
	return object && object->state != OBJECT_LOADING &&
	       atomic_load_explicit(&object->refs, memory_order_acquire) == 0;
}

static int by_use(const void *pa, const void *pb)
{
	const struct object *a = *(struct object *const *)pa, *b = *(struct object *const *)pb;

	return a->used_ns < b->used_ns ? -1 : a->used_ns > b->used_ns;
}

static void forget(struct object_table *table, struct object *object)
{
	hmap_del(&table->by_key, key_hash(&object->key), object->id);
	table->slots.data[object->id] = NULL;
	if (vec_push(&table->free_ids, object->id)) {
		/* no memory to note the free id: it stays unused */
	}
	table->n--;
	object_free(object, table->segments);
}

unsigned object_table_sweep(struct object_table *table, size_t keep_bytes)
{
	VEC(struct object *) idle = {0};
	size_t bytes = 0;
	unsigned gone = 0;

	vec_for_each (slot, &table->slots) {
		if (!is_idle(*slot))
			continue;
		bytes += row_bytes(*slot);
		if (vec_push(&idle, *slot))
			break;
	}
	/* A quarter of the table may be idle and cost nothing but its entry. */
	if (bytes > keep_bytes || idle.len > table->max / 4) {
		qsort(idle.data, idle.len, sizeof(*idle.data), by_use);
		vec_for_each (slot, &idle) {
			if (bytes <= keep_bytes && idle.len - gone <= table->max / 4)
				break;
			bytes -= row_bytes(*slot);
			forget(table, *slot);
			gone++;
		}
	}
	vec_free(&idle);
	return gone;
}

struct object_stats object_table_stats(const struct object_table *table)
{
	struct object_stats stats = {
		.n = table->n, .max = table->max, .refused_total = table->refused_total};

	vec_for_each (slot, &table->slots) {
		if (!*slot)
			continue;
		stats.n_ready += (*slot)->state == OBJECT_READY;
		stats.n_failed += (*slot)->state == OBJECT_GONE;
		if ((*slot)->image)
			stats.n_rows += (*slot)->image->n_rows;
	}
	return stats;
}

bool object_vaddr(const struct object_image *image, __u64 file_offset, __u64 *ret_vaddr)
{
	for (size_t i = 0; i < image->n_loads; i++) {
		const struct object_load *l = &image->loads[i];
		/* A mapping starts on the page that holds the segment's first byte. */
		__u64 first = l->offset & ~0xfffull;

		if (file_offset < first || file_offset >= l->offset + l->filesz)
			continue;
		*ret_vaddr = l->vaddr - l->offset + file_offset;
		return true;
	}
	return false;
}
