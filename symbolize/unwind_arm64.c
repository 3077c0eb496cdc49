// SPDX-License-Identifier: Apache-2.0
/*
 * AArch64: "DWARF for the Arm 64-bit Architecture", table of register numbers. A leaf keeps its
 * return address in the link register; else frame record order (AAPCS64) puts it 8 bytes above the
 * saved frame pointer, so one slot number says both.
 */
#include <elf.h>

#include "symbolize/unwind_arch.h"

enum { FP = 29, LR = 30, SP = 31 };

static const char *const names[] = {
	"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",	 "x7",	"x8",  "x9",  "x10",
	"x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",
	"x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",
};

static bool encode(const struct unw_rule *rule, __u32 *ret_code)
{
	__u32 code = 0;

	if (rule->cfa_op != UNW_CFA_REG || rule->flags)
		return false;
	if (rule->cfa_reg == FP)
		code |= UNW_CODE_FP;
	else if (rule->cfa_reg != SP)
		return false;
	if (rule->cfa_off < 0 || rule->cfa_off % 8 || rule->cfa_off / 8 > (int)UNW_CODE_CFA_MASK)
		return false;
	code |= (__u32)rule->cfa_off / 8 << UNW_CODE_CFA_SHIFT;
	if (rule->fp_op == UNW_REG_CFA && rule->ra_op == UNW_REG_CFA) {
		if (rule->fp_off > -16 || rule->fp_off % 8 || rule->ra_off != rule->fp_off + 8 ||
		    -rule->fp_off / 8 > (int)UNW_CODE_SLOT_MASK)
			return false;
		code |= (__u32)-rule->fp_off / 8;
	} else if (rule->fp_op != UNW_REG_UNSPECIFIED || rule->ra_op != UNW_REG_UNSPECIFIED) {
		return false;
	}
	*ret_code = code;
	return true;
}

static void decode(__u32 code, struct unw_rule *ret_rule)
{
	__s32 slot = (__s32)(code & UNW_CODE_SLOT_MASK);

	*ret_rule = (struct unw_rule){
		.cfa_op = UNW_CFA_REG,
		.cfa_reg = code & UNW_CODE_FP ? FP : SP,
		.cfa_off = (__s32)(code >> UNW_CODE_CFA_SHIFT & UNW_CODE_CFA_MASK) * 8,
		.fp_op = slot ? UNW_REG_CFA : UNW_REG_UNSPECIFIED,
		.fp_off = -slot * 8,
		.ra_op = slot ? UNW_REG_CFA : UNW_REG_UNSPECIFIED,
		.ra_off = slot ? -slot * 8 + 8 : 0,
	};
}

static bool cfa_expression(struct cursor e UNUSED, struct unw_rule *rule UNUSED)
{
	return false; /* no lazy-PLT expression: entries never move sp */
}

const struct unwind_arch unwind_arm64 = {
	.machine = EM_AARCH64,
	.fp = FP,
	.sp = SP,
	.ra = LR,
	.bx = 0xff,
	.names = names,
	.n_names = ARRAY_SIZE(names),
	.encode = encode,
	.decode = decode,
	.cfa_expression = cfa_expression,
};
