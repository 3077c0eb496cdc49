// SPDX-License-Identifier: Apache-2.0
/*
 * Units, abbreviations, DIEs, see dwarf.h. The inner loop is dwarf_die_read: an abbreviation whose
 * attributes are all of fixed size and of no interest costs one table look-up and one addition.
 */
#include "symbolize/dwarf.h"

#include <errno.h>
#include <string.h>

#define MAX_ABBREVS	  (1u << 20) /* codes in one table */
#define ABBREV_KEEP_BYTES ((size_t)8 << 20)
#define VARIES		  UINT32_MAX
#define WORK_BYTES	  64u /* of DIEs and strings, that a unit of work pays for */

struct dwarf_spec { /* an attribute, or several in a row of fixed size and of no interest */
	__s64 implicit;
	__u16 form;
	__u8 slot;
	__u8 size; /* UINT8_MAX: it varies */
};

/* ---- forms ----------------------------------------------------------------------------------- */

/* Bytes of a form that has a fixed size in this kind of unit, or VARIES. */
static __u32 form_size(__u16 form, bool is_64, __u16 version)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_flag:
	case DW_FORM_ref1:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_addr:
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_ref_addr:
		return version <= 2 ? 8 : is_64 ? 8 : 4;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return is_64 ? 8 : 4;
	default:
		return VARIES;
	}
}

/* The usual widths without a call. */
static inline __u64 read_fixed(struct cursor *c, unsigned size)
{
	switch (size) {
	case 1:
		return cursor_u8(c);
	case 2:
		return cursor_u16(c);
	case 4:
		return cursor_u32(c);
	case 8:
		return cursor_u64(c);
	default:
		return cursor_uint(c, size);
	}
}

static bool skip_block(struct cursor *c, __u64 len, struct dwarf_attr *attr)
{
	attr->value = 0;
	cursor_skip(c, len);
	return !c->bad;
}

bool dwarf_attr_read(struct cursor *c, __u16 form, bool is_64, __u16 version, __s64 implicit,
		     struct dwarf_attr *ret_attr)
{
	__u32 size = form_size(form, is_64, version);

	ret_attr->form = form;
	if (size <= 8) {
		ret_attr->value = size				   ? read_fixed(c, size)
				  : form == DW_FORM_implicit_const ? (__u64)implicit
								   : 1;
		return !c->bad;
	}
	switch (form) {
	case DW_FORM_string:
		ret_attr->inline_string = cursor_str(c);
		return !c->bad;
	case DW_FORM_sdata:
		ret_attr->value = (__u64)cursor_sleb(c);
		return !c->bad;
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		ret_attr->value = cursor_uleb(c);
		return !c->bad;
	case DW_FORM_block1:
		return skip_block(c, cursor_u8(c), ret_attr);
	case DW_FORM_block2:
		return skip_block(c, cursor_u16(c), ret_attr);
	case DW_FORM_block4:
		return skip_block(c, cursor_u32(c), ret_attr);
	case DW_FORM_block:
	case DW_FORM_exprloc:
		return skip_block(c, cursor_uleb(c), ret_attr);
	case DW_FORM_data16:
		return skip_block(c, 16, ret_attr);
	case DW_FORM_indirect: {
		__u64 real = cursor_uleb(c);

		/* DWARF 5 7.5.3: not itself, and implicit_const has no place for its value */
		if (real == DW_FORM_indirect || real == DW_FORM_implicit_const || real > UINT16_MAX)
			return false;
		return dwarf_attr_read(c, (__u16)real, is_64, version, 0, ret_attr);
	}
	default:
		return false;
	}
}

/* ---- abbreviations --------------------------------------------------------------------------- */

static __u8 slot_of(__u64 at)
{
	switch (at) {
	case DW_AT_sibling:
		return SLOT_SIBLING;
	case DW_AT_name:
		return SLOT_NAME;
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		return SLOT_LINKAGE_NAME;
	case DW_AT_low_pc:
		return SLOT_LOW_PC;
	case DW_AT_high_pc:
		return SLOT_HIGH_PC;
	case DW_AT_ranges:
		return SLOT_RANGES;
	case DW_AT_abstract_origin:
		return SLOT_ORIGIN;
	case DW_AT_specification:
		return SLOT_SPECIFICATION;
	case DW_AT_call_file:
		return SLOT_CALL_FILE;
	case DW_AT_call_line:
		return SLOT_CALL_LINE;
	case DW_AT_call_column:
		return SLOT_CALL_COLUMN;
	case DW_AT_decl_line:
		return SLOT_DECL_LINE;
	case DW_AT_stmt_list:
		return SLOT_STMT_LIST;
	case DW_AT_language:
		return SLOT_LANGUAGE;
	case DW_AT_comp_dir:
		return SLOT_COMP_DIR;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		return SLOT_ADDR_BASE;
	case DW_AT_str_offsets_base:
		return SLOT_STR_OFFSETS_BASE;
	case DW_AT_rnglists_base:
		return SLOT_RNGLISTS_BASE;
	case DW_AT_GNU_ranges_base:
		return SLOT_GNU_RANGES_BASE;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		return SLOT_DWO_NAME;
	case DW_AT_GNU_dwo_id:
		return SLOT_GNU_DWO_ID;
	default:
		return SLOT_NONE;
	}
}

/* Only functions, inlined calls and units have attributes of interest; of the others where their
 * siblings begin. */
static bool tag_has_slots(__u64 tag)
{
	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
	       tag == DW_TAG_compile_unit || tag == DW_TAG_partial_unit ||
	       tag == DW_TAG_skeleton_unit || tag == DW_TAG_type_unit;
}

struct abbrev_build {
	VEC(struct dwarf_abbrev) abbrevs;
	VEC(struct dwarf_spec) specs;
};

static bool is_skipped(const struct dwarf_spec *spec)
{
	return spec->slot == SLOT_NONE && spec->size != UINT8_MAX;
}

static int add_spec(struct dwarf_abbrev *a, struct abbrev_build *b, const struct dwarf_spec *spec)
{
	struct dwarf_spec *last = a->n_specs ? &b->specs.data[b->specs.len - 1] : NULL;

	if (last && is_skipped(last) && is_skipped(spec) && last->size + spec->size < UINT8_MAX) {
		last->size = (__u8)(last->size + spec->size);
		return 0;
	}
	if (vec_push(&b->specs, *spec))
		return -ENOMEM;
	a->n_specs++;
	return 0;
}

static int read_specs(struct cursor *c, struct dwarf_abbrev *a, struct abbrev_build *b,
		      const struct dwarf_unit *unit)
{
	bool wanted = tag_has_slots(a->tag);
	__u64 at, form, total = 0;

	a->first_spec = (__u32)b->specs.len;
	for (;;) {
		struct dwarf_spec spec = {.slot = SLOT_NONE};
		__u32 size;

		at = cursor_uleb(c);
		form = cursor_uleb(c);
		if (form == DW_FORM_implicit_const)
			spec.implicit = cursor_sleb(c);
		if (c->bad)
			return -EINVAL;
		if (at == 0 && form == 0)
			break;
		spec.form = form <= UINT16_MAX ? (__u16)form : 0;
		if (wanted || (at == DW_AT_sibling && a->has_children))
			spec.slot = slot_of(at);
		a->has_slots |= spec.slot != SLOT_NONE;
		size = form_size(spec.form, unit->is_64, unit->version);
		spec.size = size == VARIES ? UINT8_MAX : (__u8)size;
		total = size == VARIES || total >= VARIES ? VARIES : total + size;
		if (add_spec(a, b, &spec))
			return -ENOMEM;
	}
	a->fixed_size = (__u32)MIN(total, (__u64)VARIES);
	return 0;
}

/* Every compiler numbers its abbreviations 1, 2, 3...; dwz too, if not in order. */
static int read_abbrevs(const struct dwarf_unit *unit, struct abbrev_build *b)
{
	struct cursor c = unit->file->sections[DWARF_ABBREV];

	cursor_seek(&c, unit->abbrev_offset);
	for (;;) {
		__u64 code = cursor_uleb(&c), tag;
		struct dwarf_abbrev a = {0};
		int err;

		if (c.bad)
			return -EINVAL;
		if (code == 0)
			return 0;
		if (code > MAX_ABBREVS || !work_take(unit->file->budget, 1))
			return -EINVAL;
		tag = cursor_uleb(&c);
		a.tag = tag && tag <= UINT16_MAX ? (__u16)tag : UINT16_MAX;
		a.has_children = cursor_u8(&c) != 0;
		err = read_specs(&c, &a, b, unit);
		if (err)
			return err;
		while (b->abbrevs.len < code)
			if (vec_push(&b->abbrevs, (struct dwarf_abbrev){0}))
				return -ENOMEM;
		b->abbrevs.data[code - 1] = a;
	}
}

static int keep_abbrevs(struct dwarf_unit *unit, __u64 key, const struct abbrev_build *b)
{
	struct dwarf_file *file = unit->file;
	struct dwarf_abbrevs table = {.key = key, .n = (__u32)b->abbrevs.len};
	size_t bytes = b->abbrevs.len * sizeof(*table.by_code);

	table.by_code = arena_alloc(&file->abbrev_arena, bytes);
	table.specs = arena_alloc(&file->abbrev_arena, b->specs.len * sizeof(*table.specs));
	if (!table.by_code || !table.specs || vec_push(&file->abbrevs, table))
		return -ENOMEM;
	if (bytes)
		memcpy(table.by_code, b->abbrevs.data, bytes);
	if (b->specs.len)
		memcpy(table.specs, b->specs.data, b->specs.len * sizeof(*table.specs));
	return hmap_add(&file->abbrev_index, hash_u64(key), (__u32)file->abbrevs.len - 1);
}

/* Pointers into file->abbrevs move when it grows: a unit keeps the table by value in the arena. */
int dwarf_unit_abbrevs(struct dwarf_unit *unit)
{
	struct dwarf_file *file = unit->file;
	__u64 key = unit->abbrev_offset << 2 | (__u64)unit->is_64 << 1 | (unit->version <= 2);
	struct abbrev_build b = {0};
	struct dwarf_abbrevs *copy;
	__u32 i, found = HMAP_NONE;
	int err = 0;

	if (unit->abbrevs && unit->abbrevs_round == file->abbrevs_round)
		return 0;
	hmap_for_each_match (&file->abbrev_index, hash_u64(key), i) {
		if (file->abbrevs.data[i].key == key)
			found = i;
	}
	if (found == HMAP_NONE) {
		err = read_abbrevs(unit, &b);
		/* A damaged table is kept up to the damage. */
		if (err != -ENOMEM)
			err = keep_abbrevs(unit, key, &b);
		vec_free(&b.abbrevs);
		vec_free(&b.specs);
		if (err)
			return err;
		found = (__u32)file->abbrevs.len - 1;
	}
	copy = arena_alloc(&file->abbrev_arena, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = file->abbrevs.data[found];
	unit->abbrevs = copy;
	unit->abbrevs_round = file->abbrevs_round;
	return 0;
}

void dwarf_trim(struct dwarf_file *file)
{
	if (file->abbrev_arena.used < ABBREV_KEEP_BYTES)
		return;
	arena_reset(&file->abbrev_arena);
	hmap_clear(&file->abbrev_index);
	file->abbrevs.len = 0;
	file->abbrevs_round++;
}

/* ---- DIEs ------------------------------------------------------------------------------------ */

bool dwarf_die_read(struct dwarf_unit *unit, __u64 offset, struct dwarf_die *ret_die)
{
	const struct cursor *info = &unit->file->sections[DWARF_INFO];
	struct cursor c = {.start = info->start, .end = info->start + unit->end};
	const struct dwarf_abbrev *a;
	__u64 code;

	if (offset < unit->die || offset >= unit->end)
		return false;
	c.pos = c.start + offset;
	code = cursor_uleb(&c);
	ret_die->offset = offset;
	ret_die->have = 0;
	ret_die->tag = 0;
	ret_die->has_children = false;
	if (code == 0) {
		ret_die->next = cursor_tell(&c);
		return !c.bad;
	}
	if (code > unit->abbrevs->n || !unit->abbrevs->by_code[code - 1].tag)
		return false;
	a = &unit->abbrevs->by_code[code - 1];
	ret_die->tag = a->tag;
	ret_die->has_children = a->has_children;
	if (!a->has_slots && a->fixed_size != VARIES) {
		cursor_skip(&c, a->fixed_size);
		ret_die->next = cursor_tell(&c);
		return !c.bad;
	}
	for (__u32 i = 0; i < a->n_specs; i++) {
		const struct dwarf_spec *s = &unit->abbrevs->specs[a->first_spec + i];
		struct dwarf_attr ignored, *attr = &ignored;

		if (s->slot != SLOT_NONE) {
			attr = &ret_die->attrs[s->slot];
			ret_die->have |= 1u << s->slot;
			if (s->size - 1u < 8) {
				attr->form = s->form;
				attr->value = read_fixed(&c, s->size);
				continue;
			}
		} else if (s->size != UINT8_MAX) {
			cursor_skip(&c, s->size);
			continue;
		} else if (s->form == DW_FORM_exprloc) {
			cursor_skip(&c, cursor_uleb(&c));
			continue;
		}
		if (!dwarf_attr_read(&c, s->form, unit->is_64, unit->version, s->implicit, attr))
			return false;
	}
	ret_die->next = cursor_tell(&c);
	/* A DIE may be read from many places, and its strings may be long. */
	return !c.bad && work_take(unit->file->budget, (ret_die->next - offset) / WORK_BYTES);
}

/* Strings may overlap: their bytes are not bounded by the section's. NULL: none, or too much work. */
static const char *section_string(const struct dwarf_file *file, enum dwarf_section section,
				  __u64 offset)
{
	const char *s = file ? cursor_str_at(&file->sections[section], offset) : NULL;

	return s && work_take(file->budget, strlen(s) / WORK_BYTES) ? s : NULL;
}

static const char *indexed_string(const struct dwarf_unit *unit, __u64 index)
{
	struct cursor c = unit->file->sections[DWARF_STR_OFFSETS];
	unsigned width = unit->is_64 ? 8 : 4;
	__u64 offset;

	if (index > UINT32_MAX)
		return NULL;
	cursor_seek(&c, unit->str_offsets_base);
	cursor_skip(&c, index * width);
	offset = cursor_uint(&c, width);
	return c.bad ? NULL : section_string(unit->file, DWARF_STR, offset);
}

const char *dwarf_string(const struct dwarf_unit *unit, const struct dwarf_attr *attr)
{
	const char *s;

	if (!attr)
		return NULL;
	switch (attr->form) {
	case DW_FORM_string:
		s = attr->inline_string;
		break;
	case DW_FORM_strp:
		s = section_string(unit->file, DWARF_STR, attr->value);
		break;
	case DW_FORM_line_strp:
		s = section_string(unit->file, DWARF_LINE_STR, attr->value);
		break;
	case DW_FORM_GNU_strp_alt:
	case DW_FORM_strp_sup:
		s = section_string(unit->file->alt, DWARF_STR, attr->value);
		break;
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		s = indexed_string(unit, attr->value);
		break;
	default:
		return NULL;
	}
	return s && *s ? s : NULL;
}

static bool indexed_address(const struct dwarf_unit *unit, __u64 index, __u64 *ret_addr)
{
	struct cursor c = unit->addr_file->sections[DWARF_ADDR];

	if (index > UINT32_MAX)
		return false;
	cursor_seek(&c, unit->addr_base);
	cursor_skip(&c, index * 8);
	*ret_addr = cursor_u64(&c);
	return !c.bad;
}

bool dwarf_address(const struct dwarf_unit *unit, const struct dwarf_attr *attr, __u64 *ret_addr)
{
	if (!attr)
		return false;
	switch (attr->form) {
	case DW_FORM_addr:
		*ret_addr = attr->value;
		return true;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return indexed_address(unit, attr->value, ret_addr);
	default:
		return false;
	}
}

bool dwarf_reference(struct dwarf_unit *unit, const struct dwarf_attr *attr,
		     struct dwarf_unit **ret_unit, __u64 *ret_offset)
{
	struct dwarf_file *file = unit->file;
	__u64 offset;

	if (!attr)
		return false;
	switch (attr->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		if (attr->value > unit->end - unit->offset)
			return false;
		*ret_unit = unit;
		*ret_offset = unit->offset + attr->value;
		return true;
	case DW_FORM_ref_addr:
		break;
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		file = file->alt;
		if (!file)
			return false;
		break;
	default: /* ref_sig8 leads to a type unit: no function with code has one */
		return false;
	}
	offset = attr->value;
	*ret_unit = offset >= unit->offset && offset < unit->end && file == unit->file
			    ? unit
			    : dwarf_unit_at(file, offset);
	*ret_offset = offset;
	return *ret_unit && dwarf_unit_load(*ret_unit) == 0;
}
