// SPDX-License-Identifier: Apache-2.0
/*
 * Reading one instruction, see x86_insn.h. The opcode maps are tables of letters:
 *	-	none				.	no operand bytes
 *	m	ModRM				r e x	ModRM; writes reg, r/m, both
 *	M R E	the same and an imm8		Q Z	ModRM and imm16/32; writes reg, r/m
 *	i w z v	imm8, imm16, imm16/32, the operand's size
 *	o	an address			n	imm16 and imm8 (enter)
 *	j J	branch by 8, by 32 bits		p	a prefix or an escape
 * What a letter cannot say (opcodes extended by ModRM or by a prefix) stands in fix_writes.
 */
#include "symbolize/x86_insn.h"

#define MAX_LEN 15u

#define BIT(reg) ((__u16)(1u << (reg)))
#define RAX	 BIT(X86_RAX)
#define RCX	 BIT(X86_RCX)
#define RDX	 BIT(X86_RDX)
#define RBX	 BIT(X86_RBX)
#define RSI	 BIT(X86_RSI)
#define RDI	 BIT(X86_RDI)
#define R11	 BIT(11)

static const char one_byte[] = /* 00 */ "eerriz--eerriz-p"
					/* 10 */ "eerriz--eerriz--"
					/* 20 */ "eerrizp-eerrizp-"
					/* 30 */ "eerrizp-mmmmizp-"
					/* 40 */ "pppppppppppppppp"
					/* 50 */ "................"
					/* 60 */ "--prppppzQiR...."
					/* 70 */ "jjjjjjjjjjjjjjjj"
					/* 80 */ "EZ-Emmxxeerrerme"
					/* 90 */ "..........-....."
					/* a0 */ "oooo....iz......"
					/* b0 */ "iiiiiiiivvvvvvvv"
					/* c0 */ "EEw.ppEZn.w..i-."
					/* d0 */ "eeee---.mmmmmmmm"
					/* e0 */ "jjjjiiiiJJ-j...."
					/* f0 */ "p.pp..ee......ee";
static const char two_byte[] = /* 00 */ "emrr-.....-.-m.M"
					/* 10 */ "mmmmmmmmmmmmmmmm"
					/* 20 */ "eemm----mmmmmmmm"
					/* 30 */ "......-.p-p-----"
					/* 40 */ "rrrrrrrrrrrrrrrr"
					/* 50 */ "rmmmmmmmmmmmmmmm"
					/* 60 */ "mmmmmmmmmmmmmmmm"
					/* 70 */ "MMMMmmm.em--mmem"
					/* 80 */ "JJJJJJJJJJJJJJJJ"
					/* 90 */ "eeeeeeeeeeeeeeee"
					/* a0 */ "...mEemm...eEemr"
					/* b0 */ "eererrrrrmEerrrr"
					/* c0 */ "xxMmMRMm........"
					/* d0 */ "mmmmmmmrmmmmmmmm"
					/* e0 */ "mmmmmmmmmmmmmmmm"
					/* f0 */ "mmmmmmmmmmmmmmmm";
_Static_assert(sizeof(one_byte) == 257 && sizeof(two_byte) == 257, "a row is not of 16");

/* The map an opcode stands in. */
enum map {
	ONE_BYTE,
	MAP_0F,
	MAP_0F38,
	MAP_0F3A,
	MAP_FP16 = 5,
	MAP_FP16_38,
	XOP_8 = 8,
	XOP_9,
	XOP_A
};

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct parse {
	struct cursor c;
	__u8 map, opcode;
	__u8 rex;     /* the low bits; VEX's and EVEX's brought to the same form */
	bool has_rex; /* spl, bpl, sil, dil instead of ah, ch, dh, bh */
	bool vector;  /* VEX, EVEX or XOP */
	bool high;    /* EVEX: the reg operand is one of 16-31, no general register */
	bool op16, addr32, segment, fs;
	__u8 rep; /* 0xf2, 0xf3, or 0 */
	__u8 vvvv;
	bool has_modrm;
	__u8 mod, reg, rm; /* reg and rm with their fourth bit */
	__u8 base, index;  /* of a memory operand; X86_NO_REG, X86_RIP */
	__s64 disp, imm;
};

/* ---- prefixes and opcodes -------------------------------------------------------------------- */

static void invert_rex(struct parse *p, __u8 rxb)
{
	p->rex = (__u8)(~rxb >> 5 & 7);
	/* R, X, B stand in this order from the top; in REX they are 4, 2, 1 as well */
}

static void take_pp(struct parse *p, __u8 pp)
{
	static const __u8 reps[] = {0, 0, 0xf3, 0xf2};

	p->op16 = (pp & 3) == 1;
	p->rep = reps[pp & 3];
}

static bool read_vex2(struct parse *p)
{
	__u8 b = cursor_u8(&p->c);

	p->vector = true;
	p->map = MAP_0F;
	invert_rex(p, b | 0x60);
	p->vvvv = ~b >> 3 & 15;
	take_pp(p, b);
	return true;
}

static bool read_vex3(struct parse *p)
{
	__u8 a = cursor_u8(&p->c), b = cursor_u8(&p->c);

	p->vector = true;
	p->map = a & 31;
	invert_rex(p, a);
	p->rex |= b >> 7 ? REX_W : 0;
	p->vvvv = ~b >> 3 & 15;
	take_pp(p, b);
	return true;
}

static bool read_evex(struct parse *p)
{
	__u8 a = cursor_u8(&p->c), b = cursor_u8(&p->c);

	cursor_u8(&p->c);
	p->vector = true;
	p->map = a & 7;
	invert_rex(p, a);
	p->rex |= b >> 7 ? REX_W : 0;
	p->vvvv = ~b >> 3 & 15;
	p->high = !(a & 16);
	take_pp(p, b);
	return !(a & 8) && b & 4 && p->map != 0 && p->map != 4 && p->map != 7;
}

static bool read_vector(struct parse *p, __u8 opcode)
{
	bool ok;

	if (p->has_rex || p->op16 || p->rep)
		return false;
	if (opcode == 0xc5)
		ok = read_vex2(p);
	else if (opcode == 0x62)
		ok = read_evex(p);
	else
		ok = read_vex3(p);
	p->opcode = cursor_u8(&p->c);
	if (opcode == 0x8f)
		return p->map >= XOP_8 && p->map <= XOP_A;
	return ok && p->map >= MAP_0F && p->map <= MAP_FP16_38 && (p->map < 4 || opcode == 0x62);
}

/* True when the byte is a legacy prefix. A REX in front of it has no effect. */
static bool take_prefix(struct parse *p, __u8 byte)
{
	switch (byte) {
	case 0x26: /* es, cs, ss, ds: no effect in 64-bit mode */
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0xf0: /* lock */
		break;
	case 0x64:
	case 0x65:
		p->segment = true;
		p->fs = byte == 0x64;
		break;
	case 0x66:
		p->op16 = true;
		break;
	case 0x67:
		p->addr32 = true;
		break;
	case 0xf2:
	case 0xf3:
		p->rep = byte;
		break;
	default:
		return false;
	}
	p->rex = 0;
	p->has_rex = false;
	return true;
}

static bool read_opcode(struct parse *p)
{
	__u8 byte = cursor_u8(&p->c);

	while (!p->c.bad && (take_prefix(p, byte) || byte >> 4 == 4)) {
		if (byte >> 4 == 4) {
			p->rex = byte & 15;
			p->has_rex = true;
		}
		byte = cursor_u8(&p->c);
	}
	/* Outside 64-bit mode these three are other instructions; there they are prefixes only. */
	if (byte == 0xc4 || byte == 0xc5 || byte == 0x62)
		return read_vector(p, byte);
	if (byte == 0x8f && cursor_left(&p->c) && (*p->c.pos & 31) >= XOP_8)
		return read_vector(p, byte);
	if (byte == 0x0f) {
		byte = cursor_u8(&p->c);
		p->map = byte == 0x38 ? MAP_0F38 : byte == 0x3a ? MAP_0F3A : MAP_0F;
		if (p->map != MAP_0F)
			byte = cursor_u8(&p->c);
	}
	p->opcode = byte;
	return !p->c.bad;
}

/* ---- operands -------------------------------------------------------------------------------- */

static void read_modrm(struct parse *p)
{
	__u8 modrm = cursor_u8(&p->c), rm = modrm & 7;

	p->has_modrm = true;
	p->mod = modrm >> 6;
	p->reg = (modrm >> 3 & 7) | (p->rex & REX_R ? 8 : 0);
	p->rm = rm | (p->rex & REX_B ? 8 : 0);
	if (p->map == MAP_0F && !p->vector && p->opcode >= 0x20 && p->opcode <= 0x23)
		p->mod = 3; /* control and debug registers have no other form */
	if (p->mod == 3)
		return;
	p->base = p->rm;
	if (rm == 4) {
		__u8 sib = cursor_u8(&p->c);

		p->base = (sib & 7) | (p->rex & REX_B ? 8 : 0);
		p->index = (sib >> 3 & 7) | (p->rex & REX_X ? 8 : 0);
		if (p->index == X86_RSP)
			p->index = X86_NO_REG;
		if ((sib & 7) == 5 && p->mod == 0) {
			p->base = X86_NO_REG;
			p->disp = cursor_s32(&p->c);
		}
	} else if (rm == 5 && p->mod == 0) {
		p->base = X86_RIP;
		p->disp = cursor_s32(&p->c);
	}
	if (p->mod == 1)
		p->disp = (int)cursor_s8(&p->c);
	else if (p->mod == 2)
		p->disp = cursor_s32(&p->c);
}

static void read_z(struct parse *p)
{
	p->imm = p->op16 && !(p->rex & REX_W) ? cursor_s16(&p->c) : cursor_s32(&p->c);
}

/* The letter of an opcode; for the maps without a table, ModRM and what it writes is fix_writes's.
 */
static char letter_of(const struct parse *p)
{
	__u8 op = p->opcode;

	if (p->map == ONE_BYTE)
		return one_byte[op];
	if (p->map == MAP_0F && !p->vector)
		return two_byte[op];
	if (p->map == MAP_0F && op == 0x77)
		return '.';
	if (p->map == XOP_A)
		return 'Q';
	if (p->map == MAP_0F3A || p->map == XOP_8 ||
	    (p->map == MAP_0F &&
	     ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6))))
		return 'M';
	return 'm';
}

/* Operand bytes by letter; imm holds a branch's distance, too. False: no instruction. */
static bool read_operands(struct parse *p, char letter)
{
	if (strchr("mrexMREQZ", letter))
		read_modrm(p);
	switch (letter) {
	case 'M':
	case 'R':
	case 'E':
	case 'i':
	case 'j':
		p->imm = (int)cursor_s8(&p->c);
		break;
	case 'w':
		p->imm = cursor_u16(&p->c);
		break;
	case 'n':
		p->imm = cursor_u16(&p->c);
		cursor_u8(&p->c);
		break;
	case 'Q':
		if (p->vector)
			p->imm = cursor_s32(&p->c);
		else
			read_z(p);
		break;
	case 'Z':
	case 'z':
		read_z(p);
		break;
	case 'v':
		if (p->rex & REX_W)
			p->imm = cursor_s64(&p->c);
		else
			p->imm = p->op16 ? cursor_u16(&p->c) : cursor_u32(&p->c);
		break;
	case 'o':
		cursor_skip(&p->c, p->addr32 ? 4 : 8);
		break;
	case 'J':
		p->imm = p->op16 && !(p->rex & REX_W) ? cursor_s16(&p->c) : cursor_s32(&p->c);
		break;
	case '-':
	case 'p':
		return false;
	}
	if (p->map == ONE_BYTE && (p->opcode | 1) == 0xf7 && (p->reg & 7) < 2) { /* test */
		if (p->opcode & 1)
			read_z(p);
		else
			cursor_u8(&p->c);
	}
	return true;
}

/* ---- what is written ------------------------------------------------------------------------- */

static bool is_byte_wide(const struct parse *p)
{
	__u8 op = p->opcode;

	if (p->vector)
		return false;
	if (p->map == MAP_0F)
		return op >> 4 == 9 || op == 0xb0 || op == 0xc0;
	if (p->map != ONE_BYTE || op & 1)
		return op >> 3 == 0xb0 >> 3 && p->map == ONE_BYTE;
	return op < 0x40 || op == 0x80 || (op >= 0x84 && op <= 0x8a) || op == 0xc0 || op == 0xc6 ||
	       op == 0xd0 || op == 0xd2 || op == 0xf6 || op == 0xfe || op >> 3 == 0xb0 >> 3;
}

static __u16 register_bit(const struct parse *p, __u8 reg)
{
	if (is_byte_wide(p) && !p->has_rex && reg >= 4)
		reg -= 4; /* ah, ch, dh, bh */
	return BIT(reg & 15);
}

static __u16 rm_bit(const struct parse *p)
{
	return p->mod == 3 && p->has_modrm ? register_bit(p, p->rm) : 0;
}

static __u16 one_byte_writes(const struct parse *p, __u16 writes)
{
	__u8 op = p->opcode, ext = p->reg & 7;

	if (op < 0x40)
		return (op & 7) == 4 || (op & 7) == 5 ? (op >= 0x38 ? 0 : RAX) : writes;
	if (op >= 0x80 && op <= 0x83)
		return ext == 7 ? 0 : writes;
	if (op >= 0x90 && op <= 0x97) {
		__u8 reg = (op & 7) | (p->rex & REX_B ? 8 : 0);

		return reg == X86_RAX ? 0 : RAX | BIT(reg);
	}
	if (op >= 0xb0 && op <= 0xbf)
		return register_bit(p, (op & 7) | (p->rex & REX_B ? 8 : 0));
	switch (op) {
	case 0x6c:
	case 0x6d:
	case 0xaa:
	case 0xab:
	case 0xae:
	case 0xaf:
		return RDI | RCX;
	case 0x6e:
	case 0x6f:
		return RSI | RCX;
	case 0xa4:
	case 0xa5:
	case 0xa6:
	case 0xa7:
		return RSI | RDI | RCX;
	case 0xac:
	case 0xad:
		return RAX | RSI | RCX;
	case 0x98:
	case 0x9f:
	case 0xa0:
	case 0xa1:
	case 0xd7:
	case 0xe4:
	case 0xe5:
	case 0xec:
	case 0xed:
		return RAX;
	case 0x99:
		return RDX;
	case 0xdf: /* fnstsw ax */
		return p->mod == 3 && ext == 4 ? RAX : 0;
	case 0xe0:
	case 0xe1:
	case 0xe2:
		return RCX;
	case 0xf6:
	case 0xf7:
		return ext < 2 ? 0 : ext < 4 ? writes : RAX | RDX;
	case 0xfe:
	case 0xff:
		return ext < 2 ? writes : 0;
	default:
		return writes;
	}
}

static __u16 two_byte_writes(const struct parse *p, __u16 writes)
{
	__u8 op = p->opcode, ext = p->reg & 7;

	if (op >= 0xc8 && op <= 0xcf)
		return BIT((op & 7) | (p->rex & REX_B ? 8 : 0));
	switch (op) {
	case 0x00:
		return ext < 2 ? writes : 0;
	case 0x01:
		return ext == 4 || ext == 6 ? rm_bit(p) : p->mod == 3 ? RAX | RCX | RDX : 0;
	case 0x05:
		return RAX | RCX | R11;
	case 0x1e: /* rdsspq; the rest are hints */
		return p->rep == 0xf3 && ext == 1 ? rm_bit(p) : 0;
	case 0x2c:
	case 0x2d:
		return p->rep ? BIT(p->reg & 15) : 0;
	case 0x31:
	case 0x32:
	case 0x33:
		return RAX | RDX;
	case 0x7e:
		return p->rep == 0xf3 ? 0 : writes;
	case 0xa2:
		return RAX | RBX | RCX | RDX;
	case 0xa6: /* VIA PadLock */
	case 0xa7:
		return RAX | RCX | RDX | RSI | RDI;
	case 0xae: /* rdfsbase, rdgsbase */
		return p->rep == 0xf3 && ext < 2 ? rm_bit(p) : 0;
	case 0xb0:
	case 0xb1:
		return writes | RAX;
	case 0xba:
		return ext == 4 ? 0 : writes;
	case 0xc7: /* cmpxchg16b; rdrand, rdseed, rdpid */
		return p->mod != 3 ? RAX | RDX : ext >= 6 ? rm_bit(p) : 0;
	default:
		return writes;
	}
}

static __u16 vector_writes(const struct parse *p)
{
	__u16 reg = p->high ? 0 : BIT(p->reg & 15), rm = rm_bit(p), vvvv = BIT(p->vvvv);
	__u8 op = p->opcode;

	switch (p->map << 8 | op) {
	case MAP_0F << 8 | 0x2c: /* conversions to integers */
	case MAP_0F << 8 | 0x2d:
	case MAP_0F << 8 | 0x78:
	case MAP_0F << 8 | 0x79:
	case MAP_FP16 << 8 | 0x2c:
	case MAP_FP16 << 8 | 0x2d:
	case MAP_FP16 << 8 | 0x78:
	case MAP_FP16 << 8 | 0x79:
		return p->rep ? reg : 0;
	case MAP_0F << 8 | 0x50: /* movmsk, pmovmskb, pextrw, kmov */
	case MAP_0F << 8 | 0xd7:
	case MAP_0F << 8 | 0xc5:
	case MAP_0F << 8 | 0x93:
	case MAP_0F38 << 8 | 0xf2: /* andn */
	case MAP_0F38 << 8 | 0xf5: /* bzhi, pdep, pext */
	case MAP_0F38 << 8 | 0xf7: /* bextr, shlx, sarx, shrx */
	case MAP_0F3A << 8 | 0xf0: /* rorx */
	case XOP_A << 8 | 0x10:
		return reg;
	case MAP_0F << 8 | 0x7e: /* vmovd, vmovw */
	case MAP_FP16 << 8 | 0x7e:
		return p->op16 ? rm : 0;
	case MAP_0F38 << 8 | 0xf3: /* blsr and its kind */
	case XOP_9 << 8 | 0x01:
	case XOP_9 << 8 | 0x02:
		return vvvv;
	case MAP_0F38 << 8 | 0xf6: /* mulx */
		return reg | vvvv;
	case MAP_0F3A << 8 | 0x14: /* vpextr, vextractps */
	case MAP_0F3A << 8 | 0x15:
	case MAP_0F3A << 8 | 0x16:
	case MAP_0F3A << 8 | 0x17:
	case XOP_9 << 8 | 0x12:
		return rm;
	case MAP_0F3A << 8 | 0x61: /* vpcmp.stri */
	case MAP_0F3A << 8 | 0x63:
		return RCX;
	default: /* cmpccxadd */
		return p->map == MAP_0F38 && op >> 4 == 0xe ? reg : 0;
	}
}

static __u16 writes_of(const struct parse *p, char letter)
{
	__u16 writes = 0;
	__u8 op = p->opcode;

	if (p->vector)
		return vector_writes(p);
	if (strchr("rRQx", letter))
		writes |= register_bit(p, p->reg);
	if (strchr("eEZx", letter))
		writes |= rm_bit(p);
	if (p->map == ONE_BYTE)
		return one_byte_writes(p, writes);
	if (p->map == MAP_0F)
		return two_byte_writes(p, writes);
	if (p->map == MAP_0F38) {
		if (op == 0xf0 || (op == 0xf1 && p->rep == 0xf2) ||
		    (op == 0xf6 && (p->op16 || p->rep == 0xf3))) /* movbe, crc32, adcx, adox */
			return BIT(p->reg & 15);
		return 0;
	}
	if (op >= 0x14 && op <= 0x17)
		return rm_bit(p);
	return op == 0x61 || op == 0x63 ? RCX : 0;
}

/* ---- what is done ---------------------------------------------------------------------------- */

static void is_kind(struct x86_insn *insn, enum x86_kind kind, __u8 reg, __u8 base, __s64 value)
{
	insn->kind = kind;
	insn->reg = reg;
	insn->base = base;
	insn->value = value;
}

/* mov and lea of 64 bits. `next`: the address behind the instruction. */
static void classify_move(const struct parse *p, struct x86_insn *insn, __u64 next)
{
	bool stores = p->opcode == 0x89;
	__s64 at = p->disp;

	if (p->mod == 3) {
		if (p->opcode != 0x8d)
			is_kind(insn, X86_MOVE, stores ? p->rm : p->reg, stores ? p->reg : p->rm,
				0);
		return;
	}
	if (p->index != X86_NO_REG || p->addr32)
		return;
	if (p->base == X86_RIP)
		at = (__s64)(next + (__u64)p->disp);
	if (p->opcode == 0x8d)
		is_kind(insn, X86_LEA, p->reg, p->base, at);
	else if (p->fs)
		is_kind(insn, stores ? X86_STORE_FS : X86_LOAD_FS, p->reg, p->base, at);
	else if (!p->segment)
		is_kind(insn, stores ? X86_STORE : X86_LOAD, p->reg, p->base, at);
}

static void classify_group5(const struct parse *p, struct x86_insn *insn, __u64 next)
{
	switch (p->reg & 7) {
	case 2:
	case 3:
		insn->kind = X86_CALL_INDIRECT;
		break;
	case 4:
		if (p->mod == 3)
			is_kind(insn, X86_JUMP_TABLE, p->rm, 0, 0);
		else if (p->index != X86_NO_REG && p->base == X86_NO_REG)
			is_kind(insn, X86_JUMP_TABLE, X86_NO_REG, 0, p->disp);
		else if (p->base == X86_RIP)
			is_kind(insn, X86_JUMP_SLOT, 0, 0, (__s64)(next + (__u64)p->disp));
		else
			is_kind(insn, X86_JUMP_TABLE, X86_NO_REG, 0, 0);
		break;
	case 5:
		is_kind(insn, X86_JUMP_TABLE, X86_NO_REG, 0, 0);
		break;
	case 6:
		is_kind(insn, X86_PUSH, p->mod == 3 ? p->rm : X86_NO_REG, 0, 0);
		break;
	}
}

static void classify_arithmetic(const struct parse *p, struct x86_insn *insn)
{
	if ((p->reg & 7) == 7)
		is_kind(insn, X86_COMPARE, X86_NO_REG, X86_NO_REG, p->imm);
	if (p->mod != 3 || !(p->rex & REX_W))
		return;
	switch (p->reg & 7) {
	case 0:
		is_kind(insn, X86_ADD, p->rm, 0, p->imm);
		break;
	case 4:
		is_kind(insn, X86_AND, p->rm, 0, p->imm);
		break;
	case 5:
		is_kind(insn, X86_ADD, p->rm, 0, -p->imm);
		break;
	}
}

static void classify_branch(const struct parse *p, struct x86_insn *insn, __u64 next)
{
	__u8 op = p->opcode;

	insn->target = next + (__u64)p->imm;
	insn->kind = op == 0xe8 ? X86_CALL : op == 0xe9 || op == 0xeb ? X86_JUMP : X86_BRANCH;
}

static void classify_stack(const struct parse *p, struct x86_insn *insn)
{
	__u8 op = p->opcode, reg = (op & 7) | (p->rex & REX_B ? 8 : 0);

	if (op >= 0x50 && op <= 0x57)
		is_kind(insn, X86_PUSH, reg, 0, 0);
	else if (op >= 0x58 && op <= 0x5f)
		is_kind(insn, X86_POP, reg, 0, 0);
	else if (op == 0x68 || op == 0x6a || op == 0x9c)
		is_kind(insn, X86_PUSH, X86_NO_REG, 0, 0);
	else if (op == 0x9d)
		is_kind(insn, X86_POP, X86_NO_REG, 0, 0);
	else if (op == 0x8f)
		is_kind(insn, X86_POP, p->mod == 3 ? p->rm : X86_NO_REG, 0, 0);
	if (insn->kind == X86_POP && insn->reg != X86_NO_REG)
		insn->writes |= BIT(insn->reg);
	if (insn->kind != X86_OTHER && p->op16) { /* of two bytes: nobody's habit */
		insn->kind = X86_OTHER;
		insn->writes |= BIT(X86_RSP);
	}
}

static void classify_one_byte(const struct parse *p, struct x86_insn *insn, __u64 next)
{
	__u8 op = p->opcode;

	switch (op) {
	case 0x31:
	case 0x33: /* xor of a register with itself */
	case 0x29:
	case 0x2b:
		if (p->mod == 3 && p->reg == p->rm && !p->op16)
			is_kind(insn, X86_SET, p->reg, 0, 0);
		break;
	case 0x3c:
	case 0x3d:
		is_kind(insn, X86_COMPARE, X86_NO_REG, X86_NO_REG, p->imm);
		break;
	case 0x80:
	case 0x81:
	case 0x83:
		classify_arithmetic(p, insn);
		break;
	case 0x89:
	case 0x8b:
	case 0x8d:
		if (p->rex & REX_W)
			classify_move(p, insn, next);
		break;
	case 0x90:
		if (!(p->rex & REX_B) && p->rep != 0xf3)
			insn->kind = X86_NOP;
		break;
	case 0xc2:
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcf:
		insn->kind = X86_RETURN;
		break;
	case 0xc7:
		if (p->mod == 3 && (p->reg & 7) == 0 && !p->op16)
			is_kind(insn, X86_SET, p->rm, 0,
				p->rex & REX_W ? p->imm : (__s64)(__u32)p->imm);
		else if (p->mod == 3 && (p->reg & 7) == 7) { /* xbegin */
			insn->kind = X86_BRANCH;
			insn->target = next + (__u64)p->imm;
		}
		break;
	case 0xc8:
		is_kind(insn, X86_ENTER, 0, 0, p->imm);
		break;
	case 0xc9:
		insn->kind = X86_LEAVE;
		break;
	case 0xcc:
	case 0xf1:
	case 0xf4:
		insn->kind = X86_TRAP;
		break;
	case 0xff:
		classify_group5(p, insn, next);
		break;
	default:
		if (op >= 0xb8 && op <= 0xbf && !p->op16)
			is_kind(insn, X86_SET, (op & 7) | (p->rex & REX_B ? 8 : 0), 0, p->imm);
	}
}

static void classify_two_byte(const struct parse *p, struct x86_insn *insn)
{
	switch (p->opcode) {
	case 0x05:
		insn->kind = X86_SYSCALL;
		break;
	case 0x0b:
	case 0xb9:
	case 0xff:
		insn->kind = X86_TRAP;
		break;
	case 0x1e:
		if (p->rep == 0xf3 && (p->reg & 7) == 1)
			break;
		insn->kind = X86_NOP;
		break;
	case 0x1f:
		insn->kind = X86_NOP;
		break;
	case 0xa0:
	case 0xa8:
		is_kind(insn, X86_PUSH, X86_NO_REG, 0, 0);
		break;
	case 0xa1:
	case 0xa9:
		is_kind(insn, X86_POP, X86_NO_REG, 0, 0);
		break;
	}
}

bool x86_insn_read(struct cursor *c, __u64 vaddr, struct x86_insn *ret_insn)
{
	struct parse p = {.c = *c, .base = X86_NO_REG, .index = X86_NO_REG};
	struct x86_insn insn = {.reg = X86_NO_REG, .base = X86_NO_REG};
	size_t len;
	__u64 next;
	char letter;

	if (!read_opcode(&p))
		return false;
	letter = letter_of(&p);
	if (!read_operands(&p, letter))
		return false;
	len = (size_t)(p.c.pos - c->pos);
	if (p.c.bad || len > MAX_LEN)
		return false;
	next = vaddr + len;
	insn.len = (__u8)len;
	insn.writes = writes_of(&p, letter);
	if (letter == 'j' || letter == 'J') {
		classify_branch(&p, &insn, next);
	} else if (p.map == ONE_BYTE) {
		classify_stack(&p, &insn);
		if (insn.kind == X86_OTHER)
			classify_one_byte(&p, &insn, next);
	} else if (p.map == MAP_0F && !p.vector) {
		classify_two_byte(&p, &insn);
	}
	cursor_skip(c, len);
	*ret_insn = insn;
	return true;
}
