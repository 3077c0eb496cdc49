/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of one thread: stat, status, syscall and stack below /proc/PID/task/TID
 * (Documentation/filesystems/proc.rst; fs/proc/array.c, fs/proc/base.c). Parsers over text, which
 * holds names that programs choose, so nothing of it is trusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"

#define THREAD_COMM_BYTES 64 /* a kernel worker shows its queue, too */

struct thread_stat {
	char comm[THREAD_COMM_BYTES];
	char state; /* R S D T t Z X I P */
	__u32 parent;
	__u32 flags;	  /* PF_* of include/linux/sched.h */
	__u64 start_time; /* clock ticks since boot */
};
/* False when that is no stat line. */
bool thread_stat_parse(const char *text, struct thread_stat *ret_stat);
/* The word for a state's letter: running, sleeping, ... */
const char *thread_state_name(char state);

/* Sum of the two counters of context switches in status; false when they are not there. */
bool thread_switches_parse(const char *text, __u64 *ret_switches);

/* syscall: "running", "-1 SP PC" (blocked outside a system call) or "NR A0 ... A5 SP PC". False for
 * "running" and for what is none of these. */
bool thread_syscall_parse(const char *text, __u64 *ret_pc, __u64 *ret_sp);

/* One line of stack: "[<0>] FUNCTION+0xOFFSET/0xSIZE [MODULE]". */
struct kernel_frame {
	const char *function, *module; /* module "" for the kernel itself; not NUL-terminated */
	int function_len, module_len;
};
/* The next one; *text moves behind it. False at the end. Lines of another shape are skipped. */
bool kernel_frame_next(const char **text, struct kernel_frame *ret_frame);
