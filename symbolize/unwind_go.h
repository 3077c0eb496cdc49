/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwinding Go on x86-64: rows from pclntab's stack deltas for binaries without CFI, and the few
 * functions where a stack ends or goes on elsewhere (goexit, systemstack, asmcgocall, ...), which
 * no CFI describes. How the runtime switches stacks: Go's runtime/asm_amd64.s.
 */
#pragma once

#include "profiler/base/vec.h"
#include "symbolize/gopclntab.h"
#include "symbolize/unwind.h"

typedef VEC(struct unwind_special) unwind_specials;

/* The special functions of a Go binary, ascending. Where the runtime keeps g, m and what it saved
 * is read from the code of systemstack itself; when that has another shape, such a function ends
 * the stack. 0 or -ENOMEM. */
MUST_CHECK int unwind_go_specials(const struct elf *elf, const struct go_table *table,
				  unwind_specials *specials);

/* The rule at a stack delta (from the stack pointer to the return address). */
void unwind_go_rule(__s32 delta, struct unw_rule *ret_rule);
