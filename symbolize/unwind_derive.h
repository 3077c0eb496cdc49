/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unwind compiler makes up where a file has no CFI: shared by unwind_compile.c, the
 * sources of such rows (unwind_go.c, unwind_gap.c) and nobody else.
 */
#pragma once

#include "profiler/base/vec.h"
#include "symbolize/unwind.h"

typedef VEC(struct unwind_special) unwind_specials;

/* x86-64's rules that no instruction tells. */
void unwind_signal_rule(struct unw_rule *ret_rule); /* at a signal's return, see unwind_x86.bpf.h */

/* Order by address; where two overlap, the earlier one stays. */
void unwind_specials_order(unwind_specials *specials);
