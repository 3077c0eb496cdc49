// SPDX-License-Identifier: Apache-2.0
/* Opening, verifying and searching an index, see index.h. A look-up is two binary searches and the
 * decoding of at most one block. */
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

static bool sections_valid(const struct index_header *h, size_t size)
{
	__u64 symbols = (h->facts.flags & INDEX_HAS_OWNERS ? 3 : 2) * (__u64)h->n_symbols;

	for (size_t i = 0; i < INDEX_SECTION_COUNT; i++)
		if (h->sections[i].offset % 8 || h->sections[i].offset < sizeof(*h) ||
		    h->sections[i].offset > size ||
		    h->sections[i].bytes > size - h->sections[i].offset)
			return false;
	return section_fits(h, INDEX_STARTS, 4 * (__u64)h->n_blocks) &&
	       section_fits(h, INDEX_BLOCKS, 4 * ((__u64)h->n_blocks + 1)) &&
	       section_fits(h, INDEX_FUNCS, sizeof(struct index_func) * (__u64)h->n_funcs) &&
	       section_fits(h, INDEX_FILES, 4 * (__u64)h->n_files) &&
	       section_fits(h, INDEX_SYMBOLS, 4 * symbols);
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

int index_open(int fd, const __u8 *key, struct index *ret_index)
{
	struct index ix = {0};
	const struct index_header *h;
	const __u8 *data;
	int err;

	err = mapfile_open(fd, MAX_INDEX_BYTES, &ix.file);
	if (err)
		return err == -ENODATA ? -EINVAL : err;
	err = verify(&ix.file, key);
	if (err) {
		mapfile_close(&ix.file);
		return err;
	}
	data = ix.file.data;
	ix.header = h = (const void *)data;
	ix.starts = (const void *)(data + h->sections[INDEX_STARTS].offset);
	ix.blocks = (const void *)(data + h->sections[INDEX_BLOCKS].offset);
	ix.files = (const void *)(data + h->sections[INDEX_FILES].offset);
	ix.funcs = (const void *)(data + h->sections[INDEX_FUNCS].offset);
	ix.symbol_starts = (const void *)(data + h->sections[INDEX_SYMBOLS].offset);
	ix.symbol_names = ix.symbol_starts + h->n_symbols;
	if (h->facts.flags & INDEX_HAS_OWNERS)
		ix.symbol_owners = ix.symbol_names + h->n_symbols;
	ix.rows = cursor_of(data + h->sections[INDEX_ROWS].offset, h->sections[INDEX_ROWS].bytes);
	ix.nodes =
		cursor_of(data + h->sections[INDEX_NODES].offset, h->sections[INDEX_NODES].bytes);
	ix.strings = cursor_of(data + h->sections[INDEX_STRINGS].offset,
			       h->sections[INDEX_STRINGS].bytes);
	*ret_index = ix;
	return 0;
}

void index_close(struct index *index)
{
	mapfile_close(&index->file);
	*index = (struct index){0};
}

/* Last entry <= key among n ascending ones, or UINT32_MAX. Branch-free: random look-ups. */
static __u32 search(const __u32 *starts, __u32 n, __u32 key)
{
	const __u32 *p = starts;

	if (!n || key < starts[0])
		return UINT32_MAX;
	while (n > 1) {
		__u32 half = n / 2;

		__builtin_prefetch(&p[half / 2]);
		__builtin_prefetch(&p[half + (n - half) / 2]);
		p += p[half] <= key ? half : 0;
		n -= half;
	}
	return (__u32)(p - starts);
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

static bool find_row(const struct index *index, __u32 addr, struct index_hit *hit)
{
	__u32 block = search(index->starts, index->header->n_blocks, addr), at;
	struct cursor c = index->rows;

	if (block == UINT32_MAX || index->blocks[block] > index->blocks[block + 1])
		return false;
	at = index->starts[block];
	cursor_seek(&c, index->blocks[block]);
	c = cursor_sub(&c, index->blocks[block + 1] - index->blocks[block]);
	hit->node = small_uleb(&c);
	hit->file = small_uleb(&c);
	hit->line = small_uleb(&c);
	hit->column = small_uleb(&c);
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

static bool find_symbol(const struct index *index, __u32 addr, struct index_hit *hit)
{
	__u32 i = search(index->symbol_starts, index->header->n_symbols, addr);

	if (i == UINT32_MAX || !index->symbol_names[i])
		return false;
	hit->symbol_start = index->symbol_starts[i];
	hit->unnamed = index->symbol_names[i] == INDEX_UNNAMED;
	if (hit->unnamed)
		return false;
	hit->symbol = index->symbol_names[i];
	if (index->symbol_owners)
		hit->owner = index->symbol_owners[i];
	return true;
}

bool index_find(const struct index *index, __u64 vaddr, struct index_hit *ret_hit)
{
	struct index_hit hit = {0};
	__u64 addr = vaddr - index->header->base;
	bool row, symbol;

	if (vaddr < index->header->base || addr > UINT32_MAX)
		return false;
	row = find_row(index, (__u32)addr, &hit);
	if (!row)
		hit = (struct index_hit){0};
	symbol = find_symbol(index, (__u32)addr, &hit);
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
