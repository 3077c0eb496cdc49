/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame information as it stands in a file: the FDEs of one section, and the interpreter of
 * their programs. The compiler (unwind_compile.c) wants three registers (CFA, frame pointer, return
 * address), the rest is skipped; the index of symbols wants where functions are (unnamed.h).
 */
#pragma once

#include "profiler/base/cursor.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "symbolize/elf.h"
#include "symbolize/unwind.h"
#include "symbolize/unwind_arch.h"

struct cfi_cie {
	__u64 offset;
	__u64 code_align;
	__s64 data_align;
	__u32 ra_reg;
	__u8 fde_encoding; /* DW_EH_PE_* */
	__u8 address_size;
	bool has_augmentation; /* 'z': FDEs carry a length and data */
	bool usable;
	struct unw_rule initial; /* the state after the CIE's own instructions */
};

struct cfi_fde {
	__u64 start, end; /* ELF virtual addresses */
	const __u8 *program;
	__u32 program_len;
	__u32 cie;     /* index in cies of the section it came from */
	__u16 section; /* number of that section */
};

struct cfi_section {
	struct cursor data;
	__u64 vaddr;   /* of data.start; for pc-relative encodings */
	bool is_eh;    /* .eh_frame, else .debug_frame */
	bool track_bx; /* rules tell of the base register, too */
	__u16 number;
	const struct unwind_arch *arch;
	struct work *work; /* the file's: one for an entry and for an instruction */
	VEC(struct cfi_cie) cies;
	struct hmap cie_index;
};

typedef VEC(struct cfi_fde) cfi_fdes;

/* Where FDEs come from, in the order of their claims. */
enum { CFI_EH_FRAME, CFI_DEBUG_FRAME, CFI_SECTION_COUNT };

/* The sections of a file, numbered so; without data those it lacks. Zeroed before. Borrows from the
 * file. */
void cfi_find(struct elf *elf, const struct unwind_arch *arch,
	      struct cfi_section sections[CFI_SECTION_COUNT]);

/* Give the section's FDEs to `take` in file order, counting what cannot be read; stops where the
 * file's work is used up. 0, -ENOMEM, or what `take` returned, which ends it when it is not 0. */
MUST_CHECK int cfi_each(struct cfi_section *section,
			int (*take)(void *arg, const struct cfi_fde *fde), void *arg,
			__u64 faults[UNWIND_FAULT_COUNT]);
/* Append them; beyond some millions they are faults, too. 0 or -ENOMEM. */
MUST_CHECK int cfi_read(struct cfi_section *section, cfi_fdes *fdes,
			__u64 faults[UNWIND_FAULT_COUNT]);
void cfi_section_fini(struct cfi_section *section);

/* Run an FDE's program: `row` is called for each stretch [start, end) with one state, ascending,
 * covering the FDE up to the first damaged instruction (then a fault is counted and *ret_end is
 * where it stopped). Stops and returns what `row` returns when that is not 0. */
MUST_CHECK int cfi_run(const struct cfi_section *section, const struct cfi_fde *fde,
		       int (*row)(void *arg, __u64 start, __u64 end, const struct unw_rule *rule),
		       void *arg, __u64 faults[UNWIND_FAULT_COUNT], __u64 *ret_end);
