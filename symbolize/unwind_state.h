/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What following x86-64 code tells of its frame at one instruction: where the stack pointer and the
 * frame pointer stand below the CFA (the address behind the return address), and where the caller's
 * frame pointer was stored. Instructions change it, paths that meet keep what they agree on, and a
 * rule comes out of it when enough is known. Never a guess: what an instruction does that is not
 * understood makes the register unknown.
 *
 * Numbers are distances below the CFA: `sp` 8 is a function's first instruction.
 */
#pragma once

#include "bpf/unwind.h"
#include "symbolize/x86_insn.h"

enum {
	STATE_SP = 1,	      /* rsp = CFA - sp */
	STATE_ALIGNED = 2,    /* rsp was rounded down since: rsp = (an unknown base) - sp */
	STATE_FP = 4,	      /* rbp = CFA - fp */
	STATE_CALLER_FP = 8,  /* rbp is the caller's */
	STATE_FP_COPIED = 16, /* the caller's rbp may live in another register */
	STATE_ROOT = 32, /* rbp was cleared and the caller's kept nowhere: a stack's first code */
};

struct frame_state {
	__u16 flags; /* 0 besides copy: nothing is known */
	__u8 copy;   /* a register that holds CFA - copy_off; X86_NO_REG: none */
	__u8 pad;
	__s32 sp, fp;
	__s32 slot; /* the caller's rbp is stored at CFA - slot; 0: not */
	__s32 copy_off;
	__s32 saved,
		saved_off; /* ALIGNED: at base - saved stands CFA - saved_off; saved 0: nothing */
};

/* At a function's first instruction; of a stretch that goes on behind CFI (false: a rule of another
 * shape); nothing known. */
struct frame_state frame_state_start(void);
bool frame_state_of_rule(const struct unw_rule *rule, struct frame_state *ret_state);
struct frame_state frame_state_nothing(void);

/* The state behind an instruction that goes on. */
void frame_state_step(struct frame_state *state, const struct x86_insn *insn);
/* Keep what both know; true when that changed *state. */
bool frame_state_join(struct frame_state *state, const struct frame_state *other);
/* False: not enough is known, or the stack begins here (STATE_ROOT). */
bool frame_state_rule(const struct frame_state *state, struct unw_rule *ret_rule);
