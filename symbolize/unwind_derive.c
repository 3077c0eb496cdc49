// SPDX-License-Identifier: Apache-2.0
/* What derived tables share, see unwind_derive.h. */
#include "symbolize/unwind_derive.h"

#include <stdlib.h>

enum { DWARF_SP = 7 };

/* From the stack pointer in the restorer to sigcontext's r8, and the slots of rbp, rsp and rip
 * behind it: struct rt_sigframe and sigcontext, arch/x86/include/uapi/asm/sigcontext.h. */
enum { SIGNAL_CONTEXT = 40, CONTEXT_BP = 10 * 8, CONTEXT_SP = 15 * 8, CONTEXT_IP = 16 * 8 };

void unwind_signal_rule(struct unw_rule *ret_rule)
{
	*ret_rule = (struct unw_rule){
		.cfa_op = UNW_CFA_DEREF,
		.cfa_reg = DWARF_SP,
		.cfa_off = SIGNAL_CONTEXT + CONTEXT_SP,
		.flags = UNW_RULE_SIGNAL,
		.fp_op = UNW_REG_DEREF,
		.fp_reg = DWARF_SP,
		.fp_off = SIGNAL_CONTEXT + CONTEXT_BP,
		.ra_op = UNW_REG_DEREF,
		.ra_reg = DWARF_SP,
		.ra_off = SIGNAL_CONTEXT + CONTEXT_IP,
		.bx_op = UNW_REG_UNDEFINED, /* read from the context when it is asked for */
	};
}

static int by_start(const void *pa, const void *pb)
{
	const struct unwind_special *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

void unwind_specials_order(unwind_specials *specials)
{
	size_t kept = 0;

	if (!specials->len)
		return;
	qsort(specials->data, specials->len, sizeof(*specials->data), by_start);
	vec_for_each (s, specials) {
		if (kept && specials->data[kept - 1].end > s->start)
			s->start = specials->data[kept - 1].end;
		if (s->start < s->end)
			specials->data[kept++] = *s;
	}
	specials->len = kept;
}
