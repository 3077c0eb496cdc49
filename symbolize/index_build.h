/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects what is known about one file's code and writes the index of index.h: strings and
 * functions once each, inline chains as nodes, line rows as pieces (runs without a hole), symbols.
 * Everything large goes to unlinked files as it comes (scratch.h); in memory stay the tables of
 * distinct names and pieces. Not a reader of foreign bytes, but its input was: every count has a
 * bound, what does not fit is counted.
 */
#pragma once

#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "symbolize/index.h"
#include "symbolize/scratch.h"

/* Of symbols at one address the one of the highest rank names it. The low bits: 7 less the leading
 * underscores. */
enum index_symbol_rank {
	INDEX_SYMBOL_FUNCTION = 64, /* a function, not a label */
	INDEX_SYMBOL_SIZED = 32,
	INDEX_SYMBOL_GLOBAL = 16, /* or weak */
};

struct index_piece {
	__u32 start, end; /* from base */
	__u32 n_rows;
	__u32 order;
	__u64 first_row; /* in the spill */
};

struct index_row {
	__u32 addr; /* from base */
	__u32 node; /* 0: none */
	__u32 file; /* 0: unknown */
	__u32 line, column;
};

struct index_name {
	__u64 hash;
	__u32 offset;
};

struct index_symbol_in {
	__u32 start, end;  /* from base; end == start: unsized */
	__u32 name, owner; /* string offsets */
	__u32 rank, order;
};

struct index_range {
	__u64 start, end;
};

/* A function that has no name. */
struct index_unnamed {
	__u32 start, end; /* from base */
};

struct index_builder {
	__u64 base, end;	      /* of all text; at most 4 GiB apart */
	VEC(struct index_range) text; /* ascending, disjoint */
	struct spill strings, nodes, rows;
	VEC(struct index_name) names;
	struct hmap name_index;
	VEC(struct index_func) funcs;
	struct hmap func_index;
	VEC(__u32) files; /* string offsets; 0 is "" */
	struct hmap file_index;
	VEC(struct index_piece) pieces;
	VEC(struct index_symbol_in) symbols;
	VEC(struct index_unnamed) unnamed;
	struct index_piece open;  /* n_rows 0: none */
	struct index_row last;	  /* of the open piece, not yet in the spill */
	struct index_facts facts; /* what the header will say */
	__u8 key[INDEX_KEY_BYTES];
	__u64 dropped_total; /* overlapping pieces, rows beyond a limit */
};

/* dir: see scratch.h; may be NULL. 0 or -errno. */
MUST_CHECK int index_builder_init(struct index_builder *b, const char *dir);
void index_builder_fini(struct index_builder *b);
/* Text must be known before anything is added. 0, -ENODATA for none, -EFBIG beyond 4 GiB. */
MUST_CHECK int index_builder_text(struct index_builder *b, const struct index_range *ranges,
				  size_t n);
/* True when [start, end) lies within one range of text. */
bool index_is_text(const struct index_builder *b, __u64 start, __u64 end);

/* Ids; 0 for the empty string, or when memory or a limit ends (the builder's spills hold errors).
 */
__u32 index_string(struct index_builder *b, const char *s, size_t len);
__u32 index_file(struct index_builder *b, const char *path, size_t len);
/* UINT32_MAX when memory ends. */
__u32 index_func(struct index_builder *b, __u32 name, __u32 start_line);
/* A physical function (parent 0), or one inlined into the node `parent` by the call given. 0 when
 * the stream is full. */
__u32 index_node(struct index_builder *b, __u32 func, __u32 parent, __u32 call_file,
		 __u32 call_line, __u32 call_column);

/* Rows of a piece in ascending order: each rules from its address to the next; index_piece_end
 * closes the run. Addresses must be text. 0 or -ENOMEM. */
MUST_CHECK int index_row(struct index_builder *b, __u64 addr, const struct index_row *row);
MUST_CHECK int index_piece_end(struct index_builder *b, __u64 end);
/* Bring the pieces so far into order of address. */
void index_sort_pieces(struct index_builder *b);

/* A symbol of text. owner: a module's name (kernel) or 0. */
MUST_CHECK int index_symbol(struct index_builder *b, __u64 addr, __u64 size, __u32 name,
			    __u32 owner, __u32 rank);
/* A function without a name: kept where it begins outside of every symbol, up to the next one of
 * either. What is not text is left out. 0 or -ENOMEM. */
MUST_CHECK int index_unnamed(struct index_builder *b, __u64 start, __u64 end);

size_t index_put_uleb(__u8 *out, __u64 value);
/* Write the whole index to fd (at offset 0). 0 or -errno. */
MUST_CHECK int index_builder_finish(struct index_builder *b, int fd);
