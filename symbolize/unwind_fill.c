// SPDX-License-Identifier: Apache-2.0
/* Filling gaps, see unwind_fill.h. */
#include "symbolize/unwind_fill.h"

#include <errno.h>
#include <string.h>

#include "symbolize/x86_insn.h"

#define PADDING_MAX    16u /* a shorter gap up to where functions are aligned is padding, unread */
#define MAX_RANGES     65536u
#define BYTES_PER_UNIT 16u    /* of code, read once: work.h */
#define MAX_FDE_BYTES  65536u /* of code, read to see whether it goes on behind its end */

/* ---- what to look at ------------------------------------------------------------------------- */

static bool is_worth(const struct unwind_fill *f, __u64 start, __u64 end)
{
	if (start >= end)
		return false;
	if (end - start < PADDING_MAX && end % PADDING_MAX == 0)
		return false;
	return !gap_is_padding(f->elf, start, end);
}

static int add_range(struct unwind_fill *f, __u64 start, __u64 end)
{
	if (!is_worth(f, start, end))
		return 0;
	if (f->ranges.len >= MAX_RANGES || end - start > GAP_MAX_BYTES - f->bytes) {
		f->left_out += end - start;
		return 0;
	}
	f->bytes += end - start;
	return vec_push(&f->ranges, (struct gap_function){start, end});
}

/* Go's functions are no gap to be followed: their deltas tell. */
static int add_gap(struct unwind_fill *f, __u64 start, __u64 end)
{
	__u64 go_start = MIN(MAX(f->go_text.start, start), end);
	__u64 go_end = MIN(MAX(f->go_text.end, start), end);
	int err;

	if (go_start >= go_end)
		return add_range(f, start, end);
	err = add_range(f, start, go_start);
	return err ? err : add_range(f, go_end, end);
}

/* What FDEs from *i on leave of [start, end). */
static int add_uncovered(struct unwind_fill *f, const cfi_fdes *fdes, size_t *i, __u64 start,
			 __u64 end)
{
	int err = 0;

	for (; !err && *i < fdes->len && fdes->data[*i].start < end; ++*i) {
		const struct cfi_fde *fde = &fdes->data[*i];

		if (fde->start > start)
			err = add_gap(f, start, fde->start);
		start = MAX(start, fde->end);
		if (fde->end > end)
			break;
	}
	return err ? err : add_gap(f, start, end);
}

static int by_start(const void *pa, const void *pb)
{
	const struct gap_function *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* The sections of code, or the segments where there are no sections, in no order. */
static int find_text(struct unwind_fill *f, gap_functions *text)
{
	int err = 0;

	for (size_t n = 0; !err && n < f->elf->n_sections; n++) {
		const struct elf_section *s = &f->elf->sections[n];
		struct gap_function stretch = {s->addr, s->addr + s->size};

		if (!(s->flags & SHF_EXECINSTR) || !(s->flags & SHF_ALLOC) ||
		    s->type != SHT_PROGBITS || !s->size ||
		    !elf_is_text(f->elf, stretch.start, stretch.end))
			continue;
		err = vec_push(text, stretch);
		if (!err && gap_is_plt(s->name))
			err = vec_push(&f->plts, stretch);
	}
	for (size_t n = 0; !err && !f->elf->n_sections && n < f->elf->n_segments; n++) {
		const struct elf_segment *s = &f->elf->segments[n];

		if (s->type == PT_LOAD && s->flags & PF_X && s->vaddr + s->filesz > s->vaddr)
			err = vec_push(text, (struct gap_function){s->vaddr, s->vaddr + s->filesz});
	}
	return err;
}

static int find_ranges(struct unwind_fill *f, const cfi_fdes *fdes)
{
	gap_functions text = {0};
	size_t i = 0;
	__u64 done = 0;
	int err = find_text(f, &text);

	if (f->plts.len)
		qsort(f->plts.data, f->plts.len, sizeof(*f->plts.data), by_start);
	if (text.len)
		qsort(text.data, text.len, sizeof(*text.data), by_start);
	vec_for_each (t, &text) {
		if (!err && t->start >= done)
			err = add_uncovered(f, fdes, &i, t->start, t->end);
		done = MAX(done, t->end);
	}
	vec_free(&text);
	return err;
}

/* ---- Go -------------------------------------------------------------------------------------- */

static int open_go(struct unwind_fill *f, unwind_specials *specials)
{
	struct go_func first, last;

	f->is_go = !go_table_open(f->elf, &f->go);
	if (!f->is_go)
		return 0;
	f->deltas = go_deltas_of(&f->go);
	if (go_func_at(&f->go, 0, &first) && go_func_at(&f->go, f->go.n_funcs - 1, &last) &&
	    first.start < last.end)
		f->go_text = (struct gap_function){first.start, last.end};
	return unwind_go_specials(f->elf, &f->go, specials);
}

struct taker {
	unwind_fill_row row;
	void *arg;
};

static int take_delta(void *arg, __u64 start, __u64 end, __s32 delta)
{
	const struct taker *t = arg;
	struct unw_rule rule;

	return unwind_go_rule(delta, &rule) ? t->row(t->arg, start, end, &rule) : 0;
}

/* ---- other code ------------------------------------------------------------------------------ */

static int take_state(void *arg, __u64 start, __u64 end, const struct frame_state *state)
{
	const struct taker *t = arg;
	struct unw_rule rule;

	if (state->flags & STATE_ROOT)
		return t->row(t->arg, start, end, NULL);
	return frame_state_rule(state, &rule) ? t->row(t->arg, start, end, &rule) : 0;
}

static int take_signal(void *arg, __u64 start, __u64 end)
{
	const struct taker *t = arg;
	struct unw_rule rule;

	unwind_signal_rule(&rule);
	return t->row(t->arg, start, end, &rule);
}

/* Read from its start, does the FDE's code go on behind its end? A call there may not return. */
static bool goes_on_behind(const struct elf *elf, const struct cfi_fde *fde)
{
	struct cursor c = elf_at_vaddr(elf, fde->start);
	__u64 at = fde->start;
	struct x86_insn i = {.kind = X86_TRAP};

	if (fde->end - fde->start > MAX_FDE_BYTES ||
	    !work_take(elf->work, 1 + (fde->end - fde->start) / BYTES_PER_UNIT))
		return false;
	while (at < fde->end && x86_insn_read(&c, at, &i))
		at += i.len;
	return at == fde->end &&
	       (i.kind < X86_CALL || i.kind == X86_BRANCH || i.kind >= X86_SYSCALL);
}

static int follow_range(struct unwind_fill *f, const struct gap_function *range,
			const struct frame_state *before, struct taker *taker)
{
	const struct gap_sink sink = {taker, take_state, take_signal};
	struct gap gap = {
		.elf = f->elf,
		.start = range->start,
		.end = range->end,
		.is_plt = gap_in_ranges(f->plts.data, f->plts.len, range->start),
		.guess_start = !before,
		.functions = {f->functions.data, f->functions.len},
		.plts = {f->plts.data, f->plts.len},
		.before = before,
		.left_out = &f->left_out,
		.root = f->elf->entry,
	};

	return gap_follow(&gap, &sink);
}

int unwind_fill_open(struct unwind_fill *f, const struct elf *elf, const cfi_fdes *fdes,
		     unwind_specials *specials)
{
	int err;

	f->elf = elf;
	if (elf->machine != EM_X86_64)
		return 0;
	err = open_go(f, specials);
	if (!err)
		err = find_ranges(f, fdes);
	if (!err && f->ranges.len)
		err = gap_functions_read(elf, f->ranges.data, f->ranges.len, &f->functions);
	return err;
}

int unwind_fill_between(struct unwind_fill *f, __u64 start, __u64 end, const struct cfi_fde *before,
			const struct unw_rule *rule, unwind_fill_row row, void *arg)
{
	struct taker taker = {row, arg};
	__u64 go_until = start;
	int err = 0;

	for (; !err && f->next < f->ranges.len && f->ranges.data[f->next].start < end &&
	       work_take(f->elf->work, 1);
	     f->next++) {
		const struct gap_function *range = &f->ranges.data[f->next];
		struct frame_state state;
		bool goes_on = before && range->start == start && goes_on_behind(f->elf, before) &&
			       frame_state_of_rule(rule, &state);

		if (range->start < start)
			continue;
		if (f->is_go)
			err = go_deltas_in(&f->deltas, go_until, range->start, take_delta, &taker);
		go_until = range->end;
		if (!err)
			err = follow_range(f, range, goes_on ? &state : NULL, &taker);
	}
	if (!err && f->is_go && go_until < end)
		err = go_deltas_in(&f->deltas, go_until, end, take_delta, &taker);
	return err;
}

void unwind_fill_fini(struct unwind_fill *f)
{
	vec_free(&f->ranges);
	vec_free(&f->functions);
	vec_free(&f->plts);
}
