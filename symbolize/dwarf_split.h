/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other half of split units (DWARF 5 section 7.3, GNU DebugFission before it): from a package
 * beside the object (NAME.dwp, by its index) or from one .dwo file a unit.
 */
#pragma once

#include "symbolize/debug_file.h"
#include "symbolize/dwarf.h"

struct dwarf_split {
	const struct debug_root *root;
	const char *scratch_dir;
	struct work *budget;
	/* the package */
	struct elf *dwp_elf;
	struct dwarf_file dwp;
	struct cursor cu_index;
	/* the .dwo file of the unit at hand */
	struct elf *dwo_elf;
	struct dwarf_file dwo;
	__u32 n_found, n_missing, n_dwo; /* units; of those found, out of loose files */
};

/* dwp: an open package, taken over; may be NULL. 0 or -ENOMEM. */
MUST_CHECK int dwarf_split_init(struct dwarf_split *split, const struct debug_root *root,
				struct elf *dwp, const char *scratch_dir, struct work *budget);
void dwarf_split_fini(struct dwarf_split *split);

/* The full unit of a skeleton (loaded), itself loaded; NULL when it cannot be found. Valid until
 * dwarf_split_done. */
struct dwarf_unit *dwarf_split_find(struct dwarf_split *split, struct dwarf_unit *skeleton);
void dwarf_split_done(struct dwarf_split *split);
