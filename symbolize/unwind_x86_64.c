// SPDX-License-Identifier: Apache-2.0
/*
 * x86-64: System V psABI 1.0, figure 3.36 (DWARF register numbers). The return address stands at
 * CFA - 8 everywhere but in signal frames and a few hand-written routines, so the inline code
 * spends its bits on the CFA and on the slot of rbp.
 */
#include <elf.h>

#include "symbolize/dwarf_ops.h"
#include "symbolize/unwind_arch.h"

enum { RBX = 3, RBP = 6, RSP = 7, RIP = 16 };

static const char *const names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
				    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

static bool encode(const struct unw_rule *rule, __u32 *ret_code)
{
	__u32 code = 0;

	if (rule->cfa_op != UNW_CFA_REG || rule->flags || rule->ra_op != UNW_REG_CFA ||
	    rule->ra_off != -8 || rule->bx_op != UNW_REG_UNSPECIFIED)
		return false;
	if (rule->cfa_reg == RBP)
		code |= UNW_CODE_FP;
	else if (rule->cfa_reg != RSP)
		return false;
	if (rule->cfa_off < 0 || rule->cfa_off % 8 || rule->cfa_off / 8 > (int)UNW_CODE_CFA_MASK)
		return false;
	code |= (__u32)rule->cfa_off / 8 << UNW_CODE_CFA_SHIFT;
	if (rule->fp_op == UNW_REG_CFA) {
		if (rule->fp_off >= 0 || rule->fp_off % 8 ||
		    -rule->fp_off / 8 > (int)UNW_CODE_SLOT_MASK)
			return false;
		code |= (__u32)-rule->fp_off / 8;
	} else if (rule->fp_op != UNW_REG_UNSPECIFIED) {
		return false;
	}
	*ret_code = code;
	return true;
}

static void decode(__u32 code, struct unw_rule *ret_rule)
{
	__u32 slot = code & UNW_CODE_SLOT_MASK;

	*ret_rule = (struct unw_rule){
		.cfa_op = UNW_CFA_REG,
		.cfa_reg = code & UNW_CODE_FP ? RBP : RSP,
		.cfa_off = (__s32)(code >> UNW_CODE_CFA_SHIFT & UNW_CODE_CFA_MASK) * 8,
		.fp_op = slot ? UNW_REG_CFA : UNW_REG_UNSPECIFIED,
		.fp_off = -(__s32)slot * 8,
		.ra_op = UNW_REG_CFA,
		.ra_off = -8,
	};
}

/*
 * The linkers' lazy PLT: rsp + 8 + ((rip & 15) >= N) * 8, with N = 11 (or 10 under IBT), because
 * the entry's push lies N - 1 bytes in. Written as breg7 8; breg16 0; lit15; and; litN; ge; lit3;
 * shl; plus.
 */
static bool cfa_expression(struct cursor e, struct unw_rule *rule)
{
	__s64 off;
	__u8 lit;

	if (cursor_u8(&e) != DW_OP_breg0 + RSP)
		return false;
	off = cursor_sleb(&e);
	if (cursor_u8(&e) != DW_OP_breg0 + RIP || cursor_sleb(&e) != 0 ||
	    cursor_u8(&e) != DW_OP_lit0 + 15 || cursor_u8(&e) != DW_OP_and)
		return false;
	lit = cursor_u8(&e);
	if (lit < DW_OP_lit0 || lit > DW_OP_lit0 + 15 || cursor_u8(&e) != DW_OP_ge ||
	    cursor_u8(&e) != DW_OP_lit0 + 3 || cursor_u8(&e) != DW_OP_shl ||
	    cursor_u8(&e) != DW_OP_plus || e.bad || cursor_left(&e) || off < 0 || off > 4096)
		return false;
	rule->cfa_op = UNW_CFA_PLT;
	rule->cfa_reg = RSP;
	rule->cfa_off = (__s32)off;
	rule->cfa_add = lit - DW_OP_lit0;
	return true;
}

const struct unwind_arch unwind_x86_64 = {
	.machine = EM_X86_64,
	.fp = RBP,
	.sp = RSP,
	.ra = RIP,
	.bx = RBX,
	.names = names,
	.n_names = ARRAY_SIZE(names),
	.encode = encode,
	.decode = decode,
	.cfa_expression = cfa_expression,
};
