/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much work a foreign file may cost, and whether somebody still waits for it. Every loop whose
 * length a file decides takes from it, so that no file holds a thread, and the agent's end waits for
 * no file. At 0 a reader stops and what is read so far stands.
 *
 * A unit is about a DIE, a row, a symbol or 64 bytes: some 100 ns.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

struct work {
	__u64 left;
	bool (*cancelled)(void *arg); /* asked now and then; may be NULL */
	void *arg;
};

/* Add the work that a file of so many bytes may cost. */
void work_grow(struct work *work, __u64 bytes);
/* Take n from it. False: it is used up or the caller cancelled. NULL: there is no bound (tools,
 * tests). */
bool work_take(struct work *work, __u64 n);
/* What was said last: false. */
bool work_is_over(const struct work *work);
