// SPDX-License-Identifier: Apache-2.0
/* arm64's registers, see thread_regs.h: x0 to x30, sp, pc everywhere, which is DWARF's order, too
 * (arch/arm64/include/uapi/asm/ptrace.h and perf_regs.h; AADWARF64). */
#ifdef __aarch64__
#include "profiler/thread_regs.h"

#include <string.h>

#define SP	    31
#define ENTRY_STATE 33
#define STATE_32BIT 0x10u /* PSR_MODE32_BIT */

const __u64 thread_regs_perf_mask = (1ull << DWARF_REGS) - 1;
const unsigned thread_regs_perf_words = DWARF_REGS;

bool thread_regs_from_entry(const __u64 raw[THREAD_REGS_WORDS], __u64 regs[DWARF_REGS])
{
	memcpy(regs, raw, DWARF_REGS * sizeof(*regs));
	return !(raw[ENTRY_STATE] & STATE_32BIT);
}

void thread_regs_from_perf(const __u64 *words, __u64 regs[DWARF_REGS])
{
	memcpy(regs, words, DWARF_REGS * sizeof(*regs));
}

void thread_regs_from_pc_sp(__u64 pc, __u64 sp, __u64 regs[DWARF_REGS])
{
	memset(regs, 0, DWARF_REGS * sizeof(*regs));
	regs[SP] = sp;
	regs[DWARF_PC] = pc;
}
#endif
