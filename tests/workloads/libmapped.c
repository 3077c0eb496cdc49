// SPDX-License-Identifier: Apache-2.0
/*
 * libmapped.so of maps.c: code that needs nothing outside its own pages. Its ELF entry point says
 * where it begins.
 */
#include "tests/workloads/truth.h"

unsigned long mapped_outer(unsigned long x);

TRUTH_LEAF(mapped_leaf)
TRUTH_BUSY(mapped_inner, mapped_leaf)

TRUTH_WHOLE unsigned long mapped_outer(unsigned long x)
{
	return mapped_inner(x) ^ 1;
}
