/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of every thread of one process, now. The process is never stopped: a thread that does
 * not run has its registers read by a task iterator (else, without BPF, its pc and sp from /proc),
 * its memory read from outside, and counts only when it had not run until that was done; a thread
 * that runs is sampled once, by an event of its own. With `stop` every thread is stopped by ptrace
 * and unwound by libunwind, slow and exact.
 *
 * Unwinding, rows and names are the agent's own. One thread; nothing runs on after stacks_take.
 *
 * Bounds: STACKS_MAX_THREADS threads, USER_FRAMES_MAX frames each, a few seconds; what lies beyond
 * is counted and said.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "bpf/reason.h"
#include "profiler/base/buf.h"
#include "profiler/profile.h"
#include "profiler/thread_files.h"

#define STACKS_MAX_THREADS 100000u

struct stacks_options {
	pid_t pid; /* or any of its threads */
	bool stop;
	const char *cache_dir; /* of rows and symbols; NULL: none */
};

/* How a thread's registers were had. */
#define STACKS_HOW(X)                                                                              \
	X(NONE, "none")	      /* not at all: it ran, and no sample was to be had */                \
	X(OFF_CPU, "off_cpu") /* all of them, as it left for the kernel */                         \
	X(PC_SP, "pc_sp")     /* the same, but only two of them */                                 \
	X(SAMPLED, "sampled") /* it ran, and was interrupted for an instant */                     \
	X(STOPPED, "stopped") /* ptrace */                                                         \
	X(ENDED, "ended")     /* a zombie: it has none any more */

enum stacks_how {
#define X(name, text) STACKS_##name,
	STACKS_HOW(X)
#undef X
};

struct stacks_thread {
	__u32 tid;
	struct thread_stat stat;
	enum stacks_how how;
	__u8 stop;		  /* enum stop: why the stack ends where it does */
	__u32 profile_stack;	  /* in the profile; 0: no frame but those of kernel_stack */
	const char *kernel_stack; /* text of /proc's stack file, "" none */
};

struct stacks {
	__u32 pid;
	struct profile *profile;       /* the names */
	struct stacks_thread *threads; /* ascending tids */
	size_t n;
	size_t n_ended;		     /* gone before they were read */
	size_t n_beyond;	     /* more than the bound */
	size_t n_none;		     /* of how NONE */
	bool no_kernel;		     /* kernel frames of blocked threads may not be read */
	const char *note;	     /* why something is less than it could be; NULL for nothing */
	struct strtab *kernel_texts; /* private: behind kernel_stack */
};

/* 0, or -errno and *ret_why (malloc'd; NULL when memory ended) says what is wrong and what to do.
 */
MUST_CHECK int stacks_take(const struct stacks_options *options, struct stacks **ret_stacks,
			   char **ret_why);
void stacks_free(struct stacks *stacks);

/* `TID COMM`, then `  FUNCTION (OBJECT) FILE:LINE` a frame, leaf first. */
void stacks_text(const struct stacks *stacks, const struct stacks_thread *thread, struct buf *out);
/* One object on one line: {"pid","tid","comm","state","how","stop","whole","frames":[{"function",
 * "file","line","column","inlined","kind","object","build_id","address"}]}; the address is an ELF
 * virtual one (a caller's: of the last byte of its call), "" where there is none. */
void stacks_json(const struct stacks *stacks, const struct stacks_thread *thread, struct buf *out);
