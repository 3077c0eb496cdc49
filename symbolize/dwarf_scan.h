/* SPDX-License-Identifier: Apache-2.0 */
/* From .debug_info and .debug_line to the index builder: functions, inline chains, lines. */
#pragma once

#include "symbolize/dwarf.h"
#include "symbolize/index_build.h"

struct dwarf_split; /* dwarf_split.h */

/* Walk every unit. split finds the other half of split units; NULL: they stay without functions.
 * Damage costs its unit and is counted in the builder's facts. 0, -ENOMEM, -ENOSPC. */
MUST_CHECK int dwarf_scan(struct dwarf_file *file, struct dwarf_split *split,
			  struct index_builder *b);
