// SPDX-License-Identifier: Apache-2.0
/* x86-64's registers, see thread_regs.h. Orders: arch/x86/include/uapi/asm/ptrace.h and
 * perf_regs.h; DWARF numbers: System V psABI, figure 3.36. */
#ifdef __x86_64__
#include "profiler/thread_regs.h"

#include <asm/perf_regs.h>
#include <string.h>

#include "bpf/unwind.h"

#define USER32_CS 0x23 /* arch/x86/include/asm/segment.h: __USER32_CS */

/* Words of pt_regs, by DWARF number 0 to 16 (rax rdx rcx rbx rsi rdi rbp rsp r8 ... r15 rip). */
static const __u8 entry_order[17] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16};
#define ENTRY_CS 17

/* The same of a sample's, which has AX to IP and R8 to R15. */
static const __u8 perf_order[17] = {0, 3, 2, 1, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 8};

const __u64 thread_regs_perf_mask =
	((1ull << (PERF_REG_X86_IP + 1)) - 1) | (0xffull << PERF_REG_X86_R8);
const unsigned thread_regs_perf_words = 17;

static void reorder(const __u64 *words, const __u8 order[17], __u64 regs[DWARF_REGS])
{
	memset(regs, 0, DWARF_REGS * sizeof(*regs));
	for (int i = 0; i < 17; i++)
		regs[i] = words[order[i]];
	regs[DWARF_PC] = regs[16];
}

bool thread_regs_from_entry(const __u64 raw[THREAD_REGS_WORDS], __u64 regs[DWARF_REGS])
{
	reorder(raw, entry_order, regs);
	return raw[ENTRY_CS] != USER32_CS;
}

void thread_regs_from_perf(const __u64 *words, __u64 regs[DWARF_REGS])
{
	reorder(words, perf_order, regs);
}

void thread_regs_from_pc_sp(__u64 pc, __u64 sp, __u64 regs[DWARF_REGS])
{
	memset(regs, 0, DWARF_REGS * sizeof(*regs));
	regs[7] = sp;
	regs[16] = regs[DWARF_PC] = pc;
}
#endif
