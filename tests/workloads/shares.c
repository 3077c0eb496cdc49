// SPDX-License-Identifier: Apache-2.0
/*
 * The base case: A 60 %, B 30 %, C 10 %, each with a chain of another depth. Built several times
 * from this one source (Makefile, WORK_VARIANTS): position independent or not, static with glibc
 * and musl, stripped, with rows only in .debug_frame, with frame pointers and no rows at all.
 */
#include "tests/workloads/truth.h"

TRUTH_LEAF(leaf_a)
TRUTH_CALL(alpha_inner, leaf_a)
TRUTH_BUSY(alpha_middle, alpha_inner)
TRUTH_CALL(alpha_outer, alpha_middle)

TRUTH_LEAF(leaf_b)
TRUTH_BUSY(beta_inner, leaf_b)
TRUTH_CALL(beta_outer, beta_inner)

TRUTH_LEAF(leaf_c)
TRUTH_CALL(gamma_outer, leaf_c)

static const struct truth truths[] = {
	{.units = {{60, alpha_outer, "alpha_outer;alpha_middle;alpha_inner;leaf_a"},
		   {30, beta_outer, "beta_outer;beta_inner;leaf_b"},
		   {10, gamma_outer, "gamma_outer;leaf_c"}}},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
