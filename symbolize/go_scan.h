/* SPDX-License-Identifier: Apache-2.0 */
/* Go's own tables into the index builder: functions, lines and the inline tree. */
#pragma once

#include "symbolize/elf.h"
#include "symbolize/index_build.h"

/* What DWARF already covers stays DWARF's. A file without Go tables, or with ones of a layout that
 * is not known, adds nothing. 0, -ENOMEM or -ENOSPC. */
MUST_CHECK int go_scan(struct elf *elf, struct index_builder *b);
