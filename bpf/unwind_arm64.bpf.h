/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AArch64 half of the unwinding step; part of bpf/unwind.bpf.h. Numbers: "DWARF for the Arm 64-bit
 * Architecture"; the signal frame: struct rt_sigframe of arch/arm64/kernel/signal.c. */

#define UNW_DWARF_BX 0 /* none: never asked for */
#define UNW_DWARF_FP 29
#define UNW_DWARF_SP 31

/* siginfo (128) + ucontext up to uc_mcontext (176) + fault_address (8): x0. */
#define UNW_SIGNAL_CONTEXT 312

/* Pointer authentication signs the bits above the 48 that user addresses have. */
UNW_INLINE __u64 unw_strip(__u64 pc)
{
	return pc & ((1ull << 48) - 1);
}

/* Only a leaf, or a frame that a signal interrupted, has its return address in x30. */
UNW_INLINE __u64 unw_link_register(const struct unw_state *s)
{
	__u64 lr = 0;

	if (s->leaf)
		return unw_strip(s->regs[30]);
	if (s->context && !unw_read(&lr, 8, s->context + 30 * 8))
		return unw_strip(lr);
	return 0;
}

UNW_INLINE __u32 unw_context_offset(__u32 reg)
{
	return reg * 8;
}

/* CFA = sp or fp + 8n; slot k: fp at CFA - 8k and the return address above it; 0: both in
 * registers. */
UNW_INLINE int unw_inline(struct unw_state *s, __u32 code)
{
	__u64 cfa = code & UNW_CODE_FP ? s->fp : s->sp, fp, pc;
	__u32 slot = code & UNW_CODE_SLOT_MASK;

	cfa += (code >> UNW_CODE_CFA_SHIFT & UNW_CODE_CFA_MASK) * 8;
	if (!slot) {
		if (cfa < s->sp || (!s->leaf && !s->context))
			return unw_stop(s, STOP_NO_PROGRESS);
		return unw_caller(s, unw_link_register(s), cfa, s->fp);
	}
	if (cfa <= s->sp)
		return unw_stop(s, STOP_NO_PROGRESS);
	if (unw_near(s, &fp, cfa - slot * 8) || unw_near(s, &pc, cfa - slot * 8 + 8))
		return unw_stop(s, STOP_READ_FAULT);
	return unw_caller(s, unw_strip(pc), cfa, fp);
}

#ifdef __bpf__
static __always_inline int regs_in_user_mode(const struct user_pt_regs *r)
{
	return (r->pstate & 0xf) == 0; /* PSR_MODE_EL0t */
}

static __always_inline int regs_are_32bit(const struct user_pt_regs *r)
{
	return (r->pstate & 0x10) != 0; /* PSR_MODE32_BIT */
}

static __always_inline void load_regs(struct unw_state *s, const struct user_pt_regs *r)
{
	for (int i = 0; i < 31; i++)
		s->regs[i] = r->regs[i];
	s->fp = r->regs[29];
	s->regs[31] = s->sp = r->sp;
	s->regs[DWARF_PC] = s->pc = r->pc;
}
#endif
