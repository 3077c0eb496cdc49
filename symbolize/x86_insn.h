/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One x86-64 instruction: how long it is, where control goes, and what it does to the registers
 * that frames are found by. Everything else about it is skipped: operands that are no general
 * register, flags, memory.
 *
 * Lengths: all maps of Intel SDM volume 2 appendix A (legacy, VEX, EVEX) and AMD's XOP, as GNU
 * objdump 2.40 reads them in 64-bit mode; tests/oracle/x86_lengths.c holds them against it.
 * Foreign bytes, through a cursor. No state, any thread, some 10 ns an instruction.
 */
#pragma once

#include "profiler/base/cursor.h"

/* General registers by their number in the encoding (not DWARF's). */
enum x86_reg {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R12 = 12,
	X86_R15 = 15,
	X86_RIP = 16, /* as a base: `value` is the address itself */
	X86_NO_REG = 255,
};

enum x86_kind {
	X86_OTHER,   /* nothing but `writes` */
	X86_NOP,     /* of any length, endbr64 too: what pads code */
	X86_PUSH,    /* 8 bytes: `reg`, or something else (X86_NO_REG) */
	X86_POP,     /* 8 bytes into `reg`, or into memory (X86_NO_REG) */
	X86_ADD,     /* reg += value; sub as well */
	X86_AND,     /* reg &= value */
	X86_SET,     /* reg = value */
	X86_MOVE,    /* reg = base */
	X86_LEA,     /* reg = base + value */
	X86_LOAD,    /* reg = 8 bytes at base + value */
	X86_STORE,   /* 8 bytes at base + value = reg */
	X86_LOAD_FS, /* the same, relative to the thread pointer */
	X86_STORE_FS,
	X86_LEAVE, /* rsp = rbp, pop rbp */
	X86_ENTER, /* push rbp, rbp = rsp, rsp -= value */
	X86_CALL,  /* target */
	X86_CALL_INDIRECT,
	X86_JUMP,	/* target */
	X86_JUMP_TABLE, /* to where a register says, or memory indexed by one: `reg`, or a table of
			   addresses at `value` (reg X86_NO_REG) */
	X86_JUMP_SLOT,	/* to where memory at an address says: `value` */
	X86_BRANCH,	/* to target, or on */
	X86_RETURN,
	X86_TRAP, /* never goes on: ud2, hlt, int3 */
	X86_SYSCALL,
	X86_COMPARE, /* something with `value` */
};

struct x86_insn {
	__u8 len; /* 1-15 */
	__u8 kind;
	__u8 reg, base;
	__u16 writes; /* general registers that may change, one bit each; rsp's only when it is
			 written as an operand, not by push, pop, call, ret or leave */
	__s64 value;
	__u64 target; /* 0: none */
};

/* Read the instruction at the cursor, whose address is vaddr, and step over it. False, with the
 * cursor where it was, for bytes that are none or are cut off. */
bool x86_insn_read(struct cursor *c, __u64 vaddr, struct x86_insn *ret_insn);
