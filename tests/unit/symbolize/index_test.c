// SPDX-License-Identifier: Apache-2.0
/* Building, opening and searching an index; which symbol names an address; damaged index files. */
#include "symbolize/index.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "symbolize/index_build.h"
#include "tests/unit/test.h"

#define TEXT 0x1000u

static __u32 name(struct index_builder *b, const char *s)
{
	return index_string(b, s, strlen(s));
}

static void begin(struct index_builder *b)
{
	struct index_range text[] = {{TEXT + 0x800, TEXT + 0x1000}, {TEXT, TEXT + 0x800}};

	ASSERT_INT(index_builder_init(b, NULL), 0);
	ASSERT_INT(index_builder_text(b, text, 2), 0);
}

static int finish(struct index_builder *b, struct index *index)
{
	int fd = scratch_open(NULL, NULL), err = index_builder_finish(b, fd);

	if (!err)
		err = index_open(fd, NULL, index);
	close(fd);
	index_builder_fini(b);
	return err;
}

static void symbol(struct index_builder *b, __u64 addr, __u64 size, const char *s, __u32 rank)
{
	ASSERT_INT(index_symbol(b, addr, size, name(b, s), 0, rank), 0);
}

static const char *symbol_at(const struct index *index, __u64 addr)
{
	struct index_hit hit;

	return index_find(index, addr, &hit) ? index_str(index, hit.symbol) : "none";
}

static void chooses_symbols(void)
{
	struct index_builder b;
	struct index index;

	begin(&b);
	symbol(&b, TEXT + 0x100, 0x40, "local", INDEX_SYMBOL_FUNCTION + 7);
	symbol(&b, TEXT + 0x100, 0x40, "global", INDEX_SYMBOL_FUNCTION + INDEX_SYMBOL_GLOBAL + 7);
	symbol(&b, TEXT + 0x100, 0x40, "__global", INDEX_SYMBOL_FUNCTION + INDEX_SYMBOL_GLOBAL + 5);
	symbol(&b, TEXT + 0x110, 0, "label_within", 7);
	symbol(&b, TEXT + 0x120, 0x10, "nested", INDEX_SYMBOL_FUNCTION + 7);
	symbol(&b, TEXT + 0x200, 0, "unsized", INDEX_SYMBOL_FUNCTION + 7);
	symbol(&b, TEXT + 0x300, 8, "last", INDEX_SYMBOL_FUNCTION + 7);
	symbol(&b, TEXT + 0x300, 0, "label_beside", 7 + INDEX_SYMBOL_GLOBAL);
	symbol(&b, 0x10, 8, "outside", INDEX_SYMBOL_FUNCTION + 7);
	symbol(&b, TEXT + 0xff0, 0, "unsized_last", 7);
	ASSERT_INT(finish(&b, &index), 0);
	ASSERT_STR(symbol_at(&index, TEXT), "none");
	ASSERT_STR(symbol_at(&index, TEXT + 0xff), "none");
	ASSERT_STR(symbol_at(&index, TEXT + 0x100), "global");
	ASSERT_STR(symbol_at(&index, TEXT + 0x111), "global");
	ASSERT_STR(symbol_at(&index, TEXT + 0x120), "nested");
	ASSERT_STR(symbol_at(&index, TEXT + 0x12f), "nested");
	ASSERT_STR(symbol_at(&index, TEXT + 0x130), "global");
	ASSERT_STR(symbol_at(&index, TEXT + 0x13f), "global");
	ASSERT_STR(symbol_at(&index, TEXT + 0x140), "none");
	ASSERT_STR(symbol_at(&index, TEXT + 0x2ff), "unsized");
	ASSERT_STR(symbol_at(&index, TEXT + 0x300), "last");
	ASSERT_STR(symbol_at(&index, TEXT + 0x308), "none");
	ASSERT_STR(symbol_at(&index, TEXT + 0xfff), "unsized_last");
	ASSERT_STR(symbol_at(&index, TEXT + 0x1000), "none"); /* behind the text */
	ASSERT_STR(symbol_at(&index, TEXT + 0x100000), "none");
	ASSERT_STR(symbol_at(&index, 0x10), "none");
	ASSERT_STR(symbol_at(&index, UINT64_MAX), "none");
	index_close(&index);
}

/* As many as a guide's slots hold and more, crowded and far apart: each is found from its first to
 * its last byte. */
static void guides_searches(void)
{
	const struct index_range text = {TEXT, TEXT + 0xf0000000u};
	struct index_builder b;
	struct index index;
	__u64 at[3000];
	char text_name[16];

	ASSERT_INT(index_builder_init(&b, NULL), 0);
	ASSERT_INT(index_builder_text(&b, &text, 1), 0);
	for (__u32 i = 0; i < ARRAY_SIZE(at); i++) {
		at[i] = TEXT + (i < 2000 ? i * 2 : 1000000ull * (i - 1990));
		snprintf(text_name, sizeof(text_name), "s%u", i);
		symbol(&b, at[i], i < 2000 ? 2 : 1000000, text_name, INDEX_SYMBOL_FUNCTION);
	}
	ASSERT_INT(finish(&b, &index), 0);
	for (__u32 i = 0; i < ARRAY_SIZE(at); i++) {
		snprintf(text_name, sizeof(text_name), "s%u", i);
		ASSERT_STR(symbol_at(&index, at[i]), text_name);
		ASSERT_STR(symbol_at(&index, at[i] + (i < 2000 ? 1 : 999999)), text_name);
	}
	ASSERT_STR(symbol_at(&index, TEXT + 4000), "none");
	ASSERT_STR(symbol_at(&index, at[2000] - 1), "none");
	ASSERT_STR(symbol_at(&index, at[2999] + 1000000), "none");
	ASSERT_STR(symbol_at(&index, TEXT - 1), "none");
	index_close(&index);
}

/* Where the unnamed function at an address begins; 0: none. */
static __u64 unnamed_at(const struct index *index, __u64 addr)
{
	struct index_hit hit = {0};

	CU_ASSERT(!index_find(index, addr, &hit) || !hit.unnamed);
	return hit.unnamed ? index->header->base + hit.symbol_start : 0;
}

static void fills_holes(void)
{
	struct index_builder b;
	struct index index;

	begin(&b);
	symbol(&b, TEXT + 0x100, 0x40, "sized", INDEX_SYMBOL_FUNCTION + 7);
	symbol(&b, TEXT + 0x300, 0x10, "other", INDEX_SYMBOL_FUNCTION + 7);
	ASSERT_INT(index_unnamed(&b, TEXT + 0x220, TEXT + 0x230), 0);
	ASSERT_INT(index_unnamed(&b, TEXT, TEXT + 0x20), 0);
	ASSERT_INT(index_unnamed(&b, TEXT + 0x110, TEXT + 0x180), 0); /* begins in a symbol */
	ASSERT_INT(index_unnamed(&b, TEXT + 0x200, TEXT + 0x228), 0); /* the next begins before */
	ASSERT_INT(index_unnamed(&b, TEXT + 0x2f0, TEXT + 0x308), 0); /* ends in a symbol */
	ASSERT_INT(index_unnamed(&b, TEXT + 0x400, TEXT + 0x410), 0);
	ASSERT_INT(index_unnamed(&b, TEXT + 0x400, TEXT + 0x410), 0);
	ASSERT_INT(index_unnamed(&b, TEXT + 0xff0, TEXT + 0x1010), 0); /* leaves the text */
	ASSERT_INT(index_unnamed(&b, TEXT + 0x500, TEXT + 0x500), 0);
	ASSERT_INT(finish(&b, &index), 0);
	ASSERT_INT(unnamed_at(&index, TEXT), TEXT);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x1f), TEXT);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x20), 0);
	ASSERT_STR(symbol_at(&index, TEXT + 0x13f), "sized");
	ASSERT_INT(unnamed_at(&index, TEXT + 0x13f), 0);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x150), 0);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x21f), TEXT + 0x200);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x220), TEXT + 0x220);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x22f), TEXT + 0x220);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x230), 0);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x2ff), TEXT + 0x2f0);
	ASSERT_STR(symbol_at(&index, TEXT + 0x300), "other");
	ASSERT_INT(unnamed_at(&index, TEXT + 0x310), 0);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x40f), TEXT + 0x400);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x410), 0);
	ASSERT_INT(unnamed_at(&index, TEXT + 0x500), 0);
	ASSERT_INT(unnamed_at(&index, TEXT + 0xff8), 0);
	index_close(&index);
}

/* 1,000 rows with a chain of three, so that blocks are crossed. */
static void build_rows(struct index_builder *b, __u32 *outer, __u32 *inner)
{
	__u32 file = index_file(b, "/src/a.c", 8);
	struct index_row row = {.file = file, .column = 3};

	*outer = index_node(b, index_func(b, name(b, "outer"), 10), 0, 0, 0, 0);
	*inner = index_node(b, index_func(b, name(b, "inner"), 20), *outer, file, 100, 5);
	*inner = index_node(b, index_func(b, name(b, "innermost"), 30), *inner, file, 200, 6);
	for (__u32 i = 0; i < 1000; i++) {
		row.node = i % 3 ? *inner : *outer;
		row.line = 1000 + i * (i % 2 ? 7 : 1);
		ASSERT_INT(index_row(b, TEXT + i * 2, &row), 0);
	}
	ASSERT_INT(index_piece_end(b, TEXT + 2000), 0);
}

static void finds_rows_and_chains(void)
{
	struct index_builder b;
	struct index index;
	struct index_node node;
	struct index_hit hit;
	__u32 outer, inner;

	begin(&b);
	build_rows(&b, &outer, &inner);
	ASSERT_INT(finish(&b, &index), 0);
	for (__u32 i = 0; i < 1000; i++) {
		CU_ASSERT(index_find(&index, TEXT + i * 2 + 1, &hit));
		ASSERT_INT(hit.line, 1000 + i * (i % 2 ? 7 : 1));
		ASSERT_INT(hit.node, i % 3 ? inner : outer);
		ASSERT_STR(index_file_name(&index, hit.file), "/src/a.c");
	}
	CU_ASSERT_FALSE(index_find(&index, TEXT + 2000, &hit));
	CU_ASSERT(index_node_read(&index, inner, &node));
	ASSERT_STR(index_str(&index, index.funcs[node.func].name), "innermost");
	ASSERT_INT(node.call_line, 200);
	CU_ASSERT(index_node_read(&index, node.parent, &node));
	ASSERT_INT(node.call_line, 100);
	ASSERT_INT(node.parent, outer);
	index_close(&index);
}

static __u32 line_at(const struct index *index, __u64 addr)
{
	struct index_hit hit;

	return index_find(index, addr, &hit) ? hit.line : 0;
}

static void settles_overlaps(void)
{
	struct index_builder b;
	struct index index;
	struct index_row row = {0};
	__u32 file;

	begin(&b);
	row.file = file = index_file(&b, "f", 1);
	for (__u32 i = 0; i < 3; i++) { /* [0x40,0x80) [0x60,0xa0) [0x50,0x58): the first wins */
		static const __u32 starts[] = {0x40, 0x60, 0x50}, ends[] = {0x80, 0xa0, 0x58};

		row.line = i + 1;
		ASSERT_INT(index_row(&b, TEXT + starts[i], &row), 0);
		row.line = i + 11;
		ASSERT_INT(index_row(&b, TEXT + ends[i] - 4, &row), 0);
		ASSERT_INT(index_piece_end(&b, TEXT + ends[i]), 0);
	}
	ASSERT_INT(finish(&b, &index), 0);
	ASSERT_INT(line_at(&index, TEXT + 0x3f), 0);
	ASSERT_INT(line_at(&index, TEXT + 0x40), 1);
	ASSERT_INT(line_at(&index, TEXT + 0x55), 1);
	ASSERT_INT(line_at(&index, TEXT + 0x7f), 11);
	ASSERT_INT(line_at(&index, TEXT + 0x80), 2);
	ASSERT_INT(line_at(&index, TEXT + 0x9f), 12);
	ASSERT_INT(line_at(&index, TEXT + 0xa0), 0);
	index_close(&index);
}

/* Every byte of a file, changed, must be noticed: a wrong name is worse than none. */
static void refuses_damage(void)
{
	struct index_builder b;
	struct index index;
	__u32 outer, inner;
	__u8 *copy, key[INDEX_KEY_BYTES] = {1};
	size_t size, accepted = 0;
	int fd = scratch_open(NULL, NULL);

	begin(&b);
	build_rows(&b, &outer, &inner);
	symbol(&b, TEXT, 8, "sym", INDEX_SYMBOL_FUNCTION);
	ASSERT_INT(index_builder_finish(&b, fd), 0);
	index_builder_fini(&b);
	size = (size_t)lseek(fd, 0, SEEK_END);
	copy = malloc(size);
	ASSERT_INT(fs_pread_all(fd, copy, size, 0), 0);
	ASSERT_INT(index_open(fd, NULL, &index), 0);
	index_close(&index);
	ASSERT_INT(index_open(fd, key, &index), -EINVAL); /* somebody else's */
	for (size_t i = 0; i < size; i += i < 300 ? 1 : 37) {
		__u8 wrong = copy[i] ^ 0x41;

		if (pwrite(fd, &wrong, 1, (off_t)i) != 1)
			break;
		if (!index_open(fd, NULL, &index)) {
			accepted++;
			index_close(&index);
		}
		if (pwrite(fd, &copy[i], 1, (off_t)i) != 1)
			break;
	}
	ASSERT_INT(accepted, 0);
	ASSERT_INT(ftruncate(fd, (off_t)size - 1), 0);
	ASSERT_INT(index_open(fd, NULL, &index), -EINVAL);
	ASSERT_INT(ftruncate(fd, 0), 0);
	ASSERT_INT(index_open(fd, NULL, &index), -EINVAL);
	close(fd);
	free(copy);
}

SUITE(index, {"chooses symbols", chooses_symbols}, {"guides searches", guides_searches},
      {"fills holes", fills_holes}, {"finds rows and chains", finds_rows_and_chains},
      {"settles overlaps", settles_overlaps}, {"refuses damage", refuses_damage});
