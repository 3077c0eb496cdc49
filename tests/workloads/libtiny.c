// SPDX-License-Identifier: Apache-2.0
/* libtiny.so of libs.h. */
#include "tests/workloads/libs.h"

unsigned long lib_tiny(unsigned long x)
{
	return x + 1;
}
