// SPDX-License-Identifier: Apache-2.0
#include "profiler/thread_regs.h"

#include <stddef.h>
#include <sys/user.h>

#include "tests/unit/test.h"

#ifdef __x86_64__
#define WORD(field) (offsetof(struct user_regs_struct, field) / 8)

/* The words of ptrace's structure, each with its own number, by DWARF number. */
static const size_t by_dwarf[17] = {WORD(rax), WORD(rdx), WORD(rcx), WORD(rbx), WORD(rsi),
				    WORD(rdi), WORD(rbp), WORD(rsp), WORD(r8),	WORD(r9),
				    WORD(r10), WORD(r11), WORD(r12), WORD(r13), WORD(r14),
				    WORD(r15), WORD(rip)};

static void from_the_kernel_entry(void)
{
	__u64 raw[THREAD_REGS_WORDS], regs[DWARF_REGS];

	for (size_t i = 0; i < THREAD_REGS_WORDS; i++)
		raw[i] = 1000 + i;
	raw[WORD(cs)] = 0x33;
	CU_ASSERT(thread_regs_from_entry(raw, regs));
	for (size_t i = 0; i < ARRAY_SIZE(by_dwarf); i++)
		ASSERT_INT(regs[i], 1000 + by_dwarf[i]);
	ASSERT_INT(regs[DWARF_PC], 1000 + WORD(rip));
	raw[WORD(cs)] = 0x23;
	CU_ASSERT(!thread_regs_from_entry(raw, regs));
}

/* perf's order is that of its register numbers: AX BX CX DX SI DI BP SP IP, then R8 to R15. */
static void from_a_sample(void)
{
	static const int expected[17] = {0, 3, 2, 1, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 8};
	__u64 words[17], regs[DWARF_REGS];

	ASSERT_INT(thread_regs_perf_words, 17);
	ASSERT_INT(__builtin_popcountll(thread_regs_perf_mask), 17);
	for (size_t i = 0; i < 17; i++)
		words[i] = i;
	thread_regs_from_perf(words, regs);
	for (size_t i = 0; i < 17; i++)
		ASSERT_INT(regs[i], expected[i]);
	ASSERT_INT(regs[DWARF_PC], 8);
}

static void only_two(void)
{
	__u64 regs[DWARF_REGS];

	thread_regs_from_pc_sp(0x1234, 0x7000, regs);
	for (size_t i = 0; i < DWARF_REGS; i++)
		ASSERT_INT(regs[i], i == 7 ? 0x7000 : i == 16 || i == DWARF_PC ? 0x1234 : 0);
}

SUITE(thread_regs, {"from the kernel's entry", from_the_kernel_entry},
      {"from a sample", from_a_sample}, {"only two", only_two});
#endif
