// SPDX-License-Identifier: Apache-2.0
/*
 * A program of the exec storm: burns JOB_UNITS units and ends. Built as storm-a, -b and -c, which
 * differ in length and in the names and frames of their functions (JOB is the letter).
 */
#include "tests/workloads/truth.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define NAME(name)   PASTE(name, JOB)

TRUTH_LEAF(NAME(job_leaf_))
TRUTH_BUSY(NAME(job_inner_), NAME(job_leaf_))
TRUTH_CALL(NAME(job_outer_), NAME(job_inner_))

int main(int argc, char **argv)
{
	unsigned long x = (unsigned long)argc;

	(void)argv;
	for (unsigned i = 0; i < JOB_UNITS; i++)
		x = NAME(job_outer_)(x);
	return 0;
}
