/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unwind compiler fills in between the FDEs: Go's functions by their stack deltas, other
 * code by following it. Which stretches are worth a look is decided first, by their addresses and,
 * if those do not tell, by their bytes: a file whose code is all described costs nothing more.
 */
#pragma once

#include "symbolize/cfi.h"
#include "symbolize/unwind_gap.h"
#include "symbolize/unwind_go.h"

struct unwind_fill {
	const struct elf *elf;
	bool is_go;
	struct go_table go;
	struct go_deltas deltas;
	struct gap_function go_text; /* Go's functions */
	gap_functions ranges;	     /* what to look at, ascending */
	size_t next;
	__u64 bytes, left_out; /* of that; beyond GAP_MAX_BYTES or too much work */
	gap_functions functions;
	gap_functions plts; /* linkage tables, ascending */
};

/* What is found, ascending: a rule, or NULL where a stack begins. */
typedef int (*unwind_fill_row)(void *arg, __u64 start, __u64 end, const struct unw_rule *rule);

/* fdes: ordered by start. Special functions are added to specials, in no order. 0 or -ENOMEM; what
 * is found is not all when elf->work is over. */
MUST_CHECK int unwind_fill_open(struct unwind_fill *fill, const struct elf *elf,
				const cfi_fdes *fdes, unwind_specials *specials);
/* Rows for what no FDE describes in [start, end); asked for in ascending order. before: the FDE
 * that ends at start, with the rule in force at its end; NULL: none. 0, -ENOMEM, or what `row`
 * returned that was not 0. */
MUST_CHECK int unwind_fill_between(struct unwind_fill *fill, __u64 start, __u64 end,
				   const struct cfi_fde *before, const struct unw_rule *rule,
				   unwind_fill_row row, void *arg);
void unwind_fill_fini(struct unwind_fill *fill);
