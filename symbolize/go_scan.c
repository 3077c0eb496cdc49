// SPDX-License-Identifier: Apache-2.0
/*
 * pclntab into rows and nodes, see go_scan.h. A function's three value tables (file, line, inline
 * index) are walked side by side; an inlined call's parent is what the tables say at its parent pc,
 * which lies in the same function. Chains and look-ups are bounded by a budget per file. A function
 * that DWARF has is left to it: it knows where a call in generated code stands, pclntab does not.
 */
#include "symbolize/go_scan.h"

#include <errno.h>
#include <string.h>

#include "symbolize/gopclntab.h"

#define MAX_INLINED   4096u /* tree entries of one function */
#define MAX_NEST      64u
#define WORK_MIN      (1u << 20)
#define WORK_PER_BYTE 8u

struct go_scan {
	struct index_builder *b;
	struct go_table table;
	struct go_func func;
	__u32 func_node;
	struct work work; /* of the table alone; cancelled as the file's is */
	VEC(__u32) nodes; /* by index in the inline tree; 0: not made yet */
	/* the last file's id: neighbours share it */
	const char *last_name;
	__u32 last_file;
	size_t n_pieces, at; /* DWARF's, and which of them the walk has reached */
};

static __u32 file_id(struct go_scan *s, __s32 value)
{
	const char *name = go_file_name(&s->table, &s->func, value);

	if (!name)
		return 0;
	if (name != s->last_name) {
		s->last_name = name;
		s->last_file = index_file(s->b, name, strlen(name));
	}
	return s->last_file;
}

static __u32 func_id(struct go_scan *s, const char *name, __u32 start_line)
{
	return index_func(s->b, index_string(s->b, name, strlen(name)), start_line);
}

/* The node of an entry of the inline tree, its parents made first. The function's own node where
 * the tree is damaged. */
static __u32 inline_node(struct go_scan *s, __s32 i, unsigned depth)
{
	struct go_inlined in;
	__u32 parent, node, file, line;
	__s32 outer;

	if (i < 0 || i >= (__s32)MAX_INLINED || depth >= MAX_NEST || !s->work.left)
		return s->func_node;
	while (s->nodes.len <= (size_t)i)
		if (vec_push(&s->nodes, 0))
			return s->func_node;
	if (s->nodes.data[i])
		return s->nodes.data[i];
	if (!go_inlined_at(&s->table, &s->func, i, &in) || !work_take(&s->work, 64))
		return s->func_node;
	if (in.by_pc) {
		__u64 pc = s->func.start + in.parent_pc;
		__s32 value = go_value_at(&s->table, &s->func, s->func.line, pc, 0);

		outer = go_value_at(&s->table, &s->func, s->func.inlining, pc, -1);
		file = file_id(s, go_value_at(&s->table, &s->func, s->func.file, pc, -1));
		line = value > 0 ? (__u32)value : 0;
	} else {
		outer = in.parent;
		file = file_id(s, in.file);
		line = in.line > 0 ? (__u32)in.line : 0;
	}
	parent = outer == i ? s->func_node : inline_node(s, outer, depth + 1);
	node = index_node(s->b, func_id(s, in.name, in.start_line), parent, file, line, 0);
	if (!node)
		return s->func_node;
	s->b->facts.flags |= INDEX_HAS_INLINES;
	s->nodes.data[i] = node;
	return node;
}

/* Step a table to the stretch that holds addr; its value and how far it reaches. */
static __s32 value_until(struct go_values *v, __u64 addr, __s32 fall_back, __u64 *until)
{
	while (v->end <= addr)
		if (!go_values_next(v)) {
			v->start = v->end = UINT64_MAX;
			return fall_back;
		}
	if (v->start > addr)
		return fall_back;
	*until = MIN(*until, v->end);
	return v->value;
}

/* Functions come in order of address. */
static bool has_rows(struct go_scan *s)
{
	const struct index_piece *pieces = s->b->pieces.data;
	__u64 base = s->b->base;

	while (s->at < s->n_pieces && base + pieces[s->at].end <= s->func.start)
		s->at++;
	return s->at < s->n_pieces && base + pieces[s->at].start <= s->func.start;
}

static int scan_func(struct go_scan *s)
{
	struct go_values files, lines, inlining;
	__u64 at = s->func.start;
	int err;

	if (!*s->func.name || !index_is_text(s->b, s->func.start, s->func.end))
		return 0;
	s->func_node = index_node(s->b, func_id(s, s->func.name, s->func.start_line), 0, 0, 0, 0);
	s->nodes.len = 0;
	files = go_values_of(&s->table, &s->func, s->func.file);
	lines = go_values_of(&s->table, &s->func, s->func.line);
	inlining = go_values_of(&s->table, &s->func, s->func.inlining);
	while (at < s->func.end && work_take(&s->work, 1)) {
		__u64 until = s->func.end;
		__s32 file = value_until(&files, at, -1, &until);
		__s32 line = value_until(&lines, at, 0, &until);
		__s32 inlined = value_until(&inlining, at, -1, &until);
		struct index_row row = {.line = line > 0 ? (__u32)line : 0};

		row.file = file_id(s, file);
		row.node = inline_node(s, inlined, 0);
		err = index_row(s->b, at, &row);
		if (err)
			return err;
		at = until;
	}
	return at > s->func.start ? index_piece_end(s->b, at) : 0;
}

int go_scan(struct elf *elf, struct index_builder *b)
{
	struct go_scan s = {.b = b};
	int err = 0;

	if (go_table_open(elf, &s.table))
		return 0;
	s.work.left = WORK_MIN + (__u64)cursor_left(&s.table.data) * WORK_PER_BYTE;
	if (elf->work) {
		s.work.cancelled = elf->work->cancelled;
		s.work.arg = elf->work->arg;
	}
	b->facts.flags |= INDEX_HAS_GO;
	index_sort_pieces(b);
	s.n_pieces = b->pieces.len;
	for (__u64 i = 0; i < s.table.n_funcs && !err && work_take(&s.work, 1); i++)
		if (go_func_at(&s.table, i, &s.func) && !has_rows(&s))
			err = scan_func(&s);
	if (!s.work.left)
		b->facts.flags |= INDEX_CUT;
	vec_free(&s.nodes);
	return err;
}
