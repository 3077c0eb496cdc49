// SPDX-License-Identifier: Apache-2.0
/* Packages and .dwo files, see dwarf_split.h. */
#include "symbolize/dwarf_split.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "profiler/base/cleanup.h"

#define MAX_COLUMNS 16u

/* What a package's index says of one unit: offsets of its share of each section. */
struct shares {
	__u64 offsets[DW_SECT_RNGLISTS + 1];
};

int dwarf_split_init(struct dwarf_split *split, const struct debug_root *root, struct elf *dwp,
		     const char *scratch_dir, struct work *budget)
{
	int err;

	*split = (struct dwarf_split){
		.root = root,
		.scratch_dir = scratch_dir,
		.budget = budget,
		.dwp_elf = dwp,
	};
	if (!dwp)
		return 0;
	dwp->scratch_dir = scratch_dir;
	err = dwarf_file_init(&split->dwp, dwp, true, budget);
	if (err == -ENOMEM)
		return err;
	split->cu_index = elf_debug_data(dwp, "debug_cu_index", &err);
	return 0;
}

void dwarf_split_done(struct dwarf_split *split)
{
	if (split->dwo_elf) {
		dwarf_file_fini(&split->dwo);
		elf_free(split->dwo_elf);
		split->dwo_elf = NULL;
	}
	if (split->dwp_elf)
		dwarf_trim(&split->dwp);
}

void dwarf_split_fini(struct dwarf_split *split)
{
	dwarf_split_done(split);
	dwarf_file_fini(&split->dwp);
	elf_free(split->dwp_elf);
	*split = (struct dwarf_split){0};
}

/* The row of a unit in the package's hash table (DWARF 5 section 7.3.5.3). 0: not there. */
static __u32 find_index_row(struct cursor c, __u64 id, __u32 n_slots)
{
	__u64 step, slot;
	size_t table = cursor_tell(&c);

	if (!n_slots || (n_slots & (n_slots - 1)))
		return 0;
	slot = id & (n_slots - 1);
	step = ((id >> 32) & (n_slots - 1)) | 1;
	for (__u32 i = 0; i < n_slots; i++) {
		__u64 found;

		cursor_seek(&c, table + slot * 8);
		found = cursor_u64(&c);
		cursor_seek(&c, table + (__u64)n_slots * 8 + slot * 4);
		if (found == id)
			return cursor_u32(&c);
		if (c.bad || (!found && !cursor_u32(&c)))
			return 0;
		slot = (slot + step) & (n_slots - 1);
	}
	return 0;
}

static bool find_shares(struct cursor c, __u64 id, struct shares *shares)
{
	__u32 version = cursor_u32(&c), n_columns = cursor_u32(&c), n_units = cursor_u32(&c),
	      n_slots = cursor_u32(&c), row;
	size_t columns, table;

	/* version 5 is 16 bits and padding; GNU's 2 is 32 bits: the same bytes */
	if ((version != 2 && version != 5) || n_columns > MAX_COLUMNS || n_slots > (1u << 28))
		return false;
	row = find_index_row(c, id, n_slots);
	if (!row || row > n_units)
		return false;
	columns = cursor_tell(&c) + (size_t)n_slots * 12;
	table = columns + (size_t)row * n_columns * 4;
	*shares = (struct shares){0};
	for (__u32 i = 0; i < n_columns; i++) {
		__u32 section, offset;

		cursor_seek(&c, columns + (size_t)i * 4);
		section = cursor_u32(&c);
		cursor_seek(&c, table + (size_t)i * 4);
		offset = cursor_u32(&c);
		if (section <= DW_SECT_RNGLISTS)
			shares->offsets[section] = offset;
	}
	return !c.bad;
}

static struct dwarf_unit *unit_of_package(struct dwarf_split *split, __u64 id,
					  struct shares *shares)
{
	struct dwarf_unit *unit;

	if (!split->dwp_elf || !cursor_left(&split->cu_index) ||
	    !find_shares(split->cu_index, id, shares))
		return NULL;
	unit = dwarf_unit_at(&split->dwp, shares->offsets[DW_SECT_INFO]);
	if (!unit || unit->offset != shares->offsets[DW_SECT_INFO])
		return NULL;
	if (!unit->loaded)
		unit->abbrev_offset += shares->offsets[DW_SECT_ABBREV];
	return unit;
}

static struct dwarf_unit *unit_of_file(struct dwarf_split *split, const struct dwarf_unit *skeleton)
{
	char path[PATH_MAX];
	_close_ int fd = -1;
	enum elf_refusal refusal;
	int n;

	if (*skeleton->dwo_name == '/')
		n = snprintf(path, sizeof(path), "%s", skeleton->dwo_name);
	else
		n = snprintf(path, sizeof(path), "%s/%s",
			     skeleton->comp_dir ? skeleton->comp_dir : "", skeleton->dwo_name);
	if (n >= (int)sizeof(path))
		return NULL;
	fd = debug_root_open(split->root, path);
	split->dwo_elf = fd < 0 ? NULL : elf_open(fd, &refusal);
	if (!split->dwo_elf)
		return NULL;
	split->dwo_elf->scratch_dir = split->scratch_dir;
	elf_set_work(split->dwo_elf, split->budget);
	if (dwarf_file_init(&split->dwo, split->dwo_elf, true, split->budget))
		return NULL;
	split->n_dwo++;
	for (size_t i = 0; i < split->dwo.units.len; i++) {
		struct dwarf_unit *unit = &split->dwo.units.data[i];

		if (unit->version < 5 || unit->dwo_id == skeleton->dwo_id)
			return unit;
	}
	return NULL;
}

struct dwarf_unit *dwarf_split_find(struct dwarf_split *split, struct dwarf_unit *skeleton)
{
	struct shares shares = {0};
	struct dwarf_unit *unit = unit_of_package(split, skeleton->dwo_id, &shares);

	if (!unit)
		unit = unit_of_file(split, skeleton);
	if (unit) {
		unit->line_file = unit->addr_file = skeleton->file;
		unit->line_offset = skeleton->line_offset;
		unit->comp_dir = skeleton->comp_dir;
		unit->addr_base = skeleton->addr_base;
		unit->low_pc = skeleton->low_pc;
		unit->gnu_ranges_base = skeleton->gnu_ranges_base;
		unit->str_offsets_base = shares.offsets[DW_SECT_STR_OFFSETS];
		if (unit->version >= 5) {
			/* behind the headers of both tables */
			unit->str_offsets_base += unit->is_64 ? 16 : 8;
			unit->rnglists_base =
				shares.offsets[DW_SECT_RNGLISTS] + (unit->is_64 ? 20 : 12);
		}
		/* A .dwo of another build must not lend its names. */
		if (!dwarf_unit_load(unit) && unit->dwo_id == skeleton->dwo_id) {
			split->n_found++;
			return unit;
		}
	}
	split->n_missing++;
	dwarf_split_done(split);
	return NULL;
}
