// SPDX-License-Identifier: Apache-2.0
/* The frame as code tells it, see unwind_state.h. */
#include "symbolize/unwind_state.h"

#include <string.h>

#define FAR (1 << 28) /* no frame is larger; keeps sums in range */

enum { DWARF_BP = 6, DWARF_SP = 7 };

/* DWARF's numbers (System V psABI, figure 3.36) of the encoding's. */
static const __u8 dwarf_reg[] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

struct frame_state frame_state_start(void)
{
	return (struct frame_state){
		.flags = STATE_SP | STATE_CALLER_FP, .copy = X86_NO_REG, .sp = 8};
}

struct frame_state frame_state_nothing(void)
{
	return (struct frame_state){.copy = X86_NO_REG};
}

bool frame_state_of_rule(const struct unw_rule *r, struct frame_state *ret_state)
{
	struct frame_state s = frame_state_nothing();

	if (r->cfa_op != UNW_CFA_REG || r->flags || r->ra_op != UNW_REG_CFA || r->ra_off != -8)
		return false;
	if (r->fp_op == UNW_REG_CFA && r->fp_off < 0)
		s.slot = -r->fp_off;
	else if (r->fp_op == UNW_REG_UNSPECIFIED || r->fp_op == UNW_REG_SAME)
		s.flags |= STATE_CALLER_FP;
	else
		return false;
	if (r->cfa_reg == DWARF_SP) {
		s.flags |= STATE_SP;
		s.sp = r->cfa_off;
	} else if (r->cfa_reg == DWARF_BP) {
		s.flags = STATE_FP;
		s.fp = r->cfa_off;
	} else {
		return false;
	}
	*ret_state = s;
	return true;
}

static void lose_sp(struct frame_state *s)
{
	s->flags &= (__u16) ~(STATE_SP | STATE_ALIGNED);
	s->sp = s->saved = s->saved_off = 0;
}

static void lose_fp(struct frame_state *s)
{
	s->flags &= (__u16) ~(STATE_FP | STATE_CALLER_FP);
	s->fp = 0;
}

static void lose_copy(struct frame_state *s)
{
	s->copy = X86_NO_REG;
	s->copy_off = 0;
}

static bool knows_sp(const struct frame_state *s)
{
	return (s->flags & (STATE_SP | STATE_ALIGNED)) == STATE_SP;
}

static void set_sp(struct frame_state *s, __s64 sp)
{
	lose_sp(s);
	/* Beyond the return address there is no frame any more. */
	if (sp < 0 || sp > FAR)
		return;
	s->flags |= STATE_SP;
	s->sp = (__s32)sp;
	/* What lies below the stack pointer is no longer there. */
	if (s->slot > s->sp)
		s->slot = 0;
}

static void move_sp(struct frame_state *s, __s64 down)
{
	__s64 sp = s->sp + down;

	if (!(s->flags & STATE_ALIGNED)) {
		if (s->flags & STATE_SP)
			set_sp(s, sp);
	} else if (sp < 0 || sp > FAR) {
		lose_sp(s);
	} else {
		s->sp = (__s32)sp;
		if (s->saved > s->sp)
			s->saved = s->saved_off = 0;
	}
}

static void set_fp(struct frame_state *s, __s64 fp)
{
	lose_fp(s);
	if (fp < -FAR || fp > FAR)
		return;
	s->flags |= STATE_FP;
	s->fp = (__s32)fp;
}

static void take_caller_fp(struct frame_state *s)
{
	lose_fp(s);
	s->flags |= STATE_CALLER_FP;
}

/* Where base + value points, as a distance below the CFA; false: unknown. */
static bool address_of(const struct frame_state *s, __u8 base, __s64 value, __s64 *ret_below)
{
	if (base == X86_RSP && knows_sp(s))
		*ret_below = s->sp - value;
	else if (base == X86_RBP && s->flags & STATE_FP)
		*ret_below = s->fp - value;
	else if (base != X86_NO_REG && base == s->copy)
		*ret_below = s->copy_off - value;
	else
		return false;
	return *ret_below > -FAR && *ret_below < FAR;
}

/* reg = base + value */
static void set_address(struct frame_state *s, __u8 reg, __u8 base, __s64 value)
{
	__s64 below = 0;
	bool known = address_of(s, base, value, &below);

	if (reg == X86_RSP) {
		if (known)
			set_sp(s, below);
		else if (base == X86_RSP)
			move_sp(s, -value);
		else
			lose_sp(s);
	} else if (reg == X86_RBP) {
		if (known)
			set_fp(s, below);
		else
			lose_fp(s);
	} else if (known) {
		s->copy = reg;
		s->copy_off = (__s32)below;
	} else if (reg == s->copy) {
		lose_copy(s);
	}
	if (base == X86_RBP && s->flags & STATE_CALLER_FP && value == 0)
		s->flags |= STATE_FP_COPIED;
}

static void load(struct frame_state *s, const struct x86_insn *i)
{
	__s64 below = 0;
	bool known = address_of(s, i->base, i->value, &below);

	if (i->reg == X86_RBP) {
		if (known && s->slot && below == s->slot)
			take_caller_fp(s);
		else
			lose_fp(s);
	} else if (i->reg == X86_RSP) {
		if (s->flags & STATE_ALIGNED && i->base == X86_RSP && s->saved &&
		    s->sp - i->value == s->saved)
			set_sp(s, s->saved_off);
		else
			lose_sp(s);
	} else if (i->reg == s->copy) {
		lose_copy(s);
	}
}

static void store(struct frame_state *s, const struct x86_insn *i)
{
	__s64 below = 0;
	bool known = address_of(s, i->base, i->value, &below);

	if (i->reg == X86_RBP && s->flags & STATE_CALLER_FP) {
		if (known && below > 8)
			s->slot = (__s32)below;
		else
			s->flags |= STATE_FP_COPIED;
	} else if (known && s->slot && below == s->slot) {
		s->slot = 0;
	}
	if (s->flags & STATE_ALIGNED && i->base == X86_RSP && i->reg == s->copy &&
	    s->sp - i->value > 0 && s->sp - i->value < FAR) {
		s->saved = s->sp - (__s32)i->value;
		s->saved_off = s->copy_off;
	}
}

static void push(struct frame_state *s, __u8 reg)
{
	move_sp(s, 8);
	if (reg == X86_RBP && s->flags & STATE_CALLER_FP) {
		if (knows_sp(s))
			s->slot = s->sp;
		else
			s->flags |= STATE_FP_COPIED;
	}
	if (s->flags & STATE_ALIGNED && reg != X86_NO_REG && reg == s->copy) {
		s->saved = s->sp;
		s->saved_off = s->copy_off;
	}
}

static void pop(struct frame_state *s, __u8 reg)
{
	bool callers = knows_sp(s) && s->slot && s->slot == s->sp;
	bool saved = s->flags & STATE_ALIGNED && s->saved && s->saved == s->sp;
	__s32 saved_off = s->saved_off;

	move_sp(s, -8);
	if (reg == X86_RSP) {
		lose_sp(s);
	} else if (reg == X86_RBP) {
		if (callers)
			take_caller_fp(s);
		else
			lose_fp(s);
	} else if (reg != X86_NO_REG && saved) {
		s->copy = reg;
		s->copy_off = saved_off;
	} else if (reg == s->copy) {
		lose_copy(s);
	}
}

static void align(struct frame_state *s)
{
	lose_sp(s);
	s->flags |= STATE_SP | STATE_ALIGNED;
}

static void leave(struct frame_state *s)
{
	if (s->flags & STATE_FP)
		set_sp(s, s->fp);
	else
		lose_sp(s);
	pop(s, X86_RBP);
}

/* Of the caller-saved registers a call keeps none. */
static void call(struct frame_state *s)
{
	static const __u16 kept = 1u << X86_RBX | 0xf000;

	if (s->copy != X86_NO_REG && !(kept >> s->copy & 1))
		lose_copy(s);
}

/* A register other than what the kinds above account for. */
static void overwrite(struct frame_state *s, __u16 writes)
{
	if (writes >> X86_RSP & 1)
		lose_sp(s);
	if (writes >> X86_RBP & 1)
		lose_fp(s);
	if (s->copy != X86_NO_REG && writes >> s->copy & 1)
		lose_copy(s);
}

static void add(struct frame_state *s, const struct x86_insn *i)
{
	if (i->reg == X86_RSP)
		move_sp(s, -i->value);
	else if (i->reg == X86_RBP && s->flags & STATE_FP)
		set_fp(s, s->fp - i->value);
	else
		overwrite(s, i->writes);
}

static void set(struct frame_state *s, const struct x86_insn *i)
{
	if (i->reg == X86_RBP && i->value == 0 && s->flags & STATE_CALLER_FP && !s->slot &&
	    !(s->flags & STATE_FP_COPIED))
		s->flags |= STATE_ROOT;
	overwrite(s, i->writes);
}

void frame_state_step(struct frame_state *s, const struct x86_insn *i)
{
	if (s->flags & STATE_ROOT)
		return;
	switch (i->kind) {
	case X86_PUSH:
		push(s, i->reg);
		break;
	case X86_POP:
		pop(s, i->reg);
		break;
	case X86_ADD:
		add(s, i);
		break;
	case X86_AND:
		if (i->reg == X86_RSP)
			align(s);
		else
			overwrite(s, i->writes);
		break;
	case X86_SET:
		set(s, i);
		break;
	case X86_MOVE:
		set_address(s, i->reg, i->base, 0);
		break;
	case X86_LEA:
		set_address(s, i->reg, i->base, i->value);
		break;
	case X86_LOAD:
		load(s, i);
		break;
	case X86_STORE:
		store(s, i);
		break;
	case X86_LEAVE:
		leave(s);
		break;
	case X86_ENTER:
		*s = frame_state_nothing(); /* compilers write none */
		break;
	case X86_CALL:
	case X86_CALL_INDIRECT:
		call(s);
		break;
	default:
		overwrite(s, i->writes);
	}
}

bool frame_state_join(struct frame_state *s, const struct frame_state *other)
{
	struct frame_state j = *s;
	__u16 diff = s->flags ^ other->flags;

	if (!memcmp(s, other, sizeof(*s)))
		return false;
	if (diff & STATE_ROOT)
		j = frame_state_nothing();
	if (diff & (STATE_SP | STATE_ALIGNED) || s->sp != other->sp)
		lose_sp(&j);
	if (diff & (STATE_FP | STATE_CALLER_FP) || s->fp != other->fp)
		lose_fp(&j);
	if (s->slot != other->slot)
		j.slot = 0;
	if (s->copy != other->copy || s->copy_off != other->copy_off)
		lose_copy(&j);
	if (s->saved != other->saved || s->saved_off != other->saved_off)
		j.saved = j.saved_off = 0;
	j.flags |= other->flags & STATE_FP_COPIED;
	if (!memcmp(s, &j, sizeof(j)))
		return false;
	*s = j;
	return true;
}

bool frame_state_rule(const struct frame_state *s, struct unw_rule *ret_rule)
{
	struct unw_rule r = {.cfa_op = UNW_CFA_REG,
			     .ra_op = UNW_REG_CFA,
			     .ra_off = -8,
			     .fp_op = UNW_REG_UNDEFINED};

	if (s->flags & STATE_ROOT)
		return false;
	if (s->flags & STATE_FP) {
		r.cfa_reg = DWARF_BP;
		r.cfa_off = s->fp;
	} else if (knows_sp(s) && s->sp >= 8) {
		r.cfa_reg = DWARF_SP;
		r.cfa_off = s->sp;
	} else if (s->flags & STATE_ALIGNED && s->saved) {
		r.cfa_op = UNW_CFA_DEREF;
		r.cfa_reg = DWARF_SP;
		r.cfa_off = s->sp - s->saved;
		r.cfa_add = s->saved_off;
	} else if (s->copy != X86_NO_REG) {
		r.cfa_reg = dwarf_reg[s->copy];
		r.cfa_off = s->copy_off;
	} else {
		return false;
	}
	if (s->flags & STATE_CALLER_FP) {
		r.fp_op = UNW_REG_UNSPECIFIED;
	} else if (s->slot) {
		r.fp_op = UNW_REG_CFA;
		r.fp_off = -s->slot;
	}
	*ret_rule = r;
	return true;
}
