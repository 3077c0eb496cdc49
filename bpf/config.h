/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space decides before the programs are loaded: written to .rodata, so that the verifier
 * removes what is off. */
#ifndef BPF_CONFIG_H
#define BPF_CONFIG_H

#include <linux/types.h>

/* Which tasks are sampled. */
enum target {
	TARGET_ALL,
	TARGET_PIDS,   /* pids in the `targets` map */
	TARGET_TREE,   /* the same, and what they fork */
	TARGET_CGROUP, /* cgroup ids in the `targets` map */
};

/* The hierarchy whose cgroup ids records carry: v2, or one of v1's controllers. X(NAME, name): name
 * is the one of /proc/PID/cgroup, name##_cgrp_id the kernel's enumerator. */
#define CGROUP_V1_LIST(X)                                                                          \
	X(MEMORY, memory)                                                                          \
	X(CPU, cpu)                                                                                \
	X(CPUACCT, cpuacct) X(PIDS, pids) X(CPUSET, cpuset) X(FREEZER, freezer) X(DEVICES, devices)
enum cgroup_hierarchy {
	CGROUP_V2,
#define X(NAME, name) CGROUP_##NAME,
	CGROUP_V1_LIST(X)
#undef X
};

struct bpf_config {
	__u32 source;	    /* enum source of this instance */
	__u32 target;	    /* enum target */
	__u32 hierarchy;    /* enum cgroup_hierarchy */
	__u32 max_frames;   /* user frames, <= USER_FRAMES_MAX */
	__u32 wakeup_bytes; /* data in a ring that wakes the router */
	__u32 copies_bytes; /* data in a ring beyond which no stack is copied any more */
};

/* What user space changes while the programs run (.bss, mapped there). */
struct bpf_knobs {
	__u32 copies_per_s;   /* stack copies per CPU */
	__u32 copies_per_pid; /* and of one process on one CPU, per second */
	__u32 first_wakes;    /* the router sleeps long: the next record wakes it */
};

#endif
