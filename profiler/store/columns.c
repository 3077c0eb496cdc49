// SPDX-License-Identifier: Apache-2.0
/* Windows as columns, see columns.h. */
#include "profiler/store/columns.h"

#include <errno.h>
#include <stdlib.h>

#include "profiler/store/varint.h"

#define MAX_ENTRIES (1u << 22)

void columns_fini(struct columns *columns)
{
	vec_free(&columns->entries);
}

static int compare(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	if (a->series != b->series)
		return a->series < b->series ? -1 : 1;
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	return a->thread < b->thread ? -1 : a->thread > b->thread;
}

void columns_combine(struct columns *columns)
{
	struct entry *e = columns->entries.data;
	size_t n = 0;

	if (!columns->entries.len)
		return;
	qsort(e, columns->entries.len, sizeof(*e), compare);
	for (size_t i = 1; i < columns->entries.len; i++) {
		if (compare(&e[n], &e[i])) {
			e[++n] = e[i];
			continue;
		}
		for (int t = 0; t < PROFILE_MAX_TYPES; t++)
			if (__builtin_add_overflow(e[n].values[t], e[i].values[t], &e[n].values[t]))
				e[n].values[t] = INT64_MAX;
	}
	columns->entries.len = n + 1;
}

void facts_add(struct facts *a, const struct facts *b)
{
	if (!a->windows) {
		*a = *b;
		return;
	}
	a->start_ns = MIN(a->start_ns, b->start_ns);
	a->end_ns = MAX(a->end_ns, b->end_ns);
	a->start_mono_ns = MIN(a->start_mono_ns, b->start_mono_ns);
	a->samples += b->samples;
	a->whole += b->whole;
	a->lost += b->lost;
	a->windows += b->windows;
}

static const struct dict_kind *kind_of(const struct dict *dict, __u32 series)
{
	return &dict->kinds.data[dict->series.data[series].kind];
}

void columns_encode(const struct columns *columns, const struct dict *dict, struct buf *out)
{
	const struct facts *f = &columns->facts;
	__u32 series = 0, node = 0, thread = 0;

	put_uleb(out, f->start_ns);
	put_uleb(out, f->end_ns - f->start_ns);
	put_uleb(out, f->start_mono_ns);
	put_uleb(out, f->samples);
	put_uleb(out, f->whole);
	put_uleb(out, f->lost);
	put_uleb(out, f->windows);
	put_uleb(out, columns->entries.len);
	vec_for_each (e, &columns->entries) {
		put_uleb(out, e->series - series);
		series = e->series;
	}
	vec_for_each (e, &columns->entries) {
		put_zigzag(out, (__s64)e->node - node);
		node = e->node;
	}
	vec_for_each (e, &columns->entries) {
		put_zigzag(out, (__s64)e->thread - thread);
		thread = e->thread;
	}
	vec_for_each (e, &columns->entries)
		put_uleb(out, (__u64)e->values[0]);
	vec_for_each (e, &columns->entries) {
		const struct dict_kind *kind = kind_of(dict, e->series);

		for (__u32 t = 1; t < kind->n_types; t++)
			put_zigzag(out, (__s64)((__u64)e->values[t] -
						(__u64)e->values[0] * kind->period));
	}
}

int columns_facts(struct cursor *in, struct facts *ret_facts)
{
	struct facts f;

	f.start_ns = cursor_uleb(in);
	f.end_ns = f.start_ns + cursor_uleb(in);
	f.start_mono_ns = cursor_uleb(in);
	f.samples = cursor_uleb(in);
	f.whole = cursor_uleb(in);
	f.lost = cursor_uleb(in);
	f.windows = cursor_uleb(in);
	if (in->bad || !f.windows || f.end_ns < f.start_ns)
		return -EBADMSG;
	*ret_facts = f;
	return 0;
}

/* An id that differs from the one before it by a zigzag number, below `end`. */
static __u32 next_id(struct cursor *in, __u32 last, size_t end)
{
	__u64 id = last + (__u64)cursor_zigzag(in);

	if (id >= end) {
		cursor_fail(in);
		return 0;
	}
	return (__u32)id;
}

static void get_values(struct entry *e, const struct dict *dict, struct cursor *in)
{
	const struct dict_kind *kind = kind_of(dict, e->series);

	for (__u32 t = 1; t < kind->n_types; t++) {
		__u64 value = (__u64)e->values[0] * kind->period + (__u64)cursor_zigzag(in);

		e->values[t] = (__s64)MIN(value, (__u64)INT64_MAX);
	}
}

int columns_decode(struct columns *columns, const struct dict *dict, struct cursor in)
{
	size_t first = columns->entries.len;
	__u32 series = 0, node = 0, thread = 0;
	struct facts facts;
	struct entry *e;
	__u64 n;

	if (columns_facts(&in, &facts))
		return -EBADMSG;
	n = cursor_uleb(&in);
	if (n > cursor_left(&in) || first + n > MAX_ENTRIES)
		return -EBADMSG;
	if (vec_reserve(&columns->entries, first + n + 1))
		return -ENOMEM;
	e = columns->entries.data + first;
	for (__u64 i = 0; i < n; i++) {
		__u64 id = series + cursor_uleb(&in);

		if (id >= dict->series.len)
			return -EBADMSG;
		series = (__u32)id;
		e[i] = (struct entry){.series = series};
	}
	for (__u64 i = 0; i < n; i++)
		e[i].node = node = next_id(&in, node, dict->nodes.len);
	for (__u64 i = 0; i < n; i++)
		e[i].thread = thread = next_id(&in, thread, dict->threads.len);
	for (__u64 i = 0; i < n; i++)
		e[i].values[0] = (__s64)MIN(cursor_uleb(&in), (__u64)INT64_MAX);
	for (__u64 i = 0; i < n; i++)
		get_values(&e[i], dict, &in);
	if (in.bad || cursor_left(&in))
		return -EBADMSG;
	columns->entries.len += n;
	facts_add(&columns->facts, &facts);
	return 0;
}
