/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU profile: one perf event per CPU (cycles, else cpu-clock), idle excluded. Each run takes the
 * user stack by unwind rows, the kernel's by its own unwinder, and sends them as stack.bpf.h says.
 *
 * Cost: 3 us with 30 user frames on hot caches; nothing between samples.
 */
#ifndef BPF_CPU_BPF_H
#define BPF_CPU_BPF_H

#include "bpf/stack.bpf.h"

/* The user registers of the interrupted task into s->state; 0, or why there is no user stack. */
static __always_inline int take_user_regs(struct bpf_perf_event_data *ctx, struct scratch *s,
					  int in_kernel)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	__u32 flags = BPF_CORE_READ(task, flags);
	bpf_user_pt_regs_t regs;

	if (flags & PF_KTHREAD)
		s->sample.head.flags |= REC_F_KTHREAD;
	if (flags & PF_IO_WORKER)
		s->sample.head.flags |= REC_F_IO_WORKER;
	if (flags & (PF_KTHREAD | PF_IO_WORKER) || !BPF_CORE_READ(task, mm))
		return STOP_NO_USER;
	/* Copied whole: field by field, clang makes pointers into ctx that the verifier refuses. */
	if (!in_kernel)
		__builtin_memcpy(&regs, &ctx->regs, sizeof(regs));
	else if (compat_user_regs(&regs) || !regs_in_user_mode(&regs))
		return STOP_NO_USER;
	if (regs_are_32bit(&regs))
		return STOP_COMPAT;
	load_regs(&s->state, &regs);
	return 0;
}

/* A stack that cannot be read while execve runs belongs to the image that is being replaced. */
static __always_inline int stack_gone_in_exec(const struct unw_state *state)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	__u64 word;

	return BPF_CORE_READ_BITFIELD_PROBED(task, in_execve) && unw_read(&word, 8, state->sp);
}

static __always_inline void user_stack(struct bpf_perf_event_data *ctx, struct scratch *s,
				       __u32 level, int in_kernel)
{
	struct unw_state *state = &s->state;
	int why = take_user_regs(ctx, s, in_kernel);

	state->n_frames = 0;
	s->hash = s->generation = 0;
	if (!why && in_kernel && stack_gone_in_exec(state))
		why = STOP_EXEC;
	if (why)
		state->stop = (__u8)why;
	else
		unwind_user(s, level);
}

/* The leaf's address outside any file: better than an empty stack. */
static __always_inline void push_leaf(struct scratch *s)
{
	__u64 frame =
		FRAME_ADDR << FRAME_KIND_SHIFT | (s->state.pc & ((1ull << FRAME_KIND_SHIFT) - 1));

	if (s->state.n_frames)
		return;
	s->frames[0] = frame;
	s->state.n_frames = 1;
	s->hash = mix(s->hash, frame ^ (__u64)s->sample.head.pid << 32);
}

static __always_inline void take_sample(struct bpf_perf_event_data *ctx, struct scratch *s,
					struct cpu_counters *c, struct cpu_local *local,
					__u32 level)
{
	int in_kernel = !regs_in_user_mode(&ctx->regs);
	void *ring = this_ring();
	long bytes = 0;
	__u32 n;

	if (!ring) {
		count_loss(LOSS_RING_FULL);
		return;
	}
	fill_head(&s->sample.head, REC_SAMPLE, sizeof(s->sample));
	s->sample.weight = 1;
	bpf_get_current_comm(s->sample.comm, sizeof(s->sample.comm));
	user_stack(ctx, s, level, in_kernel);
	if (s->state.stop == STOP_NOT_LOADED || s->state.stop == STOP_UNMAPPED) {
		if (copy_allowed(local, ring, s->sample.head.pid, s->sample.head.time_ns) &&
		    !send_copy(ctx, s, c, ring, in_kernel))
			return;
		s->state.stop = STOP_COPY_LIMITED;
		push_leaf(s);
	}
	n = s->state.n_frames;
	if (n > USER_FRAMES_MAX)
		return;
	if (in_kernel)
		bytes = bpf_get_stack(ctx, &s->frames[n], KERNEL_FRAMES_MAX * 8, 0);
	if (bytes < 0)
		bytes = 0;
	c->stops[s->state.stop & 15]++;
	c->frames_total += n;
	if (bytes)
		hash_kernel(level, (__u32)bytes / 8);
	send_stack(s, c, ring, (__u32)bytes / 8);
}

SEC("perf_event")
int sample_cpu(struct bpf_perf_event_data *ctx)
{
	struct cpu_counters *c = cpu_counters();
	struct cpu_local *local = this_cpu_local();
	__u32 pid = (__u32)(bpf_get_current_pid_tgid() >> 32), level;
	struct scratch *s;

	if (!c || !local)
		return 0;
	c->runs[config.source & 7]++;
	c->periods[config.source & 7] += ctx->sample_period;
	if (!pid || !is_target(pid))
		return 0;
	level = local->level;
	s = bpf_map_lookup_elem(&scratches, &level);
	if (!s) {
		count_loss(LOSS_NESTED);
		return 0;
	}
	local->level = level + 1;
	take_sample(ctx, s, c, local, level);
	local->level = level;
	return 0;
}

#endif
