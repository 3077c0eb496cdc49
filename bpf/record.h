/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ABI between the BPF programs and user space: every record that travels on a ring, and the
 * maps that both sides write. All times are CLOCK_MONOTONIC nanoseconds, all sizes bytes, all
 * addresses run-time addresses unless said otherwise. Both sides are built from this header at
 * once; there is no compatibility across builds.
 */
#ifndef BPF_RECORD_H
#define BPF_RECORD_H

#include <linux/types.h>

#define COMM_BYTES	  16
#define KERNEL_FRAMES_MAX 127  /* what the kernel's own unwinder gives at most */
#define USER_FRAMES_MAX	  1024 /* then the stack is marked as truncated */
#define DWARF_REGS	  33   /* registers by DWARF number: x86-64 0-16, arm64 0-31; the last: */
#define DWARF_PC	  32   /* the pc, on both */

/* Largest share of a user stack that a sample can carry, and the step in which it is read. */
#define COPY_MAX_BYTES	 (16u << 10)
#define COPY_SMALL_BYTES (4u << 10)

/*
 * Records: X(NAME, name, type). Every one starts with struct rec.
 */
#define REC_LIST(X)                                                                                \
	X(SAMPLE, sample) X(STACK, stack) X(COPY, copy) X(EXEC, exec) X(EXIT, exit) X(FORK, fork)

enum rec_kind {
	REC_NONE,
#define X(NAME, name) REC_##NAME,
	REC_LIST(X)
#undef X
		REC_KINDS
};

/* What made a sample; also the index of the program's counters. ON_DEMAND + n: the n-th event set
 * of a request with its own rate. */
#define SOURCE_ON_DEMAND_MAX 4
enum source {
	SOURCE_CPU,
	SOURCE_ON_DEMAND,
	SOURCE_COUNT = SOURCE_ON_DEMAND + SOURCE_ON_DEMAND_MAX,
};

#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#endif

/* Head of every record. */
struct rec {
	__u16 size;  /* the record with its head */
	__u8 kind;   /* enum rec_kind */
	__u8 source; /* enum source; 0 where none applies */
	__u16 cpu;
	__u16 flags; /* REC_F_* */
	__u64 time_ns;
	__u64 cgroup_id; /* of the hierarchy chosen at start (config.h); 0 unknown */
	__u32 pid, tid;	 /* of the initial PID namespace; pid is the thread group */
};

/* The task is a kernel thread (then pid is its own) or an io_uring worker (pid is its owner's). */
#define REC_F_KTHREAD	1u
#define REC_F_IO_WORKER 2u

/* A stack seen at a moment: 64 bytes. */
struct rec_sample {
	struct rec head;
	__u64 stack_id;
	__u64 weight; /* cpu: 1 */
	char comm[COMM_BYTES];
};

/*
 * A stack, sent when its id is not marked as known: n_user user frames (leaf first), then n_kernel
 * return addresses of the kernel (leaf first), which stand nearer to the leaf.
 */
struct rec_stack {
	struct rec head;
	__u64 stack_id;
	__u16 n_user, n_kernel;
	__u8 stop; /* enum stop */
	__u8 pad[3];
	/* __u64 frames[n_user + n_kernel] */
};

/*
 * A user frame in 64 bits. In a file: FRAME_FILE, the file's id and the ELF virtual address;
 * elsewhere (JIT, unmapped): FRAME_ADDR and the run-time address, meaningful only together with the
 * process. Callers' addresses are the return address - 1, so that they lie within the call; not
 * that of a signal's restorer, which nothing has called.
 */
#define FRAME_KIND_SHIFT 60
#define FRAME_ADDR	 0ull
#define FRAME_FILE	 1ull
#define FRAME_ADDR_BITS	 38
#define FRAME_FILE_BITS	 22
#define FRAME_ADDR_MASK	 ((1ull << FRAME_ADDR_BITS) - 1)
#define FRAME_FILE_MASK	 ((1ull << FRAME_FILE_BITS) - 1)

/*
 * A sample whose user stack could not be unwound in the kernel because the process or its rows are
 * not loaded yet: registers, the kernel's return addresses, and the top of the stack, stack_bytes
 * bytes from the stack pointer upwards. The record may be longer than that.
 */
struct rec_copy {
	struct rec head;
	__u64 weight;
	char comm[COMM_BYTES];
	__u64 regs[DWARF_REGS]; /* by DWARF number, DWARF_PC */
	__u32 stack_bytes;
	__u16 n_kernel;
	__u8 stop; /* why the kernel did not unwind it: enum stop */
	__u8 pad;
	__u64 kernel[KERNEL_FRAMES_MAX];
	/* __u8 stack[stack_bytes] */
};

/* The process has a new image; its mappings came through perf's side-band just before. */
struct rec_exec {
	struct rec head;
};

/* The last thread of the process is gone. */
struct rec_exit {
	struct rec head;
};

/* A new process (not a thread): a copy of head.pid's address space, or sharing it (vfork). */
struct rec_fork {
	struct rec head; /* of the parent */
	__u32 child_pid;
	__u32 pad;
};

/* Value of the `procs` map, by pid: where the process's map set stands. */
struct proc_entry {
	__u32 segment, offset; /* of the map set, offset in words */
	__u32 n;	       /* mappings */
	__u32 generation;      /* tells apart two images of one pid */
};

/* Per CPU, summed by user space. */
struct cpu_counters {
	__u64 runs[SOURCE_COUNT];    /* program runs */
	__u64 periods[SOURCE_COUNT]; /* sum of the event's periods over these runs (cycles, ns) */
	__u64 samples[SOURCE_COUNT]; /* SAMPLE and COPY records submitted */
	__u64 lost[8][SOURCE_COUNT]; /* by enum loss */
	__u64 stacks;		     /* STACK records submitted */
	__u64 stops[16];	     /* user stacks by enum stop */
	__u64 frames_total;	     /* user frames walked */
	__u64 copies;		     /* COPY records submitted */
};

#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#endif
