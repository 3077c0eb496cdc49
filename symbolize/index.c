// SPDX-License-Identifier: Apache-2.0
/*
 * Opening, verifying and searching an index, see index.h. A look-up at random costs what it misses
 * in the caches: a line of each guide, one or two of each table, one or two of rows, and one a node.
 */
#include "symbolize/index.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAX_INDEX_BYTES ((size_t)8 << 30)

static bool section_fits(const struct index_header *h, enum index_section s, __u64 bytes)
{
	return h->sections[s].bytes == bytes;
}

static bool guide_fits(const struct index_header *h, enum index_section s, __u8 shift)
{
	return h->sections[s].bytes >= sizeof(__u32) &&
	       h->sections[s].bytes <= sizeof(__u32) * (__u64)UINT32_MAX &&
	       h->sections[s].bytes % sizeof(__u32) == 0 && shift < 32;
}

static bool sections_valid(const struct index_header *h, size_t size)
{
	const __u64 place = sizeof(struct index_place);
	__u64 owners = h->facts.flags & INDEX_HAS_OWNERS ? h->n_symbols : 0;

	for (size_t i = 0; i < INDEX_SECTION_COUNT; i++)
		if (h->sections[i].offset % 8 || h->sections[i].offset < sizeof(*h) ||
		    h->sections[i].offset > size ||
		    h->sections[i].bytes > size - h->sections[i].offset)
			return false;
	return section_fits(h, INDEX_BLOCKS, place * ((__u64)h->n_blocks + 1)) &&
	       section_fits(h, INDEX_FUNCS, sizeof(struct index_func) * (__u64)h->n_funcs) &&
	       section_fits(h, INDEX_FILES, 4 * (__u64)h->n_files) &&
	       section_fits(h, INDEX_SYMBOLS, place * h->n_symbols) &&
	       section_fits(h, INDEX_OWNERS, 4 * owners) &&
	       guide_fits(h, INDEX_BLOCK_GUIDE, h->block_shift) &&
	       guide_fits(h, INDEX_SYMBOL_GUIDE, h->symbol_shift);
}

static int verify(const struct mapfile *file, const __u8 *key)
{
	const struct index_header *h = (const void *)file->data;
	size_t skip = offsetof(struct index_header, bytes);

	if (file->size < sizeof(*h) || h->magic != INDEX_MAGIC || h->version != INDEX_VERSION ||
	    h->header_bytes != sizeof(*h) || h->bytes != file->size)
		return -EINVAL;
	if (key && memcmp(key, h->key, sizeof(h->key)) != 0)
		return -EINVAL;
	if (!sections_valid(h, file->size))
		return -EINVAL;
	/* The last byte is a NUL: every offset within is a string. */
	if (!h->sections[INDEX_STRINGS].bytes ||
	    file->data[h->sections[INDEX_STRINGS].offset + h->sections[INDEX_STRINGS].bytes - 1])
		return -EINVAL;
	if (XXH3_64bits(file->data + skip, file->size - skip) != h->checksum)
		return -EINVAL;
	return mapfile_truncated(file) ? -EINVAL : 0;
}

static const void *section_at(const struct index *index, enum index_section s)
{
	return index->file.data + index->header->sections[s].offset;
}

static struct cursor section_cursor(const struct index *index, enum index_section s)
{
	return cursor_of(section_at(index, s), index->header->sections[s].bytes);
}

static struct index_table table_at(const struct index *index, enum index_section places, __u32 n,
				   enum index_section guide, __u32 shift)
{
	return (struct index_table){
		.places = section_at(index, places),
		.n = n,
		.guide = section_at(index, guide),
		.n_guide = (__u32)(index->header->sections[guide].bytes / sizeof(__u32)),
		.shift = shift,
	};
}

int index_open(int fd, const __u8 *key, struct index *ret_index)
{
	struct index ix = {0};
	const struct index_header *h;
	int err;

	err = mapfile_open(fd, MAX_INDEX_BYTES, &ix.file);
	if (err)
		return err == -ENODATA ? -EINVAL : err;
	err = verify(&ix.file, key);
	if (err) {
		mapfile_close(&ix.file);
		return err;
	}
	ix.header = h = (const void *)ix.file.data;
	ix.blocks = table_at(&ix, INDEX_BLOCKS, h->n_blocks, INDEX_BLOCK_GUIDE, h->block_shift);
	ix.symbols =
		table_at(&ix, INDEX_SYMBOLS, h->n_symbols, INDEX_SYMBOL_GUIDE, h->symbol_shift);
	ix.files = section_at(&ix, INDEX_FILES);
	ix.funcs = section_at(&ix, INDEX_FUNCS);
	if (h->facts.flags & INDEX_HAS_OWNERS)
		ix.owners = section_at(&ix, INDEX_OWNERS);
	ix.rows = section_cursor(&ix, INDEX_ROWS);
	ix.nodes = section_cursor(&ix, INDEX_NODES);
	ix.strings = section_cursor(&ix, INDEX_STRINGS);
	*ret_index = ix;
	return 0;
}

void index_close(struct index *index)
{
	mapfile_close(&index->file);
	*index = (struct index){0};
}

struct slot {
	__u32 at, n; /* of the table's places */
};

/* Those among which the first one behind key is, or which it follows. */
static inline struct slot table_slot(const struct index_table *t, __u32 key)
{
	__u32 slot = MIN(key >> t->shift, t->n_guide - 1);
	__u32 end = slot + 1 < t->n_guide ? MIN(t->guide[slot + 1], t->n) : t->n;
	__u32 at = MIN(t->guide[slot], end);

	__builtin_prefetch(&t->places[at]);
	return (struct slot){at, end - at};
}

/* The last place at or before key, or UINT32_MAX. Branch-free: random look-ups. */
static inline __u32 table_find(const struct index_table *t, struct slot slot, __u32 key)
{
	__u32 at = slot.at, n = slot.n;

	while (n > 1) {
		__u32 half = n / 2;

		at += half * (t->places[at + half - 1].start <= key);
		n -= half;
	}
	if (n)
		at += t->places[at].start <= key;
	return at - 1;
}

#define ROW_NODE   1u
#define ROW_FILE   2u
#define ROW_LINE   4u
#define ROW_COLUMN 8u

/* Most values take one byte. */
static inline __u32 small_uleb(struct cursor *c)
{
	if (__builtin_expect(c->pos < c->end && *c->pos < 0x80, 1))
		return *c->pos++;
	return (__u32)cursor_uleb(c);
}

static inline __u32 small_sleb(struct cursor *c)
{
	if (__builtin_expect(c->pos < c->end && *c->pos < 0x80, 1))
		return (__u32)((__s32)((__u32)*c->pos++ << 25) >> 25);
	return (__u32)cursor_sleb(c);
}

static bool find_row(const struct index *index, __u32 block, __u32 addr, struct index_hit *hit)
{
	const struct index_place *place;
	struct cursor c = index->rows;
	__u32 at;

	if (block == UINT32_MAX)
		return false;
	place = &index->blocks.places[block];
	if (place[0].value > place[1].value)
		return false;
	at = place->start;
	cursor_seek(&c, place[0].value);
	c = cursor_sub(&c, place[1].value - place[0].value);
	hit->node = small_uleb(&c);
	hit->file = small_uleb(&c);
	hit->line = small_uleb(&c);
	hit->column = small_uleb(&c);
	__builtin_prefetch(index->nodes.start + hit->node); /* the others are near */
	while (c.pos < c.end) {
		__u8 byte = *c.pos++;
		__u32 delta = byte >> 4 ? byte >> 4 : small_uleb(&c);

		if (delta > addr - at)
			break;
		at += delta;
		if (byte & ROW_NODE)
			hit->node += small_sleb(&c);
		if (byte & ROW_FILE)
			hit->file = small_uleb(&c);
		if (byte & ROW_LINE)
			hit->line += small_sleb(&c);
		if (byte & ROW_COLUMN)
			hit->column = small_uleb(&c);
	}
	return !c.bad && (hit->node || hit->file);
}

static bool find_symbol(const struct index *index, __u32 i, struct index_hit *hit)
{
	const struct index_place *symbol;

	if (i == UINT32_MAX)
		return false;
	symbol = &index->symbols.places[i];
	if (!symbol->value)
		return false;
	hit->symbol_start = symbol->start;
	hit->unnamed = symbol->value == INDEX_UNNAMED;
	if (hit->unnamed)
		return false;
	hit->symbol = symbol->value;
	if (index->owners)
		hit->owner = index->owners[i];
	return true;
}

bool index_find(const struct index *index, __u64 vaddr, struct index_hit *ret_hit)
{
	struct index_hit hit = {0};
	__u64 addr = vaddr - index->header->base;
	struct slot blocks, symbols;
	__u32 block, nearest;
	bool row, symbol;

	if (vaddr < index->header->base || addr > UINT32_MAX || mapfile_truncated(&index->file))
		return false;
	blocks = table_slot(&index->blocks, (__u32)addr);
	symbols = table_slot(&index->symbols, (__u32)addr);
	block = table_find(&index->blocks, blocks, (__u32)addr);
	if (block != UINT32_MAX) /* on its way while the symbol is searched */
		__builtin_prefetch(index->rows.start + index->blocks.places[block].value);
	nearest = table_find(&index->symbols, symbols, (__u32)addr);
	row = find_row(index, block, (__u32)addr, &hit);
	if (!row)
		hit = (struct index_hit){0};
	symbol = find_symbol(index, nearest, &hit);
	*ret_hit = hit;
	return row || symbol;
}

bool index_node_read(const struct index *index, __u32 id, struct index_node *ret_node)
{
	struct cursor c = index->nodes;
	__u64 back;

	if (!id)
		return false;
	cursor_seek(&c, id);
	*ret_node = (struct index_node){.func = small_uleb(&c)};
	back = small_uleb(&c);
	if (c.bad || back >= id || ret_node->func >= index->header->n_funcs)
		return false;
	if (!back)
		return true;
	ret_node->parent = id - (__u32)back;
	__builtin_prefetch(index->nodes.start + ret_node->parent);
	ret_node->call_file = small_uleb(&c);
	ret_node->call_line = small_uleb(&c);
	ret_node->call_column = small_uleb(&c);
	return !c.bad;
}

const char *index_str(const struct index *index, __u32 offset)
{
	return offset < cursor_left(&index->strings) && !mapfile_truncated(&index->file)
		       ? (const char *)index->strings.start + offset
		       : "";
}

const char *index_file_name(const struct index *index, __u32 file)
{
	return file < index->header->n_files ? index_str(index, index->files[file]) : "";
}
