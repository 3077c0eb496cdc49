/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unwind tables need to know of an architecture; one file each (unwind_x86_64.c,
 * unwind_arm64.c). Register numbers are DWARF's, from the psABI of the architecture.
 */
#pragma once

#include <stdbool.h>

#include "bpf/unwind.h"
#include "profiler/base/check.h"
#include "profiler/base/cursor.h"

struct unwind_arch {
	__u16 machine; /* EM_* */
	__u8 fp, sp, ra;
	__u8 bx; /* a callee-saved register from which hand-written code computes its CFA; 0xff:
		    none */
	const char *const *names; /* as readelf prints them */
	unsigned n_names;
	/* The inline code of a rule; false: it needs an entry in the part's rules. */
	bool (*encode)(const struct unw_rule *rule, __u32 *ret_code);
	/* The rule of an inline code (below UNW_CODE_RULE). */
	void (*decode)(__u32 code, struct unw_rule *ret_rule);
	/* A CFA expression that only this architecture has (lazy PLT); false: not recognised. */
	bool (*cfa_expression)(struct cursor expr, struct unw_rule *rule);
};

extern const struct unwind_arch unwind_x86_64, unwind_arm64;

/* NULL for a machine that is not supported. */
const struct unwind_arch *unwind_arch_of(__u16 machine);
