// SPDX-License-Identifier: Apache-2.0
/*
 * The collecting half of the index builder, see index_build.h; index_write.c writes the file.
 * Names are compared by their 64-bit hash alone: a file whose names collide misleads only itself,
 * since an index belongs to one file's content.
 */
#include "symbolize/index_build.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAX_STRING_BYTES ((size_t)32 << 10)
#define MAX_STREAM_BYTES ((__u64)UINT32_MAX - 64)
#define MAX_NAMES	 (16u << 20)
#define MAX_FUNCS	 (32u << 20)
#define MAX_FILES	 (1u << 20)
#define MAX_PIECES	 (16u << 20)
#define MAX_SYMBOLS	 (16u << 20)
#define MAX_UNNAMED	 (2u << 20) /* the largest browsers have about one million */
#define NODE_BYTES_MAX	 32

int index_builder_init(struct index_builder *b, const char *dir)
{
	int err;

	*b = (struct index_builder){
		.strings.fd = -1,
		.nodes.fd = -1,
		.rows.fd = -1,
	};
	err = spill_init(&b->strings, dir);
	if (!err)
		err = spill_init(&b->nodes, dir);
	if (!err)
		err = spill_init(&b->rows, dir);
	if (!err)
		err = vec_push(&b->files, 0);
	if (err) {
		index_builder_fini(b);
		return err;
	}
	/* id 0 is "nothing" in both streams */
	spill_add(&b->strings, "", 1);
	spill_add(&b->nodes, "", 1);
	return 0;
}

void index_builder_fini(struct index_builder *b)
{
	spill_fini(&b->strings);
	spill_fini(&b->nodes);
	spill_fini(&b->rows);
	vec_free(&b->text);
	vec_free(&b->names);
	vec_free(&b->funcs);
	vec_free(&b->files);
	vec_free(&b->pieces);
	vec_free(&b->symbols);
	vec_free(&b->unnamed);
	hmap_fini(&b->name_index);
	hmap_fini(&b->func_index);
	hmap_fini(&b->file_index);
}

static int by_start(const void *pa, const void *pb)
{
	const struct index_range *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

int index_builder_text(struct index_builder *b, const struct index_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ranges[i].start < ranges[i].end && vec_push(&b->text, ranges[i]))
			return -ENOMEM;
	if (!b->text.len)
		return -ENODATA;
	qsort(b->text.data, b->text.len, sizeof(*b->text.data), by_start);
	n = 0;
	vec_for_each (r, &b->text) {
		/* Adjoining sections are one text: a function's range may touch the next's start.
		 */
		if (n && r->start <= b->text.data[n - 1].end)
			b->text.data[n - 1].end = MAX(b->text.data[n - 1].end, r->end);
		else
			b->text.data[n++] = *r;
	}
	b->text.len = n;
	b->base = b->text.data[0].start;
	b->end = b->text.data[n - 1].end;
	return b->end - b->base > UINT32_MAX ? -EFBIG : 0;
}

bool index_is_text(const struct index_builder *b, __u64 start, __u64 end)
{
	size_t low = 0, high = b->text.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->text.data[mid].end <= start)
			low = mid + 1;
		else
			high = mid;
	}
	return low < b->text.len && start >= b->text.data[low].start &&
	       end <= b->text.data[low].end && start <= end;
}

__u32 index_string(struct index_builder *b, const char *s, size_t len)
{
	struct index_name name = {.offset = (__u32)b->strings.len};
	__u32 i;

	if (!s || !len)
		return 0;
	if (len > MAX_STRING_BYTES) {
		len = MAX_STRING_BYTES;
		b->dropped_total++;
	}
	name.hash = XXH3_64bits(s, len);
	hmap_for_each_match (&b->name_index, name.hash, i) {
		if (b->names.data[i].hash == name.hash)
			return b->names.data[i].offset;
	}
	if (b->strings.len + len + 1 > MAX_STREAM_BYTES || b->names.len >= MAX_NAMES ||
	    vec_push(&b->names, name) ||
	    hmap_add(&b->name_index, name.hash, (__u32)b->names.len - 1)) {
		b->dropped_total++;
		return 0;
	}
	spill_add(&b->strings, s, len);
	spill_add(&b->strings, "", 1);
	return name.offset;
}

__u32 index_file(struct index_builder *b, const char *path, size_t len)
{
	__u32 string = index_string(b, path, len), i;

	if (!string)
		return 0;
	hmap_for_each_match (&b->file_index, hash_u64(string), i) {
		if (b->files.data[i] == string)
			return i;
	}
	if (b->files.len >= MAX_FILES || vec_push(&b->files, string) ||
	    hmap_add(&b->file_index, hash_u64(string), (__u32)b->files.len - 1)) {
		b->dropped_total++;
		return 0;
	}
	return (__u32)b->files.len - 1;
}

__u32 index_func(struct index_builder *b, __u32 name, __u32 start_line)
{
	__u64 hash = hash_mix(name, start_line);
	__u32 i;

	hmap_for_each_match (&b->func_index, hash, i) {
		if (b->funcs.data[i].name == name && b->funcs.data[i].start_line == start_line)
			return i;
	}
	if (b->funcs.len >= MAX_FUNCS ||
	    vec_push(&b->funcs, (struct index_func){.name = name, .start_line = start_line}) ||
	    hmap_add(&b->func_index, hash, (__u32)b->funcs.len - 1)) {
		b->dropped_total++;
		return UINT32_MAX;
	}
	return (__u32)b->funcs.len - 1;
}

size_t index_put_uleb(__u8 *out, __u64 value)
{
	size_t n = 0;

	do {
		out[n] = value & 0x7f;
		value >>= 7;
		out[n] |= value ? 0x80 : 0;
		n++;
	} while (value);
	return n;
}

__u32 index_node(struct index_builder *b, __u32 func, __u32 parent, __u32 call_file,
		 __u32 call_line, __u32 call_column)
{
	__u32 id = (__u32)b->nodes.len;
	__u8 out[NODE_BYTES_MAX];
	size_t n;

	if (b->nodes.len > MAX_STREAM_BYTES || func == UINT32_MAX) {
		b->dropped_total++;
		return 0;
	}
	n = index_put_uleb(out, func);
	n += index_put_uleb(out + n, parent ? id - parent : 0);
	if (parent) {
		n += index_put_uleb(out + n, call_file);
		n += index_put_uleb(out + n, call_line);
		n += index_put_uleb(out + n, call_column);
	}
	spill_add(&b->nodes, out, n);
	return id;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void flush_row(struct index_builder *b)
{
	spill_add(&b->rows, &b->last, sizeof(b->last));
	b->open.n_rows++;
}

int index_row(struct index_builder *b, __u64 addr, const struct index_row *row)
{
	struct index_row now = *row;

	BUG_ON(addr < b->base || addr > b->end);
	now.addr = (__u32)(addr - b->base);
	if (!b->open.end) { /* `end` marks an open piece until index_piece_end tells the real one */
		b->open = (struct index_piece){
			.start = now.addr,
			.end = UINT32_MAX,
			.first_row = b->rows.len / sizeof(now),
		};
		b->last = now;
		return 0;
	}
	BUG_ON(now.addr < b->last.addr);
	if (now.node == b->last.node && now.file == b->last.file && now.line == b->last.line &&
	    now.column == b->last.column)
		return 0;
	if (now.addr > b->last.addr)
		flush_row(b);
	b->last = now;
	return b->rows.err;
}

int index_piece_end(struct index_builder *b, __u64 end)
{
	struct index_piece piece;

	if (!b->open.end)
		return 0;
	flush_row(b);
	piece = b->open;
	b->open = (struct index_piece){0};
	BUG_ON(end <= b->base + piece.start || end > b->end);
	piece.end = (__u32)(end - b->base);
	piece.order = (__u32)b->pieces.len;
	if (b->pieces.len >= MAX_PIECES) {
		b->dropped_total++;
		return 0;
	}
	return vec_push(&b->pieces, piece);
}

int index_symbol(struct index_builder *b, __u64 addr, __u64 size, __u32 name, __u32 owner,
		 __u32 rank)
{
	struct index_symbol_in symbol = {
		.name = name,
		.owner = owner,
		.rank = rank,
		.order = (__u32)b->symbols.len,
	};

	if (!name || !index_is_text(b, addr, addr))
		return 0;
	if (b->symbols.len >= MAX_SYMBOLS) {
		b->dropped_total++;
		return 0;
	}
	symbol.start = (__u32)(addr - b->base);
	symbol.end = symbol.start + (__u32)MIN(size, b->end - addr);
	if (symbol.end > symbol.start)
		symbol.rank += INDEX_SYMBOL_SIZED;
	return vec_push(&b->symbols, symbol);
}

int index_unnamed(struct index_builder *b, __u64 start, __u64 end)
{
	if (start >= end || !index_is_text(b, start, end))
		return 0;
	if (b->unnamed.len >= MAX_UNNAMED) {
		b->dropped_total++;
		return 0;
	}
	return vec_push(&b->unnamed,
			(struct index_unnamed){(__u32)(start - b->base), (__u32)(end - b->base)});
}
