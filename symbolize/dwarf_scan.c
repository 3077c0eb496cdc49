// SPDX-License-Identifier: Apache-2.0
/*
 * Unit by unit: walk the DIEs once, make a node of each function with code and each inlined call,
 * paint their ranges over each other (deeper over shallower) into disjoint spans, then run the line
 * program and cut its rows at the spans' borders. Nothing but the spans of one unit and a cache of
 * names is kept in memory; nodes and rows go to the builder as they come.
 *
 * Skipped: subtrees without code (types, call sites) by DW_AT_sibling, partial and type units.
 * Ranges outside the executable sections (functions that the linker dropped leave 0, 1 or -1) are
 * passed over.
 */
#include "symbolize/dwarf_scan.h"

#include <errno.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "symbolize/dwarf_line.h"
#include "symbolize/dwarf_split.h"

#define MAX_DEPTH      1024u /* of DIEs */
#define MAX_ORIGINS    16u   /* abstract_origin and specification in a row */
#define MAX_ACTIVE     256u  /* scopes that overlap at one address */
#define MAX_NAME_CACHE (512u << 10)
#define MAX_PATH_BYTES ((size_t)8192)
#define UNKNOWN	       UINT32_MAX

struct scope { /* one range of one node, as the DIEs give it */
	__u64 start, end;
	__u32 node, order;
};

struct span { /* disjoint */
	__u64 start, end;
	__u32 node;
	__u64 lines_start, lines_end; /* the part of it that line sequences cover; end 0: none */
};

struct known_func {
	const struct dwarf_file *file;
	__u64 offset;
	__u32 func;
};

struct level {
	__u32 node;	   /* innermost function of the DIEs at this level; 0: none */
	__u32 first_scope; /* where the outermost function's scopes begin; only at its own level */
	bool outermost, in_function;
};

struct scan {
	struct index_builder *b;
	struct dwarf_split *split;
	struct dwarf_unit *unit; /* whose DIEs are walked */
	struct dwarf_line_header lines;
	bool have_lines;
	VEC(__u32) files; /* by the line header's number; UNKNOWN: not interned yet */
	VEC(struct scope) scopes;
	VEC(struct span) spans;
	VEC(struct known_func) known;
	struct hmap known_index;
	struct level levels[MAX_DEPTH];
	unsigned depth;
	__u32 order;
	size_t at;     /* the span that the line walk has reached */
	__u64 run_end; /* of the open piece; 0: none */
	struct buf path;
};

/* ---- names ----------------------------------------------------------------------------------- */

/* Follow abstract_origin and specification until there is a linkage name; the first plain name is
 * the fall-back. */
static __u32 make_func(struct scan *s, struct dwarf_unit *unit, const struct dwarf_die *first)
{
	const char *linkage = NULL, *name = NULL;
	struct dwarf_die die = *first;
	__u32 line = 0;

	for (unsigned i = 0; i < MAX_ORIGINS; i++) {
		const struct dwarf_attr *next;
		__u64 offset;

		linkage = dwarf_string(unit, dwarf_die_attr(&die, SLOT_LINKAGE_NAME));
		if (!name)
			name = dwarf_string(unit, dwarf_die_attr(&die, SLOT_NAME));
		if (!line)
			line = (__u32)dwarf_die_number(&die, SLOT_DECL_LINE);
		if (linkage)
			break;
		next = dwarf_die_attr(&die, SLOT_ORIGIN);
		if (!next)
			next = dwarf_die_attr(&die, SLOT_SPECIFICATION);
		if (!next || !work_take(unit->file->budget, 1) ||
		    !dwarf_reference(unit, next, &unit, &offset) ||
		    !dwarf_die_read(unit, offset, &die) || !die.tag)
			break;
	}
	if (!linkage)
		linkage = name;
	if (!linkage)
		return index_func(s->b, 0, line);
	return index_func(s->b, index_string(s->b, linkage, strlen(linkage)), line);
}

/* The function of a DIE; what an abstract_origin leads to is remembered, since one inline function
 * is called from many places. */
static __u32 func_of(struct scan *s, const struct dwarf_die *die)
{
	const struct dwarf_attr *origin = dwarf_die_attr(die, SLOT_ORIGIN);
	struct dwarf_unit *unit = s->unit;
	struct dwarf_die target;
	__u64 offset, hash;
	__u32 i, func;

	if (!origin || (die->have & 1u << SLOT_LINKAGE_NAME))
		return make_func(s, unit, die);
	if (!dwarf_reference(unit, origin, &unit, &offset))
		return make_func(s, s->unit, die);
	hash = hash_mix((__u64)(uintptr_t)unit->file, offset);
	hmap_for_each_match (&s->known_index, hash, i) {
		if (s->known.data[i].offset == offset && s->known.data[i].file == unit->file)
			return s->known.data[i].func;
	}
	if (!dwarf_die_read(unit, offset, &target) || !target.tag)
		return make_func(s, s->unit, die);
	func = make_func(s, unit, &target);
	if (s->known.len >= MAX_NAME_CACHE) {
		s->known.len = 0;
		hmap_clear(&s->known_index);
	}
	if (!vec_push(&s->known, (struct known_func){unit->file, offset, func}) &&
	    hmap_add(&s->known_index, hash, (__u32)s->known.len - 1))
		s->known.len--;
	return func;
}

/* Append one part of a path, without "./" components. */
static void path_add(struct buf *path, const char *part)
{
	if (*part == '/')
		buf_reset(path);
	else if (path->len && path->data[path->len - 1] != '/')
		buf_char(path, '/');
	while (*part) {
		size_t len = strcspn(part, "/");
		bool dot = len == 1 && *part == '.';

		if (!dot)
			buf_add(path, part, len);
		part += len;
		if (*part == '/' && !dot)
			buf_char(path, '/');
		part += strspn(part, "/");
	}
}

/* The builder's id of a file by its number in the line header. */
static __u32 file_of(struct scan *s, __u64 number)
{
	const struct dwarf_line_file *file;
	__u32 *id;

	if (!s->have_lines || number >= s->files.len)
		return 0;
	id = &s->files.data[number];
	if (*id != UNKNOWN)
		return *id;
	file = &s->lines.files.data[number];
	buf_reset(&s->path);
	if (*file->name && *file->name != '/') {
		if (s->unit->comp_dir)
			path_add(&s->path, s->unit->comp_dir);
		if (file->dir < s->lines.dirs.len)
			path_add(&s->path, s->lines.dirs.data[file->dir]);
	}
	path_add(&s->path, file->name);
	*id = *file->name && !s->path.err ? index_file(s->b, s->path.data, s->path.len) : 0;
	return *id;
}

/* ---- scopes into spans ----------------------------------------------------------------------- */

static int by_scope(const void *pa, const void *pb)
{
	const struct scope *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int add_span(struct scan *s, __u64 start, __u64 end, __u32 node)
{
	struct span *last = s->spans.len ? &s->spans.data[s->spans.len - 1] : NULL;

	if (start >= end)
		return 0;
	if (last && last->end == start && last->node == node) {
		last->end = end;
		return 0;
	}
	return vec_push(&s->spans, (struct span){.start = start, .end = end, .node = node});
}

/* Paint: at every address the scope that came last in DIE order wins, which is the innermost. The
 * active ones are a small stack ordered by `order`; the top rules until it ends or is covered. */
static int flatten(struct scan *s, size_t first)
{
	struct scope *scopes = s->scopes.data + first, active[MAX_ACTIVE];
	size_t n = s->scopes.len - first, depth = 0;
	__u64 at = 0;
	int err = 0;

	for (size_t i = 1; i < n; i++)
		if (by_scope(&scopes[i - 1], &scopes[i]) > 0) {
			qsort(scopes, n, sizeof(*scopes), by_scope);
			break;
		}
	for (size_t i = 0; i <= n && !err; i++) {
		__u64 until = i < n ? scopes[i].start : UINT64_MAX;
		size_t slot;

		while (depth && at < until && !err) {
			const struct scope *top = &active[depth - 1];
			__u64 end = MIN(top->end, until);

			err = add_span(s, at, end, top->node);
			at = MAX(at, end);
			while (depth && active[depth - 1].end <= at)
				depth--;
		}
		if (i == n || err)
			break;
		at = until;
		if (depth ==
		    ARRAY_SIZE(active)) { /* deeper than any compiler inlines: outer stays */
			s->b->dropped_total++;
			continue;
		}
		for (slot = depth; slot && active[slot - 1].order > scopes[i].order; slot--)
			active[slot] = active[slot - 1];
		active[slot] = scopes[i];
		depth++;
	}
	s->scopes.len = first;
	return err;
}

struct add_scope {
	struct scan *scan;
	__u32 node;
	size_t added;
};

static int add_scope(void *arg, __u64 start, __u64 end)
{
	struct add_scope *a = arg;
	struct scan *s = a->scan;

	if (!index_is_text(s->b, start, end))
		return 0;
	a->added++;
	return vec_push(&s->scopes, (struct scope){start, end, a->node, s->order});
}

/* ---- DIEs ------------------------------------------------------------------------------------ */

static bool has_code(const struct dwarf_die *die)
{
	return die->have & (1u << SLOT_RANGES | 1u << SLOT_HIGH_PC);
}

/* A node for a function or an inlined call, and its ranges. 0 or -errno; *ret_node 0: none made. */
static int add_function(struct scan *s, const struct dwarf_die *die, __u32 parent, __u32 *ret_node)
{
	struct add_scope add = {.scan = s};

	*ret_node = 0;
	if (die->tag == DW_TAG_subprogram)
		parent = 0;
	else if (!parent)
		return 0;
	if (!has_code(die) && die->tag == DW_TAG_subprogram)
		return 0;
	add.node = index_node(s->b, func_of(s, die), parent,
			      file_of(s, dwarf_die_number(die, SLOT_CALL_FILE)),
			      (__u32)dwarf_die_number(die, SLOT_CALL_LINE),
			      (__u32)dwarf_die_number(die, SLOT_CALL_COLUMN));
	if (!add.node)
		return 0;
	if (parent)
		s->b->facts.flags |= INDEX_HAS_INLINES;
	*ret_node = add.node;
	s->order++;
	return dwarf_ranges(s->unit, die, add_scope, &add);
}

static bool may_hold_code(const struct scan *s, const struct dwarf_die *die)
{
	switch (die->tag) {
	case DW_TAG_enumeration_type:
	case DW_TAG_array_type:
	case DW_TAG_subroutine_type:
	case DW_TAG_formal_parameter:
	case DW_TAG_call_site:
	case DW_TAG_GNU_call_site:
	case DW_TAG_variant_part:
		return false;
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		return s->unit->types_hold_code || s->levels[s->depth].in_function;
	default:
		return true;
	}
}

static int visit(struct scan *s, const struct dwarf_die *die, struct level *below)
{
	const struct level *here = &s->levels[s->depth];
	int err;

	*below = (struct level){.node = here->node, .in_function = here->in_function};
	if (die->tag != DW_TAG_subprogram && die->tag != DW_TAG_inlined_subroutine)
		return 0;
	below->in_function = true;
	if (!here->node) {
		below->outermost = true;
		below->first_scope = (__u32)s->scopes.len;
	}
	err = add_function(s, die, here->node, &below->node);
	if (die->tag == DW_TAG_inlined_subroutine && !below->node)
		below->node = here->node;
	return err;
}

static int leave(struct scan *s, const struct level *level)
{
	return level->outermost && s->scopes.len > level->first_scope
		       ? flatten(s, level->first_scope)
		       : 0;
}

/* Where to go on: behind the subtree when it holds no code and says where it ends. */
static __u64 next_offset(const struct scan *s, const struct dwarf_die *die, bool *ret_descend)
{
	const struct dwarf_attr *sibling = dwarf_die_attr(die, SLOT_SIBLING);
	__u64 to;

	*ret_descend = die->has_children;
	if (!die->has_children || !sibling || may_hold_code(s, die) ||
	    sibling->form == DW_FORM_ref_addr)
		return die->next;
	to = s->unit->offset + sibling->value;
	if (to <= die->offset || to >= s->unit->end)
		return die->next;
	*ret_descend = false;
	return to;
}

static int walk(struct scan *s)
{
	__u64 offset = s->unit->die;
	struct dwarf_die die;
	int err = 0;

	s->depth = 0;
	s->levels[0] = (struct level){0};
	while (!err && offset < s->unit->end) {
		struct level below;
		bool descend;

		if (!work_take(s->unit->file->budget, 1))
			return -ECANCELED;
		if (!dwarf_die_read(s->unit, offset, &die)) {
			s->unit->file->bad_total++;
			break;
		}
		if (!die.tag) {
			if (s->depth == 0)
				break;
			err = leave(s, &s->levels[s->depth]);
			offset = die.next;
			if (--s->depth == 0)
				break;
			continue;
		}
		err = visit(s, &die, &below);
		offset = next_offset(s, &die, &descend);
		if (err)
			break;
		if (!descend) {
			err = leave(s, &below);
		} else if (s->depth + 1 < MAX_DEPTH) {
			s->levels[++s->depth] = below;
		} else {
			s->unit->file->bad_total++;
			break;
		}
	}
	while (!err && s->depth)
		err = leave(s, &s->levels[s->depth--]);
	return err;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int by_span(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* The first span that ends behind addr. */
static size_t span_at(const struct scan *s, __u64 addr)
{
	size_t low = 0, high = s->spans.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->spans.data[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int end_piece(struct scan *s)
{
	__u64 end = s->run_end;

	s->run_end = 0;
	return end ? index_piece_end(s->b, end) : 0;
}

static void span_covered(struct span *span, __u64 start, __u64 end)
{
	span->lines_start = span->lines_end ? MIN(span->lines_start, start) : start;
	span->lines_end = MAX(span->lines_end, end);
}

/* A stretch of one line, cut at the borders of spans. */
static int take_line(void *arg, __u64 start, __u64 end, const struct dwarf_line_row *line)
{
	struct scan *s = arg;
	struct index_row row = {0};

	if (!line)
		return end_piece(s);
	if (!index_is_text(s->b, start, end))
		return end_piece(s);
	if (s->run_end != start) {
		int err = end_piece(s);

		if (err)
			return err;
		s->at = span_at(s, start);
	}
	row.file = file_of(s, line->file);
	row.line = line->line;
	row.column = line->column;
	while (start < end) {
		struct span *span;
		__u64 until = end;
		int err;

		while (s->at < s->spans.len && s->spans.data[s->at].end <= start)
			s->at++;
		span = s->at < s->spans.len ? &s->spans.data[s->at] : NULL;
		row.node = 0;
		if (span && span->start <= start) {
			row.node = span->node;
			until = MIN(until, span->end);
			span_covered(span, start, until);
		} else if (span) {
			until = MIN(until, span->start);
		}
		err = index_row(s->b, start, &row);
		if (err)
			return err;
		start = until;
	}
	s->run_end = end;
	return 0;
}

/* Code without a line keeps its function. */
static int add_bare(struct scan *s, const struct span *span, __u64 start, __u64 end)
{
	int err;

	if (start >= end)
		return 0;
	err = index_row(s->b, start, &(struct index_row){.node = span->node});
	return err ? err : index_piece_end(s->b, end);
}

/* The rest of each span: all of it, or what lies before and behind its line sequences (a cold
 * part's sequence may begin behind its first instruction). */
static int add_bare_spans(struct scan *s)
{
	int err = 0;

	vec_for_each (span, &s->spans) {
		__u64 until = span->lines_end ? span->lines_start : span->end;

		if (!err)
			err = add_bare(s, span, span->start, until);
		if (!err && span->lines_end)
			err = add_bare(s, span, span->lines_end, span->end);
	}
	return err;
}

static int read_lines(struct scan *s)
{
	int err = dwarf_line_header_read(s->unit, &s->lines);

	s->have_lines = !err;
	s->files.len = 0;
	if (err)
		return err == -ENOMEM ? err : 0;
	s->b->facts.flags |= INDEX_HAS_LINES;
	if (vec_reserve(&s->files, s->lines.files.len))
		return -ENOMEM;
	s->files.len = s->lines.files.len;
	if (s->files.len)
		memset(s->files.data, 0xff, s->files.len * sizeof(*s->files.data));
	return 0;
}

static int run_lines(struct scan *s)
{
	int err = 0, ended;

	for (size_t i = 1; i < s->spans.len; i++)
		if (by_span(&s->spans.data[i - 1], &s->spans.data[i]) > 0) {
			qsort(s->spans.data, s->spans.len, sizeof(*s->spans.data), by_span);
			break;
		}
	s->run_end = 0;
	if (s->have_lines)
		err = dwarf_line_run(&s->lines, s->unit->file->budget, take_line, s);
	ended = end_piece(s);
	if (!err)
		err = ended;
	return err ? err : add_bare_spans(s);
}

/* ---- units ----------------------------------------------------------------------------------- */

static int scan_unit(struct scan *s, struct dwarf_unit *unit)
{
	int err = dwarf_unit_load(unit);

	if (err)
		return err == -ENOMEM ? err : 0;
	s->unit = unit;
	s->spans.len = s->scopes.len = 0;
	s->order = 0;
	if (unit->dwo_name && s->split) {
		struct dwarf_unit *other = dwarf_split_find(s->split, unit);

		if (other)
			s->unit = other;
	}
	err = read_lines(s);
	if (!err)
		err = walk(s);
	if (!err)
		err = run_lines(s);
	if (s->have_lines)
		dwarf_line_header_fini(&s->lines);
	s->have_lines = false;
	if (s->unit != unit)
		dwarf_split_done(s->split);
	return err;
}

int dwarf_scan(struct dwarf_file *file, struct dwarf_split *split, struct index_builder *b)
{
	struct scan *s = calloc(1, sizeof(*s));
	__u64 dropped = 0;
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->b = b;
	s->split = split;
	s->path.limit = MAX_PATH_BYTES;
	for (size_t i = 0; i < file->units.len && !err; i++) {
		struct dwarf_unit *unit = &file->units.data[i];

		if (unit->type == DW_UT_partial)
			continue;
		err = scan_unit(s, unit);
		b->facts.n_units++;
		if (unit->end - dropped >= ELF_DROP_BYTES) {
			elf_drop_pages(file->elf);
			dropped = unit->end;
		}
		dwarf_trim(file);
		if (file->alt)
			dwarf_trim(file->alt);
	}
	if (err == -ECANCELED) {
		b->facts.flags |= INDEX_CUT;
		err = 0;
	}
	b->facts.n_bad_units += (__u32)file->bad_total;
	buf_fini(&s->path);
	vec_free(&s->files);
	vec_free(&s->scopes);
	vec_free(&s->spans);
	vec_free(&s->known);
	hmap_fini(&s->known_index);
	free(s);
	return err;
}
