/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolved sample, as the router gives it to consumers: everything that it refers to is known.
 * Borrowed for the call; a consumer that keeps the stack or the image takes a reference.
 */
#pragma once

#include "bpf/record.h"

struct stack;
struct image;

struct sample {
	__u64 time_ns;
	__u64 weight; /* cpu: 1 */
	__u64 cgroup_id;
	__u32 pid, tid;
	__u16 cpu;
	__u8 source;	       /* enum source */
	char comm[COMM_BYTES]; /* of the thread at that moment; NUL-terminated */
	const struct stack *stack;
	struct image *image;
};
