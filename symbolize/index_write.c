// SPDX-License-Identifier: Apache-2.0
/*
 * The writing half of the index builder: pieces and symbols in order of address, overlaps settled,
 * rows encoded into blocks, everything streamed to the file with its checksum.
 *
 * Which symbol names an address (what users of addr2line and perf expect):
 *   - of several at one address: a function before a label, a sized one before an unsized one,
 *     global or weak before local, fewer leading underscores, the longer extent, the later one in
 * the table (getcontext, not __getcontext);
 *   - a sized symbol ends where it says; an unsized one at the next symbol or the end of the text;
 *   - where there is none, a function without a name may begin (unnamed.h);
 *   - a sized symbol within another one rules its own range; a label within a sized symbol is
 *     passed over.
 */
#include "symbolize/index_build.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/fs.h"

#define COPY_BYTES   ((size_t)64 << 10)
#define ROW_BYTES    48
#define ROWS_AT_ONCE 1024u
#define NEST_MAX     64u
#define SLOT_PLACES  4u /* at least, on average */

struct out {
	int fd;
	struct index_header header;
	XXH3_state_t *hash;
	__u64 at; /* bytes of the file so far */
	size_t fill;
	int err;
	__u8 buf[COPY_BYTES];
};

static void out_flush(struct out *o)
{
	if (!o->err && o->fill)
		o->err = fs_write_all(o->fd, o->buf, o->fill);
	o->fill = 0;
}

static void out_add(struct out *o, const void *data, size_t len)
{
	const __u8 *p = data;

	o->at += len;
	while (len) {
		size_t n = MIN(len, COPY_BYTES - o->fill);

		memcpy(o->buf + o->fill, p, n);
		o->fill += n;
		p += n;
		len -= n;
		if (o->fill == COPY_BYTES)
			out_flush(o);
	}
}

static void section_begin(struct out *o, enum index_section section)
{
	static const __u8 zeros[8];

	out_add(o, zeros, (size_t)(ALIGN_UP(o->at, 8) - o->at));
	o->header.sections[section].offset = o->at;
}

static void section_end(struct out *o, enum index_section section)
{
	o->header.sections[section].bytes = o->at - o->header.sections[section].offset;
}

static void add_section(struct out *o, enum index_section section, const void *data, size_t len)
{
	section_begin(o, section);
	out_add(o, data, len);
	section_end(o, section);
}

static void add_spill(struct out *o, enum index_section section, struct spill *spill)
{
	__u8 block[COPY_BYTES];

	section_begin(o, section);
	for (__u64 at = 0; at < spill->len && !o->err; at += sizeof(block)) {
		size_t n = (size_t)MIN(spill->len - at, (__u64)sizeof(block));

		o->err = spill_read(spill, block, n, at);
		if (!o->err)
			out_add(o, block, n);
	}
	section_end(o, section);
}

/* The guide of a table, see index.h. */
static void add_guide(struct out *o, enum index_section section, const struct index_place *places,
		      __u32 n, __u8 *ret_shift)
{
	__u32 last = n ? places[n - 1].start : 0, at = 0;
	__u8 shift = 0;

	while (last >> shift >= MAX(n / SLOT_PLACES, 2u))
		shift++;
	section_begin(o, section);
	for (__u32 slot = 0; slot <= (last >> shift) + 1; slot++) {
		while (at < n && places[at].start >> shift < slot)
			at++;
		out_add(o, &at, sizeof(at));
	}
	section_end(o, section);
	*ret_shift = shift;
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct encoder {
	struct out *out;
	VEC(struct index_place) blocks;
	struct index_row last;
	__u32 in_block;
	__u64 first; /* file offset of the section */
	int err;
};

static size_t put_sleb(__u8 *out, __s64 value)
{
	size_t n = 0;

	for (;;) {
		__u8 byte = value & 0x7f;

		value >>= 7;
		if ((value == 0 && !(byte & 0x40)) || (value == -1 && (byte & 0x40))) {
			out[n++] = byte;
			return n;
		}
		out[n++] = byte | 0x80;
	}
}

static size_t encode_first(const struct index_row *row, __u8 *out)
{
	size_t n = index_put_uleb(out, row->node);

	n += index_put_uleb(out + n, row->file);
	n += index_put_uleb(out + n, row->line);
	return n + index_put_uleb(out + n, row->column);
}

static size_t encode_next(const struct index_row *last, const struct index_row *row, __u8 *out)
{
	__u32 delta = row->addr - last->addr;
	size_t n = 1;

	out[0] = delta < 16 ? (__u8)(delta << 4) : 0;
	if (delta >= 16)
		n += index_put_uleb(out + n, delta);
	if (row->node != last->node) {
		out[0] |= 1;
		n += put_sleb(out + n, (__s64)row->node - (__s64)last->node);
	}
	if (row->file != last->file) {
		out[0] |= 2;
		n += index_put_uleb(out + n, row->file);
	}
	if (row->line != last->line) {
		out[0] |= 4;
		n += put_sleb(out + n, (__s64)row->line - (__s64)last->line);
	}
	if (row->column != last->column) {
		out[0] |= 8;
		n += index_put_uleb(out + n, row->column);
	}
	return n;
}

static void encode_row(struct encoder *e, const struct index_row *row)
{
	__u8 bytes[ROW_BYTES];
	__u64 at = e->out->at - e->first;
	size_t n;

	if (e->in_block == 0 || e->in_block == INDEX_BLOCK_ROWS) {
		if (at > UINT32_MAX)
			e->err = -EFBIG;
		if (vec_push(&e->blocks, (struct index_place){row->addr, (__u32)at}))
			e->err = -ENOMEM;
		e->in_block = 0;
		n = encode_first(row, bytes);
	} else {
		n = encode_next(&e->last, row, bytes);
	}
	out_add(e->out, bytes, n);
	e->last = *row;
	e->in_block++;
}

/* The rows of one piece from `from` on, which lies within it. */
static void encode_piece(struct encoder *e, struct index_builder *b, const struct index_piece *p,
			 __u32 from)
{
	struct index_row rows[ROWS_AT_ONCE], held = {0};
	bool holding = false;

	for (__u32 i = 0; i < p->n_rows && !e->err; i += ROWS_AT_ONCE) {
		__u32 n = MIN(p->n_rows - i, ROWS_AT_ONCE);

		e->err = spill_read(&b->rows, rows, n * sizeof(*rows),
				    (p->first_row + i) * sizeof(*rows));
		for (__u32 r = 0; r < n && !e->err; r++) {
			if (rows[r].addr <= from) { /* the last one of these rules at `from` */
				held = rows[r];
				held.addr = from;
				holding = true;
				continue;
			}
			if (holding)
				encode_row(e, &held);
			holding = false;
			encode_row(e, &rows[r]);
		}
	}
	if (holding)
		encode_row(e, &held);
}

static int by_place(const void *pa, const void *pb)
{
	const struct index_piece *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void index_sort_pieces(struct index_builder *b)
{
	if (b->pieces.len) /* an empty VEC has no block */
		qsort(b->pieces.data, b->pieces.len, sizeof(*b->pieces.data), by_place);
}

/* Of pieces that overlap (folded or duplicate functions) the one that starts first keeps its bytes.
 */
static int write_rows(struct out *o, struct index_builder *b)
{
	struct index_place end = {.start = UINT32_MAX};
	struct encoder e = {.out = o};
	__u32 claimed = 0;
	bool any = false;

	index_sort_pieces(b);
	section_begin(o, INDEX_ROWS);
	e.first = o->at;
	vec_for_each (p, &b->pieces) {
		struct index_row hole = {.addr = claimed};

		if (any && p->end <= claimed) {
			b->dropped_total++;
			continue;
		}
		if (any && p->start > claimed)
			encode_row(&e, &hole);
		encode_piece(&e, b, p, any ? MAX(p->start, claimed) : p->start);
		claimed = p->end;
		any = true;
	}
	if (any)
		encode_row(&e, &(struct index_row){.addr = claimed});
	section_end(o, INDEX_ROWS);
	o->header.n_blocks = (__u32)e.blocks.len;
	add_guide(o, INDEX_BLOCK_GUIDE, e.blocks.data, o->header.n_blocks, &o->header.block_shift);
	end.value = (__u32)o->header.sections[INDEX_ROWS].bytes;
	if (!e.err && vec_push(&e.blocks, end))
		e.err = -ENOMEM;
	if (!e.err)
		add_section(o, INDEX_BLOCKS, e.blocks.data, e.blocks.len * sizeof(end));
	vec_free(&e.blocks);
	return e.err;
}

/* ---- symbols --------------------------------------------------------------------------------- */

static int by_symbol(const void *pa, const void *pb)
{
	const struct index_symbol_in *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->order > b->order ? -1 : a->order < b->order;
}

struct flat {
	VEC(struct index_place) places;
	VEC(__u32) owners;
	const struct index_symbol_in
		*nest[NEST_MAX]; /* the symbols that we are in, outermost first */
	size_t depth;
	int err;
};

static void flat_fini(struct flat *f)
{
	vec_free(&f->places);
	vec_free(&f->owners);
}

static void flat_add(struct flat *f, __u32 start, const struct index_symbol_in *symbol)
{
	struct index_place place = {start, symbol ? symbol->name : 0};

	if (f->places.len && f->places.data[f->places.len - 1].start == start) {
		f->places.len--; /* of no length */
		f->owners.len--;
	}
	if (vec_push(&f->places, place) || vec_push(&f->owners, symbol ? symbol->owner : 0))
		f->err = -ENOMEM;
}

/* Leave the symbols that end at or before addr, back into what encloses them. */
static void flat_leave(struct flat *f, __u32 addr)
{
	while (f->depth) {
		const struct index_symbol_in *top = f->nest[f->depth - 1], *outer = NULL;

		if (top->end > addr)
			return;
		f->depth--;
		while (f->depth && f->nest[f->depth - 1]->end <= top->end)
			f->depth--;
		if (f->depth)
			outer = f->nest[f->depth - 1];
		flat_add(f, top->end, outer);
	}
}

static void flatten(struct flat *f, struct index_builder *b)
{
	const struct index_symbol_in *previous = NULL;

	vec_for_each (s, &b->symbols) {
		if (previous && previous->start == s->start)
			continue; /* a better one stands there */
		previous = s;
		flat_leave(f, s->start);
		if (s->end == s->start) {
			if (!f->depth)
				flat_add(f, s->start, s);
			continue;
		}
		flat_add(f, s->start, s);
		if (f->depth == NEST_MAX)
			f->depth--;
		f->nest[f->depth++] = s;
	}
	flat_leave(f, UINT32_MAX);
	if (f->places.len)
		flat_add(f, (__u32)(b->end - b->base), NULL);
}

/* ---- functions without a name, in the holes between symbols ---------------------------------- */

static int by_unnamed(const void *pa, const void *pb)
{
	const struct index_unnamed *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end > b->end ? -1 : a->end < b->end;
}

static void fill_hole(struct flat *f, struct index_builder *b, size_t *next, __u32 start, __u32 end)
{
	static const struct index_symbol_in unnamed = {.name = INDEX_UNNAMED};

	while (*next < b->unnamed.len && b->unnamed.data[*next].start < start)
		(*next)++;
	while (*next < b->unnamed.len && b->unnamed.data[*next].start < end) {
		const struct index_unnamed *u = &b->unnamed.data[(*next)++];
		bool last = *next == b->unnamed.len || b->unnamed.data[*next].start >= end;

		flat_add(f, u->start, &unnamed);
		if (u->end < (last ? end : b->unnamed.data[*next].start))
			flat_add(f, u->end, NULL);
	}
}

/* The whole again, holes filled. */
static void fill_holes(struct flat *f, struct index_builder *b)
{
	struct flat filled = {.err = f->err};
	const struct index_place *places = f->places.data;
	size_t next = 0, n = f->places.len;

	if (!b->unnamed.len)
		return;
	qsort(b->unnamed.data, b->unnamed.len, sizeof(*b->unnamed.data), by_unnamed);
	fill_hole(&filled, b, &next, 0, n ? places[0].start : UINT32_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct index_symbol_in symbol = {.name = places[i].value,
						       .owner = f->owners.data[i]};

		flat_add(&filled, places[i].start, &symbol);
		if (!symbol.name)
			fill_hole(&filled, b, &next, places[i].start,
				  i + 1 < n ? places[i + 1].start : UINT32_MAX);
	}
	flat_fini(f);
	*f = filled;
}

static int write_symbols(struct out *o, struct index_builder *b)
{
	struct flat f = {0};

	if (b->symbols.len)
		qsort(b->symbols.data, b->symbols.len, sizeof(*b->symbols.data), by_symbol);
	flatten(&f, b);
	fill_holes(&f, b);
	o->header.n_symbols = (__u32)f.places.len;
	add_section(o, INDEX_SYMBOLS, f.places.data, f.places.len * sizeof(*f.places.data));
	add_section(o, INDEX_OWNERS, f.owners.data,
		    b->facts.flags & INDEX_HAS_OWNERS ? f.owners.len * sizeof(__u32) : 0);
	add_guide(o, INDEX_SYMBOL_GUIDE, f.places.data, o->header.n_symbols,
		  &o->header.symbol_shift);
	flat_fini(&f);
	return f.err;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The checksum begins with the header, whose fields are known last, so the body is read back (from
 * the page cache) rather than hashed on its way out. */
static int seal(struct out *o)
{
	struct index_header *h = &o->header;
	__u64 at = sizeof(*h);

	h->bytes = o->at;
	XXH3_64bits_reset(o->hash);
	XXH3_64bits_update(o->hash, &h->bytes, sizeof(*h) - offsetof(struct index_header, bytes));
	while (at < o->at) {
		size_t n = (size_t)MIN(o->at - at, (__u64)COPY_BYTES);
		int err = fs_pread_all(o->fd, o->buf, n, (off_t)at);

		if (err)
			return err;
		XXH3_64bits_update(o->hash, o->buf, n);
		at += n;
	}
	h->checksum = XXH3_64bits_digest(o->hash);
	if (lseek(o->fd, 0, SEEK_SET) < 0)
		return -errno;
	return fs_write_all(o->fd, h, sizeof(*h));
}

static int write_all(struct out *o, struct index_builder *b)
{
	int err;

	o->header = (struct index_header){
		.magic = INDEX_MAGIC,
		.version = INDEX_VERSION,
		.header_bytes = sizeof(o->header),
		.base = b->base,
	};
	out_add(o, &o->header, sizeof(o->header));
	err = write_rows(o, b);
	if (err)
		return err;
	add_spill(o, INDEX_NODES, &b->nodes);
	add_section(o, INDEX_FUNCS, b->funcs.data, b->funcs.len * sizeof(*b->funcs.data));
	add_section(o, INDEX_FILES, b->files.data, b->files.len * sizeof(*b->files.data));
	err = write_symbols(o, b);
	if (err)
		return err;
	add_spill(o, INDEX_STRINGS, &b->strings);
	out_flush(o);
	o->header.n_funcs = (__u32)b->funcs.len;
	o->header.n_files = (__u32)b->files.len;
	o->header.facts = b->facts;
	memcpy(o->header.key, b->key, sizeof(o->header.key));
	return o->err ? o->err : seal(o);
}

int index_builder_finish(struct index_builder *b, int fd)
{
	struct out *o = calloc(1, sizeof(*o));
	int err = -ENOMEM;

	if (o) {
		o->fd = fd;
		o->hash = XXH3_createState();
		if (o->hash)
			err = write_all(o, b);
		XXH3_freeState(o->hash);
	}
	free(o);
	return err;
}
