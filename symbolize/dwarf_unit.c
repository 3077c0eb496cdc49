// SPDX-License-Identifier: Apache-2.0
/* Unit headers, root DIEs and address ranges, see dwarf.h. DWARF 5 sections 7.5.1 and 2.17. */
#include "symbolize/dwarf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_UNITS (4u << 20)

/* The header at the cursor; c is left behind the unit. False: damaged, and how far to trust. */
static bool read_unit_header(struct cursor *c, struct dwarf_unit *unit)
{
	struct cursor body;
	__u64 len;
	__u8 address_size;

	unit->offset = cursor_tell(c);
	len = cursor_u32(c);
	unit->is_64 = len == 0xffffffff;
	if (unit->is_64)
		len = cursor_u64(c);
	else if (len >= 0xfffffff0)
		return false;
	body = cursor_sub(c, len);
	if (c->bad)
		return false;
	unit->end = cursor_tell(c);
	unit->version = cursor_u16(&body);
	if (unit->version < 2 || unit->version > 5)
		return true; /* type stays 0: not read */
	if (unit->version >= 5) {
		unit->type = cursor_u8(&body);
		address_size = cursor_u8(&body);
		unit->abbrev_offset = unit->is_64 ? cursor_u64(&body) : cursor_u32(&body);
	} else {
		unit->type = DW_UT_compile;
		unit->abbrev_offset = unit->is_64 ? cursor_u64(&body) : cursor_u32(&body);
		address_size = cursor_u8(&body);
	}
	if (unit->type == DW_UT_skeleton || unit->type == DW_UT_split_compile)
		unit->dwo_id = cursor_u64(&body);
	if (unit->type == DW_UT_type || unit->type == DW_UT_split_type)
		cursor_skip(&body, unit->is_64 ? 16 : 12);
	if (body.bad || address_size != 8)
		unit->type = 0;
	unit->die = unit->end - cursor_left(&body);
	return true;
}

static int list_units(struct dwarf_file *file)
{
	struct cursor c = file->sections[DWARF_INFO];
	__u64 dropped = 0;

	while (cursor_left(&c)) {
		struct dwarf_unit unit = {
			.file = file,
			.line_file = file,
			.addr_file = file,
			.line_offset = UINT64_MAX,
		};

		if (!read_unit_header(&c, &unit) || file->units.len >= MAX_UNITS ||
		    !work_take(file->budget, 1)) {
			file->bad_total++;
			return 0;
		}
		if (unit.end - dropped >= ELF_DROP_BYTES) {
			elf_drop_pages(file->elf);
			dropped = unit.end;
		}
		if (!unit.type || unit.die >= unit.end) {
			file->bad_total++;
			continue;
		}
		if (unit.type == DW_UT_type || unit.type == DW_UT_split_type)
			continue;
		if (vec_push(&file->units, unit))
			return -ENOMEM;
	}
	return 0;
}

int dwarf_file_init(struct dwarf_file *file, struct elf *elf, bool is_dwo, struct work *budget)
{
	static const char *const names[] = {
#define X(name, text) text,
		DWARF_SECTIONS(X)
#undef X
	};
	int err;

	*file = (struct dwarf_file){.elf = elf, .is_dwo = is_dwo, .budget = budget};
	for (size_t i = 0; i < DWARF_SECTION_COUNT; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s", names[i], is_dwo ? ".dwo" : "");
		file->sections[i] = elf_debug_data(elf, name, &err);
		if (err)
			file->section_err = err;
	}
	if (!cursor_left(&file->sections[DWARF_INFO]))
		return file->section_err ? file->section_err : -ENODATA;
	return list_units(file);
}

void dwarf_file_fini(struct dwarf_file *file)
{
	vec_free(&file->units);
	vec_free(&file->abbrevs);
	hmap_fini(&file->abbrev_index);
	arena_fini(&file->abbrev_arena);
}

struct dwarf_unit *dwarf_unit_at(struct dwarf_file *file, __u64 offset)
{
	size_t low = 0, high = file->units.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct dwarf_unit *unit = &file->units.data[mid];

		if (offset < unit->offset)
			high = mid;
		else if (offset >= unit->end)
			low = mid + 1;
		else
			return unit;
	}
	return NULL;
}

/* gcc and clang put the code of a C++ class's functions outside it, with a DW_AT_specification; gcc
 * not that of a class which is local to a function. */
static bool may_types_hold_code(__u64 language)
{
	switch (language) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C_plus_plus:
	case DW_LANG_C99:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_C_plus_plus_17:
	case DW_LANG_C_plus_plus_20:
	case DW_LANG_C17:
		return false;
	default:
		return true;
	}
}

/* The bases of a unit as its root DIE gives them. What a split unit inherits from its skeleton is
 * set beforehand (dwarf_split.c) and stays. */
static void take_root(struct dwarf_unit *unit, const struct dwarf_die *die)
{
	const struct dwarf_attr *a;

	if ((a = dwarf_die_attr(die, SLOT_STR_OFFSETS_BASE)))
		unit->str_offsets_base = a->value;
	if ((a = dwarf_die_attr(die, SLOT_ADDR_BASE)))
		unit->addr_base = a->value;
	if ((a = dwarf_die_attr(die, SLOT_RNGLISTS_BASE)))
		unit->rnglists_base = a->value;
	if ((a = dwarf_die_attr(die, SLOT_GNU_RANGES_BASE)))
		unit->gnu_ranges_base = a->value;
	if ((a = dwarf_die_attr(die, SLOT_GNU_DWO_ID)))
		unit->dwo_id = a->value;
	if (!unit->file->is_dwo && (a = dwarf_die_attr(die, SLOT_STMT_LIST)))
		unit->line_offset = a->value;
	if (!unit->file->is_dwo || !unit->comp_dir) {
		const char *dir = dwarf_string(unit, dwarf_die_attr(die, SLOT_COMP_DIR));

		if (dir)
			unit->comp_dir = dir;
	}
	unit->types_hold_code = may_types_hold_code(dwarf_die_number(die, SLOT_LANGUAGE));
	unit->dwo_name = dwarf_string(unit, dwarf_die_attr(die, SLOT_DWO_NAME));
	if (!dwarf_address(unit, dwarf_die_attr(die, SLOT_LOW_PC), &unit->low_pc) &&
	    !unit->file->is_dwo)
		unit->low_pc = 0;
}

int dwarf_unit_load(struct dwarf_unit *unit)
{
	struct dwarf_die die;
	int err;

	if (unit->loaded && unit->abbrevs_round == unit->file->abbrevs_round)
		return 0;
	err = dwarf_unit_abbrevs(unit);
	if (err || unit->loaded)
		return err;
	if (!dwarf_die_read(unit, unit->die, &die) || !die.tag) {
		unit->file->bad_total++;
		return -EINVAL;
	}
	take_root(unit, &die);
	unit->loaded = true;
	return 0;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

typedef int (*range_fn)(void *arg, __u64 start, __u64 end);

static int give_range(const struct dwarf_unit *unit, range_fn range, void *arg, __u64 start,
		      __u64 end)
{
	if (!work_take(unit->file->budget, 1))
		return -ECANCELED;
	return start < end ? range(arg, start, end) : 0;
}

/* .debug_ranges, DWARF 4 section 2.17.3. */
static int old_ranges(struct dwarf_unit *unit, __u64 offset, range_fn range, void *arg)
{
	struct cursor c = unit->addr_file->sections[DWARF_RANGES];
	__u64 base = unit->low_pc;
	int err = 0;

	cursor_seek(&c, unit->file->is_dwo ? offset + unit->gnu_ranges_base : offset);
	while (!err) {
		__u64 start = cursor_u64(&c), end = cursor_u64(&c);

		if (c.bad || (start == 0 && end == 0))
			return 0;
		if (start == UINT64_MAX)
			base = end;
		else
			err = give_range(unit, range, arg, base + start, base + end);
	}
	return err;
}

static __u64 address_at(const struct dwarf_unit *unit, struct cursor *c)
{
	struct dwarf_attr attr = {.form = DW_FORM_addrx, .value = cursor_uleb(c)};
	__u64 addr;

	if (!dwarf_address(unit, &attr, &addr)) {
		cursor_fail(c);
		return 0;
	}
	return addr;
}

/* One entry of .debug_rnglists, DWARF 5 section 7.25. False: the end of the list. */
static bool read_rle(const struct dwarf_unit *unit, struct cursor *c, __u64 *base, __u64 *ret_start,
		     __u64 *ret_end)
{
	*ret_start = *ret_end = 0;
	switch (cursor_u8(c)) {
	case DW_RLE_base_addressx:
		*base = address_at(unit, c);
		break;
	case DW_RLE_startx_endx:
		*ret_start = address_at(unit, c);
		*ret_end = address_at(unit, c);
		break;
	case DW_RLE_startx_length:
		*ret_start = address_at(unit, c);
		*ret_end = *ret_start + cursor_uleb(c);
		break;
	case DW_RLE_offset_pair:
		*ret_start = *base + cursor_uleb(c);
		*ret_end = *base + cursor_uleb(c);
		break;
	case DW_RLE_base_address:
		*base = cursor_u64(c);
		break;
	case DW_RLE_start_end:
		*ret_start = cursor_u64(c);
		*ret_end = cursor_u64(c);
		break;
	case DW_RLE_start_length:
		*ret_start = cursor_u64(c);
		*ret_end = *ret_start + cursor_uleb(c);
		break;
	default: /* DW_RLE_end_of_list, or nothing we know */
		return false;
	}
	return !c->bad;
}

static int new_ranges(struct dwarf_unit *unit, const struct dwarf_attr *attr, range_fn range,
		      void *arg)
{
	struct cursor c = unit->file->sections[DWARF_RNGLISTS];
	__u64 base = unit->low_pc, start, end, offset = attr->value;
	int err = 0;

	if (attr->form == DW_FORM_rnglistx) {
		struct cursor table = c;
		unsigned width = unit->is_64 ? 8 : 4;

		if (offset > UINT32_MAX)
			return 0;
		cursor_seek(&table, unit->rnglists_base);
		cursor_skip(&table, offset * width);
		offset = unit->rnglists_base + cursor_uint(&table, width);
		if (table.bad)
			return 0;
	}
	cursor_seek(&c, offset);
	while (!err && read_rle(unit, &c, &base, &start, &end))
		err = give_range(unit, range, arg, start, end);
	return err;
}

int dwarf_ranges(struct dwarf_unit *unit, const struct dwarf_die *die, range_fn range, void *arg)
{
	const struct dwarf_attr *ranges = dwarf_die_attr(die, SLOT_RANGES);
	const struct dwarf_attr *high = dwarf_die_attr(die, SLOT_HIGH_PC);
	__u64 start, end;

	if (ranges)
		return unit->version >= 5 ? new_ranges(unit, ranges, range, arg)
					  : old_ranges(unit, ranges->value, range, arg);
	if (!high || !dwarf_address(unit, dwarf_die_attr(die, SLOT_LOW_PC), &start))
		return 0;
	if (!dwarf_address(unit, high, &end) && __builtin_add_overflow(start, high->value, &end))
		return 0;
	return give_range(unit, range, arg, start, end);
}
