/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that the programs look into, cut down to the fields they use; CO-RE moves the
 * offsets to those of the running kernel. Each field says who needs it.
 */
#ifndef BPF_KERNEL_H
#define BPF_KERNEL_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id; /* cgroup id (since 5.5 a plain number) */
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16]; /* v1 hierarchy of a controller */
	struct cgroup *dfl_cgrp;		/* v2 */
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads left: 0 in the exit of the last one */
};

struct mm_struct {
	unsigned long start_stack; /* top of the main thread's stack: how much there is to copy */
};

#if defined(__TARGET_ARCH_arm64)
struct thread_struct {
	struct {
		unsigned long tp_value; /* thread pointer, see unw_thread_pointer */
	} uw;
};
#else
struct thread_struct {
	unsigned long fsbase; /* thread pointer, see unw_thread_pointer */
};
#endif

struct task_struct {
	unsigned int flags; /* PF_* */
	int pid, tgid;
	unsigned in_execve : 1; /* the user stack may be gone already */
	void *stack;		/* kernel stack: pt_regs stand at its top */
	struct mm_struct *mm;
	struct css_set *cgroups;
	struct signal_struct *signal;
	int on_cpu;		     /* SMP only: it runs, or is being switched away from */
	unsigned long nvcsw, nivcsw; /* switches away from it, by its own will and not */
	struct thread_struct thread;
};

/* Numbers differ by configuration: only their CO-RE values are used. */
enum cgroup_subsys_id {
	cpuset_cgrp_id,
	cpu_cgrp_id,
	cpuacct_cgrp_id,
	memory_cgrp_id,
	devices_cgrp_id,
	freezer_cgrp_id,
	pids_cgrp_id,
};

#pragma clang attribute pop

/* include/linux/sched.h; stable since 2.6 resp. 5.12 */
#define PF_IO_WORKER 0x00000010u
#define PF_EXITING   0x00000004u
#define PF_KTHREAD   0x00200000u

#endif
