/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as people write them: C++ (Itanium ABI) and Rust (v0 and legacy, without the hash) by
 * libiberty, with parameters. Its recursion limit stays on; output beyond DEMANGLE_MAX_BYTES is cut
 * off, since a short hostile name can expand exponentially. Any thread, one at a time.
 */
#pragma once

#include "profiler/base/buf.h"

#define DEMANGLE_MAX_BYTES ((size_t)32 << 10)

/* Bytes of a raw name without what the compiler appended to a piece or copy of the function:
 * .cold .part .isra .constprop .llvm .lto_priv .warm .localalias .__uniq with their numbers, and
 * BOLT's .cold.0 and "/1". */
size_t demangle_parent_len(const char *name);

/* Write the readable form of a raw name (suffixes stripped) into out, whatever it was: a name that
 * is not mangled stays as it is. Never empty for a name that is not. */
void demangle_name(const char *name, struct buf *out);
