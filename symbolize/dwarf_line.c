// SPDX-License-Identifier: Apache-2.0
/*
 * Line headers and programs, see dwarf_line.h. Rows of one address: the last one counts (what
 * addr2line, llvm-symbolizer and gdb show). An address that goes backwards ends the run.
 */
#include "symbolize/dwarf_line.h"

#include <errno.h>

#define MAX_FORMATS 16u
#define MAX_ENTRIES (1u << 20)

/* ---- headers --------------------------------------------------------------------------------- */

/* One table of a version 5 header: formats, then entries; `add` gets each entry's path and dir. */
static int read_table(struct dwarf_unit *unit, struct cursor *c, bool is_64,
		      struct dwarf_line_header *h, bool dirs)
{
	struct {
		__u64 type;
		__u16 form;
	} formats[MAX_FORMATS];
	__u8 n_formats = cursor_u8(c);
	__u64 n;

	if (n_formats > MAX_FORMATS)
		return -EINVAL;
	for (__u8 i = 0; i < n_formats; i++) {
		__u64 form;

		formats[i].type = cursor_uleb(c);
		form = cursor_uleb(c);
		formats[i].form = form <= UINT16_MAX ? (__u16)form : 0;
	}
	n = cursor_uleb(c);
	if (c->bad || n > MAX_ENTRIES || (n && !n_formats))
		return -EINVAL;
	for (__u64 i = 0; i < n; i++) {
		struct dwarf_line_file file = {.name = ""};

		for (__u8 f = 0; f < n_formats; f++) {
			struct dwarf_attr attr = {0};

			if (!dwarf_attr_read(c, formats[f].form, is_64, 5, 0, &attr))
				return -EINVAL;
			if (formats[f].type == DW_LNCT_path) {
				const char *s = dwarf_string(unit, &attr);

				file.name = s ? s : "";
			} else if (formats[f].type == DW_LNCT_directory_index) {
				file.dir = attr.value;
			}
		}
		if (!work_take(unit->file->budget, 1))
			return -EINVAL;
		if (dirs ? vec_push(&h->dirs, file.name) : vec_push(&h->files, file))
			return -ENOMEM;
	}
	return 0;
}

/* The tables of versions 2 to 4: entry 0 is the unit's own folder; files count from 1. */
static int read_old_tables(struct dwarf_unit *unit, struct cursor *c, struct dwarf_line_header *h)
{
	if (vec_push(&h->dirs, unit->comp_dir ? unit->comp_dir : "") ||
	    vec_push(&h->files, (struct dwarf_line_file){.name = ""}))
		return -ENOMEM;
	for (;;) {
		const char *dir = cursor_str(c);

		if (c->bad || h->dirs.len > MAX_ENTRIES || !work_take(unit->file->budget, 1))
			return -EINVAL;
		if (!*dir)
			break;
		if (vec_push(&h->dirs, dir))
			return -ENOMEM;
	}
	for (;;) {
		struct dwarf_line_file file = {.name = cursor_str(c)};

		if (c->bad || h->files.len > MAX_ENTRIES || !work_take(unit->file->budget, 1))
			return -EINVAL;
		if (!*file.name)
			return 0;
		file.dir = cursor_uleb(c);
		cursor_uleb(c); /* time of change */
		cursor_uleb(c); /* length */
		if (vec_push(&h->files, file))
			return -ENOMEM;
	}
}

static int read_header(struct dwarf_unit *unit, struct dwarf_line_header *h)
{
	struct cursor c = unit->line_file->sections[DWARF_LINE], tables;
	/* Strings of the header live in the file that holds the line section. */
	struct dwarf_unit strings = *unit;
	bool is_64;
	__u64 len;

	strings.file = unit->line_file;
	cursor_seek(&c, unit->line_offset);
	len = cursor_u32(&c);
	is_64 = len == 0xffffffff;
	if (is_64)
		len = cursor_u64(&c);
	c = cursor_sub(&c, len);
	h->version = cursor_u16(&c);
	if (c.bad || h->version < 2 || h->version > 5)
		return -EINVAL;
	if (h->version >= 5 && (cursor_u8(&c) != 8 || cursor_u8(&c) != 0))
		return -EINVAL; /* address size; segment selectors */
	tables = cursor_sub(&c, is_64 ? cursor_u64(&c) : cursor_u32(&c));
	h->program = c;
	h->vaddr_scale = cursor_u8(&tables);
	if (h->version >= 4)
		cursor_u8(&tables); /* operations per instruction: VLIW, not read */
	cursor_u8(&tables);	    /* default_is_stmt */
	h->line_base = cursor_s8(&tables);
	h->line_range = cursor_u8(&tables);
	h->opcode_base = cursor_u8(&tables);
	for (__u8 i = 1; i < h->opcode_base; i++)
		h->arg_counts[i - 1] = cursor_u8(&tables);
	if (tables.bad || c.bad)
		return -EINVAL;
	if (h->version < 5)
		return read_old_tables(&strings, &tables, h);
	return read_table(&strings, &tables, is_64, h, true)
		       ?: read_table(&strings, &tables, is_64, h, false);
}

int dwarf_line_header_read(struct dwarf_unit *unit, struct dwarf_line_header *ret_header)
{
	struct dwarf_line_header h = {0};
	int err = -ENODATA;

	if (unit->line_offset < cursor_left(&unit->line_file->sections[DWARF_LINE]))
		err = read_header(unit, &h);
	if (err) {
		dwarf_line_header_fini(&h);
		return err;
	}
	*ret_header = h;
	return 0;
}

void dwarf_line_header_fini(struct dwarf_line_header *header)
{
	vec_free(&header->dirs);
	vec_free(&header->files);
}

/* ---- programs -------------------------------------------------------------------------------- */

struct machine {
	const struct dwarf_line_header *h;
	struct cursor c;
	int (*row)(void *arg, __u64 start, __u64 end, const struct dwarf_line_row *row);
	void *arg;
	__u64 addr;
	struct dwarf_line_row now;
	/* the row that waits for its end */
	bool pending;
	__u64 pending_addr;
	struct dwarf_line_row last;
};

static int end_run(struct machine *m)
{
	m->pending = false;
	return m->row(m->arg, 0, 0, NULL);
}

/* A row is known when the next one tells where it ends. */
static int emit(struct machine *m)
{
	int err = 0;

	if (m->pending && m->addr > m->pending_addr)
		err = m->row(m->arg, m->pending_addr, m->addr, &m->last);
	else if (m->pending && m->addr < m->pending_addr)
		err = end_run(m);
	m->pending = true;
	m->pending_addr = m->addr;
	m->last = m->now;
	return err;
}

static int end_sequence(struct machine *m)
{
	int err = 0;

	if (m->pending && m->addr > m->pending_addr)
		err = m->row(m->arg, m->pending_addr, m->addr, &m->last);
	if (!err)
		err = end_run(m);
	m->addr = 0;
	m->now = (struct dwarf_line_row){.file = 1, .line = 1};
	return err;
}

static int run_extended(struct machine *m)
{
	__u64 len = cursor_uleb(&m->c);
	struct cursor op = cursor_sub(&m->c, len);

	switch (cursor_u8(&op)) {
	case DW_LNE_end_sequence:
		return end_sequence(m);
	case DW_LNE_set_address:
		m->addr = cursor_left(&op) == 8 ? cursor_u64(&op) : 0;
		return 0;
	default: /* discriminators; define_file, which no compiler writes */
		return 0;
	}
}

static int run_standard(struct machine *m, __u8 op)
{
	const struct dwarf_line_header *h = m->h;

	switch (op) {
	case DW_LNS_copy:
		return emit(m);
	case DW_LNS_advance_pc:
		m->addr += cursor_uleb(&m->c) * h->vaddr_scale;
		return 0;
	case DW_LNS_advance_line:
		m->now.line += (__u32)cursor_sleb(&m->c);
		return 0;
	case DW_LNS_set_file:
		m->now.file = cursor_uleb(&m->c);
		return 0;
	case DW_LNS_set_column:
		m->now.column = (__u32)cursor_uleb(&m->c);
		return 0;
	case DW_LNS_const_add_pc:
		if (h->line_range)
			m->addr += (__u64)((255 - h->opcode_base) / h->line_range) * h->vaddr_scale;
		return 0;
	case DW_LNS_fixed_advance_pc:
		m->addr += cursor_u16(&m->c);
		return 0;
	default: /* flags of a row, or unknown: the header tells how many operands to pass over */
		for (__u8 i = 0; i < h->arg_counts[op - 1]; i++)
			cursor_uleb(&m->c);
		return 0;
	}
}

int dwarf_line_run(const struct dwarf_line_header *header, struct work *budget,
		   int (*row)(void *arg, __u64 start, __u64 end, const struct dwarf_line_row *row),
		   void *arg)
{
	struct machine m = {
		.h = header,
		.c = header->program,
		.row = row,
		.arg = arg,
		.now = {.file = 1, .line = 1},
	};
	int err = 0;

	while (!err && cursor_left(&m.c)) {
		__u8 op = cursor_u8(&m.c);

		if (!work_take(budget, 1))
			return -ECANCELED;
		if (op >= header->opcode_base) {
			__u8 n = op - header->opcode_base;

			if (!header->line_range)
				return end_run(&m);
			m.addr += (__u64)(n / header->line_range) * header->vaddr_scale;
			m.now.line += (__u32)(header->line_base + n % header->line_range);
			err = emit(&m);
		} else if (op == 0) {
			err = run_extended(&m);
		} else {
			err = run_standard(&m, op);
		}
	}
	return err ? err : end_run(&m);
}
