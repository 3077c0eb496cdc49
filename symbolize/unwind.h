/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind tables from an ELF file: .eh_frame (and .debug_frame where that has no row) compiled into
 * the parts of bpf/unwind.h. Exact: a row for every address at which readelf's interpreted CFI has
 * one that differs from its predecessor, and a row where a gap begins; nothing is rounded.
 * What no CFI tells is derived on request: Go's rows from pclntab, others from the code itself, and
 * the stretches where a stack ends or goes on elsewhere.
 * Sources: DWARF 5 section 6.4, LSB 5.0 Core "Exception Frames", the x86-64 and AArch64 psABIs.
 */
#pragma once

#include "bpf/unwind.h"
#include "profiler/base/check.h"
#include "symbolize/elf.h"

/* A file that yields no table, and why. */
#define UNWIND_SKIPS(X)                                                                            \
	X(NONE, "")                                                                                \
	X(MACHINE, "machine not supported")                                                        \
	X(RELOCATABLE, "relocatable object")                                                       \
	X(CORE, "core dump")                                                                       \
	X(NO_TEXT, "no executable segment")                                                        \
	X(NO_CFI, "no .eh_frame or .debug_frame")                                                  \
	X(EMPTY, "CFI describes no code of this file")                                             \
	X(MEMORY, "out of memory")                                                                 \
	X(WORK, "too much work")

enum unwind_skip {
#define X(name, text) UNWIND_SKIP_##name,
	UNWIND_SKIPS(X)
#undef X
};
const char *unwind_skip_text(enum unwind_skip why);

/* What was passed over while compiling, each counted. */
#define UNWIND_FAULTS(X)                                                                           \
	X(CIE, "unreadable CIE (version, augmentation or encoding)")                               \
	X(FDE, "unreadable FDE")                                                                   \
	X(OUTSIDE, "FDE outside the executable segments")                                          \
	X(OVERLAP, "FDE that overlaps an earlier one")                                             \
	X(PROGRAM, "damaged or unknown instruction in an FDE's program")                           \
	X(RULES, "more distinct rules than a part can hold")                                       \
	X(GAP, "bytes of code without CFI beyond those that are looked at")

enum unwind_fault {
#define X(name, text) UNWIND_FAULT_##name,
	UNWIND_FAULTS(X)
#undef X
		UNWIND_FAULT_COUNT
};
const char *unwind_fault_text(enum unwind_fault fault);

/* The sections whose bytes decide the table, with the program headers and the code: a cache hashes
 * them. */
#define UNWIND_SECTIONS                                                                            \
	{                                                                                          \
		".eh_frame", ".debug_frame", ".zdebug_frame", ".gopclntab",                        \
			".data.rel.ro.gopclntab", ".symtab", ".dynsym"                             \
	}

struct unwind_part {
	__u64 start, end; /* ELF virtual addresses: first row, first address behind the last page */
	__u32 n_pages, n_rows, n_rules;
	__u32 dir, rows, rules; /* word offsets in blob */
	__u32 n_words;		/* of the blob */
	__u8 shift;
	__u32 *blob; /* owned */
};

/* A stretch whose rows are not CFI's though there may be CFI for it: one rule, or a stack's
 * beginning. */
struct unwind_special {
	__u64 start, end;
	bool entry; /* the stack begins here; else: */
	struct unw_rule rule;
};

struct unwind_table {
	__u16 machine;		   /* EM_* */
	struct unwind_part *parts; /* ascending */
	size_t n_parts;
	struct unwind_special *specials; /* ascending, disjoint; the rows have them, too */
	size_t n_specials;
	bool tracks_bx;			  /* the rules tell of the base register */
	__u64 n_rows, n_fdes, n_raw_rows; /* rows after and before merging equal neighbours */
	__u64 faults[UNWIND_FAULT_COUNT];
};

enum unwind_scope {
	UNWIND_CFI,	/* readelf's rows and the program's entry; no specials */
	UNWIND_DERIVED, /* the same, with the gaps filled where the code tells how, and specials */
};
/* Compile. NULL with *ret_why set when there is nothing to compile, memory ends or elf->work does
 * (which a cancelled one looks like). */
struct unwind_table *unwind_compile(struct elf *elf, enum unwind_scope scope,
				    enum unwind_skip *ret_why);
void unwind_table_free(struct unwind_table *table);
/* Bytes of all blobs. */
size_t unwind_table_bytes(const struct unwind_table *table);

/* The rule of a code; false for UNW_CODE_GAP, UNW_CODE_ENTRY and an index out of range. */
bool unwind_rule_of(const struct unwind_part *part, __u16 machine, __u32 code,
		    struct unw_rule *ret_rule);
/* The code in force at an ELF virtual address; UNW_CODE_GAP outside all parts. *ret_part may be
 * NULL. The reference for the BPF search: a plain scan over the page. */
__u32 unwind_find(const struct unwind_table *table, __u64 vaddr,
		  const struct unwind_part **ret_part);
/* Walk all rows in ascending order; stops and returns what `row` returns when that is not 0. */
int unwind_each_row(const struct unwind_table *table,
		    int (*row)(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code),
		    void *arg);
/* `CFA=rsp+16 rbp=CFA-16 ra=CFA-8`, the names of readelf --debug-dump=frames-interp. */
void unwind_rule_text(__u16 machine, const struct unw_rule *rule, char *out, size_t size);
