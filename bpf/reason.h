/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one list of reasons: why a record was lost, and why a user stack ended where it did. The
 * label is what /metrics, the marks in a profile and the log say.
 */
#ifndef BPF_REASON_H
#define BPF_REASON_H

/*
 * Why unwinding a user stack stopped. WHOLE ones lose nothing: the stack has its root, or the task
 * has no user stack at that moment.
 *	X(NAME, label, whole)
 */
#define STOP_LIST(X)                                                                               \
	X(ROOT, "root", 1)	 /* a row whose return address is undefined, or an entry */        \
	X(NO_USER, "no_user", 1) /* kernel thread, or the address space is gone (exit) */          \
	X(EXEC, "exec", 1)	 /* inside execve: the old image is gone, the new not yet run */   \
	X(TRUNCATED, "truncated", 0)   /* the frame limit */                                       \
	X(NO_ROW, "no_row", 0)	       /* code without unwind rows, and no valid frame pointer */  \
	X(UNMAPPED, "unmapped", 0)     /* the pc is in no executable mapping */                    \
	X(READ_FAULT, "read_fault", 0) /* the stack cannot be read (not resident) */               \
	X(RULE, "rule", 0)	       /* an expression or register that is not followed */        \
	X(NO_PROGRESS, "no_progress", 0) /* the stack pointer does not grow */                     \
	X(NOT_LOADED, "not_loaded", 0)	 /* the process or its rows were not loaded in time */     \
	X(COPY_LIMITED, "copy_limited",                                                            \
	  0) /* to be unwound from a copy: beyond their rate, or no room in the ring */            \
	X(COPY_SHORT, "copy_short", 0) /* the stack is longer than the copy */                     \
	X(COMPAT, "32bit", 0)	       /* a 32-bit program */                                      \
	X(FILE_GONE, "file_gone", 0)   /* the mapped file cannot be opened any more */

enum stop {
#define X(name, label, whole) STOP_##name,
	STOP_LIST(X)
#undef X
		STOP_COUNT
};

/*
 * Why a record or sample was lost.
 *	X(NAME, label)
 */
#define LOSS_LIST(X)                                                                               \
	X(RING_FULL, "ring_full") /* no room in the CPU's ring */                                  \
	X(NESTED, "nested")	  /* more nested contexts than scratch */                          \
	X(NOT_RUN, "not_run")	  /* the program was kept out by another one (estimate) */         \
	X(SIDEBAND, "sideband")	  /* perf's own ring dropped mappings; repaired from /proc */      \
	X(STACK_UNKNOWN, "stack_unknown") /* a sample whose stack record never came */             \
	X(BAD_RECORD, "bad_record")	  /* a record of a size or kind that cannot be */          \
	X(TABLE_FULL, "table_full")	  /* a bound of user space, or of wanted processes */      \
	X(MEMORY, "memory")		  /* out of memory */

enum loss {
#define X(name, label) LOSS_##name,
	LOSS_LIST(X)
#undef X
		LOSS_COUNT
};

#endif
