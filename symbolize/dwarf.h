/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded reader of .debug_info (DWARF 2-5, 32 and 64 bit, split, dwz'd): units, abbreviations,
 * and of each DIE the attributes that functions, inlining and lines need; all others are stepped
 * over. It trusts nothing: every read is a cursor's, every reference is range-checked, chains are
 * bounded by the caller's work budget, which each DIE, range and line row takes from.
 *
 * Sources: DWARF 5 chapters 2, 3 and 7; the GNU proposals "DebugFission" (split DWARF 4) and dwz's
 * DW_FORM_GNU_*_alt. One thread; the bytes are borrowed from struct elf.
 */
#pragma once

#include "profiler/base/arena.h"
#include "profiler/base/cursor.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "symbolize/dwarf_names.h"
#include "symbolize/elf.h"

#define DWARF_SECTIONS(X)                                                                          \
	X(INFO, "debug_info")                                                                      \
	X(ABBREV, "debug_abbrev")                                                                  \
	X(LINE, "debug_line")                                                                      \
	X(STR, "debug_str")                                                                        \
	X(LINE_STR, "debug_line_str")                                                              \
	X(ADDR, "debug_addr")                                                                      \
	X(STR_OFFSETS, "debug_str_offsets")                                                        \
	X(RANGES, "debug_ranges")                                                                  \
	X(RNGLISTS, "debug_rnglists")

enum dwarf_section {
#define X(name, text) DWARF_##name,
	DWARF_SECTIONS(X)
#undef X
		DWARF_SECTION_COUNT
};

/* The attributes that are kept, each with its slot in struct dwarf_die. */
enum dwarf_slot {
	SLOT_SIBLING,
	SLOT_NAME,
	SLOT_LINKAGE_NAME,
	SLOT_LOW_PC,
	SLOT_HIGH_PC,
	SLOT_RANGES,
	SLOT_ORIGIN,
	SLOT_SPECIFICATION,
	SLOT_CALL_FILE,
	SLOT_CALL_LINE,
	SLOT_CALL_COLUMN,
	SLOT_DECL_LINE,
	SLOT_STMT_LIST,
	SLOT_LANGUAGE,
	SLOT_COMP_DIR,
	SLOT_ADDR_BASE,
	SLOT_STR_OFFSETS_BASE,
	SLOT_RNGLISTS_BASE,
	SLOT_GNU_RANGES_BASE,
	SLOT_DWO_NAME,
	SLOT_GNU_DWO_ID,
	SLOT_COUNT,
	SLOT_NONE = 0xff,
};

struct dwarf_attr {
	__u64 value;
	const char *inline_string; /* DW_FORM_string */
	__u16 form;
};

struct dwarf_abbrev {
	__u32 first_spec, n_specs;
	__u32 fixed_size; /* of all attributes; UINT32_MAX: it varies */
	__u16 tag;
	bool has_children;
	bool has_slots; /* some attribute is kept */
};

struct dwarf_abbrevs {
	__u64 key;		      /* offset and what else decides the sizes */
	struct dwarf_abbrev *by_code; /* code - 1 while codes run from 1 up */
	__u32 n;
	struct dwarf_spec *specs;
};

struct dwarf_unit {
	struct dwarf_file *file; /* holds the DIEs */
	__u64 offset, end,
		die; /* of the header, behind the last byte, of the root DIE: in .debug_info */
	__u64 abbrev_offset;
	__u64 dwo_id;
	__u16 version;
	__u8 type; /* DW_UT_* */
	bool is_64, loaded;
	const struct dwarf_abbrevs *abbrevs; /* valid while abbrevs_round is the file's */
	__u32 abbrevs_round;
	/* From the root DIE once loaded. Bases are section offsets. */
	__u64 low_pc, addr_base, str_offsets_base, rnglists_base, gnu_ranges_base;
	__u64 line_offset; /* of the line program in line_file; UINT64_MAX: none */
	struct dwarf_file *line_file, *addr_file; /* a split unit's are the main file */
	const char *comp_dir, *dwo_name;
	bool types_hold_code; /* below classes that are not in a function */
};

struct dwarf_file {
	struct elf *elf; /* owned by the caller */
	struct cursor sections[DWARF_SECTION_COUNT];
	struct dwarf_file *alt; /* what dwz moved common parts to; may be NULL */
	struct work *budget;
	VEC(struct dwarf_unit) units; /* ascending by offset */
	struct arena abbrev_arena;
	VEC(struct dwarf_abbrevs) abbrevs;
	struct hmap abbrev_index;
	__u32 abbrevs_round;
	bool is_dwo;
	__u64 bad_total; /* units and DIEs that could not be read */
	int section_err; /* the last section that could not be decompressed: its error */
};

struct dwarf_die {
	__u64 offset, next; /* in .debug_info: of the DIE, behind its attributes */
	__u32 have;	    /* 1 << slot */
	__u16 tag;	    /* 0: the end of a list of children */
	bool has_children;
	struct dwarf_attr attrs[SLOT_COUNT];
};

/* Find the sections and list the units. 0, -ENODATA without .debug_info, -ENOMEM. */
MUST_CHECK int dwarf_file_init(struct dwarf_file *file, struct elf *elf, bool is_dwo,
			       struct work *budget);
void dwarf_file_fini(struct dwarf_file *file);
/* Read the root DIE's bases. 0, -EINVAL (counted) or -ENOMEM. Call once before reading DIEs. */
MUST_CHECK int dwarf_unit_load(struct dwarf_unit *unit);
/* Only its abbreviations; for dwarf_unit_load. */
MUST_CHECK int dwarf_unit_abbrevs(struct dwarf_unit *unit);
/* The unit whose DIEs contain this offset of .debug_info, or NULL. */
struct dwarf_unit *dwarf_unit_at(struct dwarf_file *file, __u64 offset);
/* Forget abbreviation tables when they have grown large; between units only. */
void dwarf_trim(struct dwarf_file *file);

/* The DIE at an offset of the unit. False: damaged or outside. */
bool dwarf_die_read(struct dwarf_unit *unit, __u64 offset, struct dwarf_die *ret_die);

static inline const struct dwarf_attr *dwarf_die_attr(const struct dwarf_die *die,
						      enum dwarf_slot slot)
{
	return die->have & 1u << slot ? &die->attrs[slot] : NULL;
}

/* The constant, 0 for an absent attribute. */
static inline __u64 dwarf_die_number(const struct dwarf_die *die, enum dwarf_slot slot)
{
	return die->have & 1u << slot ? die->attrs[slot].value : 0;
}

/* The string, borrowed from its section; NULL when absent, damaged or empty. */
const char *dwarf_string(const struct dwarf_unit *unit, const struct dwarf_attr *attr);
/* False for an index or form that yields no address. */
bool dwarf_address(const struct dwarf_unit *unit, const struct dwarf_attr *attr, __u64 *ret_addr);
/* Where a reference leads: the unit (loaded) and the offset in its file. False: nowhere. */
bool dwarf_reference(struct dwarf_unit *unit, const struct dwarf_attr *attr,
		     struct dwarf_unit **ret_unit, __u64 *ret_offset);

/* Calls `range` for each [start, end) of a DIE (low_pc/high_pc or ranges), start < end. Stops and
 * returns what it returns when that is not 0. */
MUST_CHECK int dwarf_ranges(struct dwarf_unit *unit, const struct dwarf_die *die,
			    int (*range)(void *arg, __u64 start, __u64 end), void *arg);
/* A line header's or unit's own string forms: shared with dwarf_line.c. Reads one attribute of a
 * form at the cursor; false for an unknown form. */
bool dwarf_attr_read(struct cursor *c, __u16 form, bool is_64, __u16 version, __s64 implicit,
		     struct dwarf_attr *ret_attr);
