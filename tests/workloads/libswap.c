// SPDX-License-Identifier: Apache-2.0
/* libswap-one.so and, with SWAP_TWO, libswap-two.so of libs.h. */
#include <string.h>

#include "tests/workloads/libs.h"
#include "tests/workloads/truth.h"

#ifdef SWAP_TWO
TRUTH_LEAF(two_leaf)

TRUTH_FRAME unsigned long two_outer(unsigned long x)
{
	char block[1000];

	memset(block, (int)x, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory");
	return two_leaf(x) + (unsigned char)block[x % 1000];
}

unsigned long swap_two(unsigned long x)
{
	return two_outer(x) ^ 1;
}
#else
TRUTH_LEAF(one_leaf)
TRUTH_BUSY(one_outer, one_leaf)

unsigned long swap_one(unsigned long x)
{
	return one_outer(x) ^ 1;
}
#endif
