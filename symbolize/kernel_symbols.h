/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own functions, modules and BPF programs included, from /proc/kallsyms, as an object
 * whose index is a temporary file: 120,000 symbols cost no anonymous memory. Addresses are run-time
 * ones. Open it again to see modules and programs that came later.
 */
#pragma once

#include "symbolize/symbol.h"

/* kallsyms NULL: /proc/kallsyms. 0; -EACCES when the addresses are hidden (kptr_restrict) or the
 * file may not be read, -ENODATA when it names no code, -ECANCELED as
 * options->cancelled says, or -errno. */
MUST_CHECK int kernel_symbols_open(const char *kallsyms, const struct symbol_options *options,
				   struct symbol_object **ret_object);
/* The same over bytes. */
MUST_CHECK int kernel_symbols_parse(const char *data, size_t len,
				    const struct symbol_options *options,
				    struct symbol_object **ret_object);
/* What to tell people about an error of the above. */
const char *kernel_symbols_error(int err);
