// SPDX-License-Identifier: Apache-2.0
/* Go without CFI: rows from stack deltas, and the functions that change stacks, written by hand. */
#include "symbolize/unwind_go.h"

#include "profiler/base/buf.h"
#include "symbolize/unwind.h"
#include "tests/support/go_image.h"
#include "tests/unit/test.h"

#define CODE(...) .code = (const __u8[]){__VA_ARGS__}, .n = sizeof((const __u8[]){__VA_ARGS__})

/* push %rbp; mov %rsp,%rbp; mov %fs:-8,%rax; mov 0x30(%rax),%rbx; mov (%rbx),%rdx;
 * mov 0x38(%rdx),%rsp; call *%rdi; mov %fs:-8,%rax; mov 0x30(%rax),%rbx; mov 0xb8(%rbx),%rax;
 * mov 0x38(%rax),%rsp; pop %rbp; ret: on the other stack from 0x18 to 0x32 */
#define SYSTEMSTACK                                                                                \
	{                                                                                          \
		.name = "runtime.systemstack.abi0",                                                \
		CODE(0x55, 0x48, 0x89, 0xe5, 0x64, 0x48, 0x8b, 0x04, 0x25, 0xf8, 0xff, 0xff, 0xff, \
		     0x48, 0x8b, 0x58, 0x30, 0x48, 0x8b, 0x13, 0x48, 0x8b, 0x62, 0x38, 0xff, 0xd7, \
		     0x64, 0x48, 0x8b, 0x04, 0x25, 0xf8, 0xff, 0xff, 0xff, 0x48, 0x8b, 0x58, 0x30, \
		     0x48, 0x8b, 0x83, 0xb8, 0, 0, 0, 0x48, 0x8b, 0x60, 0x38, 0x5d, 0xc3),         \
		.deltas = {                                                                        \
			{0, 1},                                                                    \
			{8, 50},                                                                   \
			{0, 0}                                                                     \
		}                                                                                  \
	}
/* mov %rbp,0x60(%r14); ret */
#define GOSAVE                                                                                     \
	{                                                                                          \
		.name = "gosave_systemstack_switch", CODE(0x49, 0x89, 0x6e, 0x60, 0xc3),           \
		.deltas = {                                                                        \
			{0, 0}                                                                     \
		}                                                                                  \
	}
#define SYSTEMSTACK_SPECIAL "18-32 go g -8 m 30 g' b8 sp 38 ra 8+0 flags 0\n"

static void add_special(struct buf *out, const struct unwind_special *s)
{
	const struct unw_rule *r = &s->rule;
	bool fp = r->flags & (UNW_RULE_GO_FP | UNW_RULE_GO_PC);
	char text[128];

	buf_printf(out, "%llx-%llx ", (unsigned long long)s->start - GO_TEXT,
		   (unsigned long long)s->end - GO_TEXT);
	if (s->entry) {
		buf_printf(out, "entry\n");
	} else if (r->cfa_op == UNW_CFA_GO && r->flags & UNW_RULE_GO_DEPTH) {
		buf_printf(out, "go depth at %x end %x ra %x+%x flags %x\n", r->cfa_off, r->cfa_add,
			   r->ra_off, fp ? r->ra_add : 0, r->flags);
	} else if (r->cfa_op == UNW_CFA_GO) {
		buf_printf(out, "go g %d m %x g' %x sp %x ra %x+%x flags %x\n", r->cfa_off,
			   r->cfa_add, r->fp_off, r->fp_add, r->ra_off, fp ? r->ra_add : 0,
			   r->flags);
	} else {
		unwind_rule_text(EM_X86_64, r, text, sizeof(text));
		buf_printf(out, "%s flags %x\n", text, r->flags);
	}
}

static void expect(const struct go_image_func *funcs, size_t n, const char *expected)
{
	struct go_image image;
	struct unwind_table *table;
	struct buf out = {0};
	enum unwind_skip why;

	go_image_init(&image, funcs, n);
	table = unwind_compile(&image.elf, UNWIND_DERIVED, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	for (size_t i = 0; i < table->n_specials; i++)
		add_special(&out, &table->specials[i]);
	ASSERT_STR(out.len ? out.data : "", expected);
	unwind_table_free(table);
	buf_fini(&out);
	go_image_fini(&image);
}
#define EXPECT(expected, ...)                                                                      \
	expect((const struct go_image_func[]){__VA_ARGS__},                                        \
	       sizeof((const struct go_image_func[]){__VA_ARGS__}) / sizeof(struct go_image_func), \
	       expected)

static int add_row(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct unw_rule rule;
	char text[128] = "none";

	if (code == UNW_CODE_ENTRY)
		snprintf(text, sizeof(text), "entry");
	else if (unwind_rule_of(part, EM_X86_64, code, &rule))
		unwind_rule_text(EM_X86_64, &rule, text, sizeof(text));
	buf_printf(arg, "%llx %s\n", (unsigned long long)vaddr - GO_TEXT, text);
	return 0;
}

static void rows_from_deltas(void)
{
	const struct go_image_func funcs[] = {
		{.name = "main.main", CODE(0x90), .deltas = {{0, 4}, {24, 20}, {0, 0}}},
		{.name = "runtime.goexit.abi0", CODE(0x90), .deltas = {{0, 0}}},
		{.name = "main.other", CODE(0x90), .deltas = {{0, 8}, {-8, 0}}},
	};
	struct go_image image;
	struct unwind_table *table;
	struct buf out = {0};
	enum unwind_skip why;

	go_image_init(&image, funcs, ARRAY_SIZE(funcs));
	table = unwind_compile(&image.elf, UNWIND_DERIVED, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	ASSERT_INT(unwind_each_row(table, add_row, &out), 0);
	ASSERT_STR(out.data, "0 CFA=rsp+8 rbp=u ra=CFA-8\n"
			     "4 CFA=rsp+32 rbp=CFA-16 ra=CFA-8\n"
			     "18 CFA=rsp+8 rbp=u ra=CFA-8\n"
			     "20 entry\n"
			     "40 CFA=rsp+8 rbp=u ra=CFA-8\n"
			     "48 none\n");
	unwind_table_free(table);
	buf_fini(&out);
	go_image_fini(&image);
}

static void systemstack(void)
{
	EXPECT(SYSTEMSTACK_SPECIAL, SYSTEMSTACK);
	/* Code of another shape: the stack ends where it is left. mov 0x38(%rdx),%rsp; call *%rdi
	 */
	EXPECT("4-20 entry\n", {.name = "runtime.systemstack",
				CODE(0x48, 0x8b, 0x62, 0x38, 0xff, 0xd7),
				.deltas = {{8, 0}}});
}

/* mov 0x38(%rdx),%rsp; call *%rdi; needs where the frame pointer was saved */
static void morestack(void)
{
#define MORESTACK                                                                                  \
	{                                                                                          \
		.name = "runtime.morestack.abi0", CODE(0x48, 0x8b, 0x62, 0x38, 0xff, 0xd7),        \
		.deltas = {                                                                        \
			{0, 0}                                                                     \
		}                                                                                  \
	}
	EXPECT(SYSTEMSTACK_SPECIAL "64-80 go g -8 m 30 g' b8 sp 38 ra 40+60 flags 2\n", SYSTEMSTACK,
	       GOSAVE, MORESTACK);
	EXPECT(SYSTEMSTACK_SPECIAL "44-60 entry\n", SYSTEMSTACK, MORESTACK);
}

/* mov 0x38(%rsi),%rsp; sub $16,%rsp; and $-16,%rsp; mov %rdi,8(%rsp); mov %rdx,(%rsp); call *%rax;
 * mov (%rsp),%rsi; mov %rsi,%rsp; ret; mov %rsp,%rdx; sub $64,%rsp; and $-16,%rsp;
 * mov %rdx,0x28(%rsp); call *%rax; mov 0x28(%rsp),%rsi; mov %rsi,%rsp; ret */
static void asmcgocall(void)
{
	EXPECT(SYSTEMSTACK_SPECIAL "64-75 entry\n"
				   "75-7e go depth at 0 end 8 ra 0+60 flags c\n"
				   "86-8f entry\n"
				   "8f-99 CFA=exp rbp=u ra=CFA-8 flags 0\n",
	       SYSTEMSTACK, GOSAVE,
	       {.name = "runtime.asmcgocall.abi0",
		CODE(0x48, 0x8b, 0x66, 0x38, 0x48, 0x83, 0xec, 0x10, 0x48, 0x83, 0xe4, 0xf0, 0x48,
		     0x89, 0x7c, 0x24, 0x08, 0x48, 0x89, 0x14, 0x24, 0xff, 0xd0, 0x48, 0x8b, 0x34,
		     0x24, 0x48, 0x89, 0xf4, 0xc3, 0x48, 0x89, 0xe2, 0x48, 0x83, 0xec, 0x40, 0x48,
		     0x83, 0xe4, 0xf0, 0x48, 0x89, 0x54, 0x24, 0x28, 0xff, 0xd0, 0x48, 0x8b, 0x74,
		     0x24, 0x28, 0x48, 0x89, 0xf4, 0xc3),
		.deltas = {{0, 0}}});
}

static void signal_return(void)
{
	EXPECT("1f-40 CFA=exp rbp=exp ra=exp flags 1\n",
	       {.name = "main.main", CODE(0x90), .deltas = {{0, 0}}},
	       {.name = "runtime.sigreturn__sigaction.abi0",
		CODE(0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05),
		.deltas = {{0, 0}}});
}

/* sub $24,%rsp; mov %rbp,16(%rsp); lea 16(%rsp),%rbp; call; add $24,%rsp; ret: by the stack
 * pointer, since Go keeps no frame pointer for C; where it stores C's is told by the code alone */
static void called_from_c(void)
{
	EXPECT("0-4 CFA=rsp+8 rbp=u ra=CFA-8 flags 0\n"
	       "4-9 CFA=rsp+32 rbp=u ra=CFA-8 flags 0\n"
	       "9-e CFA=rsp+32 rbp=u ra=CFA-8 flags 0\n"
	       "e-10 CFA=rsp+32 rbp=CFA-16 ra=CFA-8 flags 0\n"
	       "10-15 CFA=rsp+32 rbp=CFA-16 ra=CFA-8 flags 0\n"
	       "15-19 CFA=rsp+32 rbp=u ra=CFA-8 flags 0\n"
	       "19-1a CFA=rsp+8 rbp=u ra=CFA-8 flags 0\n",
	       {.name = "crosscall2",
		CODE(0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, 0x48, 0x8d, 0x6c, 0x24,
		     0x10, 0xff, 0xd0, 0x48, 0x8b, 0x6c, 0x24, 0x10, 0x48, 0x83, 0xc4, 0x18, 0xc3),
		.deltas = {{0, 4}, {24, 21}, {0, 0}}});
}

SUITE(unwind_go, {"rows from stack deltas", rows_from_deltas}, {"systemstack", systemstack},
      {"morestack", morestack}, {"asmcgocall", asmcgocall}, {"signal return", signal_return},
      {"called from C", called_from_c});
