// SPDX-License-Identifier: Apache-2.0
/*
 * What following code tells (symbolize/unwind_gap.c) beside what compilers wrote about the same
 * code: the sections of files that are fully described by CFI are followed as if they were not,
 * with their symbols and without, and every state is held against the CFI's row there. A CFA or a
 * slot of rbp that differs is printed; how much of the code got a row is printed for both. Exit 1
 * when more than LIMIT_PPM millionths of the states that can be compared differ, or when real code
 * meets the bound on work.
 *
 *	gap_rows [-v] [FILE...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "symbolize/unwind.h"
#include "symbolize/unwind_gap.h"

#define LIMIT_PPM 1000u
#define SHOWN	  5u

enum { DWARF_BP = 6, DWARF_SP = 7 };

static const char *const defaults[] = {"/lib/x86_64-linux-gnu/libc.so.6",
				       "/lib/x86_64-linux-gnu/libm.so.6",
				       "/lib/x86_64-linux-gnu/libstdc++.so.6",
				       "/lib/x86_64-linux-gnu/libcrypto.so.3",
				       "/usr/bin/python3.11",
				       "/usr/bin/perf",
				       "/usr/bin/git",
				       "/usr/bin/gdb"};

struct tally {
	const struct unwind_table *table;
	__u64 left_out; /* bytes */
	unsigned long long bytes, with_row, compared, same, cfa, slot, shown;
	const char *path;
	bool verbose;
};

/* The CFI's rule at an address; false: none, or of a shape that is not compared. */
static bool rule_at(const struct tally *t, __u64 vaddr, struct unw_rule *rule)
{
	const struct unwind_part *part;
	__u32 code = unwind_find(t->table, vaddr, &part);

	return code < UNW_CODE_ENTRY && unwind_rule_of(part, t->table->machine, code, rule) &&
	       rule->cfa_op == UNW_CFA_REG && rule->ra_op == UNW_REG_CFA;
}

static bool cfa_differs(const struct frame_state *s, const struct unw_rule *r, bool *ret_told)
{
	*ret_told = true;
	if (r->cfa_reg == DWARF_SP && (s->flags & (STATE_SP | STATE_ALIGNED)) == STATE_SP)
		return s->sp != r->cfa_off;
	if (r->cfa_reg == DWARF_BP && s->flags & STATE_FP)
		return s->fp != r->cfa_off;
	*ret_told = false;
	return false;
}

/* A slot that we know and the CFI has elsewhere or not at all; it tells of slots late and of what
 * is restored at the end of all. */
static bool slot_differs(const struct frame_state *s, const struct unw_rule *r)
{
	return r->fp_op == UNW_REG_CFA && s->slot && !(s->flags & STATE_CALLER_FP) &&
	       s->slot != -r->fp_off;
}

static int take_state(void *arg, __u64 start, __u64 end, const struct frame_state *s)
{
	struct tally *t = arg;
	struct unw_rule rule, ours;
	bool told, cfa, slot;

	t->bytes += end - start;
	if (!frame_state_rule(s, &ours))
		return 0;
	t->with_row += end - start;
	if (!rule_at(t, start, &rule))
		return 0;
	cfa = cfa_differs(s, &rule, &told);
	slot = slot_differs(s, &rule);
	t->compared += told;
	t->same += told && !cfa && !slot;
	t->cfa += cfa;
	t->slot += slot && !cfa;
	if ((cfa || slot) && (t->verbose || t->shown++ < SHOWN))
		printf("  %s 0x%llx: followed sp %d fp %d flags 0x%x slot %d; CFI %s%+d rbp %d\n",
		       t->path, start, s->sp, s->fp, s->flags, s->slot,
		       rule.cfa_reg == DWARF_SP ? "rsp" : "rbp", rule.cfa_off, rule.fp_off);
	return 0;
}

static int take_signal(void *arg, __u64 start, __u64 end)
{
	(void)arg;
	(void)start;
	(void)end;
	return 0;
}

static void follow(struct elf *elf, struct tally *t, bool with_symbols)
{
	const struct gap_sink sink = {t, take_state, take_signal};
	gap_functions functions = {0};
	unsigned long long text = 0, before = clock_thread_cpu_ns();

	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct elf_section *s = &elf->sections[i];
		struct gap_function range = {s->addr, s->addr + s->size};
		struct gap gap = {.elf = elf,
				  .start = range.start,
				  .end = range.end,
				  .is_plt = gap_is_plt(s->name),
				  .guess_start = true,
				  .left_out = &t->left_out,
				  .root = elf->entry};

		if (!(s->flags & SHF_EXECINSTR) || s->type != SHT_PROGBITS)
			continue;
		text += s->size;
		if (with_symbols && gap_functions_read(elf, &range, 1, &functions))
			abort();
		gap.functions.data = functions.data;
		gap.functions.n = functions.len;
		if (gap_follow(&gap, &sink))
			abort();
		vec_free(&functions);
	}
	printf("%-40s %-8s %8llu KiB, %5.1f %% with a row, %9llu compared, %6llu CFA and %5llu rbp "
	       "differ (%.0f ppm), %.0f ns/byte\n",
	       t->path, with_symbols ? "symbols" : "bare", text / 1024,
	       100. * (double)t->with_row / (double)(text ? text : 1), t->compared, t->cfa, t->slot,
	       1e6 * (double)(t->cfa + t->slot) / (double)(t->compared ? t->compared : 1),
	       (double)(clock_thread_cpu_ns() - before) / (double)(text ? text : 1));
}

static void check_file(const char *path, bool verbose, struct tally *all)
{
	enum elf_refusal refusal;
	enum unwind_skip skip;
	struct elf *elf = elf_open_path(path, &refusal);
	struct unwind_table *table = elf ? unwind_compile(elf, UNWIND_CFI, &skip) : NULL;

	if (!table) {
		printf("%-40s skipped: %s\n", path,
		       elf ? unwind_skip_text(skip) : elf_refusal_text(refusal));
		elf_free(elf);
		return;
	}
	for (int bare = 0; bare < 2; bare++) {
		struct tally t = {.table = table, .path = path, .verbose = verbose};

		follow(elf, &t, !bare);
		all->compared += t.compared;
		all->cfa += t.cfa;
		all->slot += t.slot;
		all->left_out += t.left_out;
	}
	unwind_table_free(table);
	elf_free(elf);
}

int main(int argc, char **argv)
{
	struct tally all = {0};
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	double ppm;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 + verbose)
		for (int i = 1 + verbose; i < argc; i++)
			check_file(argv[i], verbose, &all);
	else
		for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
			check_file(defaults[i], verbose, &all);
	ppm = 1e6 * (double)(all.cfa + all.slot) / (double)(all.compared ? all.compared : 1);
	printf("%llu states compared, %llu differ (%.0f ppm), %llu bytes took too much work\n",
	       all.compared, all.cfa + all.slot, ppm, (unsigned long long)all.left_out);
	return !all.compared || ppm > LIMIT_PPM || all.left_out;
}
