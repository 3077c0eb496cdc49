/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a sample's registers to records: unwind into scratch, hash, send the stack once and the
 * sample always; or, when the process is not loaded, the registers and the top of the stack.
 *
 * Scratch is chosen by nesting level, since an interrupt's program may come upon a task's in the
 * middle. A stack's id is marked as known only after its record went out, and user space clears
 * marks of ids that it forgets (the `known` map is mapped there).
 */
#ifndef BPF_STACK_BPF_H
#define BPF_STACK_BPF_H

#include "bpf/core.bpf.h"

#define SCRATCH_LEVELS	3 /* task, interrupt, NMI */
#define KNOWN_SLOTS	(1u << 15)
#define COPY_STEP_BYTES 1024u
#define COPY_LAST_BYTES 64u
#define COPY_PIDS	64u  /* per CPU: pids whose copies are counted */
#define NEAR_BYTES	256u /* of a user stack, read at once; a power of two */

/* bpf/unwind.h says what a segment is. */
struct segment {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, (1u << 20) + 64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 256);
	__type(key, __u32);
	__array(values, struct segment);
} segments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct proc_entry);
} procs SEC(".maps");

/* Stack ids that user space has: a two-way cache, 0 = empty. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KNOWN_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} known SEC(".maps");

static __always_inline const __u32 *unw_segment(__u32 i)
{
	__u32 zero = 0;
	void *segment = bpf_map_lookup_elem(&segments, &i);

	return segment ? bpf_map_lookup_elem(segment, &zero) : 0;
}

static __always_inline int unw_read(void *dst, __u32 len, __u64 addr)
{
	return bpf_probe_read_user(dst, len, (const void *)addr) != 0;
}

/* Where the current thread's thread-local storage is: the runtimes that unwinding has to ask keep
 * their thread there. */
static __always_inline __u64 unw_thread_pointer(void)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();

#if defined(__TARGET_ARCH_arm64)
	return BPF_CORE_READ(task, thread.uw.tp_value);
#else
	return BPF_CORE_READ(task, thread.fsbase);
#endif
}

#include "bpf/unwind.bpf.h"

struct scratch {
	struct unw_state state;
	__u64 near_at, near_bytes; /* user address of `near`; how much of it is read */
	__u64 near[NEAR_BYTES / 8];
	__u64 hash;
	__u32 generation;
	__u32 pad;
	struct rec_sample sample;
	struct rec_stack stack;
	__u64 frames[USER_FRAMES_MAX + KERNEL_FRAMES_MAX + 1]; /* stack.frames */
};
_Static_assert(__builtin_offsetof(struct scratch, state) == 0, "unw_near comes from it to scratch");

/* Reading user memory costs 60 ns for a word and hardly more for a line or four of the cache: the
 * words of a few frames are read at once. */
UNW_INLINE int unw_near(struct unw_state *state, __u64 *value, __u64 addr)
{
	struct scratch *s = (struct scratch *)state;
	__u64 at = addr - s->near_at;

	if (at >= s->near_bytes || at & 7) {
		s->near_bytes = 0;
		if (bpf_probe_read_user(s->near, sizeof(s->near), (const void *)addr))
			return unw_read(value, sizeof(*value), addr); /* where the stack ends */
		s->near_at = addr;
		s->near_bytes = sizeof(s->near);
		at = 0;
	}
	at = at / 8 & (NEAR_BYTES / 8 - 1);
	unw_barrier(at);
	*value = s->near[at];
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_LEVELS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct cpu_local {
	__u32 level; /* nesting depth */
	__u32 copies;
	__u64 second; /* of the copy counts */
	struct {
		__u32 pid, copies;
	} by_pid[COPY_PIDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_local);
} cpu_locals SEC(".maps");

static __always_inline struct cpu_local *this_cpu_local(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cpu_locals, &zero);
}

static __always_inline __u64 mix(__u64 hash, __u64 x)
{
	hash = (hash ^ x) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/*
 * A frame into scratch. Global: the verifier checks it once, for any state, and the loop that calls
 * it costs nothing. 0: go on; 1: the stack ended.
 */
__attribute__((noinline)) int unwind_frame(__u32 level)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &level);
	int ended;
	__u32 n;

	if (!s)
		return 1;
	n = s->state.n_frames;
	ended = unw_step(&s->state);
	if (s->state.frame && n < USER_FRAMES_MAX) {
		__u64 frame = s->state.frame;

		s->frames[n] = frame;
		s->hash = mix(s->hash, frame);
		/* An address outside files means something only in its process's image. */
		if (!(frame >> FRAME_KIND_SHIFT))
			s->hash = mix(s->hash, (__u64)s->sample.head.pid << 32 | s->generation);
	}
	return ended;
}

static __always_inline void unwind_user(struct scratch *s, __u32 level)
{
	struct unw_state *state = &s->state;
	const struct proc_entry *proc;
	__u32 pid = s->sample.head.pid;

	s->near_bytes = 0;
	state->n_frames = 0;
	state->max_frames = config.max_frames;
	state->leaf = state->exact = 1;
	state->by_fp = 0;
	state->context = 0;
	state->go_sp = 0;
	state->mapping = 0;
	proc = bpf_map_lookup_elem(&procs, &pid);
	if (!proc) {
		state->stop = STOP_NOT_LOADED;
		return;
	}
	state->set_segment = proc->segment;
	state->set_offset = proc->offset;
	state->set_n = proc->n;
	s->generation = proc->generation;
	for (int i = 0; i <= USER_FRAMES_MAX; i++)
		if (unwind_frame(level))
			break;
}

/* The kernel's frames, which stand behind the user's, into the hash. Global, like unwind_frame. */
__attribute__((noinline)) int hash_kernel(__u32 level, __u32 n_kernel)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &level);
	__u64 hash;
	__u32 n;

	if (!s)
		return 0;
	n = s->state.n_frames;
	if (n > USER_FRAMES_MAX)
		return 0;
	hash = s->hash;
	for (__u32 i = 0; i < KERNEL_FRAMES_MAX && i < n_kernel; i++)
		hash = mix(hash, s->frames[n + i]);
	s->hash = hash;
	return 0;
}

static __always_inline int is_known(__u64 id)
{
	__u32 slot = (__u32)id & (KNOWN_SLOTS - 2), other = slot | 1;
	__u64 *a = bpf_map_lookup_elem(&known, &slot), *b = bpf_map_lookup_elem(&known, &other);

	return (a && *a == id) || (b && *b == id);
}

static __always_inline void mark_known(__u64 id)
{
	__u32 slot = (__u32)id & (KNOWN_SLOTS - 2), other = slot | 1;
	__u64 *a = bpf_map_lookup_elem(&known, &slot), *b = bpf_map_lookup_elem(&known, &other);

	if (!a || !b)
		return;
	*b = *a; /* the older one of the pair goes */
	*a = id;
}

/* The stack in scratch, then its sample. */
static __always_inline void send_stack(struct scratch *s, struct cpu_counters *c, void *ring,
				       __u32 n_kernel)
{
	struct rec_stack *stack = &s->stack;
	__u64 hash = mix(s->hash, (__u64)s->state.stop << 32 | n_kernel);
	__u32 n_user = s->state.n_frames, size;

	if (n_user > USER_FRAMES_MAX)
		n_user = USER_FRAMES_MAX;
	hash ^= hash >> 32;
	hash |= 1ull << 63; /* never 0, which means empty */
	s->sample.stack_id = hash;
	if (!is_known(hash)) {
		if (n_kernel > KERNEL_FRAMES_MAX)
			n_kernel = KERNEL_FRAMES_MAX;
		size = sizeof(*stack) + (n_user + n_kernel) * 8;
		__builtin_memcpy(&stack->head, &s->sample.head, sizeof(stack->head));
		stack->head.kind = REC_STACK;
		stack->head.size = (__u16)size;
		stack->stack_id = hash;
		stack->n_user = (__u16)n_user;
		stack->n_kernel = (__u16)n_kernel;
		stack->stop = s->state.stop;
		if (bpf_ringbuf_output(ring, stack, size, wakeup_flags(ring))) {
			count_loss(LOSS_RING_FULL);
			return;
		}
		mark_known(hash);
		c->stacks++;
	}
	s->sample.head.kind = REC_SAMPLE;
	s->sample.head.size = sizeof(s->sample);
	if (bpf_ringbuf_output(ring, &s->sample, sizeof(s->sample), wakeup_flags(ring)))
		count_loss(LOSS_RING_FULL);
	else
		c->samples[config.source & 7]++;
}

/* One more copy within the limits of this second: of this CPU, and of this process on it. The rest
 * of a ring is for samples: copies fill it within milliseconds when the router is late. */
static __always_inline int copy_allowed(struct cpu_local *local, void *ring, __u32 pid,
					__u64 now_ns)
{
	__u64 second = now_ns >> 30;
	__u32 slot = (pid * 0x9e3779b1u >> 20) & (COPY_PIDS - 1);

	if (local->second != second) {
		local->second = second;
		local->copies = 0;
		__builtin_memset(local->by_pid, 0, sizeof(local->by_pid));
	}
	if (local->copies >= knobs.copies_per_s ||
	    bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > config.copies_bytes)
		return 0;
	if (local->by_pid[slot].pid != pid) {
		local->by_pid[slot].pid = pid;
		local->by_pid[slot].copies = 0;
	}
	if (local->by_pid[slot].copies >= knobs.copies_per_pid)
		return 0;
	local->by_pid[slot].copies++;
	local->copies++;
	return 1;
}

/* Bytes of the stack that could be read: in large steps, and in small ones where its mapping ends.
 */
static __always_inline __u32 read_stack(__u8 *dst, __u64 sp, __u32 max)
{
	__u32 done = 0;

	for (int i = 0; i < (int)(COPY_MAX_BYTES / COPY_STEP_BYTES); i++) {
		if (done >= max || bpf_probe_read_user(dst + i * COPY_STEP_BYTES, COPY_STEP_BYTES,
						       (const void *)(sp + done)))
			break;
		done += COPY_STEP_BYTES;
	}
	for (int i = 0; i < (int)(COPY_STEP_BYTES / COPY_LAST_BYTES) && done < max; i++) {
		__u32 at = done & (COPY_MAX_BYTES - COPY_LAST_BYTES);

		unw_barrier(at);
		if (at > max - COPY_LAST_BYTES ||
		    bpf_probe_read_user(dst + at, COPY_LAST_BYTES, (const void *)(sp + done)))
			break;
		done += COPY_LAST_BYTES;
	}
	return done;
}

static __always_inline int fill_copy(struct bpf_perf_event_data *ctx, struct scratch *s,
				     struct rec_copy *copy, void *ring, __u32 max, int in_kernel)
{
	long bytes = 0;

	copy->head = s->sample.head;
	copy->head.kind = REC_COPY;
	copy->head.size = (__u16)(sizeof(*copy) + max);
	copy->weight = s->sample.weight;
	__builtin_memcpy(copy->comm, s->sample.comm, COMM_BYTES);
	__builtin_memcpy(copy->regs, s->state.regs, sizeof(copy->regs));
	copy->stop = s->state.stop;
	/* From the leaf's stack pointer: unwinding may have gone some frames. */
	copy->stack_bytes = read_stack((__u8 *)(copy + 1), s->state.regs[UNW_DWARF_SP], max);
	if (in_kernel)
		bytes = bpf_get_stack(ctx, copy->kernel, sizeof(copy->kernel), 0);
	copy->n_kernel = bytes > 0 ? (__u16)(bytes / 8) : 0;
	/* A few copies fill the ring, and the kernel's own rule wakes a router that has read all.
	 */
	bpf_ringbuf_submit(copy, wakeup_flags(ring) & BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* Registers and stack for user space to unwind. 0: sent; else the sample goes on as it is. */
static __always_inline int send_copy(struct bpf_perf_event_data *ctx, struct scratch *s,
				     struct cpu_counters *c, void *ring, int in_kernel)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	__u64 top = BPF_CORE_READ(task, mm, start_stack);
	__u64 sp = s->state.regs[UNW_DWARF_SP];
	struct rec_copy *copy;

	/* The main thread's stack ends at start_stack: short programs need little. */
	if (top > sp && top - sp <= COPY_SMALL_BYTES) {
		copy = bpf_ringbuf_reserve(ring, sizeof(*copy) + COPY_SMALL_BYTES, 0);
		if (!copy)
			return -1;
		fill_copy(ctx, s, copy, ring, COPY_SMALL_BYTES, in_kernel);
	} else {
		copy = bpf_ringbuf_reserve(ring, sizeof(*copy) + COPY_MAX_BYTES, 0);
		if (!copy)
			return -1;
		fill_copy(ctx, s, copy, ring, COPY_MAX_BYTES, in_kernel);
	}
	c->copies++;
	c->samples[config.source & 7]++;
	return 0;
}

#endif
