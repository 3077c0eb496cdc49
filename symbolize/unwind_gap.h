/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for x86-64 code that no CFI describes (musl, hand-written assembly, the stubs that start
 * threads, PLT sections): the code is followed from the functions that symbols and calls name, and
 * where nothing names any, from what stands aligned behind the end of another. Where it goes, jump
 * tables included, its frame is known (unwind_state.h); where paths disagree or a register is lost,
 * there is no row.
 *
 * A function whose `ret` does not find the return address at the stack pointer was misread: it gets
 * no rows at all.
 *
 * Bounded: windows of GAP_WINDOW_BYTES, each with a limit of work, GAP_MAX_BYTES of code a file, and
 * the file's own work (elf->work), of which nothing here says that it is over. About 100 ns an
 * instruction.
 */
#pragma once

#include "profiler/base/vec.h"
#include "symbolize/elf.h"
#include "symbolize/unwind_state.h"

#define GAP_WINDOW_BYTES (1u << 20)
#define GAP_MAX_BYTES	 (64u << 20)

struct gap_function {
	__u64 start, end; /* end == start: its length is not told */
};
typedef VEC(struct gap_function) gap_functions;

/* The functions that symbol tables name within the (ascending) ranges, ascending. 0 or -ENOMEM. */
MUST_CHECK int gap_functions_read(const struct elf *elf, const struct gap_function *ranges,
				  size_t n_ranges, gap_functions *functions);

struct gap {
	const struct elf *elf;
	__u64 start, end; /* within one section (or segment, without sections) */
	bool is_plt;	  /* entries of a procedure linkage table */
	bool guess_start; /* a function may begin at its start */
	struct {
		const struct gap_function *data;
		size_t n;
	} functions; /* of the whole file */
	struct {
		const struct gap_function *data;
		size_t n;
	} plts; /* all linkage tables, ascending */
	const struct frame_state
		*before; /* the state in which the code before falls in; NULL: unknown */
	__u64 root;	 /* where the program begins; 0: elsewhere */
	__u64 *left_out; /* bytes of windows that took too much work are added to it */
};

/* What is found: stretches [start, end), ascending, with the state at their instructions. */
struct gap_sink {
	void *arg;
	int (*state)(void *arg, __u64 start, __u64 end, const struct frame_state *state);
	int (*signal)(void *arg, __u64 start, __u64 end); /* a signal's return */
};

static inline bool gap_is_plt(const char *section)
{
	return !strncmp(section, ".plt", 4);
}

/* Does one of the (ascending) ranges hold the address? */
bool gap_in_ranges(const struct gap_function *ranges, size_t n, __u64 vaddr);
/* Are there only no-ops, traps and zeros? */
bool gap_is_padding(const struct elf *elf, __u64 start, __u64 end);
/* 0, -ENOMEM, or what a sink returned that was not 0. */
MUST_CHECK int gap_follow(const struct gap *gap, const struct gap_sink *sink);
