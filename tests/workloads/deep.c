// SPDX-License-Identifier: Apache-2.0
/*
 * Stacks of an exact number of user frames, without frame pointers, from _start to the leaf: what a
 * frame costs is the difference of two modes (tests/bench).
 *	30	30 frames
 *	128	128 frames
 */
#include "tests/workloads/truth.h"

/* _start, two of libc, main, truth_main, truth_run, deep_N, deep_leaf */
#define OTHER_FRAMES 8

/* Many units a leaf: the way down and up, whose returns the CPU mispredicts, is small beside them. */
TRUTH_FRAME unsigned long deep_leaf(unsigned long x)
{
	for (unsigned i = 0; i < 20 * TRUTH_STEPS; i++)
		TRUTH_STEP(x);
	return x;
}

TRUTH_FRAME unsigned long deep(unsigned long x, unsigned depth)
{
	return (depth > 1 ? deep(x + 1, depth - 1) : deep_leaf(x)) ^ 1;
}

#define DEEP(n)                                                                                    \
	TRUTH_FRAME unsigned long deep_##n(unsigned long x)                                        \
	{                                                                                          \
		return deep(x, (n)-OTHER_FRAMES) + 1;                                              \
	}                                                                                          \
	static void expect_##n(void)                                                               \
	{                                                                                          \
		truth_print_repeated(100, "truth_run;deep_" #n, "deep", (n)-OTHER_FRAMES,          \
				     "deep_leaf");                                                 \
	}
DEEP(30)
DEEP(128)

static const struct truth truths[] = {
	{"30", .units = {{100, deep_30, ""}}, .expect = expect_30},
	{"128", .units = {{100, deep_128, ""}}, .expect = expect_128},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
