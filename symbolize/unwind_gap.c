// SPDX-License-Identifier: Apache-2.0
/*
 * Following code, see unwind_gap.h. One window at a time: a state for each byte at which an
 * instruction was reached, a list of those still to be followed. States only lose knowledge, so it
 * ends. Calls name further functions on the way; a function found that way after it was reached
 * otherwise starts the window anew, with what is known by then.
 */
#include "symbolize/unwind_gap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/hmap.h"

#define MAX_STATES	60000u
#define MAX_ROUNDS	10
#define MAX_TABLE	1024u /* entries of a jump table */
#define MAX_PADDING	64u
#define CODE_ALIGNMENT	16u
#define PLT_ENTRY_BYTES 16u
#define WORK_PER_BYTE	256u /* real code takes some ten looks at each */
#define LOOKS_PER_UNIT	16u  /* bytes that a pass over a window looks at, in units of work.h */
#define PADDING_STEP	65536u
#define RT_SIGRETURN	15

enum {
	AT_SYMBOL = 1,	  /* a function begins here, whatever jumps here */
	AT_CALLED = 2,	  /* something calls this */
	AT_GUESSED = 4,	  /* aligned behind the end of another, and reached from nowhere */
	AT_MISREAD = 8,	  /* a ret that does not find its return address, or a jump that should */
	AT_OPEN = 16,	  /* a jump to where nobody knows, with a frame */
	AT_END = 32,	  /* an instruction that does not go on */
	AT_SIGNAL = 64,	  /* the first instruction of a signal's return */
	AT_PROVEN = 128,  /* a ret that does find it */
	AT_CALL = 256,	  /* an instruction that calls */
	AT_CUT = 512,	  /* a call that is taken to never return */
	AT_TARGET = 1024, /* something with a frame jumps here: it is within a function */
	AT_START = AT_SYMBOL | AT_CALLED | AT_GUESSED,
};

struct window {
	const struct gap *gap;
	__u64 start;
	size_t n; /* bytes */
	struct cursor code;
	__u16 *state; /* by byte: index in states + 1; 0: not reached */
	__u8 *len;    /* by byte: of the instruction reached there */
	__u16 *marks; /* by byte: AT_* */
	VEC(struct frame_state) states;
	struct hmap state_index;
	VEC(__u32) todo;
	__u64 work; /* instructions followed, entries of tables */
	bool anew;  /* a function was found where code had been reached */
	bool guessing;
};

static bool window_holds(const struct window *w, __u64 vaddr)
{
	return vaddr >= w->start && vaddr - w->start < w->n;
}

static struct cursor code_at(const struct window *w, size_t at)
{
	struct cursor c = w->code;

	cursor_skip(&c, at);
	return c;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* How many of the (ascending) ranges begin before the address. */
static size_t before(const struct gap_function *ranges, size_t n, __u64 vaddr)
{
	size_t low = 0;

	while (n) {
		size_t half = n / 2;

		if (ranges[low + half].start < vaddr) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low;
}

bool gap_in_ranges(const struct gap_function *ranges, size_t n, __u64 vaddr)
{
	size_t i = before(ranges, n, vaddr + 1);

	return i && vaddr < ranges[i - 1].end;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* The number of a state; 0 when there are too many, which is as good as knowing nothing. */
static int number_of(struct window *w, const struct frame_state *state, __u16 *ret_number)
{
	__u64 hash = XXH3_64bits(state, sizeof(*state));
	__u32 i;

	hmap_for_each_match (&w->state_index, hash, i) {
		if (!memcmp(&w->states.data[i], state, sizeof(*state))) {
			*ret_number = (__u16)(i + 1);
			return 0;
		}
	}
	i = (__u32)w->states.len;
	if (i >= MAX_STATES) {
		*ret_number = 1; /* the first state is that of knowing nothing */
		return 0;
	}
	if (vec_push(&w->states, *state) || hmap_add(&w->state_index, hash, i))
		return -ENOMEM;
	*ret_number = (__u16)(i + 1);
	return 0;
}

static bool has_frame(const struct frame_state *s)
{
	return !(s->flags & STATE_SP) || s->sp != 8;
}

/* Code is reached at an offset with a state. */
static int reach(struct window *w, size_t at, const struct frame_state *state)
{
	struct frame_state joined = *state;
	__u16 number = w->state[at];

	if (number) {
		joined = w->states.data[number - 1];
		if (!frame_state_join(&joined, state))
			return 0;
	}
	if (number_of(w, &joined, &number))
		return -ENOMEM;
	if (number == w->state[at])
		return 0;
	w->state[at] = number;
	return vec_push(&w->todo, (__u32)at);
}

/* ... from another instruction: a function that a symbol names begins anew. */
static int reach_from(struct window *w, __u64 vaddr, const struct frame_state *state)
{
	if (!window_holds(w, vaddr) || w->marks[vaddr - w->start] & AT_SYMBOL)
		return 0;
	if (has_frame(state))
		w->marks[vaddr - w->start] |= AT_TARGET;
	return reach(w, vaddr - w->start, state);
}

static int start_function(struct window *w, size_t at, __u16 mark)
{
	struct frame_state state = frame_state_start();

	if (w->marks[at] & AT_START)
		return 0;
	if (w->guessing) {
		/* What a guess calls is one itself, and no news of what is known. */
		if (w->state[at])
			return 0;
		mark = AT_GUESSED;
	}
	w->marks[at] |= mark;
	if (w->state[at])
		w->anew = true;
	return reach(w, at, &state);
}

/* It does nothing, but it is where functions begin. */
static bool is_endbr(struct cursor c)
{
	return cursor_left(&c) >= 4 && !memcmp(c.pos, "\xf3\x0f\x1e\xfa", 4);
}

/* Bytes of padding at the cursor: no-ops, traps, zeros. */
static size_t padding_in(struct cursor c, size_t max)
{
	size_t done = 0;

	while (done < max && cursor_left(&c)) {
		struct x86_insn i;
		__u8 byte = *c.pos;

		if (!byte || byte == 0xcc) {
			cursor_skip(&c, 1);
			done++;
			continue;
		}
		if (is_endbr(c) || !x86_insn_read(&c, 0, &i) || i.kind != X86_NOP)
			break;
		done += i.len;
	}
	return done;
}

static size_t padding_at(const struct window *w, size_t at)
{
	return padding_in(code_at(w, at), MAX_PADDING);
}

bool gap_is_padding(const struct elf *elf, __u64 start, __u64 end)
{
	while (start < end) {
		size_t step = MIN(end - start, (__u64)PADDING_STEP);
		size_t n = padding_in(elf_at_vaddr(elf, start), step);

		if (!work_take(elf->work, 1 + n / LOOKS_PER_UNIT) || n < step)
			return false;
		start += n;
	}
	return true;
}

/* ---- instructions ---------------------------------------------------------------------------- */

struct follow {
	size_t at;
	struct frame_state state;
	__u64 table;  /* the address that was loaded last: a switch's table; 0: none */
	__s64 bound;  /* what was compared with last: its last index; -1: nothing */
	__s64 number; /* of the system call that comes, when `has_number` */
	size_t number_at;
	bool has_number;
};

/*
 * A switch's table: 4-byte distances from its own start in position-independent code, else 8-byte
 * addresses. *ret_found: it looks like one, every entry leads into the window.
 */
static int follow_table(struct window *w, const struct follow *f, __u64 table, bool relative,
			bool *ret_found)
{
	struct cursor c = elf_at_vaddr(w->gap->elf, table);
	__u64 targets[MAX_TABLE];
	size_t n = (size_t)(f->bound + 1);
	int err = 0;

	*ret_found = false;
	if (f->bound < 0 || n > MAX_TABLE)
		return 0;
	for (size_t i = 0; i < n; i++) {
		targets[i] = relative ? table + (__u64)(__s64)cursor_s32(&c) : cursor_u64(&c);
		if (c.bad || !window_holds(w, targets[i]))
			return 0;
	}
	*ret_found = true;
	w->work += n;
	for (size_t i = 0; !err && i < n; i++)
		err = reach_from(w, targets[i], &f->state);
	return err;
}

static int follow_call(struct window *w, struct follow *f, const struct x86_insn *i, __u64 next)
{
	int err = 0;

	if (i->kind == X86_CALL && i->target == next) {
		/* only to learn its own address */
		struct x86_insn push = {.kind = X86_PUSH, .reg = X86_NO_REG};

		frame_state_step(&f->state, &push);
		return 0;
	}
	if (i->kind == X86_CALL && window_holds(w, i->target))
		err = start_function(w, i->target - w->start, AT_CALLED);
	frame_state_step(&f->state, i);
	return err;
}

/* Notes of what came before: a table's address, a system call's number. */
static void remember(struct follow *f, const struct x86_insn *i)
{
	if (i->kind == X86_LEA && i->base == X86_RIP)
		f->table = (__u64)i->value;
	if (i->kind == X86_COMPARE)
		f->bound = i->value;
	if (i->kind == X86_SET && i->reg == X86_RAX) {
		f->has_number = true;
		f->number = i->value;
		f->number_at = f->at;
	} else if (i->writes >> X86_RAX & 1) {
		f->has_number = false;
	}
}

/* Something calls this, or it is a linkage table. */
static bool begins_function(const struct window *w, __u64 vaddr)
{
	if (window_holds(w, vaddr))
		return w->marks[vaddr - w->start] & AT_CALLED;
	return !w->gap->is_plt && gap_in_ranges(w->gap->plts.data, w->gap->plts.n, vaddr);
}

/* One that does not go on: 0, or an error. */
static int follow_end(struct window *w, struct follow *f, const struct x86_insn *i)
{
	bool found = false;
	int err = 0;

	w->marks[f->at] |= AT_END;
	switch (i->kind) {
	case X86_JUMP:
		/* A call in a function's last place leaves no frame behind. */
		if (has_frame(&f->state) && begins_function(w, i->target))
			w->marks[f->at] |= AT_MISREAD;
		return reach_from(w, i->target, &f->state);
	case X86_JUMP_TABLE:
		if (i->reg == X86_NO_REG && i->value)
			err = follow_table(w, f, (__u64)i->value, false, &found);
		else if (f->table)
			err = follow_table(w, f, f->table, true, &found);
		if (!found && has_frame(&f->state))
			w->marks[f->at] |= AT_OPEN;
		return err;
	case X86_RETURN:
		if (f->state.flags & STATE_SP && !(f->state.flags & STATE_ROOT))
			w->marks[f->at] |= f->state.sp == 8 ? AT_PROVEN : AT_MISREAD;
		return 0;
	default:
		return 0;
	}
}

static bool ends(const struct window *w, const struct follow *f, const struct x86_insn *i)
{
	switch (i->kind) {
	case X86_JUMP:
	case X86_JUMP_TABLE:
	case X86_RETURN:
	case X86_TRAP:
		return true;
	case X86_JUMP_SLOT: /* a lazy PLT entry is come back to, what they share is not */
		return !w->gap->is_plt || has_frame(&f->state);
	default:
		return false;
	}
}

static bool is_sigreturn(const struct follow *f, const struct x86_insn *i)
{
	return i->kind == X86_SYSCALL && f->has_number && f->number == RT_SIGRETURN;
}

/* Behind a call: padding up to where functions begin, or what they begin with. */
static bool another_may_begin(const struct window *w, size_t at, size_t padding)
{
	struct cursor c = code_at(w, at);
	struct x86_insn i;

	if ((w->start + at + padding) % CODE_ALIGNMENT)
		return false;
	return padding || is_endbr(c) || !x86_insn_read(&c, 0, &i) || i.kind == X86_PUSH ||
	       (i.kind == X86_ADD && i.reg == X86_RSP && i.value < 0);
}

/* Straight on from an offset until there is nothing new. */
static int follow(struct window *w, size_t at)
{
	struct follow f = {.at = at, .bound = -1};
	struct cursor c = code_at(w, at);

	for (;;) {
		__u16 number = w->state[f.at];
		struct x86_insn i;
		bool calls;
		__u64 next;
		int err;

		f.state = w->states.data[number - 1];
		w->work++;
		if (!x86_insn_read(&c, w->start + f.at, &i)) {
			w->marks[f.at] |= AT_END;
			return 0;
		}
		w->len[f.at] = i.len;
		next = w->start + f.at + i.len;
		if (is_sigreturn(&f, &i)) {
			w->marks[f.number_at] |= AT_SIGNAL;
			w->marks[f.at] |= AT_END;
			return 0;
		}
		if (ends(w, &f, &i))
			return follow_end(w, &f, &i);
		remember(&f, &i);
		calls = i.kind == X86_CALL || i.kind == X86_CALL_INDIRECT;
		if (calls) {
			w->marks[f.at] |= AT_CALL;
			err = follow_call(w, &f, &i, next);
		} else {
			frame_state_step(&f.state, &i);
			err = i.kind == X86_BRANCH ? reach_from(w, i.target, &f.state) : 0;
		}
		if (err || !window_holds(w, next))
			return err;
		at = next - w->start;
		/* Whether something jumps behind a call is known in the end only: guesses do not
		 * wait. */
		if (calls && (w->marks[f.at] & AT_CUT ||
			      (w->guessing && another_may_begin(w, at, padding_at(w, at))))) {
			w->marks[f.at] |= AT_END;
			return 0;
		}
		if (w->marks[at] & AT_SYMBOL || (calls && w->marks[at] & AT_CALLED))
			return 0;
		number = w->state[at];
		err = reach(w, at, &f.state);
		if (err || w->state[at] == number)
			return err;
		w->todo.len--; /* it is followed right here */
		f.at = at;
	}
}

static bool is_exhausted(const struct window *w)
{
	return w->work > WORK_PER_BYTE * w->n || work_is_over(w->gap->elf->work);
}

/* One more pass over the bytes of the window. */
static bool may_pass(const struct window *w)
{
	return work_take(w->gap->elf->work, 1 + w->n / LOOKS_PER_UNIT);
}

static int follow_all(struct window *w)
{
	int err = 0;

	while (!err && w->todo.len && !is_exhausted(w)) {
		__u64 before = w->work;

		err = follow(w, w->todo.data[--w->todo.len]);
		work_take(w->gap->elf->work, w->work - before);
	}
	return err;
}

/* ---- where functions begin ------------------------------------------------------------------- */

/* Is the byte within a function that a symbol names, behind its first? */
static bool is_named(const struct window *w, __u64 vaddr)
{
	return gap_in_ranges(w->gap->functions.data, w->gap->functions.n, vaddr);
}

/* Code that nothing leads to, right behind the end of a function whose every jump is known. */
static int guess_functions(struct window *w, bool *ret_found)
{
	bool ended = false, open = false;
	size_t alignment = w->gap->is_plt ? 1 : CODE_ALIGNMENT;
	int err = 0;

	*ret_found = false;
	for (size_t at = 0; !err && at < w->n;) {
		size_t padding;

		if (w->state[at]) {
			if (w->marks[at] & AT_START)
				open = false;
			open |= (w->marks[at] & AT_OPEN) != 0;
			ended = w->marks[at] & AT_END;
			at += MAX(w->len[at], (__u8)1);
			continue;
		}
		padding = padding_at(w, at);
		if (ended && !open && at + padding < w->n && !w->state[at + padding] &&
		    (w->start + at + padding) % alignment == 0 &&
		    !is_named(w, w->start + at + padding)) {
			err = start_function(w, at + padding, AT_GUESSED);
			*ret_found = true;
			if (!err)
				err = follow_all(w);
			at += padding;
			continue;
		}
		ended = false;
		at += MAX(padding, (size_t)1);
	}
	return err;
}

/* Forget what was reached, keep where functions begin. */
static int begin_anew(struct window *w)
{
	struct frame_state nothing = frame_state_nothing(), start = frame_state_start();
	const struct gap *g = w->gap;
	__u16 number;
	int err;

	memset(w->state, 0, w->n * sizeof(*w->state));
	memset(w->len, 0, w->n);
	for (size_t at = 0; at < w->n; at++)
		w->marks[at] &= AT_SYMBOL | AT_CALLED | AT_CUT;
	w->states.len = 0;
	w->todo.len = 0;
	w->anew = false;
	hmap_clear(&w->state_index);
	err = number_of(w, &nothing, &number);
	for (size_t at = 0; !err && at < w->n; at++)
		if (w->marks[at] & AT_START)
			err = reach(w, at, &start);
	if (!err && g->root && window_holds(w, g->root)) {
		start.flags |= STATE_ROOT;
		w->marks[g->root - w->start] |= AT_SYMBOL;
		w->state[g->root - w->start] = 0;
		err = reach(w, g->root - w->start, &start);
	} else if (!err && g->before && w->start == g->start && !(w->marks[0] & AT_START)) {
		err = reach(w, 0, g->before);
	}
	return err ? err : follow_all(w);
}

/* The end of the function that begins at an offset, and whether it can be believed. */
static size_t function_end(const struct window *w, size_t at, bool *ret_sound)
{
	__u16 seen = w->marks[at];
	bool guessed = seen & AT_GUESSED && !w->gap->is_plt;

	for (at++; at < w->n && !(w->marks[at] & AT_START && w->state[at]); at++)
		seen |= w->marks[at];
	*ret_sound = !(seen & AT_MISREAD) && (!guessed || seen & AT_PROVEN);
	return at;
}

/*
 * Code behind a call that never returns is another function's. Taken for such: what stands where
 * functions begin, behind padding or with how they begin, unless something jumps there (a loop's
 * head is aligned, too). True when there are new ones.
 */
static bool cut_calls(struct window *w)
{
	bool cut = false;

	for (size_t at = 0; at < w->n; at++) {
		size_t next = at + w->len[at], padding;

		if (!(w->marks[at] & AT_CALL) || w->marks[at] & AT_CUT || next >= w->n)
			continue;
		padding = padding_at(w, next);
		if (next + padding >= w->n || w->marks[next + padding] & AT_TARGET ||
		    !another_may_begin(w, next, padding))
			continue;
		w->marks[at] |= AT_CUT;
		cut = true;
	}
	return cut;
}

static void mark_symbols(struct window *w)
{
	const struct gap_function *f = w->gap->functions.data;
	size_t n = w->gap->functions.n;

	for (size_t i = before(f, n, w->start); i < n && f[i].start < w->start + w->n; i++)
		w->marks[f[i].start - w->start] |= AT_SYMBOL;
}

/*
 * The first entry of a linkage table is one like the others, but in a lazy table: what these jump
 * to with two words on the stack, of which it pushes the second.
 */
static size_t first_entry(const struct window *w)
{
	struct cursor c = w->code;
	struct x86_insn i;
	bool lazy = w->code.pos[0] == 0xff && x86_insn_read(&c, w->start, &i) && i.kind == X86_PUSH;

	return lazy ? PLT_ENTRY_BYTES : 0;
}

/* What the window begins with. */
static int guess_first(struct window *w)
{
	size_t at = w->gap->is_plt ? first_entry(w) : padding_at(w, 0);
	int err = 0;

	if (!w->gap->guess_start || w->state[0] || is_named(w, w->start) || at >= w->n ||
	    w->state[at])
		return 0;
	if ((w->start + at) % CODE_ALIGNMENT == 0)
		err = start_function(w, at, AT_GUESSED);
	return err ? err : follow_all(w);
}

static int follow_window(struct window *w)
{
	bool found = true;
	int err = 0;

	mark_symbols(w);
	for (int round = 0; !err && round < MAX_ROUNDS && may_pass(w); round++) {
		bool cut;

		err = begin_anew(w);
		cut = !err && cut_calls(w);
		if (!w->anew && !cut)
			break;
	}
	w->guessing = true;
	if (!err)
		err = guess_first(w);
	for (int round = 0; !err && found && round < MAX_ROUNDS && may_pass(w); round++)
		err = guess_functions(w, &found);
	return err;
}

/* ---- what comes out -------------------------------------------------------------------------- */

/* Behind an instruction that nothing follows: over a few bytes of padding the row may go on. */
static size_t stretch_end(const struct window *w, size_t at)
{
	size_t end = at + w->len[at], next = end;

	while (next < w->n && next < end + CODE_ALIGNMENT && !w->state[next])
		next++;
	if (next == w->n || !w->state[next])
		next = MIN(end, w->n);
	/* A signal's return is looked up by the address before it. */
	return next < w->n && w->marks[next] & AT_SIGNAL ? next - 1 : next;
}

static int emit_function(const struct window *w, size_t from, size_t to,
			 const struct gap_sink *sink)
{
	int err = 0;

	for (size_t at = from; !err && at < to;) {
		size_t end = at + 1;

		if (!w->state[at] || !w->len[at]) {
			at++;
			continue;
		}
		if (w->marks[at] & AT_SIGNAL) {
			end = at + w->len[at];
			end += end < w->n ? w->len[end] : 0;
			end += end < w->n && !w->state[end]; /* where the call returns to */
			err = sink->signal(sink->arg, w->start + at - (at > 0), w->start + end);
			at = end;
			continue;
		}
		end = stretch_end(w, at);
		/* Instructions that overlap: to the next one that was reached. */
		for (size_t i = at + 1; i < end; i++)
			if (w->state[i]) {
				end = i;
				break;
			}
		err = sink->state(sink->arg, w->start + at, w->start + end,
				  &w->states.data[w->state[at] - 1]);
		at = end;
	}
	return err;
}

static int emit(const struct window *w, const struct gap_sink *sink)
{
	int err = 0;

	for (size_t at = 0; !err && at < w->n;) {
		bool sound;
		size_t end = function_end(w, at, &sound);

		if (sound)
			err = emit_function(w, at, end, sink);
		at = end;
	}
	return err;
}

/* ---- windows --------------------------------------------------------------------------------- */

/* Where the window that begins at `start` ends: at a function, if one begins in its second half. */
static __u64 window_end(const struct gap *gap, __u64 start)
{
	__u64 limit = start + GAP_WINDOW_BYTES, end = limit;

	if (limit >= gap->end)
		return gap->end;
	for (size_t i = gap->functions.n; i-- > 0;) {
		__u64 at = gap->functions.data[i].start;

		if (at <= limit) {
			if (at > start + GAP_WINDOW_BYTES / 2)
				end = at;
			break;
		}
	}
	return end;
}

static void window_fini(struct window *w)
{
	free(w->state);
	free(w->len);
	free(w->marks);
	vec_free(&w->states);
	vec_free(&w->todo);
	hmap_fini(&w->state_index);
}

static int follow_stretch(const struct gap *gap, __u64 start, __u64 end,
			  const struct gap_sink *sink)
{
	struct window w = {.gap = gap, .start = start};
	struct cursor c = elf_at_vaddr(gap->elf, start);
	int err = -ENOMEM;

	w.n = MIN(cursor_left(&c), (size_t)(end - start));
	w.code = cursor_of(c.pos, w.n);
	if (!w.n)
		return 0;
	w.state = calloc(w.n, sizeof(*w.state));
	w.len = calloc(w.n, 1);
	w.marks = calloc(w.n, sizeof(*w.marks));
	if (w.state && w.len && w.marks)
		err = follow_window(&w);
	if (!err && is_exhausted(&w))
		*gap->left_out += w.n;
	else if (!err)
		err = emit(&w, sink);
	window_fini(&w);
	return err;
}

int gap_follow(const struct gap *gap, const struct gap_sink *sink)
{
	int err = 0;

	for (__u64 at = gap->start, end; !err && at < gap->end; at = end) {
		end = window_end(gap, at);
		err = follow_stretch(gap, at, end, sink);
	}
	return err;
}

/* ---- symbols --------------------------------------------------------------------------------- */

static int by_start(const void *pa, const void *pb)
{
	const struct gap_function *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end < b->end ? -1 : a->end > b->end;
}

static int read_table(const struct elf *elf, const char *name, const struct gap_function *ranges,
		      size_t n_ranges, gap_functions *functions)
{
	const struct elf_section *s = elf_section(elf, name);
	struct cursor c = s ? elf_section_raw(elf, s) : cursor_of(NULL, 0);

	while (cursor_left(&c) >= sizeof(Elf64_Sym) && work_take(elf->work, 1)) {
		Elf64_Sym sym;
		unsigned type;

		memcpy(&sym, cursor_bytes(&c, sizeof(sym)), sizeof(sym));
		type = ELF64_ST_TYPE(sym.st_info);
		if ((type != STT_FUNC && type != STT_GNU_IFUNC) || sym.st_shndx == SHN_UNDEF ||
		    !gap_in_ranges(ranges, n_ranges, sym.st_value))
			continue;
		if (vec_push(functions,
			     (struct gap_function){sym.st_value, sym.st_value + sym.st_size}))
			return -ENOMEM;
	}
	return 0;
}

int gap_functions_read(const struct elf *elf, const struct gap_function *ranges, size_t n_ranges,
		       gap_functions *functions)
{
	size_t kept = 0;
	int err = read_table(elf, ".symtab", ranges, n_ranges, functions);

	if (!err)
		err = read_table(elf, ".dynsym", ranges, n_ranges, functions);
	if (err || !functions->len)
		return err;
	qsort(functions->data, functions->len, sizeof(*functions->data), by_start);
	vec_for_each (f, functions) {
		if (kept && functions->data[kept - 1].start == f->start)
			functions->data[kept - 1].end = f->end;
		else
			functions->data[kept++] = *f;
	}
	functions->len = kept;
	return 0;
}
