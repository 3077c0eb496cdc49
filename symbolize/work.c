// SPDX-License-Identifier: Apache-2.0
/* Taking from a budget, see work.h. */
#include "symbolize/work.h"

#define WORK_MIN      (1u << 20)
#define WORK_PER_BYTE 16u /* of a file, whose sections may be compressed */
#define CANCEL_STEP   65536u

void work_grow(struct work *work, __u64 bytes)
{
	work->left += WORK_MIN + bytes * WORK_PER_BYTE;
}

bool work_take(struct work *work, __u64 n)
{
	__u64 before;

	if (!work)
		return true;
	before = work->left;
	work->left -= MIN(before, n);
	if (work->cancelled && before / CANCEL_STEP != work->left / CANCEL_STEP &&
	    work->cancelled(work->arg))
		work->left = 0;
	return work->left > 0;
}

bool work_is_over(const struct work *work)
{
	return work && !work->left;
}
