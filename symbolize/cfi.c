// SPDX-License-Identifier: Apache-2.0
/*
 * CIEs, FDEs and their programs (DWARF 5 section 6.4; for .eh_frame LSB 5.0 Core 10.6). One FDE's
 * damage never costs another: each is read in a window of its own.
 */
#include "symbolize/cfi.h"

#include <errno.h>

#include "symbolize/dwarf_ops.h"

#define MAX_REMEMBERED 64u
#define MAX_CIES       (1u << 20)
#define MAX_FDES       (4u << 20) /* of a file; the largest browsers have about one million */

/* An encoded pointer (LSB 10.5). `vaddr` is the address of the window's start. */
static __u64 read_pointer(struct cursor *c, __u64 vaddr, __u8 encoding, __u8 address_size)
{
	__u64 at = vaddr + cursor_tell(c), value;

	switch (encoding & DW_EH_PE_format_mask) {
	case DW_EH_PE_absptr:
		value = cursor_uint(c, address_size);
		break;
	case DW_EH_PE_uleb128:
		value = cursor_uleb(c);
		break;
	case DW_EH_PE_udata2:
		value = cursor_u16(c);
		break;
	case DW_EH_PE_udata4:
		value = cursor_u32(c);
		break;
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		value = cursor_u64(c);
		break;
	case DW_EH_PE_sleb128:
		value = (__u64)cursor_sleb(c);
		break;
	case DW_EH_PE_sdata2:
		value = (__u64)(__s64)cursor_s16(c);
		break;
	case DW_EH_PE_sdata4:
		value = (__u64)(__s64)cursor_s32(c);
		break;
	default:
		cursor_fail(c);
		return 0;
	}
	switch (encoding & DW_EH_PE_base_mask) {
	case DW_EH_PE_absptr:
		return value;
	case DW_EH_PE_pcrel:
		return at + value;
	default: /* text-, data- and function-relative pointers do not occur in FDE ranges on Linux
		  */
		cursor_fail(c);
		return 0;
	}
}

/* ---- sections -------------------------------------------------------------------------------- */

/* .eh_frame by PT_GNU_EH_FRAME, for files without section headers. Its size is not told: to the end
 * of its segment, the terminator ends it before. */
static struct cursor eh_frame_by_segment(const struct elf *elf, __u64 *ret_vaddr)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		struct cursor hdr;
		__u64 at;

		if (elf->segments[i].type != PT_GNU_EH_FRAME)
			continue;
		at = elf->segments[i].vaddr;
		hdr = elf_at_vaddr(elf, at);
		/* version 1, eh_frame_ptr pc-relative signed 4 bytes: what every linker writes */
		if (cursor_u8(&hdr) != 1 || cursor_u8(&hdr) != (DW_EH_PE_pcrel | DW_EH_PE_sdata4))
			continue;
		cursor_skip(&hdr, 2);
		*ret_vaddr = at + 4 + (__u64)(__s64)cursor_s32(&hdr);
		if (!hdr.bad)
			return elf_at_vaddr(elf, *ret_vaddr);
	}
	return cursor_of(NULL, 0);
}

void cfi_find(struct elf *elf, const struct unwind_arch *arch,
	      struct cfi_section sections[CFI_SECTION_COUNT])
{
	struct cfi_section *eh = &sections[CFI_EH_FRAME], *debug = &sections[CFI_DEBUG_FRAME];
	const struct elf_section *s = elf_section(elf, ".eh_frame");
	int err;

	eh->is_eh = true;
	eh->arch = debug->arch = arch;
	eh->work = debug->work = elf->work;
	eh->number = CFI_EH_FRAME;
	debug->number = CFI_DEBUG_FRAME;
	if (s) {
		eh->data = elf_section_raw(elf, s);
		eh->vaddr = s->addr;
	} else {
		eh->data = eh_frame_by_segment(elf, &eh->vaddr);
	}
	/* A .debug_frame that cannot be decompressed is as good as absent. */
	debug->data = elf_debug_data(elf, "debug_frame", &err);
}

/* ---- expressions ----------------------------------------------------------------------------- */

struct shape {
	__u32 reg;
	__s64 off, add;
	unsigned derefs;
};

/* reg + off [deref [+ add]]: the shapes that compilers and the C library write. */
static bool read_shape(struct cursor e, struct shape *s)
{
	__u8 op = cursor_u8(&e);
	__u64 sum[2] = {0}; /* off, add: unsigned, for foreign numbers may wrap */

	*s = (struct shape){0};
	if (op == DW_OP_bregx)
		s->reg = (__u32)cursor_uleb(&e);
	else if (op >= DW_OP_breg0 && op <= DW_OP_breg0 + 31)
		s->reg = op - DW_OP_breg0;
	else
		return false;
	sum[0] = (__u64)cursor_sleb(&e);
	while (cursor_left(&e)) {
		__u64 *add = &sum[s->derefs];

		op = cursor_u8(&e);
		if (op == DW_OP_deref && !s->derefs) {
			s->derefs = 1;
		} else if (op == DW_OP_plus_uconst) {
			*add += cursor_uleb(&e);
		} else if (op >= DW_OP_lit0 && op <= DW_OP_lit0 + 31) {
			__u8 sign = cursor_u8(&e);

			if (sign != DW_OP_plus && sign != DW_OP_minus)
				return false;
			*add += sign == DW_OP_plus ? (__u64)op - DW_OP_lit0
						   : DW_OP_lit0 - (__u64)op;
		} else {
			return false;
		}
	}
	s->off = (__s64)sum[0];
	s->add = (__s64)sum[1];
	return !e.bad && s->reg < 256 && s->off == (__s32)s->off && s->add == (__s32)s->add;
}

static void set_cfa_expression(const struct unwind_arch *arch, struct unw_rule *rule,
			       struct cursor expr)
{
	struct shape s;

	rule->cfa_reg = 0;
	rule->cfa_off = rule->cfa_add = 0;
	rule->cfa_op = UNW_CFA_EXPR;
	if (read_shape(expr, &s)) {
		/* Without a deref the shape is an ordinary register rule, yet readelf says `exp`;
		 * none of that kind is known, so leave it there. */
		if (!s.derefs)
			return;
		rule->cfa_op = UNW_CFA_DEREF;
		rule->cfa_reg = (__u8)s.reg;
		rule->cfa_off = (__s32)s.off;
		rule->cfa_add = (__s32)s.add;
		return;
	}
	arch->cfa_expression(expr, rule);
}

struct reg_rule {
	__u8 op, reg;
	__s32 off, add;
};

static struct reg_rule reg_expression(struct cursor expr)
{
	struct shape s;

	if (!read_shape(expr, &s))
		return (struct reg_rule){.op = UNW_REG_EXPR};
	return (struct reg_rule){
		.op = s.derefs ? UNW_REG_DEREF2 : UNW_REG_DEREF,
		.reg = (__u8)s.reg,
		.off = (__s32)s.off,
		.add = (__s32)s.add,
	};
}

/* ---- programs -------------------------------------------------------------------------------- */

struct machine {
	const struct cfi_section *section;
	const struct cfi_cie *cie;
	struct cursor c;
	__u64 vaddr; /* of c.start, for DW_CFA_set_loc */
	struct unw_rule rule;
	/* The offset of the last register rule: def_cfa_register after an expression goes back to
	 * it, as in binutils and libgcc. */
	__s32 cfa_off;
	unsigned depth;
	struct {
		struct unw_rule rule;
		__s32 cfa_off;
	} remembered[MAX_REMEMBERED];
};

static void set_reg(struct machine *m, __u64 reg, struct reg_rule r)
{
	struct unw_rule *rule = &m->rule;

	if (reg == m->section->arch->fp) {
		rule->fp_op = r.op;
		rule->fp_reg = r.reg;
		rule->fp_off = r.off;
		rule->fp_add = r.add;
	} else if (reg == m->cie->ra_reg) {
		rule->ra_op = r.op;
		rule->ra_reg = r.reg;
		rule->ra_off = r.off;
		rule->ra_add = r.add;
	} else if (m->section->track_bx && reg == m->section->arch->bx) {
		rule->bx_op = r.op;
		rule->bx_off = r.off;
	}
}

static void restore_reg(struct machine *m, __u64 reg)
{
	const struct unw_rule *i = &m->cie->initial;

	if (reg == m->section->arch->fp)
		set_reg(m, reg, (struct reg_rule){i->fp_op, i->fp_reg, i->fp_off, i->fp_add});
	else if (reg == m->cie->ra_reg)
		set_reg(m, reg, (struct reg_rule){i->ra_op, i->ra_reg, i->ra_off, i->ra_add});
	else
		set_reg(m, reg, (struct reg_rule){i->bx_op, 0, i->bx_off, 0});
}

static void set_saved(struct machine *m, __u64 reg, __u8 op, __s64 factored)
{
	__s64 off = (__s64)((__u64)factored * (__u64)m->cie->data_align);

	set_reg(m, reg, (struct reg_rule){.op = op, .off = (__s32)off});
}

static void set_cfa(struct machine *m, __u64 reg, __s64 off)
{
	m->rule.cfa_op = reg < 256 && off == (__s32)off ? UNW_CFA_REG : UNW_CFA_EXPR;
	m->rule.cfa_reg = (__u8)reg;
	m->rule.cfa_off = m->cfa_off = (__s32)off;
	m->rule.cfa_add = 0;
}

static bool run_cfa(struct machine *m, __u8 op)
{
	struct cursor *c = &m->c;
	__u64 reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = cursor_uleb(c);
		set_cfa(m, reg, (__s64)cursor_uleb(c));
		return true;
	case DW_CFA_def_cfa_sf:
		reg = cursor_uleb(c);
		set_cfa(m, reg, (__s64)((__u64)cursor_sleb(c) * (__u64)m->cie->data_align));
		return true;
	case DW_CFA_def_cfa_register:
		set_cfa(m, cursor_uleb(c), m->cfa_off);
		return true;
	case DW_CFA_def_cfa_offset:
		set_cfa(m, m->rule.cfa_reg, (__s64)cursor_uleb(c));
		return true;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa(m, m->rule.cfa_reg,
			(__s64)((__u64)cursor_sleb(c) * (__u64)m->cie->data_align));
		return true;
	case DW_CFA_def_cfa_expression:
		set_cfa_expression(m->section->arch, &m->rule, cursor_sub(c, cursor_uleb(c)));
		return true;
	default:
		return false;
	}
}

static bool run_register(struct machine *m, __u8 op)
{
	struct cursor *c = &m->c;
	__u64 reg;

	switch (op) {
	case DW_CFA_offset_extended:
		reg = cursor_uleb(c);
		set_saved(m, reg, UNW_REG_CFA, (__s64)cursor_uleb(c));
		return true;
	case DW_CFA_offset_extended_sf:
		reg = cursor_uleb(c);
		set_saved(m, reg, UNW_REG_CFA, cursor_sleb(c));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		reg = cursor_uleb(c);
		set_saved(m, reg, UNW_REG_CFA, (__s64)-cursor_uleb(c));
		return true;
	case DW_CFA_val_offset:
		reg = cursor_uleb(c);
		set_saved(m, reg, UNW_REG_CFA_VALUE, (__s64)cursor_uleb(c));
		return true;
	case DW_CFA_val_offset_sf:
		reg = cursor_uleb(c);
		set_saved(m, reg, UNW_REG_CFA_VALUE, cursor_sleb(c));
		return true;
	case DW_CFA_register:
		reg = cursor_uleb(c);
		set_reg(m, reg, (struct reg_rule){.op = UNW_REG_REG, .off = (__s32)cursor_uleb(c)});
		return true;
	case DW_CFA_expression:
		reg = cursor_uleb(c);
		set_reg(m, reg, reg_expression(cursor_sub(c, cursor_uleb(c))));
		return true;
	case DW_CFA_val_expression:
		reg = cursor_uleb(c);
		cursor_skip(c, cursor_uleb(c));
		set_reg(m, reg, (struct reg_rule){.op = UNW_REG_VEXPR});
		return true;
	case DW_CFA_undefined:
		set_reg(m, cursor_uleb(c), (struct reg_rule){.op = UNW_REG_UNDEFINED});
		return true;
	case DW_CFA_same_value:
		set_reg(m, cursor_uleb(c), (struct reg_rule){.op = UNW_REG_SAME});
		return true;
	case DW_CFA_restore_extended:
		restore_reg(m, cursor_uleb(c));
		return true;
	default:
		return false;
	}
}

/* An instruction that moves no location. False: unknown or damaged. */
static bool run_state(struct machine *m, __u8 op)
{
	struct cursor *c = &m->c;

	switch (op & 0xc0) {
	case DW_CFA_offset:
		set_saved(m, op & 0x3f, UNW_REG_CFA, (__s64)cursor_uleb(c));
		return !c->bad;
	case DW_CFA_restore:
		restore_reg(m, op & 0x3f);
		return true;
	}
	switch (op) {
	case DW_CFA_nop:
	case DW_CFA_GNU_window_save:
	case DW_CFA_AARCH64_negate_ra_state_with_pc:
		return true;
	case DW_CFA_GNU_args_size:
		cursor_uleb(c);
		return !c->bad;
	case DW_CFA_remember_state:
		if (m->depth == MAX_REMEMBERED)
			return false;
		m->remembered[m->depth].rule = m->rule;
		m->remembered[m->depth++].cfa_off = m->cfa_off;
		return true;
	case DW_CFA_restore_state:
		if (m->depth == 0)
			return false;
		m->rule = m->remembered[--m->depth].rule;
		m->cfa_off = m->remembered[m->depth].cfa_off;
		return true;
	}
	return (run_cfa(m, op) || run_register(m, op)) && !c->bad;
}

/* An instruction that sets the location. False: it is another kind. */
static bool run_advance(struct machine *m, __u8 op, __u64 *loc)
{
	struct cursor *c = &m->c;
	__u64 delta;

	if ((op & 0xc0) == DW_CFA_advance_loc)
		delta = op & 0x3f;
	else if (op == DW_CFA_advance_loc1)
		delta = cursor_u8(c);
	else if (op == DW_CFA_advance_loc2)
		delta = cursor_u16(c);
	else if (op == DW_CFA_advance_loc4)
		delta = cursor_u32(c);
	else if (op == DW_CFA_MIPS_advance_loc8)
		delta = cursor_u64(c);
	else if (op == DW_CFA_set_loc) {
		*loc = read_pointer(c, m->vaddr, m->section->is_eh ? m->cie->fde_encoding : 0,
				    m->cie->address_size);
		return true;
	} else {
		return false;
	}
	*loc += delta * m->cie->code_align;
	return true;
}

int cfi_run(const struct cfi_section *section, const struct cfi_fde *fde,
	    int (*row)(void *arg, __u64 start, __u64 end, const struct unw_rule *rule), void *arg,
	    __u64 faults[UNWIND_FAULT_COUNT], __u64 *ret_end)
{
	struct machine m = {
		.section = section,
		.cie = &section->cies.data[fde->cie],
		.c = cursor_of(fde->program, fde->program_len),
		.vaddr = section->vaddr + (__u64)(fde->program - section->data.start),
		.rule = section->cies.data[fde->cie].initial,
		.cfa_off = section->cies.data[fde->cie].initial.cfa_off,
	};
	__u64 start = fde->start, loc = fde->start;
	int err = 0;

	*ret_end = fde->end;
	while (!err && cursor_left(&m.c) && loc < fde->end && work_take(section->work, 1)) {
		__u8 op = cursor_u8(&m.c);

		if (!run_advance(&m, op, &loc)) {
			if (run_state(&m, op))
				continue;
			cursor_fail(&m.c);
		}
		if (m.c.bad || loc < start) {
			faults[UNWIND_FAULT_PROGRAM]++;
			*ret_end = start;
			return 0;
		}
		if (loc > start) {
			err = row(arg, start, MIN(loc, fde->end), &m.rule);
			start = loc;
		}
	}
	if (!err && start < fde->end)
		err = row(arg, start, fde->end, &m.rule);
	return err;
}

/* ---- CIEs ------------------------------------------------------------------------------------ */

/* The augmentation string of .eh_frame, and of .debug_frame where it has one. */
static bool read_augmentation(const struct cfi_section *section, struct cursor *c, const char *aug,
			      struct cfi_cie *cie)
{
	struct cursor data;

	if (!*aug)
		return true;
	if (*aug++ != 'z')
		return false; /* "eh" and others from before GCC 3 */
	cie->has_augmentation = true;
	data = cursor_sub(c, cursor_uleb(c));
	for (; *aug; aug++) {
		switch (*aug) {
		case 'L':
			cursor_u8(&data);
			break;
		case 'R':
			cie->fde_encoding = cursor_u8(&data);
			break;
		case 'P': {
			__u8 encoding = cursor_u8(&data);

			if ((encoding & DW_EH_PE_base_mask) == DW_EH_PE_aligned)
				return false;
			/* Only its length matters. */
			read_pointer(&data, section->vaddr, encoding & DW_EH_PE_format_mask,
				     cie->address_size);
			break;
		}
		case 'S':
			cie->initial.flags |= UNW_RULE_SIGNAL;
			break;
		case 'B': /* AArch64: pointers signed with the B key */
		case 'G': /* AArch64: MTE-tagged frame */
			break;
		default:
			return !data.bad; /* unknown letters end the list; the length still holds */
		}
	}
	return !data.bad;
}

static bool read_cie(struct cfi_section *section, struct cursor c, struct cfi_cie *cie)
{
	struct machine m = {.section = section};
	const char *aug;
	__u8 version;

	if (!work_take(section->work, cursor_left(&c))) /* CIEs may lie over one another */
		return false;
	cie->fde_encoding = DW_EH_PE_absptr;
	cie->address_size = 8;
	version = cursor_u8(&c);
	aug = cursor_str(&c);
	if (version != 1 && version != 3 && version != 4)
		return false;
	if (version == 4) {
		cie->address_size = cursor_u8(&c);
		if (cursor_u8(&c) != 0 || cie->address_size != 8)
			return false; /* segment selectors; other address sizes */
	}
	cie->code_align = cursor_uleb(&c);
	cie->data_align = cursor_sleb(&c);
	cie->ra_reg = version == 1 ? cursor_u8(&c) : (__u32)cursor_uleb(&c);
	cie->initial.cfa_op = UNW_CFA_NONE;
	if (!read_augmentation(section, &c, aug, cie) || c.bad)
		return false;
	m.cie = cie;
	m.c = c;
	m.rule = cie->initial;
	while (cursor_left(&m.c) && work_take(section->work, 1)) {
		__u64 loc = 0;
		__u8 op = cursor_u8(&m.c);

		if (!run_advance(&m, op, &loc) && !run_state(&m, op))
			return false;
	}
	cie->initial = m.rule;
	return !m.c.bad;
}

/* Index of the CIE at an offset of the section, read at first use; an unreadable one is kept as
 * unusable, so that it is counted once. -ENOMEM, or -EINVAL when no CIE can stand there. */
static int find_cie(struct cfi_section *section, __u64 offset, __u64 faults[UNWIND_FAULT_COUNT])
{
	struct cfi_cie cie = {.offset = offset};
	struct cursor c = section->data;
	__u64 hash = hash_u64(offset), len;
	bool is_64 = false;
	__u32 i;

	hmap_for_each_match (&section->cie_index, hash, i) {
		if (section->cies.data[i].offset == offset)
			return (int)i;
	}
	if (section->cies.len >= MAX_CIES)
		return -EINVAL;
	cursor_seek(&c, offset);
	len = cursor_u32(&c);
	if (len == 0xffffffff) {
		is_64 = true;
		len = cursor_u64(&c);
	}
	c = cursor_sub(&c, len);
	if ((is_64 ? cursor_u64(&c) : cursor_u32(&c)) != (section->is_eh ? 0
							  : is_64	 ? UINT64_MAX
									 : UINT32_MAX) ||
	    c.bad)
		return -EINVAL;
	cie.usable = read_cie(section, c, &cie);
	if (!cie.usable)
		faults[UNWIND_FAULT_CIE]++;
	if (vec_push(&section->cies, cie) ||
	    hmap_add(&section->cie_index, hash, (__u32)section->cies.len - 1))
		return -ENOMEM;
	return (int)section->cies.len - 1;
}

/* ---- FDEs ------------------------------------------------------------------------------------ */

/* One FDE; c is the entry behind its CIE pointer, whose bytes start at section->vaddr + base. 1 when
 * there is one, 0 when it cannot be read, or -ENOMEM. */
static int read_fde(struct cfi_section *section, struct cursor c, __u64 base, __u64 cie_offset,
		    struct cfi_fde *fde, __u64 faults[UNWIND_FAULT_COUNT])
{
	int cie_index = find_cie(section, cie_offset, faults);
	const struct cfi_cie *cie;
	__u64 len;

	if (cie_index == -ENOMEM)
		return -ENOMEM;
	if (cie_index < 0) {
		faults[UNWIND_FAULT_FDE]++;
		return 0;
	}
	cie = &section->cies.data[cie_index];
	if (!cie->usable)
		return 0;
	*fde = (struct cfi_fde){.section = section->number};
	fde->start = read_pointer(&c, section->vaddr + base, cie->fde_encoding, cie->address_size);
	len = read_pointer(&c, 0, cie->fde_encoding & DW_EH_PE_format_mask, cie->address_size);
	if (cie->has_augmentation)
		cursor_skip(&c, cursor_uleb(&c));
	if (c.bad || __builtin_add_overflow(fde->start, len, &fde->end)) {
		faults[UNWIND_FAULT_FDE]++;
		return 0;
	}
	fde->program = c.pos;
	fde->program_len = (__u32)cursor_left(&c);
	fde->cie = (__u32)cie_index;
	return 1;
}

int cfi_each(struct cfi_section *section, int (*take)(void *arg, const struct cfi_fde *fde),
	     void *arg, __u64 faults[UNWIND_FAULT_COUNT])
{
	struct cursor c = section->data;

	while (cursor_left(&c) >= 4 && work_take(section->work, 1)) {
		__u64 len = cursor_u32(&c), id, id_at, max_id = UINT32_MAX;
		bool is_64 = len == 0xffffffff;
		struct cursor entry;
		struct cfi_fde fde;
		int err;

		if (len == 0)
			continue; /* a terminator; linkers may leave more behind it */
		if (is_64) {
			len = cursor_u64(&c);
			max_id = UINT64_MAX;
		}
		id_at = cursor_tell(&c);
		if (len > cursor_left(&c)) {
			faults[UNWIND_FAULT_FDE]++;
			return 0;
		}
		entry = cursor_sub(&c, len);
		id = is_64 ? cursor_u64(&entry) : cursor_u32(&entry);
		if (entry.bad) {
			faults[UNWIND_FAULT_FDE]++;
			continue;
		}
		if (id == (section->is_eh ? 0 : max_id))
			continue; /* a CIE: read when an FDE asks for it */
		if (section->is_eh)
			id = id <= id_at ? id_at - id : UINT64_MAX;
		err = read_fde(section, entry, id_at, id, &fde, faults);
		if (err > 0)
			err = take(arg, &fde);
		if (err)
			return err;
	}
	return 0;
}

struct reading {
	cfi_fdes *fdes;
	__u64 *faults;
};

static int append_fde(void *arg, const struct cfi_fde *fde)
{
	struct reading *r = arg;

	if (r->fdes->len >= MAX_FDES) {
		r->faults[UNWIND_FAULT_FDE]++;
		return 0;
	}
	return vec_push(r->fdes, *fde);
}

int cfi_read(struct cfi_section *section, cfi_fdes *fdes, __u64 faults[UNWIND_FAULT_COUNT])
{
	return cfi_each(section, append_fde, &(struct reading){fdes, faults}, faults);
}

void cfi_section_fini(struct cfi_section *section)
{
	vec_free(&section->cies);
	hmap_fini(&section->cie_index);
}
