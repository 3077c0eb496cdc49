/* SPDX-License-Identifier: Apache-2.0 */
/* Line programs: DWARF 5 section 6.2 (versions 2 to 5). */
#pragma once

#include "symbolize/dwarf.h"

struct dwarf_line_file {
	const char *name; /* as written; may be relative to dir */
	__u64 dir;	  /* index into dirs */
};

struct dwarf_line_header {
	struct cursor program;
	__u64 vaddr_scale; /* minimum instruction length */
	__u16 version;
	__s8 line_base;
	__u8 line_range, opcode_base;
	__u8 arg_counts[255]; /* of the standard opcodes */
	VEC(const char *) dirs;
	VEC(struct dwarf_line_file) files; /* by the number that programs and DIEs use */
};

/* Read the header at unit->line_offset. 0, -ENODATA when there is none, -EINVAL, -ENOMEM. On
 * failure there is nothing to free. */
MUST_CHECK int dwarf_line_header_read(struct dwarf_unit *unit,
				      struct dwarf_line_header *ret_header);
void dwarf_line_header_fini(struct dwarf_line_header *header);

struct dwarf_line_row {
	__u64 file; /* index into files */
	__u32 line, column;
};

/* The rows as half-open stretches, in program order: row(start, end, ...) with start < end, then
 * row(NULL) where a run of adjoining stretches ends. Stops and returns what `row` returns when that
 * is not 0; -ECANCELED when the budget is used up. */
MUST_CHECK int dwarf_line_run(const struct dwarf_line_header *header, struct work *budget,
			      int (*row)(void *arg, __u64 start, __u64 end,
					 const struct dwarf_line_row *row),
			      void *arg);
