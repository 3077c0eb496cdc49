/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* x86-64 half of the unwinding step; part of bpf/unwind.bpf.h. Numbers: System V psABI figure 3.36;
 * the signal frame: struct rt_sigframe and sigcontext of arch/x86/include/uapi/asm/sigcontext.h. */

#define UNW_DWARF_BX 3
#define UNW_DWARF_FP 6
#define UNW_DWARF_SP 7

/* From the stack pointer in the restorer (which points at the ucontext) to sigcontext's r8. */
#define UNW_SIGNAL_CONTEXT 40

UNW_INLINE __u64 unw_strip(__u64 pc)
{
	return pc;
}

UNW_INLINE __u64 unw_link_register(const struct unw_state *s)
{
	(void)s;
	return 0;
}

/* sigcontext holds r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip: the slot of a DWARF number,
 * the first eight (rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp) from a table of nibbles. */
UNW_INLINE __u32 unw_context_offset(__u32 reg)
{
	return (reg < 8 ? 0xfa89becdu >> reg * 4 & 15 : reg == 16 ? 16 : reg & 7) * 8;
}

/* CFA = sp or fp + 8n; the return address below the CFA, the caller's fp in its slot or unchanged.
 */
UNW_INLINE int unw_inline(struct unw_state *s, __u32 code)
{
	__u64 cfa = code & UNW_CODE_FP ? s->fp : s->sp, fp = s->fp, pc;
	__u32 slot = code & UNW_CODE_SLOT_MASK;

	cfa += (code >> UNW_CODE_CFA_SHIFT & UNW_CODE_CFA_MASK) * 8;
	if (cfa <= s->sp)
		return unw_stop(s, STOP_NO_PROGRESS);
	if ((slot && unw_near(s, &fp, cfa - slot * 8)) || unw_near(s, &pc, cfa - 8))
		return unw_stop(s, STOP_READ_FAULT);
	return unw_caller(s, pc, cfa, fp);
}

#ifdef __bpf__
#define UNW_USER32_CS 0x23 /* arch/x86/include/asm/segment.h: __USER32_CS */

static __always_inline int regs_in_user_mode(const struct pt_regs *r)
{
	return (r->cs & 3) == 3;
}

static __always_inline int regs_are_32bit(const struct pt_regs *r)
{
	return r->cs == UNW_USER32_CS;
}

static __always_inline void load_regs(struct unw_state *s, const struct pt_regs *r)
{
	s->regs[0] = r->rax;
	s->regs[1] = r->rdx;
	s->regs[2] = r->rcx;
	s->regs[3] = r->rbx;
	s->regs[4] = r->rsi;
	s->regs[5] = r->rdi;
	s->regs[6] = s->fp = r->rbp;
	s->regs[7] = s->sp = r->rsp;
	s->regs[8] = r->r8;
	s->regs[9] = r->r9;
	s->regs[10] = r->r10;
	s->regs[11] = r->r11;
	s->regs[12] = r->r12;
	s->regs[13] = r->r13;
	s->regs[14] = r->r14;
	s->regs[15] = r->r15;
	s->regs[16] = s->regs[DWARF_PC] = s->pc = r->rip;
}
#endif
