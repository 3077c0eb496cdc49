/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One step of native unwinding: from a frame's (pc, sp, fp) to its caller's, by the rows of
 * bpf/unwind.h, else by a validated frame pointer. Compiled for BPF, where bpf/stack.bpf.h makes it
 * a global function of its own (so that the verifier sees it once), and natively, where user space
 * unwinds copied stacks with it and the tests run it over memory images.
 *
 * The includer provides
 *	const __u32 *unw_segment(__u32 i)	words of a segment, NULL when there is none
 *	int unw_read(void *dst, __u32 len, __u64 addr)
 *						0 when user memory was read
 *	int unw_near(struct unw_state *s, __u64 *value, __u64 addr)
 *						the same for a word of the stack, where the next
 *						ones are likely to be a little above
 *	__u64 unw_thread_pointer(void)		where thread-local storage is, 0 when unknown
 * Searches are arithmetic, not branches: a branchy one costs the verifier of 6.18 a million states.
 *
 * Cost per frame: a look at the last mapping, one directory word, some eight rows in one or two
 * cache lines, a word or two of the stack.
 */
#ifndef BPF_UNWIND_BPF_H
#define BPF_UNWIND_BPF_H

#include "bpf/reason.h"
#include "bpf/record.h"
#include "bpf/unwind.h"

#ifdef __bpf__
/* Keeps clang from folding a mask that the verifier needs to see on this very register. */
#define unw_barrier(x) asm volatile("" : "+r"(x))
#define UNW_INLINE     static __always_inline
#else
#define unw_barrier(x) (void)(x)
#define UNW_INLINE     static inline
#endif

struct unw_state {
	__u64 pc, sp, fp;
	__u64 frame;		/* out: the frame of this step (record.h), 0: none */
	__u64 regs[DWARF_REGS]; /* the leaf's, by DWARF number */
	__u64 context;		/* user address of the saved registers of a frame that a signal
				   interrupted; 0: none */
	__u64 bx;		/* the base register, as long as bx_known */
	__u64 go_sp;		/* of the last frame of UNW_RULE_GO_NESTS; 0: none */
	__u32 set_segment, set_offset, set_n; /* the map set */
	__u32 mapping;			      /* index of the last hit */
	__u32 n_frames, max_frames;
	__u8 leaf;     /* regs are this frame's */
	__u8 exact;    /* pc is the instruction itself, not a return address */
	__u8 by_fp;    /* the last step went by frame pointer */
	__u8 bx_known; /* all frames so far told of the base register */
	__u8 stop;     /* enum stop, valid once a step returned 1 */
	__u8 pad[3];
};

UNW_INLINE int unw_near(struct unw_state *s, __u64 *value, __u64 addr);

/* ---- reading a segment: every index is masked, so a wrong table cannot leave it -------------- */

UNW_INLINE __u64 unw_u64(const __u32 *words, __u32 index)
{
	__u64 at = index; /* 64 bits before the barrier, or clang extends it again behind */

	at &= UNW_SEGMENT_WORDS - 2;
	unw_barrier(at);
	return *(const __u64 *)(words + at);
}

UNW_INLINE __u32 unw_u32(const __u32 *words, __u32 index)
{
	__u64 at = index;

	at &= UNW_SEGMENT_WORDS - 1;
	unw_barrier(at);
	return words[at];
}

UNW_INLINE __u32 unw_u16(const __u32 *words, __u32 at_word, __u32 index)
{
	__u64 at = at_word * 2 + index;

	at &= UNW_SEGMENT_WORDS * 2 - 1;
	unw_barrier(at);
	return ((const __u16 *)words)[at];
}

UNW_INLINE const void *unw_struct(const __u32 *words, __u32 index)
{
	__u64 at = index;

	at &= UNW_SEGMENT_WORDS - 2;
	unw_barrier(at);
	return words + at;
}

/* ---- searches -------------------------------------------------------------------------------- */

/* All ones when a < b, for values below 2^63; 64-bit arithmetic without a branch. */
UNW_INLINE __u64 unw_below(__u64 a, __u64 b)
{
	return (__u64)((__s64)(a - b) >> 63);
}

/* Index of the last start <= addr among n >= 1 sorted u64 at word `base`; 0 when all are above. */
UNW_INLINE __u32 unw_find_mapping(const __u32 *words, __u32 base, __u32 n, __u64 addr)
{
	__u32 low = 0;

	for (int i = 0; i < UNW_SEARCH_STEPS; i++) {
		__u32 half = n >> 1;

		if (!half)
			break;
		low += half & ~(__u32)unw_below(addr, unw_u64(words, base + (low + half) * 2));
		n -= half;
	}
	return low;
}

/* Row number behind the last row <= key among rows [first, end). */
UNW_INLINE __u32 unw_find_row(const __u32 *words, __u32 rows, __u32 first, __u32 end, __u32 key)
{
	__u32 low = first, n = end - first;

	for (int i = 0; i < UNW_SEARCH_STEPS; i++) {
		__u32 half = (n + 1) >> 1;

		if (!half)
			break;
		low += half & ~(__u32)unw_below(key, unw_u32(words, rows + low + half - 1));
		n -= half;
	}
	return low;
}

UNW_INLINE const struct unw_mapping *unw_mapping_at(const struct unw_state *s, const __u32 *set,
						    __u32 i)
{
	return unw_struct(set, s->set_offset + s->set_n * 2 + i * (sizeof(struct unw_mapping) / 4));
}

/* The mapping that holds addr, NULL when none does. */
UNW_INLINE const struct unw_mapping *unw_locate(struct unw_state *s, const __u32 *set, __u64 addr)
{
	const struct unw_mapping *m;
	__u32 i = s->mapping;

	if (i < s->set_n && addr >= unw_u64(set, s->set_offset + i * 2)) {
		m = unw_mapping_at(s, set, i);
		if (addr < m->end)
			return m;
	}
	i = unw_find_mapping(set, s->set_offset, s->set_n, addr);
	s->mapping = i;
	m = unw_mapping_at(s, set, i);
	if (addr < unw_u64(set, s->set_offset + i * 2) || addr >= m->end)
		return 0;
	return m;
}

UNW_INLINE __u32 unw_code(const __u32 *words, const struct unw_mapping *m, __u64 addr)
{
	__u64 rel = addr - m->base;
	__u32 shift = m->shift & 31, page = (__u32)(rel >> shift);
	__u32 low = (__u32)rel & ((1u << shift) - 1);
	__u32 row;

	if (addr < m->base || page >= m->n_pages)
		return UNW_CODE_GAP;
	row = unw_find_row(words, m->rows, unw_u16(words, m->dir, page),
			   unw_u16(words, m->dir, page + 1), low << 16 | 0xffff);
	return row ? unw_u32(words, m->rows + row - 1) & 0xffff : UNW_CODE_GAP;
}

/* ---- steps: 0 = the caller's frame is in s, 1 = the stack ends with s->stop ------------------ */

UNW_INLINE int unw_stop(struct unw_state *s, __u8 stop)
{
	s->stop = stop;
	return 1;
}

UNW_INLINE int unw_caller(struct unw_state *s, __u64 pc, __u64 sp, __u64 fp)
{
	if (!pc) /* the bottom of a stack that a program or runtime laid out by hand */
		return unw_stop(s, STOP_ROOT);
	s->pc = pc;
	s->sp = sp;
	s->fp = fp;
	s->leaf = 0;
	s->exact = 0;
	s->context = 0;
	return 0;
}

#if defined(__TARGET_ARCH_arm64) || (!defined(__bpf__) && defined(__aarch64__))
#include "bpf/unwind_arm64.bpf.h"
#else
#include "bpf/unwind_x86.bpf.h"
#endif

#define UNW_FP_MAX_FRAME (1u << 20)

/* No row: believe a frame pointer that is aligned, above the stack pointer and not far. */
UNW_INLINE int unw_by_fp(struct unw_state *s)
{
	__u64 fp = s->fp, next, pc;

	if (!fp && s->by_fp)
		return unw_stop(s, STOP_ROOT); /* the end of a chain of frame pointers */
	if (fp & 7 || fp < s->sp || fp - s->sp > UNW_FP_MAX_FRAME)
		return unw_stop(s, STOP_NO_ROW);
	if (unw_near(s, &next, fp) || unw_near(s, &pc, fp + 8))
		return unw_stop(s, STOP_READ_FAULT);
	if (next && next <= fp)
		next = ~0ull; /* chains grow: the next step stops there */
	s->by_fp = 1;
	return unw_caller(s, unw_strip(pc), fp + 16, next);
}

/* A register of this frame: sp and fp always, others only in a leaf or an interrupted frame. */
UNW_INLINE int unw_reg(const struct unw_state *s, __u64 reg, __u64 *value)
{
	if (reg == UNW_DWARF_SP)
		*value = s->sp;
	else if (reg == UNW_DWARF_FP)
		*value = s->fp;
	else if (reg >= DWARF_PC)
		return -1;
	else if (s->leaf) {
		reg &= DWARF_PC - 1;
		unw_barrier(reg); /* 5.10 forgets the bound above */
		*value = s->regs[reg];
	} else if (s->context)
		return unw_read(value, 8, s->context + unw_context_offset((__u32)reg));
	else if (reg == UNW_DWARF_BX && s->bx_known)
		*value = s->bx;
	else
		return -1;
	return 0;
}

UNW_INLINE int unw_rule_cfa(const struct unw_state *s, const struct unw_rule *r, __u64 *cfa)
{
	__u64 base;

	if (r->cfa_op > UNW_CFA_PLT || unw_reg(s, r->cfa_reg, &base))
		return STOP_RULE;
	base += (__s64)r->cfa_off;
	if (r->cfa_op == UNW_CFA_DEREF) {
		if (unw_read(&base, 8, base))
			return STOP_READ_FAULT;
		base += (__s64)r->cfa_add;
	} else if (r->cfa_op == UNW_CFA_PLT) {
		base += (__u64)((s->pc & 15) >= (__u64)r->cfa_add) << 3;
	}
	*cfa = base;
	return 0;
}

struct unw_reg_rule {
	__u8 op, reg;
	__s32 off, add;
};

/* A register of the caller; *value keeps what it was for SAME and UNSPECIFIED. */
UNW_INLINE int unw_rule_reg(const struct unw_state *s, struct unw_reg_rule r, __u64 cfa,
			    __u64 *value)
{
	__u64 at;

	switch (r.op) {
	case UNW_REG_UNSPECIFIED:
	case UNW_REG_SAME:
		return 0;
	case UNW_REG_CFA:
		return unw_read(value, 8, cfa + (__s64)r.off) ? STOP_READ_FAULT : 0;
	case UNW_REG_CFA_VALUE:
		*value = cfa + (__s64)r.off;
		return 0;
	case UNW_REG_REG:
		return unw_reg(s, (__u8)r.off, value) ? STOP_RULE : 0;
	case UNW_REG_DEREF:
	case UNW_REG_DEREF2:
		if (unw_reg(s, r.reg, &at))
			return STOP_RULE;
		if (unw_read(&at, 8, at + (__s64)r.off))
			return STOP_READ_FAULT;
		if (r.op == UNW_REG_DEREF2 && unw_read(&at, 8, at + (__s64)r.add))
			return STOP_READ_FAULT;
		*value = at;
		return 0;
	default:
		return STOP_RULE;
	}
}

/* The stack pointer that Go saved when it changed stacks, and the g that it belongs to: 0; 1: that
 * g has been put aside since and the stack begins here; -1: cannot be read. */
UNW_INLINE int unw_go_saved(struct unw_state *s, const struct unw_rule *r, __u64 *g, __u64 *sp)
{
	__u64 pair[2], at = unw_thread_pointer();

	if (r->flags & UNW_RULE_GO_DEPTH) {
		if (unw_read(pair, 16, s->sp + (__s64)r->cfa_off) ||
		    unw_read(&at, 8, pair[1] + (__s64)r->cfa_add))
			return -1;
		*g = pair[1];
		*sp = at - pair[0];
		return 0;
	}
	if (!at || unw_read(&at, 8, at + (__s64)r->cfa_off) ||
	    unw_read(&at, 8, at + (__s64)r->cfa_add) || unw_read(g, 8, at + (__s64)r->fp_off))
		return -1;
	if (!*g)
		return 1;
	at = *g + (__s64)r->fp_add;
	if (r->flags & UNW_RULE_GO_NESTS && s->go_sp)
		at = s->go_sp;
	if (unw_read(sp, 8, at))
		return -1;
	if (r->flags & UNW_RULE_GO_NESTS)
		s->go_sp = *sp;
	return 0;
}

UNW_INLINE int unw_by_go(struct unw_state *s, const struct unw_rule *r)
{
	__u64 g = 0, sp = 0, pc = 0, fp = 0;
	int err = unw_go_saved(s, r, &g, &sp);

	s->bx_known = 0;
	if (err)
		return unw_stop(s, err > 0 ? STOP_ROOT : STOP_READ_FAULT);
	if (r->flags & UNW_RULE_GO_PC) {
		if (unw_read(&pc, 8, g + (__s64)r->ra_off) ||
		    unw_read(&fp, 8, g + (__s64)r->ra_add))
			return unw_stop(s, STOP_READ_FAULT);
		return unw_caller(s, pc, sp, fp);
	}
	sp += (__s64)r->ra_off + 8;
	if (unw_read(&pc, 8, sp - 8) ||
	    unw_read(&fp, 8, r->flags & UNW_RULE_GO_FP ? g + (__s64)r->ra_add : sp - 16))
		return unw_stop(s, STOP_READ_FAULT);
	return unw_caller(s, pc, sp, fp);
}

/* A rule that does not fit inline: rare, so it may be slow. */
UNW_INLINE int unw_by_rule(struct unw_state *s, const struct unw_rule *r)
{
	struct unw_reg_rule ra = {r->ra_op, r->ra_reg, r->ra_off, r->ra_add};
	struct unw_reg_rule fp = {r->fp_op, r->fp_reg, r->fp_off, r->fp_add};
	struct unw_reg_rule bx = {r->bx_op, 0, r->bx_off, 0};
	__u64 cfa = 0, context = 0, new_fp = s->fp, pc = unw_link_register(s);
	int err;

	if (r->cfa_op == UNW_CFA_GO)
		return unw_by_go(s, r);
	if (r->ra_op == UNW_REG_UNDEFINED)
		return unw_stop(s, STOP_ROOT);
	err = unw_rule_cfa(s, r, &cfa);
	if (err)
		return unw_stop(s, (__u8)err);
	if (r->flags & UNW_RULE_SIGNAL) {
		context = s->sp + UNW_SIGNAL_CONTEXT;
		s->frame += !s->exact; /* the restorer begins where the handler returns to */
	} else if (cfa <= s->sp && !(r->flags & UNW_RULE_ELSEWHERE) &&
		   (r->cfa_reg == UNW_DWARF_SP || !s->leaf)) {
		return unw_stop(s, STOP_NO_PROGRESS);
	}
	err = unw_rule_reg(s, ra, cfa, &pc);
	if (err)
		return unw_stop(s, (__u8)err);
	/* A lost frame pointer hurts only a caller that needs it: 0 stops that one. */
	if (unw_rule_reg(s, fp, cfa, &new_fp))
		new_fp = 0;
	if (s->bx_known && unw_rule_reg(s, bx, cfa, &s->bx))
		s->bx_known = 0;
	err = unw_caller(s, unw_strip(pc), cfa, new_fp);
	s->context = context;
	s->exact = context != 0;
	return err;
}

/*
 * One frame: sets s->frame to it (0 when the pc is nobody's), then finds its caller.
 */
UNW_INLINE int unw_step(struct unw_state *s)
{
	__u64 addr = s->exact ? s->pc : s->pc - 1;
	const struct unw_mapping *m;
	const __u32 *words;
	__u32 code;

	s->frame = 0;
	words = unw_segment(s->set_segment);
	if (!words)
		return unw_stop(s, STOP_NOT_LOADED);
	m = unw_locate(s, words, addr);
	if (!m)
		return unw_stop(s, s->by_fp ? STOP_NO_ROW : STOP_UNMAPPED);
	if (m->kind == UNW_KIND_WAIT)
		return unw_stop(s, STOP_NOT_LOADED);
	if (s->n_frames >= s->max_frames)
		return unw_stop(s, STOP_TRUNCATED);
	s->n_frames++;
	if (m->kind == UNW_KIND_ANON || (addr - m->bias) >> FRAME_ADDR_BITS)
		s->frame = FRAME_ADDR << FRAME_KIND_SHIFT | addr;
	else
		s->frame = FRAME_FILE << FRAME_KIND_SHIFT |
			   (__u64)(m->file & FRAME_FILE_MASK) << FRAME_ADDR_BITS | (addr - m->bias);
	if (s->leaf) {
		s->bx = s->regs[UNW_DWARF_BX];
		s->bx_known = 1;
	}
	if (m->kind != UNW_KIND_ROWS_BX)
		s->bx_known = 0;
	if (m->kind > UNW_KIND_ROWS_BX) {
		if (!unw_by_fp(s))
			return 0;
		if (m->kind == UNW_KIND_GONE && s->stop == STOP_NO_ROW)
			s->stop = STOP_FILE_GONE;
		return 1;
	}
	words = unw_segment(m->segment);
	if (!words)
		return unw_stop(s, STOP_NOT_LOADED);
	code = unw_code(words, m, addr);
	if (code == UNW_CODE_ENTRY)
		return unw_stop(s, STOP_ROOT);
	if (code == UNW_CODE_GAP)
		return unw_by_fp(s);
	s->by_fp = 0;
	if (code & UNW_CODE_RULE)
		return unw_by_rule(
			s, unw_struct(words, m->rules + (code & UNW_CODE_INDEX) *
								(sizeof(struct unw_rule) / 4)));
	return unw_inline(s, code);
}

#endif
