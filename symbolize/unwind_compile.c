// SPDX-License-Identifier: Apache-2.0
/*
 * From CFI to parts: read the FDEs of .eh_frame and .debug_frame, order them by address, let the
 * first claim to an address win (.eh_frame before .debug_frame), run each program into the packer.
 * About 100 ns a row. Asked to derive, what lies between the FDEs is filled (unwind_fill.h).
 */
#include "symbolize/unwind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/cfi.h"
#include "symbolize/unwind_fill.h"
#include "symbolize/unwind_pack.h"

static const char *const skip_texts[] = {
#define X(name, text) text,
	UNWIND_SKIPS(X)
#undef X
};
static const char *const fault_texts[] = {
#define X(name, text) text,
	UNWIND_FAULTS(X)
#undef X
};

const char *unwind_skip_text(enum unwind_skip why)
{
	return skip_texts[why];
}

const char *unwind_fault_text(enum unwind_fault fault)
{
	return fault_texts[fault];
}

const struct unwind_arch *unwind_arch_of(__u16 machine)
{
	static const struct unwind_arch *const all[] = {&unwind_x86_64, &unwind_arm64};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i]->machine == machine)
			return all[i];
	return NULL;
}

/* Where rows come from, in the order of their claims. */
#define ENTRY ((__u16)CFI_SECTION_COUNT) /* besides the sections of CFI */

#define ENTRY_BYTES 64 /* of code at a program's entry point, when nothing else describes it */

struct compile {
	struct elf *elf;
	struct unwind_table *table;
	struct cfi_section sections[CFI_SECTION_COUNT];
	cfi_fdes fdes;
	struct unwind_packer packer;
	__u64 clip;    /* rows before this address belong to an earlier FDE */
	bool wants_bx; /* some CFA is computed from the base register */
	bool derive;
	struct unwind_fill fill;
	__u64 filled; /* the end of the last filled row */
	unwind_specials specials;
	size_t next_special;
	__u64 packed; /* the end of the last special that was */
};

static int by_start(const void *pa, const void *pb)
{
	const struct cfi_fde *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->section != b->section)
		return a->section < b->section ? -1 : 1;
	return a->program < b->program ? -1 : a->program > b->program;
}

/* Drop FDEs of no code (dead functions whose text the linker removed), then order by address. */
static void order_fdes(struct compile *c)
{
	size_t kept = 0;
	bool sorted = true;

	vec_for_each (fde, &c->fdes) {
		if (fde->start == fde->end || work_is_over(c->elf->work))
			continue;
		if (!elf_is_text(c->elf, fde->start, fde->end)) {
			c->table->faults[UNWIND_FAULT_OUTSIDE]++;
			continue;
		}
		if (kept && by_start(&c->fdes.data[kept - 1], fde) > 0)
			sorted = false;
		c->fdes.data[kept++] = *fde;
	}
	c->fdes.len = kept;
	if (!sorted)
		qsort(c->fdes.data, kept, sizeof(*c->fdes.data), by_start);
}

/* The special stretches that begin before `end`, and a row up to where each begins. */
static int pack_specials(struct compile *c, __u64 start, __u64 end, const struct unw_rule *rule)
{
	int err = 0;

	while (!err && c->next_special < c->specials.len &&
	       c->specials.data[c->next_special].start < end) {
		const struct unwind_special *s = &c->specials.data[c->next_special++];

		start = MAX(start, c->packed);
		if (start < s->start)
			err = unwind_pack_row(&c->packer, start, s->start, rule);
		if (!err && s->entry)
			err = unwind_pack_mark(&c->packer, MAX(s->start, c->packed), s->end,
					       UNW_CODE_ENTRY);
		else if (!err)
			err = unwind_pack_row(&c->packer, s->start, s->end, &s->rule);
		c->packed = s->end;
	}
	return err;
}

static int pack_row(struct compile *c, __u64 start, __u64 end, const struct unw_rule *rule)
{
	int err = pack_specials(c, start, end, rule);

	start = MAX(start, c->packed);
	return err || start >= end ? err : unwind_pack_row(&c->packer, start, end, rule);
}

/* A stack begins in [start, end). */
static int pack_mark(struct compile *c, __u64 start, __u64 end)
{
	int err = pack_specials(c, start, start, NULL);

	start = MAX(start, c->packed);
	return err || start >= end ? err : unwind_pack_mark(&c->packer, start, end, UNW_CODE_ENTRY);
}

static int take_row(void *arg, __u64 start, __u64 end, const struct unw_rule *rule)
{
	struct compile *c = arg;

	if (end <= c->clip)
		return 0;
	if (rule->cfa_op <= UNW_CFA_DEREF && rule->cfa_reg == c->packer.arch->bx)
		c->wants_bx = true;
	return pack_row(c, MAX(start, c->clip), end, rule);
}

/* The code at the entry point has no caller. */
static int add_entry(struct compile *c)
{
	__u64 entry = c->elf->entry;

	if (!entry || !elf_is_text(c->elf, entry, entry + 1))
		return 0;
	return vec_push(
		&c->fdes,
		(struct cfi_fde){.start = entry, .end = entry + ENTRY_BYTES, .section = ENTRY});
}

static int take_filled(void *arg, __u64 start, __u64 end, const struct unw_rule *rule)
{
	struct compile *c = arg;
	struct unw_rule r;

	start = MAX(start, c->filled);
	if (start >= end)
		return 0;
	c->filled = end;
	if (!rule)
		return pack_mark(c, start, end);
	r = *rule;
	/* Such a source tells nothing of the base register. */
	if (c->table->tracks_bx)
		r.bx_op = UNW_REG_UNDEFINED;
	return pack_row(c, start, end, &r);
}

/* Rows for [clip, end), which no CFI describes; fde: the one that ends there, NULL: none. */
static int fill_gap(struct compile *c, __u64 end, const struct cfi_fde *fde)
{
	const struct unwind_packer *p = &c->packer;
	bool ends_here = fde && fde->end == c->clip && p->open && p->end == c->clip &&
			 p->last_code < UNW_CODE_ENTRY;

	if (!c->derive || c->clip >= end)
		return 0;
	return unwind_fill_between(&c->fill, c->clip, end, ends_here ? fde : NULL, &p->last,
				   take_filled, c);
}

/* A thread in the call that ends a signal handler has its pc behind the restorer's last byte. */
static int extend_signal(struct compile *c, __u64 next)
{
	const struct unwind_packer *p = &c->packer;
	struct unw_rule rule = p->last;

	if (!c->derive || !p->open || p->end != c->clip || p->last_code >= UNW_CODE_ENTRY ||
	    !(rule.flags & UNW_RULE_SIGNAL) || c->clip >= next)
		return 0;
	c->filled = c->clip + 1;
	return pack_row(c, c->clip, c->filled, &rule);
}

static int compile_fdes(struct compile *c)
{
	const struct cfi_fde *last = NULL;
	int err;

	for (size_t i = 0; i < c->fdes.len && work_take(c->elf->work, 1); i++) {
		const struct cfi_fde *fde = &c->fdes.data[i];
		__u64 end = fde->end;

		err = extend_signal(c, fde->start);
		if (!err)
			err = fill_gap(c, fde->start, last);
		if (err)
			return err;
		if (fde->start < c->clip && fde->section == CFI_EH_FRAME)
			c->table->faults[UNWIND_FAULT_OVERLAP]++;
		if (fde->end <= c->clip)
			continue;
		if (fde->section == ENTRY) {
			if (i + 1 < c->fdes.len)
				end = MIN(end, c->fdes.data[i + 1].start);
			err = fde->start < c->clip || end <= fde->start
				      ? 0
				      : unwind_pack_mark(&c->packer, fde->start, end,
							 UNW_CODE_ENTRY);
		} else {
			err = cfi_run(&c->sections[fde->section], fde, take_row, c,
				      c->table->faults, &end);
			c->table->n_fdes++;
		}
		if (err)
			return err;
		if (end > c->clip)
			last = fde;
		c->clip = MAX(c->clip, end);
	}
	err = extend_signal(c, UINT64_MAX);
	if (!err)
		err = fill_gap(c, UINT64_MAX, last);
	if (!err)
		err = pack_specials(c, UINT64_MAX, UINT64_MAX, NULL);
	return err ? err : unwind_pack_finish(&c->packer);
}

/* 0 or -ENOMEM; not all of the table when the file's work is over. */
static int compile(struct compile *c)
{
	int err = 0;

	for (int i = 0; i < CFI_SECTION_COUNT; i++) {
		c->sections[i].track_bx = c->table->tracks_bx;
		err = cfi_read(&c->sections[i], &c->fdes, c->table->faults);
		if (err)
			return err;
	}
	if (!c->derive || c->elf->machine != EM_X86_64)
		err = add_entry(c);
	if (err)
		return err;
	order_fdes(c);
	if (c->derive)
		err = unwind_fill_open(&c->fill, c->elf, &c->fdes, &c->specials);
	unwind_specials_order(&c->specials);
	return err ? err : compile_fdes(c);
}

static enum unwind_skip finish(struct compile *c, int err)
{
	if (work_is_over(c->elf->work))
		return UNWIND_SKIP_WORK;
	if (err)
		return UNWIND_SKIP_MEMORY;
	c->table->faults[UNWIND_FAULT_GAP] = c->fill.left_out;
	c->table->specials = c->specials.data;
	c->table->n_specials = c->specials.len;
	memset(&c->specials, 0, sizeof(c->specials));
	return c->table->n_fdes || (c->derive && c->table->n_rows) ? UNWIND_SKIP_NONE
								   : UNWIND_SKIP_EMPTY;
}

static enum unwind_skip refuse(const struct elf *elf, const struct compile *c)
{
	bool text = false;

	if (elf->type == ET_REL)
		return UNWIND_SKIP_RELOCATABLE;
	if (elf->type == ET_CORE)
		return UNWIND_SKIP_CORE;
	if (!unwind_arch_of(elf->machine))
		return UNWIND_SKIP_MACHINE;
	for (size_t i = 0; i < elf->n_segments; i++)
		text |= elf->segments[i].type == PT_LOAD && elf->segments[i].flags & PF_X;
	if (!text)
		return UNWIND_SKIP_NO_TEXT;
	for (int i = 0; i < CFI_SECTION_COUNT; i++)
		if (cursor_left(&c->sections[i].data))
			return UNWIND_SKIP_NONE;
	return c->derive ? UNWIND_SKIP_NONE : UNWIND_SKIP_NO_CFI;
}

static struct unwind_table *compile_once(struct elf *elf, enum unwind_scope scope, bool track_bx,
					 bool *ret_wants_bx, enum unwind_skip *ret_why)
{
	const struct unwind_arch *arch = unwind_arch_of(elf->machine);
	struct unwind_table *table = calloc(1, sizeof(*table));
	struct compile c = {.elf = elf,
			    .table = table,
			    .packer = {.arch = arch, .table = table},
			    .derive = scope == UNWIND_DERIVED};

	*ret_why = UNWIND_SKIP_MEMORY;
	if (!table)
		return NULL;
	table->machine = elf->machine;
	table->tracks_bx = track_bx;
	cfi_find(elf, arch, c.sections);
	*ret_why = refuse(elf, &c);
	if (*ret_why == UNWIND_SKIP_NONE)
		*ret_why = finish(&c, compile(&c));
	*ret_wants_bx = c.wants_bx;
	unwind_pack_fini(&c.packer);
	vec_free(&c.fdes);
	vec_free(&c.specials);
	unwind_fill_fini(&c.fill);
	for (int i = 0; i < CFI_SECTION_COUNT; i++)
		cfi_section_fini(&c.sections[i]);
	if (*ret_why == UNWIND_SKIP_NONE)
		return table;
	unwind_table_free(table);
	return NULL;
}

struct unwind_table *unwind_compile(struct elf *elf, enum unwind_scope scope,
				    enum unwind_skip *ret_why)
{
	bool wants_bx;
	struct unwind_table *table = compile_once(elf, scope, false, &wants_bx, ret_why);

	/* Few files need the base register (ld.so, static glibc), and all others are spared its
	 * cost. */
	if (!table || !wants_bx)
		return table;
	unwind_table_free(table);
	return compile_once(elf, scope, true, &wants_bx, ret_why);
}

void unwind_table_free(struct unwind_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_parts; i++)
		free(table->parts[i].blob);
	free(table->parts);
	free(table->specials);
	free(table);
}
