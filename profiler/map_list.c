// SPDX-License-Identifier: Apache-2.0
/* Map lists, see map_list.h. */
#include "profiler/map_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct map_list *map_list_new(void)
{
	struct map_list *list = calloc(1, sizeof(*list));

	if (list)
		list->refs = 1;
	return list;
}

struct map_list *map_list_clone(const struct map_list *list)
{
	struct map_list *copy = map_list_new();

	if (!copy)
		return NULL;
	if (vec_grow((void **)&copy->maps, &copy->cap, MAX(list->n, (size_t)1),
		     sizeof(*copy->maps))) {
		free(copy);
		return NULL;
	}
	for (size_t i = 0; i < list->n; i++) {
		copy->maps[i] = list->maps[i];
		if (copy->maps[i].object)
			object_ref(copy->maps[i].object);
	}
	copy->n = list->n;
	copy->waiting = list->waiting;
	return copy;
}

void map_list_free(struct map_list *list, struct segments *segments)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n; i++)
		object_unref(list->maps[i].object);
	segments_release(segments, &list->blob);
	free(list->maps);
	free(list);
}

/* Index of the first mapping that ends behind addr. */
static size_t first_behind(const struct map_list *list, __u64 addr)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (list->maps[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct mapping *map_list_find(const struct map_list *list, __u64 addr)
{
	size_t i = first_behind(list, addr);

	return i < list->n && list->maps[i].start <= addr ? &list->maps[i] : NULL;
}

static bool says_nothing_new(const struct mapping *old, const struct mapping *new)
{
	if (old->object != new->object || new->start < old->start || new->end > old->end)
		return false;
	if (!new->object)
		return true;
	/* Part of a larger mapping of the same file at the same place: as when it is protected
	 * anew. */
	return new->offset - old->offset == new->start - old->start;
}

/* Replace the n_old mappings from index `at` by n_new others. */
static int splice(struct map_list *list, size_t at, size_t n_old, const struct mapping *new,
		  size_t n_new)
{
	size_t n = list->n - n_old + n_new;

	if (n > list->cap && vec_grow((void **)&list->maps, &list->cap, n, sizeof(*list->maps)))
		return -ENOMEM;
	memmove(list->maps + at + n_new, list->maps + at + n_old,
		(list->n - at - n_old) * sizeof(*list->maps));
	memcpy(list->maps + at, new, n_new * sizeof(*new));
	list->n = n;
	return 0;
}

int map_list_add(struct map_list *list, const struct mapping *mapping)
{
	struct mapping add = *mapping, pieces[3];
	size_t at, end, n = 0;
	struct object *cut_left = NULL, *cut_right = NULL;
	int err;

	/* The vsyscall page lies above 2^63, where the unwinder's comparisons end. Nothing runs
	 * there. */
	if (add.start >= add.end || add.end >> 63)
		return 0;
	at = first_behind(list, add.start);
	if (at < list->n && says_nothing_new(&list->maps[at], &add))
		return 0;
	/* JIT memory grows in steps: one entry for what touches. */
	if (!add.object && at > 0 && !list->maps[at - 1].object &&
	    list->maps[at - 1].end == add.start)
		at--;
	for (end = at; end < list->n && list->maps[end].start <= add.end; end++) {
		const struct mapping *old = &list->maps[end];

		if (!add.object && !old->object) {
			add.start = MIN(add.start, old->start);
			add.end = MAX(add.end, old->end);
		} else if (old->start == add.end) {
			break; /* only touches */
		}
	}
	if (end > at && list->maps[at].start < add.start) {
		pieces[n] = list->maps[at];
		pieces[n++].end = add.start;
		cut_left = list->maps[at].object;
	}
	pieces[n++] = add;
	if (end > at && list->maps[end - 1].end > add.end) {
		struct mapping *right = &pieces[n++];

		*right = list->maps[end - 1];
		right->offset += add.end - right->start;
		right->start = add.end;
		cut_right = right->object;
	}
	/* References: what stays in pieces keeps one of its own, the replaced ones give theirs
	 * back. */
	if (cut_left)
		object_ref(cut_left);
	if (cut_right)
		object_ref(cut_right);
	if (add.object)
		object_ref(add.object);
	for (size_t i = at; i < end; i++)
		object_unref(list->maps[i].object);
	err = splice(list, at, end - at, pieces, n);
	BUG_ON(err && end - at >= n); /* only growing can fail */
	return err ? err : 1;
}

static __u32 count_waiting(const struct map_list *list)
{
	__u32 waiting = 0;

	for (size_t i = 0; i < list->n; i++)
		waiting += list->maps[i].object && list->maps[i].object->state <= OBJECT_LOADING;
	return waiting;
}

bool map_list_has_news(const struct map_list *list)
{
	return list->waiting && count_waiting(list) < list->waiting;
}

/* ---- publishing ------------------------------------------------------------------------------ */

struct piece {
	__u64 start;
	struct unw_mapping m;
};
typedef VEC(struct piece) pieces_t;

static int add_piece(pieces_t *pieces, __u64 start, __u64 end, __u64 bias, __u32 file, __u8 kind,
		     const struct object_part *part)
{
	struct piece p = {.start = start,
			  .m = {.end = end, .bias = bias, .file = file, .kind = kind}};

	if (start >= end)
		return 0;
	if (part) {
		p.m.base = part->start + bias;
		p.m.n_pages = part->n_pages;
		p.m.dir = part->dir;
		p.m.rows = part->rows;
		p.m.rules = part->rules;
		p.m.segment = part->segment;
		p.m.shift = part->shift;
	}
	return vec_push(pieces, p);
}

/* A mapping of a file with rows: a piece for each part that it touches. A piece reaches to the next
 * part's start, the first one from the mapping's: outside its pages a part answers "no row". */
static int add_parts(pieces_t *pieces, const struct mapping *m, __u64 bias)
{
	const struct object_image *image = m->object->image;
	__u64 at = m->start;
	int err = 0;

	for (size_t i = 0; !err && i < image->n_parts; i++) {
		const struct object_part *part = &image->parts[i];
		__u64 end = m->end;

		if (part->end + bias <= at)
			continue;
		if (part->start + bias >= m->end)
			break;
		if (i + 1 < image->n_parts)
			end = MIN(end, image->parts[i + 1].start + bias);
		err = add_piece(pieces, at, end, bias, m->object->id,
				image->tracks_bx ? UNW_KIND_ROWS_BX : UNW_KIND_ROWS, part);
		at = end;
	}
	if (!err)
		err = add_piece(pieces, at, m->end, bias, m->object->id, UNW_KIND_FP, NULL);
	return err;
}

static int add_mapping(pieces_t *pieces, const struct mapping *m)
{
	__u64 vaddr = m->offset; /* what a file without known segments is counted by */
	__u32 id;

	if (!m->object || m->object->state == OBJECT_NOT_ELF)
		return add_piece(pieces, m->start, m->end, 0, 0, UNW_KIND_ANON, NULL);
	id = m->object->id;
	if (m->object->state <= OBJECT_LOADING)
		return add_piece(pieces, m->start, m->end, 0, id, UNW_KIND_WAIT, NULL);
	if (m->object->image && object_vaddr(m->object->image, m->offset, &vaddr) &&
	    m->object->state == OBJECT_READY)
		return add_parts(pieces, m, m->start - vaddr);
	return add_piece(pieces, m->start, m->end, m->start - vaddr, id,
			 m->object->state == OBJECT_GONE ? UNW_KIND_GONE : UNW_KIND_FP, NULL);
}

static void write_set(__u32 *words, const pieces_t *pieces)
{
	__u64 *starts = (__u64 *)words;
	struct unw_mapping *maps = (struct unw_mapping *)(starts + pieces->len);

	for (size_t i = 0; i < pieces->len; i++) {
		starts[i] = pieces->data[i].start;
		maps[i] = pieces->data[i].m;
	}
}

int map_list_publish(struct map_list *list, struct segments *segments)
{
	pieces_t pieces = {0};
	struct blob blob = {0};
	int err = 0;

	list->cut = false;
	for (size_t i = 0; !err && i < list->n; i++) {
		if (pieces.len >= UNW_MAPSET_MAX) {
			list->cut = true;
			break;
		}
		err = add_mapping(&pieces, &list->maps[i]);
	}
	if (!err && pieces.len)
		err = segments_alloc(segments,
				     (__u32)(pieces.len * (sizeof(struct unw_mapping) + 8) / 4),
				     &blob);
	if (!err) {
		if (pieces.len)
			write_set(segments_words(segments, &blob), &pieces);
		segments_release(segments, &list->blob);
		list->blob = blob;
		list->n_published = (__u32)pieces.len;
		list->waiting = count_waiting(list);
	}
	vec_free(&pieces);
	return err;
}
