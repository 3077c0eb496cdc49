/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's pclntab, which stripped binaries keep too: functions, file and line, the inline tree, and
 * how far the stack pointer is from the frame's start at every address, which unwinds Go without
 * CFI. Layouts of Go 1.2-1.15, 1.16-1.17, 1.18-1.19 and 1.20-1.26; inline trees from 1.16 on.
 * Sources: "Go 1.2 Runtime Symbol Information" (golang.org/s/go12symtab); for later layouts the Go
 * tree's runtime/symtab.go, runtime/runtime2.go (type _func) and internal/abi/symtab.go.
 *
 * Foreign bytes, read through cursors; a table borrows the elf. One thread.
 */
#pragma once

#include "profiler/base/cursor.h"
#include "symbolize/elf.h"

enum go_layout { GO_1_2, GO_1_16, GO_1_18, GO_1_20 };

struct go_table {
	const struct elf *elf;
	struct cursor data; /* the whole pclntab */
	__u64 vaddr;
	enum go_layout layout;
	__u8 quantum, pointer_bytes;
	__u64 n_funcs;
	__u64 text;			       /* address that entries count from; 0 before 1.18 */
	__u64 names, units, files, pcs, funcs; /* offsets in data of the parts */
	__u64 func_data;		       /* address that funcdata counts from; 0: unknown */
};

struct go_func {
	__u64 start, end;
	const char *name;		/* "" when damaged */
	__u32 start_line;		/* 0 before 1.20 */
	__u32 sp, file, line, inlining; /* of its value tables, offsets in pcs; 0: none */
	__u32 unit;			/* first entry in units */
	__u64 inline_tree;		/* address; 0: none */
};

struct go_inlined {
	const char *name;
	__u32 start_line;
	bool by_pc;	 /* the call stands at parent_pc, else: */
	__u32 parent_pc; /* offset from the function's start */
	__s32 parent;	 /* index in the tree; -1: the function itself */
	__s32 file, line;
};

/* A table of values by address: each value holds for [start, end). */
struct go_values {
	struct cursor c;
	__u64 start, end;
	__s32 value;
	__u8 quantum;
	bool first;
};

/* 0, -ENODATA when the file has none, -EINVAL for a layout that is not known. */
MUST_CHECK int go_table_open(const struct elf *elf, struct go_table *ret_table);
/* The i-th function, ascending by address; false when damaged or beyond the end. */
bool go_func_at(const struct go_table *table, __u64 i, struct go_func *ret_func);
/* The source file of a value of func->file; NULL unknown. */
const char *go_file_name(const struct go_table *table, const struct go_func *func, __s32 value);
/* Entry i of the function's inline tree; false when damaged or absent. */
bool go_inlined_at(const struct go_table *table, const struct go_func *func, __s32 i,
		   struct go_inlined *ret_inlined);

/* Walk a value table of a function (func->sp, ->file, ->line, ->inlining). */
struct go_values go_values_of(const struct go_table *table, const struct go_func *func,
			      __u32 offset);
/* The next stretch into start, end, value; false at the end. */
bool go_values_next(struct go_values *values);
/* The value at an address; fall_back where the table has none. */
__s32 go_value_at(const struct go_table *table, const struct go_func *func, __u32 offset,
		  __u64 addr, __s32 fall_back);

/* For the unwind compiler: the stack deltas of address ranges asked for in ascending order. */
struct go_deltas {
	const struct go_table *table;
	__u64 next, done; /* function; end of the last one */
	__u64 work;	  /* stretches left: a hostile table ends early */
};
struct go_deltas go_deltas_of(const struct go_table *table);
/* Call `sp` for each stretch within [start, end), ascending; the caller's return address stands at
 * SP + delta. A negative delta: unknown there. Stops and returns what `sp` returns when that is not
 * 0. */
MUST_CHECK int go_deltas_in(struct go_deltas *deltas, __u64 start, __u64 end,
			    int (*sp)(void *arg, __u64 start, __u64 end, __s32 delta), void *arg);
