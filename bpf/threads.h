/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the task iterator (bpf/threads.bpf.c) says of each thread of one process, written one after
 * the other in ascending tid order to whoever reads the iterator (profiler/stacks_walk.c).
 */
#ifndef BPF_THREADS_H
#define BPF_THREADS_H

#include <linux/types.h>

/* The registers with which a thread entered the kernel, as ptrace's NT_PRSTATUS has them: struct
 * pt_regs of x86-64 (21 words), struct user_pt_regs of arm64 (34). */
#define THREAD_REGS_WORDS 34

#define THREAD_ON_CPU                                                                              \
	1u /* it runs right now: the registers are those of its last entry, or older */
#define THREAD_NO_USER 2u /* a kernel thread, or the address space is gone: no registers */

struct thread_record {
	__u32 tid;
	__u32 flags; /* THREAD_* */
	/* Times it was switched away from; equal at two moments at which it does not run: it did
	 * not run in between. */
	__u64 switches;
	__u64 regs[THREAD_REGS_WORDS];
};

#endif
