// SPDX-License-Identifier: Apache-2.0
/*
 * Go's special functions, see unwind_go.h. Found by name in pclntab, which every Go binary has;
 * their code is walked once, in order: hand-written assembly changes the stack pointer by loading
 * it (from g, or from a register) and changes it back the same way, and between the two the deltas
 * are wrong. Bounded: MAX_CODE bytes of each, MAX_FOUND functions.
 */
#include "symbolize/unwind_go.h"

#include <errno.h>
#include <string.h>

#include "symbolize/unwind_arch.h"
#include "symbolize/unwind_state.h"

#define MAX_CODE    4096u
#define MAX_REGIONS 4
#define MAX_FOUND   64u
#define N_REGS	    16
#define ABI0	    ".abi0" /* a suffix that names may have */
#define G_STACK_HI  8	    /* type g begins with stack {lo, hi} */

enum { DWARF_BP = 6, DWARF_SP = 7 };

/* Where the runtime keeps what it saves when it leaves a stack; read from systemstack. */
struct layout {
	bool known; /* but for sched_bp, -1: unknown */
	__s32 g;    /* from the thread pointer */
	__s32 g_m;  /* m in g */
	__s32 m_g0, m_curg;
	__s32 sched_sp, sched_bp; /* in g; the pc stands right behind sp (type gobuf) */
};

/* A stretch of code between two settings of the stack pointer. */
struct region {
	__u64 start, end;
	__u64 ready;  /* behind the last store to its stack in front of its first call; 0: none */
	__s32 depth;  /* where that store, of the other stack pointer or the way to it, went */
	bool aligned; /* begins by rounding the stack pointer down, not by loading another */
};

struct go_code {
	const struct elf *elf;
	const struct go_table *table;
	const struct layout *layout;
	unwind_specials *specials;
	struct go_func func;
	struct region regions[MAX_REGIONS];
	unsigned n_regions;
	__u64 last_return; /* behind the last ret */
};

/* ---- the code -------------------------------------------------------------------------------- */

struct walk {
	struct cursor c;
	__u64 at, end;
	struct x86_insn insn; /* ends at `at` */
};

static struct walk walk_of(const struct elf *elf, const struct go_func *f)
{
	return (struct walk){.c = elf_at_vaddr(elf, f->start),
			     .at = f->start,
			     .end = f->end - f->start > MAX_CODE ? f->start + MAX_CODE : f->end};
}

static bool walk_next(struct walk *w)
{
	if (w->at >= w->end || !x86_insn_read(&w->c, w->at, &w->insn))
		return false;
	w->at += w->insn.len;
	return true;
}

enum holds { HOLDS_NOTHING, HOLDS_VALUE, HOLDS_G, HOLDS_M, HOLDS_OTHER_G };

struct held {
	enum holds what;
	__s32 value; /* VALUE: it; OTHER_G: where in m it was */
};

/* What a load from *base tells, into *reg; the layout's fields are what the last such load used. */
static void take_load(const struct x86_insn *i, const struct held *base, struct held *reg,
		      struct layout *l)
{
	__s32 value = (__s32)i->value;

	switch (base->what) {
	case HOLDS_G:
		l->g_m = value;
		*reg = (struct held){HOLDS_M, 0};
		break;
	case HOLDS_M:
		*reg = (struct held){HOLDS_OTHER_G, value};
		break;
	case HOLDS_OTHER_G:
		if (!l->known) { /* to g0's stack */
			l->m_g0 = base->value;
			l->known = true;
		} else if (i->reg == X86_RSP) { /* and back */
			l->m_curg = base->value;
			l->sched_sp = value;
		}
		*reg = (struct held){0};
		break;
	default:
		*reg = (struct held){0};
	}
}

/*
 * systemstack loads g from thread-local storage, m from g, g0 from m, the stack pointer from g0,
 * and after its call g, m, m's goroutine, and from that the stack pointer.
 */
static void read_layout(const struct elf *elf, const struct go_func *f, struct layout *layout)
{
	struct held regs[N_REGS + 1] = {0}, next;
	struct walk w = walk_of(elf, f);
	struct layout l = {.m_curg = -1, .sched_bp = layout->sched_bp};

	while (walk_next(&w)) {
		const struct x86_insn *i = &w.insn;
		const struct held *base = i->base <= N_REGS ? &regs[i->base] : NULL;

		next = (struct held){0};
		if (i->kind == X86_SET) {
			next = (struct held){HOLDS_VALUE, (__s32)i->value};
		} else if (i->kind == X86_LOAD_FS) {
			if (!base || base->what == HOLDS_VALUE) {
				l.g = (__s32)i->value + (base ? base->value : 0);
				next.what = HOLDS_G;
			}
		} else if (i->kind == X86_LOAD && base) {
			take_load(i, base, &next, &l);
		}
		for (unsigned reg = 0; reg < N_REGS; reg++)
			if (i->writes >> reg & 1 || (i->kind == X86_CALL_INDIRECT))
				regs[reg] = (struct held){0};
		if (i->reg < N_REGS && i->writes >> i->reg & 1)
			regs[i->reg] = next;
	}
	l.known = l.known && l.m_curg >= 0 && l.g < 0 && l.g_m > 0 && l.sched_sp > 0;
	if (l.known)
		*layout = l;
}

/* Where gosave_systemstack_switch, which the others call before they leave, puts the frame pointer.
 */
static void read_saved_fp(const struct elf *elf, const struct go_func *f, struct layout *layout)
{
	struct walk w = walk_of(elf, f);

	while (walk_next(&w))
		if (w.insn.kind == X86_STORE && w.insn.reg == X86_RBP && w.insn.base != X86_RSP)
			layout->sched_bp = (__s32)w.insn.value;
}

/* ---- stretches on another stack -------------------------------------------------------------- */

static bool sets_stack_pointer(const struct x86_insn *i)
{
	if (i->reg != X86_RSP)
		return false;
	return ((i->kind == X86_MOVE || i->kind == X86_LEA) && i->base != X86_RBP &&
		i->base != X86_RSP) ||
	       (i->kind == X86_LOAD && i->base != X86_RSP);
}

static void read_regions(struct go_code *g)
{
	struct walk w = walk_of(g->elf, &g->func);
	struct region *open = NULL;
	bool called = false, adjusts = false;
	__u8 sp_copy = X86_NO_REG;

	g->n_regions = 0;
	g->last_return = g->func.end;
	while (walk_next(&w)) {
		const struct x86_insn *i = &w.insn;
		bool aligns = i->kind == X86_AND && i->reg == X86_RSP;

		if (open && (sets_stack_pointer(i) || i->kind == X86_RETURN)) {
			open->end = w.at;
			open = NULL;
		} else if (!open && (sets_stack_pointer(i) || aligns) &&
			   g->n_regions < MAX_REGIONS) {
			open = &g->regions[g->n_regions++];
			/* Deltas do not tell of room that is made before the rounding. */
			*open = (struct region){.start = adjusts ? w.at - i->len : w.at,
						.end = g->func.end,
						.aligned = aligns};
			called = false;
		} else if (open && !called && i->kind == X86_STORE && i->base == X86_RSP &&
			   (!open->aligned || i->reg == sp_copy)) {
			open->ready = w.at;
			open->depth = (__s32)i->value;
		}
		if (i->kind == X86_MOVE && i->base == X86_RSP)
			sp_copy = i->reg;
		else if (sp_copy != X86_NO_REG && i->writes >> sp_copy & 1)
			sp_copy = X86_NO_REG;
		adjusts = i->kind == X86_ADD && i->reg == X86_RSP;
		called |= i->kind == X86_CALL || i->kind == X86_CALL_INDIRECT;
		if (i->kind == X86_RETURN)
			g->last_return = w.at;
	}
}

static __s32 delta_at(const struct go_code *g, __u64 addr)
{
	struct go_values v = go_values_of(g->table, &g->func, g->func.sp);

	while (work_take(g->elf->work, 1) && go_values_next(&v))
		if (addr < v.end)
			return addr >= v.start ? v.value : -1;
	return -1;
}

/* ---- rules ----------------------------------------------------------------------------------- */

bool unwind_go_rule(__s32 delta, struct unw_rule *ret_rule)
{
	if (delta < 0 || delta > INT32_MAX - 8)
		return false;
	*ret_rule = (struct unw_rule){
		.cfa_op = UNW_CFA_REG,
		.cfa_reg = DWARF_SP,
		.cfa_off = delta + 8,
		.fp_op = delta >= 8 ? UNW_REG_CFA : UNW_REG_UNSPECIFIED,
		.fp_off = delta >= 8 ? -16 : 0, /* a function with a frame saves it first */
		.ra_op = UNW_REG_CFA,
		.ra_off = -8,
	};
	return true;
}

static int add_special(struct go_code *g, __u64 start, __u64 end, const struct unw_rule *rule)
{
	struct unwind_special s = {.start = start, .end = end, .entry = !rule};

	if (rule)
		s.rule = *rule;
	return start < end ? vec_push(g->specials, s) : 0;
}

/* The frame pointer is the function's own all the while. */
static int add_by_fp(struct go_code *g, __u64 start, __u64 end)
{
	static const struct unw_rule rule = {.cfa_op = UNW_CFA_REG,
					     .flags = UNW_RULE_ELSEWHERE,
					     .cfa_reg = DWARF_BP,
					     .cfa_off = 16,
					     .fp_op = UNW_REG_CFA,
					     .fp_off = -16,
					     .ra_op = UNW_REG_CFA,
					     .ra_off = -8};

	return add_special(g, start, end, delta_at(g, start) >= 8 ? &rule : NULL);
}

static struct unw_rule saved_rule(const struct layout *l)
{
	return (struct unw_rule){.cfa_op = UNW_CFA_GO,
				 .cfa_off = l->g,
				 .cfa_add = l->g_m,
				 .fp_off = l->m_curg,
				 .fp_add = l->sched_sp,
				 .ra_add = l->sched_bp};
}

/* A rule that needs the layout; without it the stack ends. */
static int add_saved(struct go_code *g, __u64 start, __u64 end, const struct unw_rule *rule)
{
	bool needs_fp = rule->flags & (UNW_RULE_GO_FP | UNW_RULE_GO_PC);
	bool known =
		g->layout->known && rule->ra_off >= 0 && (!needs_fp || g->layout->sched_bp >= 0);

	return add_special(g, start, end, known ? rule : NULL);
}

static int add_root(struct go_code *g)
{
	return add_special(g, g->func.start, g->func.end, NULL);
}

/* mcall, gogo, a new thread: what runs on the other stack never comes back. */
static int add_root_elsewhere(struct go_code *g)
{
	int err = 0;

	read_regions(g);
	for (unsigned i = 0; !err && i < g->n_regions; i++)
		err = add_special(g, g->regions[i].start, g->regions[i].end, NULL);
	return err;
}

static int add_systemstack(struct go_code *g)
{
	struct unw_rule rule = saved_rule(g->layout);

	read_regions(g);
	if (!g->n_regions)
		return 0;
	rule.ra_off = delta_at(g, g->regions[0].start);
	if (rule.ra_off < 8)
		rule.flags |= UNW_RULE_GO_FP;
	return add_saved(g, g->regions[0].start, g->regions[0].end, &rule);
}

static int add_morestack(struct go_code *g)
{
	struct unw_rule rule = saved_rule(g->layout);

	read_regions(g);
	if (!g->n_regions)
		return 0;
	rule.flags |= UNW_RULE_GO_PC;
	rule.ra_off = rule.fp_add + 8;
	return add_saved(g, g->regions[0].start, g->regions[0].end, &rule);
}

/* The frame pointer tells, else the stack pointer that was stored before the call. */
static int add_aligned(struct go_code *g, const struct region *r)
{
	struct unw_rule rule = {.cfa_op = UNW_CFA_DEREF,
				.cfa_reg = DWARF_SP,
				.cfa_off = r->depth,
				.cfa_add = delta_at(g, r->start) + 8,
				.ra_op = UNW_REG_CFA,
				.ra_off = -8};
	int err;

	if (rule.cfa_add != 8)
		return add_by_fp(g, r->start, r->end);
	err = add_special(g, r->start, r->ready ? r->ready : r->end, NULL);
	return err || !r->ready ? err : add_special(g, r->ready, r->end, &rule);
}

/* From a goroutine, which it notes on the thread's stack, or from the thread's own stack. */
static int add_asmcgocall(struct go_code *g)
{
	int err = 0;

	read_regions(g);
	for (unsigned i = 0; !err && i < g->n_regions; i++) {
		const struct region *r = &g->regions[i];
		struct unw_rule rule = {.cfa_op = UNW_CFA_GO,
					.flags = UNW_RULE_GO_DEPTH,
					.cfa_off = r->depth,
					.cfa_add = G_STACK_HI,
					.ra_off = delta_at(g, r->start)};

		if (r->aligned) {
			err = add_aligned(g, r);
			continue;
		}
		if (rule.ra_off < 8) {
			rule.flags |= UNW_RULE_GO_FP;
			rule.ra_add = g->layout->sched_bp;
		}
		if (r->ready) {
			err = add_by_fp(g, r->start, r->ready);
			err = err ? err : add_saved(g, r->ready, r->end, &rule);
		} else {
			err = add_special(g, r->start, r->end, NULL);
		}
	}
	return err;
}

/* C called Go: on a goroutine from here on; where C called stands on the thread's stack. */
static int add_cgocallback(struct go_code *g)
{
	struct unw_rule rule = saved_rule(g->layout);

	read_regions(g);
	if (!g->n_regions)
		return 0;
	rule.flags |= UNW_RULE_GO_NESTS;
	rule.fp_off = g->layout->m_g0;
	rule.ra_off = delta_at(g, g->regions[0].start);
	if (rule.ra_off < 8)
		rule.ra_off = -1; /* it keeps the frame pointer below the return address */
	return add_saved(g, g->regions[0].start, g->regions[0].end, &rule);
}

/* Calls of C (the vDSO, sigaction, ...) on an aligned or on the thread's own stack. */
static int add_c_call(struct go_code *g)
{
	int err = 0;

	read_regions(g);
	for (unsigned i = 0; !err && i < g->n_regions; i++)
		if (delta_at(g, g->regions[i].start) >= 8)
			err = add_by_fp(g, g->regions[i].start, g->regions[i].end);
	/* What stands behind the return is jumped to from within. */
	if (!err && g->n_regions && delta_at(g, g->last_return) >= 8)
		err = add_by_fp(g, g->last_return, g->func.end);
	return err;
}

/* crosscall2, which C calls: it keeps its caller's frame pointer where no delta tells. Its own is
 * of no use, since what it calls, Go, does not tell where that is kept. */
static int add_followed(struct go_code *g)
{
	struct walk w = walk_of(g->elf, &g->func);
	struct frame_state state = frame_state_start(), by_sp = state;
	struct unw_rule rule;
	__u64 start = g->func.start;
	int err = 0;

	while (!err && frame_state_rule(&by_sp, &rule) && walk_next(&w)) {
		err = add_special(g, start, w.at, &rule);
		start = w.at;
		if (w.insn.kind == X86_RETURN)
			break;
		frame_state_step(&state, &w.insn);
		by_sp = state;
		by_sp.flags &= (__u16)~STATE_FP;
	}
	return err;
}

/* Signal handlers return here, so the address before it is asked for. */
static int add_sigreturn(struct go_code *g)
{
	struct unw_rule rule;

	unwind_signal_rule(&rule);
	return add_special(g, g->func.start - 1, g->func.end, &rule);
}

static const struct {
	const char *name;
	int (*add)(struct go_code *code);
} treatments[] = {
	{"runtime.systemstack", add_systemstack},
	{"runtime.goexit", add_root},
	{"runtime.mstart", add_root},
	{"runtime.rt0_go", add_root},
	{"_rt0_amd64", add_root},
	{"_rt0_amd64_linux", add_root},
	{"runtime.mcall", add_root_elsewhere},
	{"runtime.switchToCrashStack0", add_root_elsewhere},
	{"gogo", add_root_elsewhere},
	{"runtime.clone", add_root_elsewhere},
	{"runtime.morestack", add_morestack},
	{"runtime.asmcgocall", add_asmcgocall},
	{"runtime.cgocallback", add_cgocallback},
	{"runtime.nanotime1", add_c_call},
	{"runtime.walltime", add_c_call},
	{"runtime.walltime1", add_c_call},
	{"time.now", add_c_call},
	{"runtime.vgetrandom1", add_c_call},
	{"crosscall2", add_followed},
	{"runtime.callCgoMmap", add_c_call},
	{"runtime.callCgoMunmap", add_c_call},
	{"runtime.callCgoSigaction", add_c_call},
	{"runtime.sigfwd", add_c_call},
	{"runtime.sigreturn", add_sigreturn},
	{"runtime.sigreturn__sigaction", add_sigreturn},
};

static bool is_named(const char *name, const char *wanted)
{
	size_t len = strlen(wanted);

	return !strncmp(name, wanted, len) && (!name[len] || !strcmp(name + len, ABI0));
}

int unwind_go_specials(const struct elf *elf, const struct go_table *table,
		       unwind_specials *specials)
{
	struct layout layout = {.sched_bp = -1};
	struct go_code code = {.elf = elf, .table = table, .layout = &layout, .specials = specials};
	struct {
		struct go_func func;
		size_t treatment;
	} found[MAX_FOUND];
	size_t n = 0;
	int err = 0;

	if (elf->machine != EM_X86_64)
		return 0;
	for (__u64 i = 0; i < table->n_funcs && n < MAX_FOUND && work_take(elf->work, 1); i++) {
		if (!go_func_at(table, i, &found[n].func) ||
		    !elf_is_text(elf, found[n].func.start, found[n].func.end))
			continue;
		if (!strchr("r_tgc", found[n].func.name[0]))
			continue;
		if (!layout.known && is_named(found[n].func.name, "runtime.systemstack"))
			read_layout(elf, &found[n].func, &layout);
		else if (is_named(found[n].func.name, "gosave_systemstack_switch"))
			read_saved_fp(elf, &found[n].func, &layout);
		for (size_t t = 0; t < ARRAY_SIZE(treatments); t++) {
			if (!is_named(found[n].func.name, treatments[t].name))
				continue;
			found[n++].treatment = t;
			break;
		}
	}
	for (size_t i = 0; !err && i < n; i++) {
		code.func = found[i].func;
		err = treatments[found[i].treatment].add(&code);
	}
	return err;
}
