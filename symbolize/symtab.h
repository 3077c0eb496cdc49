/* SPDX-License-Identifier: Apache-2.0 */
/* Symbol tables of an ELF file into the index builder; the choice among them is index_write.c's. */
#pragma once

#include "symbolize/elf.h"
#include "symbolize/index_build.h"

/* The executable sections, or segments where there are no sections. Errors of index_builder_text.
 */
MUST_CHECK int symtab_text(const struct elf *elf, struct index_builder *b);
/* All symbols of .symtab and .dynsym that lie in text, and the PLT's stubs by the names they jump
 * to (`puts@plt`). Sets INDEX_HAS_*. 0, -ENOMEM, -ENOSPC. */
MUST_CHECK int symtab_read(const struct elf *elf, struct index_builder *b);
/* The symbols of .gnu_debugdata (MiniDebugInfo: a whole ELF file, xz-compressed). Damage is no
 * error: it has no symbols then. */
MUST_CHECK int symtab_read_mini(const struct elf *elf, struct index_builder *b);
