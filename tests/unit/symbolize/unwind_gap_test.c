// SPDX-License-Identifier: Apache-2.0
/* Rows from code that no CFI describes, each shape by hand. */
#include "symbolize/unwind_gap.h"

#include <string.h>

#include "profiler/base/buf.h"
#include "symbolize/unwind.h"
#include "tests/unit/test.h"

#define TEXT	    0x10000u
#define MAX_SYMBOLS 4

/* A file whose code stands at TEXT; ends in its symbols. */
struct program {
	const __u8 *code;
	size_t n;
	const char *section;
	__u32 entry;		      /* from TEXT; 0: none */
	__u32 functions[MAX_SYMBOLS]; /* from TEXT, + 1; 0: none */
};
#define CODE(...)    .code = (const __u8[]){__VA_ARGS__}, .n = sizeof((const __u8[]){__VA_ARGS__})
#define FUNCTION(at) ((at) + 1u)

static int add_line(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct unw_rule rule;
	char text[128] = "none";

	if (code == UNW_CODE_ENTRY)
		strcpy(text, "entry");
	else if (unwind_rule_of(part, EM_X86_64, code, &rule))
		unwind_rule_text(EM_X86_64, &rule, text, sizeof(text));
	buf_printf(arg, "%llx %s%s\n", (unsigned long long)vaddr - TEXT, text,
		   !strcmp(text, "none") || code == UNW_CODE_ENTRY ||
				   !(rule.flags & UNW_RULE_SIGNAL)
			   ? ""
			   : " signal");
	return 0;
}

static void expect_rows(const struct program *p, const char *expected)
{
	struct buf file = {0}, out = {0};
	struct elf_segment text = {.type = PT_LOAD, .flags = PF_R | PF_X, .vaddr = TEXT};
	struct elf_section sections[] = {
		{.name = p->section ? p->section : ".text",
		 .type = SHT_PROGBITS,
		 .flags = SHF_ALLOC | SHF_EXECINSTR,
		 .addr = TEXT,
		 .size = p->n},
		{.name = ".symtab", .type = SHT_SYMTAB, .offset = p->n},
	};
	struct elf elf = {.type = ET_DYN,
			  .machine = EM_X86_64,
			  .entry = p->entry ? TEXT + p->entry : 0,
			  .sections = sections,
			  .n_sections = 2,
			  .segments = &text,
			  .n_segments = 1};
	struct unwind_table *table;
	enum unwind_skip why;

	buf_add(&file, p->code, p->n);
	for (size_t i = 0; i < MAX_SYMBOLS && p->functions[i]; i++) {
		Elf64_Sym sym = {.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				 .st_shndx = 1,
				 .st_value = TEXT + p->functions[i] - 1};

		buf_add(&file, &sym, sizeof(sym));
	}
	sections[1].size = file.len - p->n;
	text.filesz = text.memsz = p->n;
	elf.data = (const __u8 *)file.data;
	elf.size = file.len;
	table = unwind_compile(&elf, UNWIND_DERIVED, &why);
	if (table) {
		ASSERT_INT(unwind_each_row(table, add_line, &out), 0);
		ASSERT_STR(out.data, expected);
	} else {
		ASSERT_INT(why, UNWIND_SKIP_EMPTY);
		ASSERT_STR("", expected);
	}
	unwind_table_free(table);
	buf_fini(&out);
	buf_fini(&file);
}

/* 64 KiB of functions that only code tells of: `push %rbx; pop %rbx; ret` padded to 16 bytes. */
static void work_has_a_bound(void)
{
	static __u8 code[65536];
	struct elf_segment text = {.type = PT_LOAD,
				   .flags = PF_R | PF_X,
				   .vaddr = TEXT,
				   .filesz = sizeof(code),
				   .memsz = sizeof(code)};
	struct work work = {.left = 1u << 20};
	struct elf elf = {.data = code,
			  .size = sizeof(code),
			  .type = ET_DYN,
			  .machine = EM_X86_64,
			  .segments = &text,
			  .n_segments = 1,
			  .work = &work};
	struct unwind_table *table;
	enum unwind_skip why;
	__u64 taken;

	memset(code, 0xcc, sizeof(code));
	for (size_t i = 0; i < sizeof(code); i += 16)
		memcpy(code + i, "\x53\x5b\xc3", 3);
	table = unwind_compile(&elf, UNWIND_DERIVED, &why);
	CU_ASSERT_PTR_NOT_NULL(table);
	unwind_table_free(table);
	taken = (1u << 20) - work.left;
	CU_ASSERT(taken >= sizeof(code) / 16 * 3 && taken < sizeof(code) * 2);
	for (unsigned part = 1; part <= 3; part++) {
		work.left = taken / 4 * part;
		CU_ASSERT_PTR_NULL(unwind_compile(&elf, UNWIND_DERIVED, &why));
		ASSERT_INT(why, UNWIND_SKIP_WORK);
	}
}

/* push %rbp; mov %rsp,%rbp; sub $32,%rsp; call *%rax; leave; ret */
static void frame_pointer(void)
{
	const struct program p = {
		CODE(0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0xff, 0xd0, 0xc9, 0xc3),
		.functions = {FUNCTION(0)}};

	expect_rows(&p, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"1 CFA=rsp+16 rbp=u ra=CFA-8\n"
			"4 CFA=rbp+16 rbp=CFA-16 ra=CFA-8\n"
			"b CFA=rsp+8 rbp=u ra=CFA-8\n"
			"c none\n");
}

/* push %rbx; push %rbp; sub $8,%rsp; test %eax,%eax; je 1f; call *%rax; 1: add $8,%rsp; pop %rbp;
 * pop %rbx; ret */
static void paths_that_agree(void)
{
	const struct program p = {CODE(0x53, 0x55, 0x48, 0x83, 0xec, 0x08, 0x85, 0xc0, 0x74, 0x02,
				       0xff, 0xd0, 0x48, 0x83, 0xc4, 0x08, 0x5d, 0x5b, 0xc3),
				  .functions = {FUNCTION(0)}};

	expect_rows(&p, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"1 CFA=rsp+16 rbp=u ra=CFA-8\n"
			"2 CFA=rsp+24 rbp=u ra=CFA-8\n"
			"6 CFA=rsp+32 rbp=u ra=CFA-8\n"
			"10 CFA=rsp+24 rbp=u ra=CFA-8\n"
			"11 CFA=rsp+16 rbp=u ra=CFA-8\n"
			"12 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"13 none\n");
}

/* test %eax,%eax; je 1f; push %rbx; 1: nop; hlt: no row where one has pushed and the other has not
 */
static void paths_that_disagree(void)
{
	const struct program p = {CODE(0x85, 0xc0, 0x74, 0x01, 0x53, 0x90, 0xf4),
				  .functions = {FUNCTION(0)}};

	expect_rows(&p, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"5 none\n");
}

/* push %rbx; ret: what it returns to is no return address; nothing of it can be believed. */
static void misread_function(void)
{
	const struct program p = {CODE(0x53, 0xc3), .functions = {FUNCTION(0)}};

	expect_rows(&p, "");
}

/* sub %rax,%rsp: how far is not told; leave finds the way back by rbp */
static void unknown_depth(void)
{
	const struct program bare = {CODE(0x90, 0x48, 0x29, 0xc4, 0x90, 0xf4),
				     .functions = {FUNCTION(0)}};
	const struct program framed = {
		CODE(0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x90, 0xc9, 0xc3),
		.functions = {FUNCTION(0)}};

	expect_rows(&bare, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			   "4 none\n");
	expect_rows(&framed, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			     "1 CFA=rsp+16 rbp=u ra=CFA-8\n"
			     "4 CFA=rbp+16 rbp=CFA-16 ra=CFA-8\n"
			     "9 CFA=rsp+8 rbp=u ra=CFA-8\n"
			     "a none\n");
}

/* lea 8(%rsp),%r10; and $-32,%rsp; push -8(%r10); push %r10; call *%rax; pop %r10; lea
 * -8(%r10),%rsp; ret */
static void realigned_stack(void)
{
	const struct program p = {CODE(0x4c, 0x8d, 0x54, 0x24, 0x08, 0x48, 0x83, 0xe4, 0xe0, 0x41,
				       0xff, 0x72, 0xf8, 0x41, 0x52, 0xff, 0xd0, 0x41, 0x5a, 0x49,
				       0x8d, 0x62, 0xf8, 0xc3),
				  .functions = {FUNCTION(0)}};

	expect_rows(&p, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"9 CFA=r10+0 rbp=u ra=CFA-8\n"
			"f CFA=exp rbp=u ra=CFA-8\n"
			"13 CFA=r10+0 rbp=u ra=CFA-8\n"
			"17 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"18 none\n");
}

/* nop; mov $15,%eax; syscall: the row reaches a byte before it, where the handler's call is looked
 * up */
static void signal_return(void)
{
	const struct program p = {CODE(0x90, 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05),
				  .functions = {FUNCTION(1)}};

	expect_rows(&p, "0 CFA=exp rbp=exp ra=exp signal\n"
			"8 none\n");
}

/* xor %ebp,%ebp; mov %rsp,%rdi; call 1f; hlt; 1: ret */
static void program_entry(void)
{
	const struct program p = {
		CODE(0xc3, 0x31, 0xed, 0x48, 0x89, 0xe7, 0xe8, 0x01, 0, 0, 0, 0xf4, 0xc3),
		.entry = 1};

	expect_rows(&p, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"1 entry\n"
			"c CFA=rsp+8 rbp=u ra=CFA-8\n"
			"d none\n");
}

/* Behind a return, aligned, and with a return that finds its address: a function without a name.
 * The third has none. */
static void nameless_functions(void)
{
	__u8 code[48] = {0xc3};

	memset(code + 1, 0xcc, sizeof(code) - 1);
	memcpy(code + 16, (const __u8[]){0x53, 0xff, 0xd0, 0x5b, 0xc3}, 5);
	memcpy(code + 32, (const __u8[]){0x53, 0xff, 0xd0, 0x0f, 0x0b}, 5);
	expect_rows(&(struct program){.code = code, .n = sizeof(code), .functions = {FUNCTION(0)}},
		    "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
		    "11 CFA=rsp+16 rbp=u ra=CFA-8\n"
		    "14 CFA=rsp+8 rbp=u ra=CFA-8\n"
		    "20 none\n");
}

/* sub $24,%rsp; cmp $1,%eax; ja 3f; lea 4f(%rip),%rdx; movslq (%rdx,%rax,4),%rax; add %rdx,%rax;
 * jmp *%rax; 1: nop; 2: nop; 3: add $24,%rsp; ret; 4: .long 1b - 4b, 2b - 4b */
static void jump_table(void)
{
	const struct program p = {CODE(0x48, 0x83, 0xec, 0x18, 0x83, 0xf8, 0x01, 0x77, 0x12, 0x48,
				       0x8d, 0x15, 0x12, 0x00, 0x00, 0x00, 0x48, 0x63, 0x04, 0x82,
				       0x48, 0x01, 0xd0, 0xff, 0xe0, 0x90, 0x90, 0x48, 0x83, 0xc4,
				       0x18, 0xc3, 0xcc, 0xcc, 0xf7, 0xff, 0xff, 0xff, 0xf8, 0xff,
				       0xff, 0xff),
				  .functions = {FUNCTION(0)}};

	expect_rows(&p, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"4 CFA=rsp+32 rbp=u ra=CFA-8\n"
			"1f CFA=rsp+8 rbp=u ra=CFA-8\n"
			"20 none\n");
}

/* The first entry of a lazy table, to which the others jump having pushed a number. */
static void linkage_table(void)
{
	const struct program p = {CODE(0xff, 0x35, 0, 0x10, 0, 0, 0xff, 0x25, 0, 0x10, 0, 0, 0x0f,
				       0x1f, 0x40, 0, 0xff, 0x25, 0, 0x10, 0, 0, 0x68, 0, 0, 0, 0,
				       0xe9, 0xe0, 0xff, 0xff, 0xff, 0xff, 0x25, 0, 0x10, 0, 0,
				       0x68, 1, 0, 0, 0, 0xe9, 0xd0, 0xff, 0xff, 0xff),
				  .section = ".plt"};

	expect_rows(&p, "0 CFA=rsp+16 rbp=u ra=CFA-8\n"
			"6 CFA=rsp+24 rbp=u ra=CFA-8\n"
			"10 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"1b CFA=rsp+16 rbp=u ra=CFA-8\n"
			"20 CFA=rsp+8 rbp=u ra=CFA-8\n"
			"2b CFA=rsp+16 rbp=u ra=CFA-8\n"
			"30 none\n");
}

SUITE(unwind_gap, {"frame pointer", frame_pointer}, {"paths that agree", paths_that_agree},
      {"paths that disagree", paths_that_disagree}, {"a misread function", misread_function},
      {"unknown depth", unknown_depth}, {"realigned stack", realigned_stack},
      {"signal return", signal_return}, {"program entry", program_entry},
      {"functions without names", nameless_functions}, {"jump table", jump_table},
      {"linkage table", linkage_table}, {"work has a bound", work_has_a_bound});
