// SPDX-License-Identifier: Apache-2.0
/*
 * Stacks that are hard to walk in one thread: deep, with huge frames, realigned, cut by longjmp,
 * with a call as a function's last instruction, with tail calls, at the end of readable memory.
 */
#include <alloca.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/workloads/truth.h"

TRUTH_LEAF(stack_leaf)

/* ---- deep recursion -------------------------------------------------------------------------- */

/* Many units at the bottom, so that the way there is small beside them. */
TRUTH_FRAME unsigned long deep_work(unsigned long x)
{
	for (unsigned i = 0; i < 100; i++)
		x = stack_leaf(x);
	return x + 1;
}

TRUTH_FRAME unsigned long recurse(unsigned long x, unsigned depth)
{
	return depth > 1 ? recurse(x + 1, depth - 1) ^ 1 : deep_work(x) + 1;
}

TRUTH_FRAME unsigned long recurse_500(unsigned long x)
{
	return recurse(x, 500) + 1;
}

/* Deeper than any profiler's limit: must be marked as cut, with its leaf side whole. */
TRUTH_FRAME unsigned long recurse_3000(unsigned long x)
{
	return recurse(x, 3000) + 1;
}

static void expect_500(void)
{
	truth_print_repeated(100, "truth_run;recurse_500", "recurse", 500, "deep_work;stack_leaf");
}

static void expect_3000(void)
{
	fputs("100 [truncated];*;", stdout);
	for (unsigned i = 0; i < 1000; i++)
		fputs("recurse;", stdout);
	puts("deep_work;stack_leaf");
	/* On the way down: a hundredth of the time. */
	puts("- [truncated];*;recurse;recurse");
	truth_print(-1, "truth_run;recurse_3000;*;recurse");
}

/* ---- frames of 27 kB ------------------------------------------------------------------------- */

#define HUGE_FRAME(name, callee)                                                                   \
	TRUTH_FRAME unsigned long name(unsigned long x)                                            \
	{                                                                                          \
		char block[27000];                                                                 \
                                                                                                   \
		memset(block, (int)x, 64);                                                         \
		__asm__ volatile("" : : "r"(block) : "memory");                                    \
		return callee(x + 1) + (unsigned char)block[x % 64];                               \
	}
HUGE_FRAME(huge_inner, stack_leaf)
HUGE_FRAME(huge_middle, huge_inner)
HUGE_FRAME(huge_outer, huge_middle)

/* ---- realigned stacks: the CFA is read from memory or from r10 ------------------------------- */

TRUTH_FRAME unsigned long aligned_locals(unsigned long x)
{
	char block[128] __attribute__((aligned(64)));

	memset(block, (int)x, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory");
	return stack_leaf(x) + (unsigned char)block[x % 128];
}

TRUTH_FRAME unsigned long dynamic_locals(unsigned long x)
{
	size_t size = 64 + x % 4096;
	char *block = alloca(size);

	memset(block, (int)x, 64);
	__asm__ volatile("" : : "r"(block) : "memory");
	return aligned_locals(x) + (unsigned char)block[x % 64];
}

/* More arguments than registers, dynamic and aligned locals: the frame that needs it all. */
TRUTH_FRAME unsigned long realigned(unsigned long x, unsigned long b, unsigned long c,
				    unsigned long d, unsigned long e, unsigned long f,
				    unsigned long g, unsigned long h)
{
	char wide[64] __attribute__((aligned(64)));
	char *block = alloca(32 + x % 512);

	memset(wide, (int)x, sizeof(wide));
	memset(block, (int)x, 32);
	__asm__ volatile("" : : "r"(block), "r"(wide) : "memory");
	return dynamic_locals(x) + (b ^ c ^ d ^ e ^ f ^ g ^ h) + (unsigned char)wide[x % 64];
}

__attribute__((force_align_arg_pointer)) TRUTH_FRAME unsigned long realign_outer(unsigned long x)
{
	return realigned(x, 1, 2, 3, 4, 5, 6, 7) ^ 1;
}

/* ---- setjmp and longjmp ---------------------------------------------------------------------- */

static jmp_buf jump;

TRUTH_FRAME unsigned long jump_inner(unsigned long x)
{
	stack_leaf(x);
	longjmp(jump, 1);
}

TRUTH_BUSY(jump_middle, jump_inner)

TRUTH_FRAME unsigned long jump_outer(unsigned long x)
{
	if (!setjmp(jump))
		jump_middle(x);
	return x + 1;
}

/* ---- a call as the last instruction ---------------------------------------------------------- */
/*
 * The return address of noreturn_last is the first byte of what follows it, whose rows differ: the
 * row for the call is that of the address before.
 */

TRUTH_FRAME __attribute__((noreturn)) void noreturn_burn(unsigned long x)
{
	stack_leaf(x);
	longjmp(jump, 1);
}

TRUTH_FRAME __attribute__((noreturn)) void noreturn_last(unsigned long x)
{
	char block[200];

	memset(block, (int)x, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory");
	noreturn_burn(x + (unsigned char)block[x % 200]);
}

TRUTH_FRAME unsigned long noreturn_follows(unsigned long x)
{
	return stack_leaf(x) + 1;
}

TRUTH_FRAME unsigned long noreturn_outer(unsigned long x)
{
	if (!setjmp(jump))
		noreturn_last(x);
	return x + 1;
}

TRUTH_CALL(noreturn_beside, noreturn_follows)

/* ---- tail calls: the frame of the jumping function is gone ----------------------------------- */

#define TAIL __attribute__((optimize("optimize-sibling-calls")))

TAIL TRUTH_FRAME unsigned long tail_second(unsigned long x)
{
	return stack_leaf(x + 2);
}

/* Has a frame, and has left it when it jumps. */
TAIL TRUTH_FRAME unsigned long tail_first(unsigned long x)
{
	unsigned long y = stack_leaf(x);

	return tail_second(x ^ y);
}

TRUTH_CALL(tail_caller, tail_first)

static void expect_tail(void)
{
	truth_print(50, "truth_run;tail_caller;tail_first;stack_leaf");
	truth_print(50, "truth_run;tail_caller;stack_leaf");
}

/* ---- a stack whose first words are the last that can be read --------------------------------- */

enum { EDGE_STACK = 64 << 10, EDGE_GUARD = 4096 };

TRUTH_FRAME unsigned long edge_work(unsigned long x)
{
	for (unsigned i = 0; i < 100; i++)
		x = stack_leaf(x);
	return x + 1;
}

TRUTH_FRAME void edge_outer(void)
{
	unsigned long x = 1;

	while (!truth_over())
		x = edge_work(x);
	exit(0);
}

/* Calls `run` on the stack that ends at `end`. */
void edge_start(void *end, void (*run)(void));
__asm__(".text\n"
	".type edge_start, @function\n"
	"edge_start:\n"
	".cfi_startproc\n"
	".cfi_undefined rip\n"
	"mov %rdi, %rsp\n"
	"call *%rsi\n"
	"ud2\n"
	".cfi_endproc\n"
	".size edge_start, . - edge_start\n");

static int run_edge(void)
{
	char *stack = mmap(NULL, EDGE_STACK + EDGE_GUARD, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED || mprotect(stack + EDGE_STACK, EDGE_GUARD, PROT_NONE)) {
		perror("stacks edge");
		return 1;
	}
	edge_start(stack + EDGE_STACK, edge_outer);
	return 1;
}

static void expect_edge(void)
{
	puts("root edge_start");
	puts("100 edge_start;edge_outer;edge_work;stack_leaf");
}

static const struct truth truths[] = {
	{"recurse500", .units = {{100, recurse_500, ""}}, .expect = expect_500},
	{"recurse3000", .units = {{100, recurse_3000, ""}}, .expect = expect_3000},
	{"huge", .units = {{100, huge_outer, "huge_outer;huge_middle;huge_inner;stack_leaf"}}},
	{"realign",
	 .units = {{100, realign_outer,
		    "realign_outer;realigned;dynamic_locals;aligned_locals;stack_leaf"}}},
	{"setjmp", .units = {{100, jump_outer, "jump_outer;jump_middle;jump_inner;stack_leaf"}}},
	{"noreturn",
	 .units = {{50, noreturn_outer, "noreturn_outer;noreturn_last;noreturn_burn;stack_leaf"},
		   {50, noreturn_beside, "noreturn_beside;noreturn_follows;stack_leaf"}}},
	{"tail", .units = {{100, tail_caller, ""}}, .expect = expect_tail},
	{"edge", .run = run_edge, .expect = expect_edge},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
