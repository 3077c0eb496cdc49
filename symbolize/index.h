/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of one file: everything that turns an ELF virtual address into frames, compact,
 * position independent, read in place from a mapped file. Built once by index_build.c; an index
 * that comes from disk is a foreign file: header and checksum are verified at open, every read is
 * bounded, a chain of inlined calls can only lead backwards.
 *
 * Layout, little-endian, sections 8-aligned, addresses as u32 from `base`:
 *	header	 struct index_header
 *	blocks	 struct index_place x (n_blocks + 1)	first address of each, its bytes in `rows`;
 *		 the last one only ends them
 *	rows	 INDEX_BLOCK_ROWS rows a block. First row: uleb node, file, line, column. Each
 *		 other: a byte of delta << 4 | flags; delta 0: uleb delta; then, as the flags say:
 *		 sleb of the change of node, uleb file, sleb of the change of line, uleb column. A
 *		 row with node and file 0 is a hole.
 *	nodes	 uleb func, uleb distance back to the parent's node (0: a physical function), then
 *		 for an inlined one uleb call file, line, column. A node's id is its byte offset,
 *		 from 1.
 *	funcs	 struct index_func x n_funcs
 *	files	 u32 x n_files		string offsets; 0 is ""
 *	symbols	 struct index_place x n_symbols: start, name (0: no symbol here; INDEX_UNNAMED: a
 *		 function without one)
 *	owners	 u32 x n_symbols when INDEX_HAS_OWNERS
 *	block guide, symbol guide  u32 each: how many places begin before slot << shift, so that a
 *		 look-up searches the few of one slot and not all
 *	strings	 NUL-terminated; offset 0 is ""
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/base/cursor.h"
#include "profiler/base/mapfile.h"

#define INDEX_MAGIC	 0x5844495351425142ULL
#define INDEX_VERSION	 6u
#define INDEX_BLOCK_ROWS 8u
#define INDEX_KEY_BYTES	 16
#define INDEX_UNNAMED	 UINT32_MAX

struct index_place {
	__u32 start; /* from base; ascending */
	__u32 value;
};

struct index_func {
	__u32 name; /* raw, a string offset */
	__u32 start_line;
};

/* What was found while the index was built: shown by status. */
struct index_facts {
	__u32 n_units, n_bad_units;
	__u32 flags;	  /* INDEX_HAS_* */
	__u32 debug_path; /* string: the debug file that was used; 0 none */
	__u32 note;	  /* string: why something is missing; 0 nothing is */
};

#define INDEX_HAS_SYMTAB  1u /* .symtab */
#define INDEX_HAS_DYNSYM  2u
#define INDEX_HAS_MINI	  4u /* .gnu_debugdata */
#define INDEX_HAS_LINES	  8u
#define INDEX_HAS_INLINES 16u
#define INDEX_HAS_GO	  32u  /* .gopclntab */
#define INDEX_HAS_OWNERS  64u  /* symbols name their module */
#define INDEX_CUT	  128u /* the work limit ended the build early */
#define INDEX_NO_CACHE	  256u /* made from files that the key does not cover */

enum index_section {
	INDEX_BLOCKS,
	INDEX_ROWS,
	INDEX_NODES,
	INDEX_FUNCS,
	INDEX_FILES,
	INDEX_SYMBOLS,
	INDEX_OWNERS,
	INDEX_BLOCK_GUIDE,
	INDEX_SYMBOL_GUIDE,
	INDEX_STRINGS,
	INDEX_SECTION_COUNT
};

struct index_header {
	__u64 magic;
	__u32 version, header_bytes;
	__u64 checksum; /* XXH3 of everything behind this field */
	__u64 bytes;	/* of the file */
	__u64 base;
	__u32 n_blocks, n_funcs, n_files, n_symbols;
	struct index_facts facts;
	__u8 block_shift, symbol_shift; /* of the guides, below 32 */
	__u16 pad;
	struct {
		__u64 offset, bytes;
	} sections[INDEX_SECTION_COUNT];
	__u8 key[INDEX_KEY_BYTES];
};

/* Places with their guide. */
struct index_table {
	const struct index_place *places;
	const __u32 *guide;
	__u32 n, n_guide, shift;
};

struct index {
	struct mapfile file;
	const struct index_header *header;
	struct index_table blocks, symbols;
	const __u32 *files, *owners; /* owners may be NULL */
	const struct index_func *funcs;
	struct cursor rows, nodes, strings;
};

/* Map the index behind fd (not closed) and verify it; key NULL: any. 0, -EINVAL for a damaged one
 * or another version or key, or -errno. */
MUST_CHECK int index_open(int fd, const __u8 *key, struct index *ret_index);
void index_close(struct index *index);

struct index_hit {
	__u32 node; /* innermost; 0: no DWARF function here */
	__u32 file, line, column;
	__u32 symbol_start; /* from base */
	__u32 symbol;	    /* string offset; 0: none */
	__u32 owner;	    /* string offset; 0: none */
	bool unnamed;	    /* a function without a name begins at symbol_start */
};

/* What holds at an address; false when nothing is known that has a name or a line. */
bool index_find(const struct index *index, __u64 vaddr, struct index_hit *ret_hit);

struct index_node {
	__u32 func, parent; /* parent 0: physical */
	__u32 call_file, call_line, call_column;
};
/* False for an id that is none. */
bool index_node_read(const struct index *index, __u32 id, struct index_node *ret_node);

/* Borrowed until close; "" for an offset outside. */
const char *index_str(const struct index *index, __u32 offset);
const char *index_file_name(const struct index *index, __u32 file);
