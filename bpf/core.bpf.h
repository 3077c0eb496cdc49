/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every program shares: the rings, counters, the head of a record, the filter. A program
 * includes this once; the maps are shared between objects by reuse (profiler/sampler.c).
 */
#ifndef BPF_CORE_BPF_H
#define BPF_CORE_BPF_H

#include "bpf/compat.bpf.h"
#include "bpf/config.h"
#include "bpf/reason.h"
#include "bpf/record.h"

#define MAX_CPUS 4096 /* user space lowers the map sizes to the possible CPUs */

const volatile struct bpf_config config;
volatile struct bpf_knobs knobs;

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
};

/* One ring per CPU; user space fills a slot when the CPU comes online. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_counters);
} counters SEC(".maps");

/* Pids, or cgroup ids, that are wanted; empty and unused for TARGET_ALL. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u32);
} targets SEC(".maps");

static __always_inline struct cpu_counters *cpu_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

/* Indices are masked instead of asked about. */
_Static_assert(LOSS_COUNT <= 8 && STOP_COUNT <= 16 && SOURCE_COUNT <= 8,
	       "struct cpu_counters is too small");

static __always_inline void count_loss(enum loss why)
{
	struct cpu_counters *c = cpu_counters();
	__u32 source = config.source;

	if (c && source < SOURCE_COUNT)
		c->lost[why & 7][source]++;
}

/* The ring of this CPU, NULL when the CPU came online and has none yet (counted as ring_full). */
static __always_inline void *this_ring(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&rings, &cpu);
}

/* No wake-up per record: only when a quarter of the ring is full, or when the router has stopped its
 * timer since all rings were empty; else the timer is enough. */
static __always_inline __u64 wakeup_flags(void *ring)
{
	return knobs.first_wakes ||
			       bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= config.wakeup_bytes
		       ? BPF_RB_FORCE_WAKEUP
		       : BPF_RB_NO_WAKEUP;
}

/* Index of a v1 controller in css_set.subsys on this kernel; -1 when it is not built in. */
static __always_inline int subsys_index(void)
{
	switch (config.hierarchy) {
#define X(NAME, name)                                                                              \
	case CGROUP_##NAME:                                                                        \
		return bpf_core_enum_value_exists(enum cgroup_subsys_id, name##_cgrp_id)           \
			       ? (int)bpf_core_enum_value(enum cgroup_subsys_id, name##_cgrp_id)   \
			       : -1;
		CGROUP_V1_LIST(X)
#undef X
	default:
		return -1;
	}
}

static __always_inline __u64 task_cgroup_id(void)
{
	const struct task_struct *task;
	const struct css_set *set;
	const struct cgroup_subsys_state *css;
	int index;

	if (config.hierarchy == CGROUP_V2)
		return bpf_get_current_cgroup_id();
	index = subsys_index();
	if (index < 0)
		return 0;
	task = (const void *)bpf_get_current_task();
	set = BPF_CORE_READ(task, cgroups);
	if (bpf_probe_read_kernel(&css, sizeof(css), &set->subsys[0] + (index & 15)))
		return 0;
	return BPF_CORE_READ(css, cgroup, kn, id);
}

static __always_inline void fill_head(struct rec *head, __u8 kind, __u16 size)
{
	__u64 id = bpf_get_current_pid_tgid();

	head->size = size;
	head->kind = kind;
	head->source = (__u8)config.source;
	head->cpu = (__u16)bpf_get_smp_processor_id();
	head->flags = 0;
	head->time_ns = bpf_ktime_get_ns();
	head->cgroup_id = task_cgroup_id();
	head->pid = (__u32)(id >> 32);
	head->tid = (__u32)id;
}

/* Whether the current task is wanted by this instance. */
static __always_inline int is_target(__u32 pid)
{
	__u64 key;

	if (config.target == TARGET_ALL)
		return 1;
	key = config.target == TARGET_CGROUP ? task_cgroup_id() : pid;
	return bpf_map_lookup_elem(&targets, &key) != 0;
}

#endif
