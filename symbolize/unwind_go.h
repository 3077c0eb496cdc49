/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwinding Go on x86-64: rows from pclntab's stack deltas where there is no CFI, and the few
 * functions where a stack ends or goes on elsewhere (goexit, systemstack, asmcgocall, ...), which
 * neither CFI nor deltas describe. How the runtime switches stacks: Go's runtime/asm_amd64.s and
 * runtime/sys_linux_amd64.s (1.17 to 1.26).
 */
#pragma once

#include "symbolize/gopclntab.h"
#include "symbolize/unwind_derive.h"

/* The special functions of a Go binary, in no order. Where the runtime keeps g, m and what it saved
 * is read from the code of systemstack itself, and the stretches that run on another stack from
 * where a function sets the stack pointer; where that has another shape, such a stretch ends the
 * stack. 0 or -ENOMEM. */
MUST_CHECK int unwind_go_specials(const struct elf *elf, const struct go_table *table,
				  unwind_specials *specials);

/* The rule at a stack delta (from the stack pointer to the return address); false: none. */
bool unwind_go_rule(__s32 delta, struct unw_rule *ret_rule);
