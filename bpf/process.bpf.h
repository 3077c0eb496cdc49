/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of processes, as far as the kernel side must act at once: a fork inherits its parent's
 * map set, an exec or exit takes it away. Mappings themselves come through perf's side-band
 * (MMAP2). Raw tracepoints: they do not keep perf programs out as tracepoint programs do.
 *
 * Arguments: include/trace/events/sched.h (sched_process_fork, _exec, _exit), stable since 2.6.34.
 */
#ifndef BPF_PROCESS_BPF_H
#define BPF_PROCESS_BPF_H

#include "bpf/stack.bpf.h"

/* No wake-up: perf's side-band wakes the router for an exec and its mappings. */
static __always_inline void send_record(struct rec *rec)
{
	void *ring = this_ring();

	if (!ring || bpf_ringbuf_output(ring, rec, rec->size, wakeup_flags(ring)))
		count_loss(LOSS_RING_FULL);
}

SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *child = (const void *)ctx->args[1];
	__u32 pid = (__u32)BPF_CORE_READ(child, tgid), parent;
	struct rec_fork rec = {.child_pid = pid};
	const struct proc_entry *entry;

	if (pid != (__u32)BPF_CORE_READ(child, pid))
		return 0; /* a thread: it shares its process's entry */
	fill_head(&rec.head, REC_FORK, sizeof(rec));
	parent = rec.head.pid;
	entry = bpf_map_lookup_elem(&procs, &parent);
	if (entry) {
		struct proc_entry copy = *entry;

		bpf_map_update_elem(&procs, &pid, &copy, BPF_ANY);
	}
	if (config.target == TARGET_TREE) {
		__u64 key = parent;
		__u32 *wanted = bpf_map_lookup_elem(&targets, &key);

		if (wanted) {
			__u32 one = 1;

			key = pid;
			if (bpf_map_update_elem(&targets, &key, &one, BPF_ANY))
				count_loss(LOSS_TABLE_FULL); /* its samples are not taken */
		}
	}
	send_record(&rec.head);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx)
{
	struct rec_exec rec = {};
	__u32 pid;

	(void)ctx;
	fill_head(&rec.head, REC_EXEC, sizeof(rec));
	pid = rec.head.pid;
	bpf_map_delete_elem(&procs, &pid);
	send_record(&rec.head);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[0];
	struct rec_exit rec = {};
	__u32 pid;

	/* live was decremented before: 0 in the last thread (kernel/exit.c, do_exit) */
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	fill_head(&rec.head, REC_EXIT, sizeof(rec));
	pid = rec.head.pid;
	bpf_map_delete_elem(&procs, &pid);
	if (config.target == TARGET_TREE) {
		__u64 key = pid;

		bpf_map_delete_elem(&targets, &key);
	}
	send_record(&rec.head);
	return 0;
}

#endif
