// SPDX-License-Identifier: Apache-2.0
/*
 * The unwinding step over pictures of processes made by hand: each shape of rule, and each reason
 * to stop that the step can give. x86-64: rows and signal frames are an architecture's.
 */
#ifdef __x86_64__
#include <string.h>

#include "tests/bpf/picture.h"
#include "tests/unit/test.h"

#define TEXT  0x400000ull
#define LIB   0x7f0000000000ull
#define STACK 0x7ffe00000000ull
#define RBX   3
#define RBP   6
#define RSP   7
#define R10   10

/* One picture, one result. */
static struct picture im;
static __u64 regs[DWARF_REGS], frames[USER_FRAMES_MAX];
static __u8 stop;

static void begin(void)
{
	picture_init(&im);
	picture_memory(&im, STACK, 0x10000);
	memset(regs, 0, sizeof(regs));
	regs[RSP] = STACK + 0x100;
	stop = 0xff;
}

static size_t walk_from(__u64 pc)
{
	regs[DWARF_PC] = pc;
	return picture_unwind(&im, regs, USER_FRAMES_MAX, frames, &stop);
}

static void end(void)
{
	picture_fini(&im);
}

/* The frames, leaf first, as offsets from TEXT. */
static void expect(size_t n, enum stop why, const __u64 *offsets, size_t n_offsets)
{
	ASSERT_INT(n, n_offsets);
	ASSERT_INT(stop, why);
	for (size_t i = 0; i < n && i < n_offsets; i++)
		ASSERT_INT(picture_frame_addr(&im, frames[i]) - TEXT, offsets[i]);
}
#define EXPECT(n, why, ...)                                                                        \
	expect(n, why, (const __u64[]){__VA_ARGS__},                                               \
	       sizeof((const __u64[]){__VA_ARGS__}) / sizeof(__u64))

/* main at 0x0 with a frame of 0x40; f at 0x100 with pushed rbp; the leaf at 0x200; the start, whose
 * return address is undefined, at 0x300. */
static const struct unw_rule undefined = {.ra_op = UNW_REG_UNDEFINED};
static const struct picture_row rows[] = {
	{0x0, CODE_SP(0x40, 0)},  {0x100, CODE_SP(8, 0)},     {0x101, CODE_SP(16, 16)},
	{0x104, CODE_FP(16, 16)}, {0x1ff, CODE_SP(8, 0)},     {0x200, CODE_SP(8, 0)},
	{0x2ff, UNW_CODE_GAP},	  {0x300, UNW_CODE_RULE | 0}, {0x380, UNW_CODE_GAP},
};

static void program(void)
{
	begin();
	picture_map_rows(&im, TEXT, TEXT + 0x1000, rows, ARRAY_SIZE(rows), &undefined, 1);
}

/* leaf -> f (by rbp) -> main -> start */
static void a_chain(void)
{
	__u64 sp = regs[RSP];

	regs[RBP] = sp + 0x80;
	picture_put(&im, sp, TEXT + 0x110);		  /* leaf returns into f */
	picture_put(&im, sp + 0x80, 0x1234);		  /* f's saved rbp */
	picture_put(&im, sp + 0x88, TEXT + 0x20);	  /* f returns into main */
	picture_put(&im, sp + 0x90 + 0x38, TEXT + 0x310); /* main returns into the start */
}

static void whole_chain(void)
{
	program();
	a_chain();
	EXPECT(walk_from(TEXT + 0x210), STOP_ROOT, 0x210, 0x10f, 0x1f, 0x30f);
	end();
}

/* A return address behind a call that ends its function belongs to the function before. */
static void call_at_the_end(void)
{
	program();
	picture_put(&im, regs[RSP], TEXT + 0x200); /* the leaf of the caller's end: row of 0x1ff */
	picture_put(&im, regs[RSP] + 8, TEXT + 0x310);
	EXPECT(walk_from(TEXT + 0x220), STOP_ROOT, 0x220, 0x1ff, 0x30f);
	end();
}

static void zero_return_address(void)
{
	program();
	EXPECT(walk_from(TEXT + 0x210), STOP_ROOT, 0x210);
	end();
}

static void entry_code(void)
{
	static const struct picture_row entry[] = {{0, CODE_SP(8, 0)}, {0x80, UNW_CODE_ENTRY}};

	begin();
	picture_map_rows(&im, TEXT, TEXT + 0x1000, entry, ARRAY_SIZE(entry), NULL, 0);
	picture_put(&im, regs[RSP], TEXT + 0x91);
	EXPECT(walk_from(TEXT), STOP_ROOT, 0, 0x90);
	end();
}

/* ---- reasons --------------------------------------------------------------------------------- */

static void truncated(void)
{
	static const struct picture_row row[] = {{0, CODE_SP(16, 0)}};

	begin();
	picture_map_rows(&im, TEXT, TEXT + 0x1000, row, 1, NULL, 0);
	for (__u64 sp = regs[RSP]; sp < STACK + 0x10000; sp += 8)
		picture_put(&im, sp, TEXT + 0x11);
	regs[DWARF_PC] = TEXT + 0x10;
	ASSERT_INT(picture_unwind(&im, regs, 500, frames, &stop), 500);
	ASSERT_INT(stop, STOP_TRUNCATED);
	ASSERT_INT(picture_unwind(&im, regs, USER_FRAMES_MAX, frames, &stop), USER_FRAMES_MAX);
	ASSERT_INT(stop, STOP_TRUNCATED);
	end();
}

static void no_row(void)
{
	program();
	regs[RBP] = 3; /* no frame pointer: odd */
	EXPECT(walk_from(TEXT + 0x2ff), STOP_NO_ROW, 0x2ff);
	regs[RBP] = regs[RSP] - 8; /* below the stack pointer */
	EXPECT(walk_from(TEXT + 0x2ff), STOP_NO_ROW, 0x2ff);
	regs[RBP] = regs[RSP] + (2u << 20); /* too far */
	EXPECT(walk_from(TEXT + 0x2ff), STOP_NO_ROW, 0x2ff);
	end();
}

static void file_gone(void)
{
	begin();
	picture_map_kind(&im, TEXT, TEXT + 0x1000, UNW_KIND_GONE);
	EXPECT(walk_from(TEXT + 0x10), STOP_FILE_GONE, 0x10);
	/* with a frame pointer it goes on */
	regs[RBP] = regs[RSP] + 0x20;
	picture_put(&im, regs[RBP] + 8, TEXT + 0x41);
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x40);
	end();
}

static void unmapped(void)
{
	program();
	picture_put(&im, regs[RSP], LIB); /* nothing is there */
	EXPECT(walk_from(TEXT + 0x210), STOP_UNMAPPED, 0x210);
	ASSERT_INT(walk_from(0), 0);
	ASSERT_INT(stop, STOP_UNMAPPED);
	ASSERT_INT(walk_from(~0ull), 0);
	ASSERT_INT(stop, STOP_UNMAPPED);
	im.n_maps = 0;
	ASSERT_INT(walk_from(TEXT), 0);
	end();
}

static void read_fault(void)
{
	program();
	regs[RSP] = STACK + 0x10000 - 4; /* half a word */
	EXPECT(walk_from(TEXT + 0x210), STOP_READ_FAULT, 0x210);
	regs[RSP] = 0;
	EXPECT(walk_from(TEXT + 0x210), STOP_READ_FAULT, 0x210);
	regs[RSP] = ~7ull;
	EXPECT(walk_from(TEXT + 0x210), STOP_NO_PROGRESS, 0x210); /* sp + 8 wraps to 0 */
	end();
}

static void no_progress(void)
{
	program();
	regs[RBP] = regs[RSP] - 0x40; /* a row by rbp whose CFA lies below */
	EXPECT(walk_from(TEXT + 0x110), STOP_NO_PROGRESS, 0x110);
	end();
}

static void not_loaded(void)
{
	begin();
	picture_map_kind(&im, TEXT, TEXT + 0x1000, UNW_KIND_WAIT);
	ASSERT_INT(walk_from(TEXT + 0x10), 0);
	ASSERT_INT(stop, STOP_NOT_LOADED);
	end();
}

/* A damaged set: segments that do not exist, offsets beyond one. Nothing is read outside. */
static void hostile_tables(void)
{
	program();
	a_chain();
	im.maps[0].m.segment = 0xffff;
	ASSERT_INT(walk_from(TEXT + 0x210), 1);
	ASSERT_INT(stop, STOP_NOT_LOADED);
	im.maps[0].m.segment = 0;
	im.maps[0].m.dir = im.maps[0].m.rows = im.maps[0].m.rules = ~0u;
	im.maps[0].m.shift = 255;
	walk_from(TEXT + 0x210);
	CU_ASSERT(stop < STOP_COUNT);
	im.maps[0].m.n_pages = ~0u;
	im.maps[0].m.base = 0;
	walk_from(TEXT + 0x210);
	CU_ASSERT(stop < STOP_COUNT);
	end();
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void rule_stops(void)
{
	static const struct unw_rule rules[] = {
		{.cfa_op = UNW_CFA_EXPR, .ra_op = UNW_REG_CFA, .ra_off = -8},
		{.cfa_op = UNW_CFA_NONE, .ra_op = UNW_REG_CFA, .ra_off = -8},
		{.cfa_op = UNW_CFA_REG, .cfa_reg = RSP, .cfa_off = 8, .ra_op = UNW_REG_EXPR},
		{.cfa_op = UNW_CFA_REG, .cfa_reg = RSP, .cfa_off = 8, .ra_op = UNW_REG_VEXPR},
		{.cfa_op = UNW_CFA_REG, .cfa_reg = 200, .cfa_off = 8, .ra_op = UNW_REG_CFA},
	};

	for (__u32 i = 0; i < ARRAY_SIZE(rules); i++) {
		struct picture_row row = {0, UNW_CODE_RULE | i};

		begin();
		picture_map_rows(&im, TEXT, TEXT + 0x1000, &row, 1, rules, ARRAY_SIZE(rules));
		EXPECT(walk_from(TEXT + 8), STOP_RULE, 8);
		end();
	}
}

/* A register that only the leaf has: known there, not in a caller. */
static void leaf_registers(void)
{
	static const struct unw_rule rule = {
		.cfa_op = UNW_CFA_REG, .cfa_reg = R10, .ra_op = UNW_REG_CFA, .ra_off = -8};
	static const struct picture_row row[] = {{0, UNW_CODE_RULE}};

	begin();
	picture_map_rows(&im, TEXT, TEXT + 0x1000, row, 1, &rule, 1);
	regs[R10] = regs[RSP] + 0x100;
	picture_put(&im, regs[R10] - 8, TEXT + 0x81);
	EXPECT(walk_from(TEXT + 8), STOP_RULE, 8, 0x80);
	end();
}

/* gcc's realigned frame: CFA = *(rbp - 8), rbp = *(rbp + 0). */
static void realigned(void)
{
	static const struct unw_rule rules[] = {
		{.cfa_op = UNW_CFA_DEREF,
		 .cfa_reg = RBP,
		 .cfa_off = -8,
		 .ra_op = UNW_REG_CFA,
		 .ra_off = -8,
		 .fp_op = UNW_REG_DEREF,
		 .fp_reg = RBP},
		{.ra_op = UNW_REG_UNDEFINED},
	};
	static const struct picture_row row[] = {
		{0, UNW_CODE_RULE | 0}, {0x100, CODE_FP(16, 16)}, {0x200, UNW_CODE_RULE | 1}};
	__u64 rbp, cfa;

	begin();
	rbp = regs[RBP] = (regs[RSP] + 0x7f) & ~0x3full;
	cfa = rbp + 0x58;
	picture_map_rows(&im, TEXT, TEXT + 0x1000, row, 3, rules, 2);
	picture_put(&im, rbp - 8, cfa);
	picture_put(&im, rbp, cfa + 0x40); /* the caller's rbp */
	picture_put(&im, cfa - 8, TEXT + 0x111);
	picture_put(&im, cfa + 0x40, 0);
	picture_put(&im, cfa + 0x48, TEXT + 0x211);
	EXPECT(walk_from(TEXT + 0x20), STOP_ROOT, 0x20, 0x110, 0x210);
	end();
}

/* A lazy PLT entry: behind its push (offset 6 or 11) a word more is on the stack. */
static void plt(void)
{
	static const struct unw_rule rules[] = {
		{.cfa_op = UNW_CFA_PLT,
		 .cfa_reg = RSP,
		 .cfa_off = 8,
		 .cfa_add = 11,
		 .ra_op = UNW_REG_CFA,
		 .ra_off = -8},
		{.ra_op = UNW_REG_UNDEFINED},
	};
	static const struct picture_row row[] = {{0, UNW_CODE_RULE | 0},
						 {0x100, UNW_CODE_RULE | 1}};

	begin();
	picture_map_rows(&im, TEXT, TEXT + 0x1000, row, 2, rules, 2);
	picture_put(&im, regs[RSP], TEXT + 0x101);
	picture_put(&im, regs[RSP] + 8, TEXT + 0x181);
	EXPECT(walk_from(TEXT + 0x20), STOP_ROOT, 0x20, 0x100);
	EXPECT(walk_from(TEXT + 0x2a), STOP_ROOT, 0x2a, 0x100);
	EXPECT(walk_from(TEXT + 0x2b), STOP_ROOT, 0x2b, 0x180);
	EXPECT(walk_from(TEXT + 0x2f), STOP_ROOT, 0x2f, 0x180);
	end();
}

/*
 * A handler on an alternate stack, far above and then far below the interrupted one: the restorer's
 * rule reads sigcontext, the interrupted frame is exact (its function's first byte), and it is a
 * leaf whose registers stand in the context.
 */
static void signal_frame(void)
{
	static const struct unw_rule rules[] = {
		{.cfa_op = UNW_CFA_DEREF,
		 .cfa_reg = RSP,
		 .cfa_off = 160, /* sigcontext's rsp */
		 .ra_op = UNW_REG_DEREF,
		 .ra_reg = RSP,
		 .ra_off = 168,
		 .fp_op = UNW_REG_DEREF,
		 .fp_reg = RSP,
		 .fp_off = 120,
		 .flags = UNW_RULE_SIGNAL},
		{.ra_op = UNW_REG_UNDEFINED},
		{.cfa_op = UNW_CFA_REG, .cfa_reg = R10, .ra_op = UNW_REG_CFA, .ra_off = -8},
	};
	static const struct picture_row row[] = {
		{0, CODE_SP(8, 0)},    {0x100, UNW_CODE_RULE | 0}, {0x200, UNW_CODE_RULE | 2},
		{0x280, UNW_CODE_GAP}, {0x300, UNW_CODE_RULE | 1},
	};

	for (int below = 0; below < 2; below++) {
		__u64 alt, sp;

		begin();
		alt = STACK + (below ? 0x400 : 0x8000);
		sp = STACK + (below ? 0x8000 : 0x400);
		regs[RSP] = alt;
		picture_map_rows(&im, TEXT, TEXT + 0x1000, row, ARRAY_SIZE(row), rules, 3);
		picture_put(&im, alt, TEXT + 0x101); /* the handler returns to the restorer */
		picture_put(&im, alt + 8 + 40 + 16, sp + 0x90); /* r10 */
		picture_put(&im, alt + 8 + 160, sp);
		picture_put(&im, alt + 8 + 168, TEXT + 0x200);
		picture_put(&im, sp + 0x88, TEXT + 0x311);
		/* 0x200 is the first byte of its function: the row before would be wrong */
		EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x101, 0x200, 0x310);
		end();
	}
}

static void base_register(void)
{
	static const struct unw_rule rules[] = {
		/* saves rbx at CFA - 16 */
		{.cfa_op = UNW_CFA_REG,
		 .cfa_reg = RSP,
		 .cfa_off = 24,
		 .ra_op = UNW_REG_CFA,
		 .ra_off = -8,
		 .bx_op = UNW_REG_CFA,
		 .bx_off = -16},
		/* CFA from rbx */
		{.cfa_op = UNW_CFA_REG,
		 .cfa_reg = RBX,
		 .cfa_off = 8,
		 .ra_op = UNW_REG_CFA,
		 .ra_off = -8,
		 .bx_op = UNW_REG_UNDEFINED},
		{.ra_op = UNW_REG_UNDEFINED},
	};
	static const struct picture_row row[] = {
		{0, UNW_CODE_RULE | 0}, {0x100, UNW_CODE_RULE | 1}, {0x200, UNW_CODE_RULE | 2}};

	for (int tracked = 0; tracked < 2; tracked++) {
		begin();
		picture_map_rows(&im, TEXT, TEXT + 0x1000, row, 3, rules, 3);
		im.maps[0].m.kind = tracked ? UNW_KIND_ROWS_BX : UNW_KIND_ROWS;
		picture_put(&im, regs[RSP] + 8, regs[RSP] + 0x80); /* rbx of the caller */
		picture_put(&im, regs[RSP] + 16, TEXT + 0x111);
		picture_put(&im, regs[RSP] + 0x80, TEXT + 0x211);
		if (tracked)
			EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x210);
		else
			EXPECT(walk_from(TEXT + 0x10), STOP_RULE, 0x10, 0x110);
		end();
	}
}

/* ---- Go: g = *(thread pointer - 8), m in g at 0x30, g0 and the goroutine in m at 0 and 0xb8; in g
 * the stack's upper end at 8, the saved sp, pc and fp at 0x38, 0x40 and 0x60
 * ------------------------------ */

#define HEAP	  0x7fff00000000ull
#define TP	  (HEAP + 0x800)
#define G0	  (HEAP + 0x100)
#define M	  (HEAP + 0x200)
#define GOROUTINE (HEAP + 0x400)
#define GO_SP	  (STACK + 0x8000) /* of the goroutine */

#define GO_RULE(...)                                                                               \
	{                                                                                          \
		.cfa_op = UNW_CFA_GO, .cfa_off = -8, .cfa_add = 0x30, .fp_add = 0x38, __VA_ARGS__  \
	}

/* The leaf; what it returns to, with the rule; a caller by rbp; the root. */
static void go_program(const struct unw_rule *rule)
{
	static const struct picture_row row[] = {{0, CODE_SP(8, 0)},
						 {0x100, UNW_CODE_RULE | 0},
						 {0x200, CODE_FP(16, 16)},
						 {0x300, UNW_CODE_RULE | 1}};
	struct unw_rule rules[] = {*rule, undefined};

	begin();
	picture_memory(&im, HEAP, 0x1000);
	im.thread_pointer = TP;
	picture_map_rows(&im, TEXT, TEXT + 0x1000, row, ARRAY_SIZE(row), rules, 2);
	picture_put(&im, TP - 8, G0);
	picture_put(&im, G0 + 0x30, M);
	picture_put(&im, M, G0);
	picture_put(&im, M + 0xb8, GOROUTINE);
	picture_put(&im, GOROUTINE + 0x38, GO_SP);
	picture_put(&im, regs[RSP], TEXT + 0x111);
	/* the caller by rbp, above all else */
	picture_put(&im, GO_SP + 0x108, TEXT + 0x311);
}

static void go_systemstack(void)
{
	static const struct unw_rule pushed = GO_RULE(.fp_off = 0xb8, .ra_off = 8),
				     older = GO_RULE(.fp_off = 0xb8, .ra_add = 0x60,
						     .flags = UNW_RULE_GO_FP);

	go_program(&pushed);
	picture_put(&im, GO_SP, GO_SP + 0x100); /* rbp */
	picture_put(&im, GO_SP + 8, TEXT + 0x211);
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x210, 0x310);
	end();

	go_program(&older);
	picture_put(&im, GOROUTINE + 0x60, GO_SP + 0x100);
	picture_put(&im, GO_SP, TEXT + 0x211);
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x210, 0x310);
	end();
}

static void go_morestack(void)
{
	static const struct unw_rule rule =
		GO_RULE(.fp_off = 0xb8, .ra_off = 0x40, .ra_add = 0x60, .flags = UNW_RULE_GO_PC);

	go_program(&rule);
	picture_put(&im, GOROUTINE + 0x40, TEXT + 0x211);
	picture_put(&im, GOROUTINE + 0x60, GO_SP + 0x100);
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x210, 0x310);
	end();
}

/* {depth, g} stand where its frame is: behind the leaf's return address. */
static void go_asmcgocall(void)
{
	static const struct unw_rule rule = {.cfa_op = UNW_CFA_GO,
					     .flags = UNW_RULE_GO_DEPTH,
					     .cfa_off = 0x28,
					     .cfa_add = 8,
					     .ra_off = 8};

	go_program(&rule);
	im.thread_pointer = 0; /* not asked */
	picture_put(&im, regs[RSP] + 8 + 0x28, 0x700);
	picture_put(&im, regs[RSP] + 8 + 0x30, GOROUTINE);
	picture_put(&im, GOROUTINE + 8, GO_SP + 0x700);
	picture_put(&im, GO_SP, GO_SP + 0x100);
	picture_put(&im, GO_SP + 8, TEXT + 0x211);
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x210, 0x310);
	/* a goroutine that is not one */
	picture_put(&im, regs[RSP] + 8 + 0x30, 0);
	EXPECT(walk_from(TEXT + 0x10), STOP_READ_FAULT, 0x10, 0x110);
	end();
}

/* C that Go called calls Go, twice: the second one's saved sp stands where the first one's leads.
 */
static void go_cgocallback(void)
{
	static const struct unw_rule rule =
		GO_RULE(.fp_off = 0, .ra_off = 8, .flags = UNW_RULE_GO_NESTS);

	go_program(&rule);
	picture_put(&im, G0 + 0x38, GO_SP);
	picture_put(&im, GO_SP, GO_SP + 0x40); /* where the outer one's stands, and rbp */
	picture_put(&im, GO_SP + 8, TEXT + 0x121);
	picture_put(&im, GO_SP + 0x40, GO_SP + 0x100);
	picture_put(&im, GO_SP + 0x48, TEXT + 0x211);
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x120, 0x210, 0x310);
	end();
}

static void go_unreadable(void)
{
	static const struct unw_rule rule = GO_RULE(.fp_off = 0xb8, .ra_off = 8);

	go_program(&rule);
	picture_put(&im, M + 0xb8, 0); /* no goroutine: the stack begins here */
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110);
	picture_put(&im, M + 0xb8, LIB);
	EXPECT(walk_from(TEXT + 0x10), STOP_READ_FAULT, 0x10, 0x110);
	im.thread_pointer = 0;
	EXPECT(walk_from(TEXT + 0x10), STOP_READ_FAULT, 0x10, 0x110);
	end();
}

/* By rbp, whose frame lies below: only with the flag. */
static void elsewhere(void)
{
	struct unw_rule rule = {.cfa_op = UNW_CFA_REG,
				.cfa_reg = RBP,
				.cfa_off = 16,
				.flags = UNW_RULE_ELSEWHERE,
				.ra_op = UNW_REG_CFA,
				.ra_off = -8,
				.fp_op = UNW_REG_CFA,
				.fp_off = -16};

	for (int flag = 0; flag < 2; flag++) {
		rule.flags = flag ? UNW_RULE_ELSEWHERE : 0;
		go_program(&rule);
		regs[RBP] = STACK + 0x40;
		picture_put(&im, STACK + 0x40, GO_SP + 0x100);
		picture_put(&im, STACK + 0x48, TEXT + 0x211);
		if (flag)
			EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x110, 0x210, 0x310);
		else
			EXPECT(walk_from(TEXT + 0x10), STOP_NO_PROGRESS, 0x10, 0x110);
		end();
	}
}

/* ---- frame pointers -------------------------------------------------------------------------- */

static void frame_pointers(void)
{
	__u64 fp;

	begin();
	picture_map_kind(&im, TEXT, TEXT + 0x1000, UNW_KIND_FP);
	fp = regs[RBP] = regs[RSP] + 0x10;
	for (int i = 0; i < 3; i++, fp += 0x20) {
		picture_put(&im, fp, i < 2 ? fp + 0x20 : 0);
		picture_put(&im, fp + 8, TEXT + 0x101 + (__u64)i * 0x10);
	}
	EXPECT(walk_from(TEXT + 0x10), STOP_ROOT, 0x10, 0x100, 0x110, 0x120);
	/* a loop: the chain must grow */
	picture_put(&im, fp - 0x40, regs[RBP]);
	EXPECT(walk_from(TEXT + 0x10), STOP_NO_ROW, 0x10, 0x100, 0x110);
	end();
}

/* JIT code: frames carry the address, and are the process's own. */
static void outside_files(void)
{
	begin();
	picture_map_kind(&im, LIB, LIB + 0x1000, UNW_KIND_ANON);
	regs[RBP] = regs[RSP] + 0x10;
	picture_put(&im, regs[RBP] + 8, LIB + 0x201);
	ASSERT_INT(walk_from(LIB + 0x100), 2);
	ASSERT_INT(stop, STOP_ROOT);
	CU_ASSERT(frames[0] == LIB + 0x100 && frames[1] == LIB + 0x200);
	ASSERT_INT(frames[0] >> FRAME_KIND_SHIFT, FRAME_ADDR);
	end();
}

/* Any bytes as a stack end, soon, and with a reason. */
static void garbage(void)
{
	__u64 x = 88172645463325252ull;

	for (int round = 0; round < 2000; round++) {
		program();
		for (__u64 at = 0; at < 0x2000; at += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			picture_put(&im, STACK + at,
				    x & 1   ? TEXT + (x >> 8 & 0xfff)
				    : x & 2 ? STACK + (x >> 8 & 0x1fff)
					    : x);
		}
		regs[RBP] = STACK + (x >> 20 & 0x1fff);
		CU_ASSERT(walk_from(TEXT + (x >> 40 & 0xfff)) <= USER_FRAMES_MAX);
		CU_ASSERT(stop < STOP_COUNT);
		CU_ASSERT(im.reads <= 4 * (USER_FRAMES_MAX + 1));
		end();
	}
}

/* Searching 16,384 mappings and pages of thousands of rows finds what a plain scan finds. */
static void searches(void)
{
	static struct picture_row many[4096];
	unsigned wrong = 0;

	begin();
	for (__u32 i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct picture_row){i * 13, CODE_SP(8 + i % 7 * 8, 0)};
	for (__u64 i = 0; i < 50; i++)
		picture_map_rows(&im, TEXT + i * 0x20000, TEXT + i * 0x20000 + 0x10000, many,
				 i % 2 ? ARRAY_SIZE(many) : 1 + i, NULL, 0);
	for (__u64 i = 0; i < 50; i++) {
		for (__u32 off = 0; off < 0x10000; off += 101) {
			__u32 last = i % 2 ? ARRAY_SIZE(many) - 1 : (__u32)i;
			__u32 row = MIN(off / 13, last);

			for (int k = 0; k < 8; k++)
				picture_put(&im, regs[RSP] + (__u64)k * 8, LIB + (__u64)k);
			/* The return address stands where the row says; LIB + k is unmapped. */
			ASSERT_INT(walk_from(TEXT + i * 0x20000 + off), 1);
			wrong += stop != STOP_UNMAPPED;
			for (__u32 k = 0; k < 8; k++)
				picture_put(&im, regs[RSP] + k * 8, k == row % 7 ? 0 : LIB);
			walk_from(TEXT + i * 0x20000 + off);
			wrong += stop != STOP_ROOT;
		}
		ASSERT_INT(walk_from(TEXT + i * 0x20000 + 0x10000), 0);
	}
	ASSERT_INT(wrong, 0);
	end();
}

SUITE(bpf_step, {"a whole chain", whole_chain}, {"a call at a function's end", call_at_the_end},
      {"return address 0", zero_return_address}, {"entry", entry_code}, {"truncated", truncated},
      {"no_row", no_row}, {"file_gone", file_gone}, {"unmapped", unmapped},
      {"read_fault", read_fault}, {"no_progress", no_progress}, {"not_loaded", not_loaded},
      {"hostile tables", hostile_tables}, {"rule", rule_stops},
      {"registers of the leaf", leaf_registers}, {"realigned stack", realigned}, {"PLT", plt},
      {"signal frame on another stack", signal_frame}, {"base register", base_register},
      {"Go: systemstack", go_systemstack}, {"Go: morestack", go_morestack},
      {"Go: asmcgocall", go_asmcgocall}, {"Go: cgocallback, nested", go_cgocallback},
      {"Go: what cannot be read", go_unreadable}, {"a caller on another stack", elsewhere},
      {"frame pointers", frame_pointers}, {"outside files", outside_files}, {"garbage", garbage},
      {"searches", searches});
#endif
