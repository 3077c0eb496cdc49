/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of stacks.h, shared by stacks.c (the process and the rounds), stacks_maps.c
 * (mappings, unwinding), stacks_walk.c (registers of threads that do not run), stacks_sample.c (one
 * that does) and stacks_stop.c (ptrace). Nobody else includes this. */
#pragma once

#include "bpf/record.h"
#include "bpf/threads.h"
#include "profiler/base/strtab.h"
#include "profiler/base/vec.h"
#include "profiler/process.h"
#include "profiler/stack_table.h"
#include "profiler/stacks.h"

/* ---- stacks_memory.c: memory of a living process, by page ------------------------------------ */

#define MEMORY_SLOTS	  64u
#define MEMORY_PAGE_BYTES 4096u

struct process_memory {
	__u32 tid;
	int err;		   /* of the first read that was not allowed; 0: none */
	__u64 pages[MEMORY_SLOTS]; /* address + 1; 0: empty */
	__u8 bytes[MEMORY_SLOTS][MEMORY_PAGE_BYTES];
};
/* Forget what was read. */
void process_memory_reset(struct process_memory *memory);
/* copy_source's read. */
int process_memory_read(void *memory, void *dst, size_t len, __u64 addr);

/* ---- stacks_maps.c --------------------------------------------------------------------------- */

struct space;

/* The tables, still without mappings. */
MUST_CHECK int space_open(__u32 pid, const char *cache_dir, struct space **ret_space);
void space_close(struct space *space);
/* Read the mappings and load the rows of their files. via: a living thread of the process, by which
 * all of it is read from now on. 0 or -errno of proc_maps_read. */
MUST_CHECK int space_load(struct space *space, __u32 via);
/* Did the mappings change since? True as well when they cannot be read any more. */
bool space_changed(const struct space *space);
struct image *space_image(const struct space *space);
struct process_memory *space_memory(struct space *space);

/* A thread's registers and what goes with them. */
struct thread_view {
	__u64 regs[DWARF_REGS];
	bool no_user; /* a kernel thread: only kernel frames */
	bool is_32bit;
	const __u8 *stack; /* a copy of the top of the stack; NULL: read it from the process */
	size_t stack_bytes;
	const __u64 *kernel; /* return addresses in the kernel, leaf first */
	__u16 n_kernel;
};
/* Unwind. Borrowed from the space's table; NULL when memory ends. */
const struct stack *space_unwind(struct space *space, const struct thread_view *view);
/* A stack of run-time addresses that somebody else unwound; the leaf and frames marked exact as
 * they are, the others return addresses. */
const struct stack *space_stack_of(struct space *space, const __u64 *pcs, const bool *exact,
				   size_t n, __u8 stop);

/* ---- stacks_walk.c --------------------------------------------------------------------------- */

/* In thread_record.flags: only regs[0] (pc) and regs[1] (sp) are known. */
#define THREAD_PC_SP (1u << 31)

struct walk;

/* By BPF or, where that is refused, by /proc; *ret_note (static, NULL for none) then says so. */
MUST_CHECK int walk_open(__u32 pid, struct walk **ret_walk, const char **ret_note);
void walk_close(struct walk *walk);
/* One look at the threads of these tids (ascending). Records ascending, borrowed until the next
 * call; those that are gone are missing. 0 or -errno. */
MUST_CHECK int walk_look(struct walk *walk, const __u32 *tids, size_t n_tids,
			 const struct thread_record **ret_records, size_t *ret_n);

/* ---- stacks_sample.c ------------------------------------------------------------------------- */

struct sampled {
	struct thread_view view;
	__u64 kernel[KERNEL_FRAMES_MAX];
	__u8 stack[65536];
};
/* Interrupt a thread once when it runs. 0; -EAGAIN when it did not run within the time; -errno when
 * events are refused. */
MUST_CHECK int sample_thread(__u32 tid, unsigned wait_ms, struct sampled *sampled);

/* ---- stacks_stop.c --------------------------------------------------------------------------- */

struct stopped; /* threads that are stopped */
/* Stop all threads of a process, those that start meanwhile, too. 0, -EPERM when it may not be
 * traced or is traced already, -ESRCH. */
MUST_CHECK int stop_process(__u32 pid, struct stopped **ret_stopped);
/* Let them run, with the signals that came meanwhile. */
void stop_release(struct stopped *stopped);
/* The frames of a thread by libunwind: at most max; how many, 0 when it is not stopped. *ret_stop:
 * enum stop. */
size_t stop_unwind(struct stopped *stopped, __u32 tid, __u64 *pcs, bool *exact, size_t max,
		   __u8 *ret_stop);
