/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The layout of compiled unwind tables, shared by the compiler (symbolize/unwind_compile.c), the
 * BPF unwinder (bpf/unwind.bpf.h) and its native twin.
 *
 * All of it lives in *segments*: BPF array maps of one 1 MiB value, seen as 32-bit words, made on
 * demand and filled through mmap. Two kinds of blob are allocated in them:
 *
 * A *part*: the rows of one stretch of one ELF file, self-contained:
 *	directory  u16 x (n_pages + 1)   first row of each page, 8-aligned as a whole
 *	rows       u32 x n_rows          low half of the address within its page << 16 | code
 *	rules      struct unw_rule x m   for codes that do not fit inline, 8-aligned
 * Pages are 1 << shift bytes of ELF virtual address, counted from the part's start. Row i rules
 *from its address to the next row's; the row in force at a page's start may stand in an earlier
 *page, so page p is searched among rows [dir[p], dir[p + 1]) and falls back to row dir[p] - 1. The
 *compiler chooses the shift so that a page holds some eight rows: the search stays within one cache
 *line.
 *
 * A *map set*: the executable mappings of one address space, sorted: u64 start x n, then
 * struct unw_mapping x n. A file of several parts appears as several entries.
 */
#ifndef BPF_UNWIND_H
#define BPF_UNWIND_H

#include <linux/types.h>

#define UNW_SEGMENT_BYTES (1u << 20)
#define UNW_SEGMENT_WORDS (UNW_SEGMENT_BYTES / 4)
/* Behind the words, so that a struct read at a masked index stays inside the map's value. */
#define UNW_SEGMENT_SLACK  64u
#define UNW_MAX_SEGMENTS   256u
#define UNW_PART_MAX_ROWS  65534u /* row indexes are u16, and dir[n_pages] == n_rows */
#define UNW_PART_MAX_BYTES (512u << 10)
#define UNW_MIN_SHIFT	   6
#define UNW_MAX_SHIFT	   16
#define UNW_SEARCH_STEPS   16	 /* log2 of the rows that a page, or the mappings a set, may hold */
#define UNW_MAPSET_MAX	   16384 /* so a set fits a segment */

/*
 * A row's code. Below 0x8000 the rule itself, for the shapes that 95 % of all rows have:
 * CFA = SP or FP + 8 * n, FP unchanged or saved at CFA - 8 * k, return address at CFA - 8.
 * Above: an index into the part's rules, or one of the two marks.
 */
#define UNW_CODE_FP	   0x4000u /* CFA from the frame pointer, else the stack pointer */
#define UNW_CODE_CFA_SHIFT 6
#define UNW_CODE_CFA_MASK  0xffu
#define UNW_CODE_SLOT_MASK 0x3fu /* 0: FP unchanged */
#define UNW_CODE_RULE	   0x8000u
#define UNW_CODE_INDEX	   0x7fffu
#define UNW_CODE_GAP	   0xffffu /* nothing is known here */
#define UNW_CODE_ENTRY	   0xfffeu /* a program, thread or goroutine begins: its stack ends */
#define UNW_MAX_RULES	   0x7ff0u

/* How the CFA is found. */
enum unw_cfa_op {
	UNW_CFA_REG,   /* reg + off */
	UNW_CFA_DEREF, /* *(reg + off) + add: signal frames, realigned stacks */
	UNW_CFA_PLT,   /* reg + off + (((pc & 15) >= add) << 3): lazy PLT entries of x86 */
	UNW_CFA_EXPR,  /* an expression of another shape: not followed */
	UNW_CFA_NONE,  /* no rule given */
	UNW_CFA_GO, /* Go changed stacks here (systemstack, asmcgocall, morestack, cgocallback): go
		       on where it saved the other one, see UNW_RULE_GO_PC and around */
};

/* How a register (the frame pointer, the return address) of the caller is found. */
enum unw_reg_op {
	UNW_REG_UNSPECIFIED, /* no rule given: callee-saved registers keep their value */
	UNW_REG_SAME,	     /* said to be unchanged */
	UNW_REG_UNDEFINED,   /* said to be lost; for the return address: the stack ends */
	UNW_REG_CFA,	     /* *(CFA + off) */
	UNW_REG_CFA_VALUE,   /* CFA + off */
	UNW_REG_REG,	     /* another register: off is its DWARF number */
	UNW_REG_DEREF,	     /* *(reg + off), an expression: signal frames, realigned stacks */
	UNW_REG_DEREF2,	     /* *(*(reg + off) + add), an expression */
	UNW_REG_EXPR,	     /* an expression of another shape: not followed */
	UNW_REG_VEXPR,	     /* the value of an expression: not followed */
};

/*
 * Flags of a rule. ELSEWHERE: the caller's frame is on another stack, which may lie below this one.
 *
 * UNW_CFA_GO finds the stack pointer that Go saved; from there the return address stands ra_off
 * bytes above it and the caller's frame pointer right below that. With g = *(thread pointer +
 * cfa_off), m = *(g + cfa_add) and g' = *(m + fp_off) the saved stack pointer is *(g' + fp_add).
 *
 * GO_PC     the pc and the frame pointer were saved, too: *(g' + ra_off) and *(g' + ra_add)
 * GO_FP     nothing stands below the return address: the frame pointer is *(g' + ra_add)
 * GO_DEPTH  asmcgocall: {depth, g} stand at sp + cfa_off, and it is *(g + cfa_add) - depth
 * GO_NESTS  cgocallback: the next such frame's is read from where this one's points to
 */
#define UNW_RULE_SIGNAL	   1u /* CIE augmentation S: the pc of the caller's frame is exact */
#define UNW_RULE_GO_PC	   2u
#define UNW_RULE_GO_FP	   4u
#define UNW_RULE_GO_DEPTH  8u
#define UNW_RULE_GO_NESTS  16u
#define UNW_RULE_ELSEWHERE 32u

struct unw_rule {
	__u8 cfa_op, fp_op, ra_op;
	__u8 bx_op; /* the base register (x86-64: rbx): UNSPECIFIED, CFA, or else lost */
	__u8 flags; /* UNW_RULE_* */
	__u8 cfa_reg, fp_reg, ra_reg; /* DWARF numbers */
	__s32 cfa_off, cfa_add;
	__s32 fp_off, fp_add;
	__s32 ra_off, ra_add;
	__s32 bx_off;
	__s32 pad;
};

/* What runs in a mapping. */
enum unw_kind {
	UNW_KIND_ROWS,	  /* a part's rows */
	UNW_KIND_ROWS_BX, /* the same, and the rows tell of the base register: in files that compute
			     a CFA from it (glibc's _dl_runtime_resolve) */
	UNW_KIND_FP,	  /* no rows for this stretch of a file: frame pointers */
	UNW_KIND_ANON,	  /* outside files (JIT): frame pointers, frames carry the pc */
	UNW_KIND_WAIT,	  /* rows are being loaded: copy the stack instead */
	UNW_KIND_GONE,	  /* as FP, because the file could not be opened any more */
};

/* One entry of a map set. Offsets of a segment are in words. */
struct unw_mapping {
	__u64 end;  /* run-time address behind the last byte */
	__u64 bias; /* run-time address - ELF virtual address */
	__u64 base; /* run-time address of the part's first page */
	__u32 file; /* file id, part of a frame */
	__u32 n_pages;
	__u32 dir, rows, rules; /* word offsets in the segment */
	__u16 segment;
	__u8 kind; /* enum unw_kind */
	__u8 shift;
};

#endif
