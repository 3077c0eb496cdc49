// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The registers of every thread of one process, without stopping any: a task iterator (eaaacd23910f
 * "bpf: Add task and task/file iterator targets", 5.8) that runs when user space reads it. A thread
 * that does not run has all its user registers saved at the top of its kernel stack, whether it
 * came by a system call, a fault or an interrupt (arch/x86/entry: PUSH_AND_CLEAR_REGS, sync_regs).
 *
 * Cost: some 100 ns for every thread of the host.
 */
#include "bpf/compat.bpf.h"
#include "bpf/threads.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

const volatile __u32 wanted_pid;

static __always_inline void fill_record(struct thread_record *r, struct task_struct *task)
{
	r->tid = (__u32)BPF_CORE_READ(task, pid);
	r->switches = BPF_CORE_READ(task, nvcsw) + BPF_CORE_READ(task, nivcsw);
	/* Without SMP the one CPU runs us. */
	if (bpf_core_field_exists(task->on_cpu) && BPF_CORE_READ(task, on_cpu))
		r->flags |= THREAD_ON_CPU;
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD || !BPF_CORE_READ(task, mm) ||
	    compat_task_regs(task, (bpf_user_pt_regs_t *)r->regs))
		r->flags |= THREAD_NO_USER;
}

SEC("iter/task")
int threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct thread_record r = {};

	if (!task || (__u32)BPF_CORE_READ(task, tgid) != wanted_pid)
		return 0;
	fill_record(&r, task);
	bpf_seq_write(seq, &r, sizeof(r)); /* what does not fit is asked for again */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
