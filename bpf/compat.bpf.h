/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel differences, one function each, decided by what the running kernel has, not by its
 * version. */
#ifndef BPF_COMPAT_BPF_H
#define BPF_COMPAT_BPF_H

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "bpf/kernel.h"

/* sizeof(struct pt_regs) in the kernel; arm64's is longer than what user space sees of it
 * (5.10-5.14: arch/arm64/include/asm/ptrace.h). */
#ifdef __TARGET_ARCH_arm64
#define COMPAT_PT_REGS_BYTES 336
#else
#define COMPAT_PT_REGS_BYTES sizeof(struct pt_regs)
#endif

/* Numbers of helpers as the kernel's BTF knows them; only their existence is asked for. */
enum bpf_func_id___compat {
	BPF_FUNC_get_current_task_btf___compat = 158,
	BPF_FUNC_task_pt_regs___compat = 175,
};

/*
 * The registers with which a task entered the kernel from user space. Since 5.15 a helper tells
 * (dd6e10fbd9fb "bpf: Add bpf_task_pt_regs() helper"); before, they stand at the top of the kernel
 * stack, which is 16 KiB on x86-64 and arm64. task: as the verifier knows it (of an iterator).
 */
static __always_inline int compat_task_regs(struct task_struct *task, bpf_user_pt_regs_t *regs)
{
	const void *at;

	if (bpf_core_enum_value_exists(enum bpf_func_id___compat, BPF_FUNC_task_pt_regs___compat))
		at = (const void *)bpf_task_pt_regs(task);
	else
		at = (const char *)BPF_CORE_READ(task, stack) + (16 << 10) - COMPAT_PT_REGS_BYTES;
	return bpf_probe_read_kernel(regs, sizeof(*regs), at);
}

/* Those of the current task. */
static __always_inline int compat_user_regs(bpf_user_pt_regs_t *regs)
{
	/* The typed task came with 5.11, so with the helper above it is there. */
	if (bpf_core_enum_value_exists(enum bpf_func_id___compat, BPF_FUNC_task_pt_regs___compat))
		return compat_task_regs(bpf_get_current_task_btf(), regs);
	return compat_task_regs((void *)bpf_get_current_task(), regs);
}

#endif
