// SPDX-License-Identifier: Apache-2.0
/* The row compiler on hand-made CFI: shapes that a root file system may lack. */
#include "symbolize/unwind.h"

#include <stdlib.h>

#include "profiler/base/buf.h"
#include "symbolize/dwarf_ops.h"
#include "tests/unit/test.h"

#define TEXT 0x10000u
#define EH   0x800000u

/* Appends entries to an .eh_frame at EH; FDE ranges are absolute 8-byte pointers. */
struct eh {
	struct buf buf;
	size_t cie;
};

static void put(struct eh *eh, __u64 value, size_t width)
{
	buf_add(&eh->buf, &value, width);
}

static void entry(struct eh *eh, __u32 id, const void *body, size_t len)
{
	size_t pad = (4 - len % 4) % 4;

	put(eh, 4 + len + pad, 4);
	put(eh, id, 4);
	buf_add(&eh->buf, body, len);
	put(eh, 0, pad);
}

static void cie(struct eh *eh)
{
	static const __u8 body[] = {1, 0, 1, 0x78, 16, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1};

	eh->cie = eh->buf.len;
	entry(eh, 0, body, sizeof(body));
}

static void fde(struct eh *eh, __u64 start, __u64 len, const void *program, size_t n)
{
	struct buf body = {0};

	buf_add(&body, &start, 8);
	buf_add(&body, &len, 8);
	buf_add(&body, program, n);
	entry(eh, (__u32)(eh->buf.len + 4 - eh->cie), body.data, body.len);
	buf_fini(&body);
}

static int add_line(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct unw_rule rule;
	char text[128] = "none";

	if (unwind_rule_of(part, EM_X86_64, code, &rule))
		unwind_rule_text(EM_X86_64, &rule, text, sizeof(text));
	buf_printf(arg, "%llx %s\n", (unsigned long long)vaddr, text);
	return 0;
}

static struct unwind_table *compile_within(const struct eh *eh, struct work *work,
					   enum unwind_skip *ret_why)
{
	struct elf_segment text = {
		.type = PT_LOAD, .flags = PF_X, .vaddr = TEXT, .memsz = EH - TEXT};
	struct elf_section section = {
		.name = ".eh_frame", .type = SHT_PROGBITS, .addr = EH, .size = eh->buf.len};
	struct elf elf = {
		.data = (const __u8 *)eh->buf.data,
		.size = eh->buf.len,
		.type = ET_DYN,
		.machine = EM_X86_64,
		.sections = &section,
		.n_sections = 1,
		.segments = &text,
		.n_segments = 1,
		.work = work,
	};

	return unwind_compile(&elf, UNWIND_CFI, ret_why);
}

static struct unwind_table *compile(const struct eh *eh, enum unwind_skip *ret_why)
{
	return compile_within(eh, NULL, ret_why);
}

static void expect_rows(const struct eh *eh, const char *expected)
{
	enum unwind_skip why;
	struct unwind_table *table = compile(eh, &why);
	struct buf out = {0};

	CU_ASSERT_PTR_NOT_NULL(table);
	if (!table)
		return;
	ASSERT_INT(unwind_each_row(table, add_line, &out), 0);
	ASSERT_STR(out.data, expected);
	buf_fini(&out);
	unwind_table_free(table);
}

#define PROGRAM(...) (const __u8[]){__VA_ARGS__}, sizeof((const __u8[]){__VA_ARGS__})

static void rows_and_gaps(void)
{
	struct eh eh = {0};

	cie(&eh);
	fde(&eh, TEXT + 0x100, 0x10,
	    PROGRAM(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
		    DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6));
	fde(&eh, TEXT + 0x110, 0x10, PROGRAM(DW_CFA_nop));
	fde(&eh, TEXT + 0x40, 8, PROGRAM(DW_CFA_undefined, 16));
	expect_rows(&eh, "10040 CFA=rsp+8 rbp=u ra=u\n"
			 "10048 none\n"
			 "10100 CFA=rsp+8 rbp=u ra=CFA-8\n"
			 "10101 CFA=rsp+16 rbp=CFA-16 ra=CFA-8\n"
			 "10104 CFA=rbp+16 rbp=CFA-16 ra=CFA-8\n"
			 "10110 CFA=rsp+8 rbp=u ra=CFA-8\n"
			 "10120 none\n");
	buf_fini(&eh.buf);
}

static void states_are_remembered(void)
{
	struct eh eh = {0};

	cie(&eh);
	fde(&eh, TEXT, 0x20,
	    PROGRAM(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 32, DW_CFA_remember_state,
		    DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 8, DW_CFA_advance_loc | 1,
		    DW_CFA_restore_state, DW_CFA_advance_loc | 1, DW_CFA_same_value, 6,
		    DW_CFA_advance_loc | 1, DW_CFA_restore | 6));
	expect_rows(&eh, "10000 CFA=rsp+8 rbp=u ra=CFA-8\n"
			 "10001 CFA=rsp+32 rbp=u ra=CFA-8\n"
			 "10002 CFA=rsp+8 rbp=u ra=CFA-8\n"
			 "10003 CFA=rsp+32 rbp=u ra=CFA-8\n"
			 "10004 CFA=rsp+32 rbp=s ra=CFA-8\n"
			 "10005 CFA=rsp+32 rbp=u ra=CFA-8\n"
			 "10020 none\n");
	buf_fini(&eh.buf);
}

static void large_offsets_and_expressions(void)
{
	struct eh eh = {0};

	cie(&eh);
	/* 40,008 bytes; CFA = *(rbp - 8); rbp = *(rbp + 0); an expression that nobody follows */
	fde(&eh, TEXT, 0x20,
	    PROGRAM(DW_CFA_def_cfa_offset, 0xc8, 0xb8, 0x02, DW_CFA_advance_loc | 4,
		    DW_CFA_def_cfa_expression, 3, DW_OP_breg0 + 6, 0x78, DW_OP_deref,
		    DW_CFA_expression, 6, 2, DW_OP_breg0 + 6, 0, DW_CFA_advance_loc | 4,
		    DW_CFA_def_cfa_expression, 1, DW_OP_lit0, DW_CFA_val_offset, 6, 3,
		    DW_CFA_advance_loc | 4, DW_CFA_def_cfa_register, 7, DW_CFA_register, 16, 2));
	expect_rows(&eh, "10000 CFA=rsp+40008 rbp=u ra=CFA-8\n"
			 "10004 CFA=exp rbp=exp ra=CFA-8\n"
			 "10008 CFA=exp rbp=vCFA-24 ra=CFA-8\n"
			 "1000c CFA=rsp+40008 rbp=vCFA-24 ra=rcx\n"
			 "10020 none\n");
	buf_fini(&eh.buf);
}

/* 15 + INT64_MAX, and -INT64_MIN: wrong in a file, but defined here (make asan would stop). */
static void sums_may_wrap(void)
{
	struct eh eh = {0};

	cie(&eh);
	fde(&eh, TEXT, 0x10,
	    PROGRAM(DW_CFA_expression, 6, 12, DW_OP_breg0 + 6, 15, DW_OP_plus_uconst, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, DW_CFA_nop));
	fde(&eh, TEXT + 0x10, 0x10,
	    PROGRAM(DW_CFA_GNU_negative_offset_extended, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		    0x80, 0x80, 0x80, 0x01));
	expect_rows(&eh, "10000 CFA=rsp+8 rbp=exp ra=CFA-8\n"
			 "10010 CFA=rsp+8 rbp=CFA+0 ra=CFA-8\n"
			 "10020 none\n");
	buf_fini(&eh.buf);
}

static void damage_ends_only_its_fde(void)
{
	struct eh eh = {0};
	enum unwind_skip why;
	struct unwind_table *table;

	cie(&eh);
	fde(&eh, TEXT, 0x10, PROGRAM(DW_CFA_advance_loc | 4, 0x3f, DW_CFA_nop));
	fde(&eh, TEXT + 0x10, 0x10, PROGRAM(DW_CFA_restore_state));
	fde(&eh, TEXT + 0x18, 0x10, PROGRAM(DW_CFA_def_cfa_offset, 24)); /* overlaps nothing kept */
	fde(&eh, TEXT + 0x20, 0x10, PROGRAM(DW_CFA_nop)); /* overlaps the one before */
	fde(&eh, EH + 0x100, 0x10, PROGRAM(DW_CFA_nop));  /* outside the text */
	put(&eh, 0x7fffffff, 4);			  /* an entry beyond the end */
	expect_rows(&eh, "10000 CFA=rsp+8 rbp=u ra=CFA-8\n"
			 "10004 none\n"
			 "10018 CFA=rsp+24 rbp=u ra=CFA-8\n"
			 "10028 CFA=rsp+8 rbp=u ra=CFA-8\n"
			 "10030 none\n");
	table = compile(&eh, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	ASSERT_INT(table->faults[UNWIND_FAULT_PROGRAM], 2);
	ASSERT_INT(table->faults[UNWIND_FAULT_OVERLAP], 1);
	ASSERT_INT(table->faults[UNWIND_FAULT_OUTSIDE], 1);
	ASSERT_INT(table->faults[UNWIND_FAULT_FDE], 1);
	unwind_table_free(table);
	buf_fini(&eh.buf);
}

/* Many functions: several parts, every address answered like a plain list would. */
static void parts_answer_like_a_list(void)
{
	struct eh eh = {0};
	enum unwind_skip why;
	struct unwind_table *table;
	unsigned n = 60000, wrong = 0;

	cie(&eh);
	for (unsigned i = 0; i < n; i++)
		fde(&eh, TEXT + 0x40 * i, i % 3 ? 0x40 : 0x30,
		    PROGRAM(DW_CFA_def_cfa_offset, (__u8)(8 + i % 7 * 8), DW_CFA_advance_loc | 8,
			    DW_CFA_def_cfa_offset, (__u8)(1 + i % 100)));
	table = compile(&eh, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	CU_ASSERT(table->n_parts >= 2);
	for (size_t i = 0; i < table->n_parts; i++)
		CU_ASSERT(table->parts[i].n_words * 4 <= UNW_PART_MAX_BYTES &&
			  table->parts[i].n_rows <= UNW_PART_MAX_ROWS + 1);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned off = 0; off < 0x40; off += 3) {
			const struct unwind_part *part = NULL;
			struct unw_rule rule;
			__u32 code = unwind_find(table, TEXT + 0x40 * i + off, &part);
			int want = off < 8 ? 8 + (int)(i % 7) * 8 : 1 + (int)(i % 100);

			if (i % 3 == 0 && off >= 0x30)
				wrong += code != UNW_CODE_GAP;
			else
				wrong += !part || !unwind_rule_of(part, EM_X86_64, code, &rule) ||
					 rule.cfa_off != want;
		}
	}
	ASSERT_INT(wrong, 0);
	unwind_table_free(table);
	buf_fini(&eh.buf);
}

static bool at_once(void *arg)
{
	++*(unsigned *)arg;
	return true;
}

/* Within its bound there is a table; beyond, or when nobody waits any more, none, and why. */
static void work_has_a_bound(void)
{
	struct eh eh = {0};
	unsigned asked = 0;
	struct work work = {.left = 1u << 20};
	struct unwind_table *table;
	enum unwind_skip why;
	__u64 taken;

	cie(&eh);
	for (unsigned i = 0; i < 30000; i++)
		fde(&eh, TEXT + 0x40 * i, 0x40,
		    PROGRAM(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16));
	table = compile_within(&eh, &work, &why);
	CU_ASSERT_PTR_NOT_NULL(table);
	unwind_table_free(table);
	taken = (1u << 20) - work.left;
	CU_ASSERT(taken >= 2 * 30000 && taken < 10 * 30000);
	for (__u64 part = 1; part <= 4; part++) {
		work.left = taken / 4 * part;
		CU_ASSERT_PTR_NULL(compile_within(&eh, &work, &why));
		ASSERT_INT(why, UNWIND_SKIP_WORK);
		ASSERT_INT(work.left, 0);
	}
	work = (struct work){.left = 1u << 20, .cancelled = at_once, .arg = &asked};
	CU_ASSERT_PTR_NULL(compile_within(&eh, &work, &why));
	ASSERT_INT(why, UNWIND_SKIP_WORK);
	ASSERT_INT(asked, 1);
	buf_fini(&eh.buf);
}

/* Thousands of segments cost their share at each look; a dozen cost nothing. */
static void segments_are_work(void)
{
	static struct elf_segment segments[4096];
	struct work work = {.left = 1000};
	struct elf elf = {.segments = segments, .n_segments = 12, .work = &work};
	unsigned looks = 0;

	segments[11] = (struct elf_segment){.type = PT_LOAD, .flags = PF_X, .memsz = 64};
	CU_ASSERT(elf_is_text(&elf, 0, 64));
	ASSERT_INT(work.left, 1000);
	elf.n_segments = ARRAY_SIZE(segments);
	while (elf_is_text(&elf, 0, 64) && looks < 1000)
		looks++;
	CU_ASSERT(looks > 10 && looks < 20);
}

static void refusals(void)
{
	struct eh eh = {0};
	enum unwind_skip why;

	cie(&eh);
	CU_ASSERT_PTR_NULL(compile(&eh, &why));
	ASSERT_INT(why, UNWIND_SKIP_EMPTY);
	buf_fini(&eh.buf);
	CU_ASSERT_PTR_NULL(compile(&eh, &why));
	ASSERT_INT(why, UNWIND_SKIP_NO_CFI);
}

SUITE(unwind, {"rows and gaps", rows_and_gaps}, {"states are remembered", states_are_remembered},
      {"large offsets and expressions", large_offsets_and_expressions},
      {"sums may wrap", sums_may_wrap}, {"damage ends only its FDE", damage_ends_only_its_fde},
      {"parts answer like a list", parts_answer_like_a_list},
      {"work has a bound", work_has_a_bound}, {"segments are work", segments_are_work},
      {"refusals", refusals});
