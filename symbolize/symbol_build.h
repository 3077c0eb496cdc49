/* SPDX-License-Identifier: Apache-2.0 */
/* Making the index of one object: its files, the cache, the build. Used by symbol.c alone. */
#pragma once

#include "symbolize/debug_file.h"
#include "symbolize/symbol.h"

struct symbol_source {
	struct elf *elf; /* borrowed */
	struct debug_root root;
	const struct symbol_options *options;
	bool symbols_only;
};

/* Load or build. 0 or -errno; -ENODATA: the file has no code. */
MUST_CHECK int symbol_index_make(const struct symbol_source *source, struct index *ret_index,
				 bool *ret_from_cache, bool *ret_stored);
