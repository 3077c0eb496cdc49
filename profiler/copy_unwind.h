/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's unwinder over a copied stack: the same code (bpf/unwind.bpf.h), the same rows
 * in the same segments, compiled natively. About 1 us a stack. A living process's own memory can
 * stand behind the copy, or in its place.
 */
#pragma once

#include <stddef.h>

#include "bpf/record.h"
#include "profiler/process.h"

/* Where unwinding reads from. */
struct copy_source {
	const __u64 *regs; /* DWARF_REGS */
	const __u8 *stack;
	size_t stack_bytes; /* from regs' stack pointer upwards */
	/* Memory outside the copy; 0 when dst is filled. NULL: there is only the copy. */
	int (*read)(void *arg, void *dst, size_t len, __u64 addr);
	void *arg;
	const struct map_list *maps; /* published */
	const struct segments *segments;
	__u32 max_frames;
};

/* User frames, leaf first, into frames (USER_FRAMES_MAX); their number. *ret_stop: enum stop. A
 * read beyond a copy with nothing behind it is STOP_COPY_SHORT, also where Go changed stacks: a
 * copy is of one, and the thread pointer is not known here. */
size_t copy_unwind(const struct copy_source *source, __u64 *frames, __u8 *ret_stop);
