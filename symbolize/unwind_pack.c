// SPDX-License-Identifier: Apache-2.0
/* Packing rows into parts, see unwind_pack.h. Bounded: one open part of at most 65,534 rows. */
#include "symbolize/unwind_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAX_PART_RULES	   4096u
#define LONG_GAP	   (256u << 10) /* closes a part: a directory over nothing is waste */
#define MAX_PART_SPAN	   (1ULL << 30)
#define ROWS_PER_DIR_ENTRY 4u /* so the directory costs at most an eighth of the rows */
#define MIN_DIR_PAGES	   32u

static __u32 choose_shift(__u64 span, size_t rows)
{
	__u64 pages = MAX(rows / ROWS_PER_DIR_ENTRY, (size_t)MIN_DIR_PAGES);
	__u32 shift = UNW_MIN_SHIFT;

	while (shift < UNW_MAX_SHIFT && (span + (1ULL << shift) - 1) >> shift > pages)
		shift++;
	return shift;
}

static void write_directory(const struct unwind_packer *p, const struct unwind_part *part)
{
	__u16 *dir = (__u16 *)(part->blob + part->dir);
	size_t row = 0;

	for (__u32 page = 0; page <= part->n_pages; page++) {
		while (row < p->rows.len && p->rows.data[row].rel >> part->shift < page)
			row++;
		dir[page] = (__u16)row;
	}
}

static int close_part(struct unwind_packer *p)
{
	struct unwind_part part = {.start = p->start, .n_rules = (__u32)p->rules.len};
	__u64 span = p->end - p->start;
	__u32 low;

	if (!p->open)
		return 0;
	part.shift = (__u8)choose_shift(span, p->rows.len);
	low = (1u << part.shift) - 1;
	part.n_pages = (__u32)((span + low) >> part.shift);
	part.end = p->start + ((__u64)part.n_pages << part.shift);
	if (part.end > p->end && vec_push(&p->rows, (struct pack_row){(__u32)span, UNW_CODE_GAP}))
		return -ENOMEM;
	part.n_rows = (__u32)p->rows.len;
	part.rows = ALIGN_UP((part.n_pages + 1) * 2, 8) / 4;
	part.rules = ALIGN_UP(part.rows + part.n_rows, 2);
	part.n_words = part.rules + part.n_rules * (__u32)(sizeof(struct unw_rule) / 4);
	part.blob = calloc(part.n_words, 4);
	if (!part.blob)
		return -ENOMEM;
	write_directory(p, &part);
	for (size_t i = 0; i < p->rows.len; i++)
		part.blob[part.rows + i] = (p->rows.data[i].rel & low) << 16 | p->rows.data[i].code;
	if (part.n_rules)
		memcpy(part.blob + part.rules, p->rules.data,
		       p->rules.len * sizeof(struct unw_rule));
	part.end = p->end; /* the sentinel row answers for the rest of the last page */
	if (vec_push(&p->parts, part)) {
		free(part.blob);
		return -ENOMEM;
	}
	p->table->n_rows += p->rows.len;
	p->open = false;
	return 0;
}

static void open_part(struct unwind_packer *p, __u64 start)
{
	p->open = true;
	p->start = p->end = start;
	p->rows.len = 0;
	p->rules.len = 0;
	hmap_clear(&p->rule_index);
}

/* The code of a rule in the open part; UNW_CODE_GAP when the part's rules are full. */
static int code_of(struct unwind_packer *p, const struct unw_rule *rule, __u32 *ret_code)
{
	__u64 hash;
	__u32 i;

	if (p->arch->encode(rule, ret_code))
		return 0;
	hash = XXH3_64bits(rule, sizeof(*rule));
	hmap_for_each_match (&p->rule_index, hash, i) {
		if (!memcmp(&p->rules.data[i], rule, sizeof(*rule))) {
			*ret_code = UNW_CODE_RULE | i;
			return 0;
		}
	}
	i = (__u32)p->rules.len;
	if (vec_push(&p->rules, *rule) || hmap_add(&p->rule_index, hash, i))
		return -ENOMEM;
	*ret_code = UNW_CODE_RULE | i;
	return 0;
}

static bool part_full(const struct unwind_packer *p, __u64 end)
{
	/* Two rows of room: a gap before this row and the sentinel. */
	return p->rows.len + 3 > UNW_PART_MAX_ROWS || p->rules.len >= MAX_PART_RULES ||
	       end - p->start > MAX_PART_SPAN;
}

static int add_row(struct unwind_packer *p, __u64 start, __u64 end, const struct unw_rule *rule,
		   __u32 mark)
{
	__u32 code = mark;
	int err;

	p->table->n_raw_rows++;
	if (p->open && (start - p->end > LONG_GAP || part_full(p, end))) {
		err = close_part(p);
		if (err)
			return err;
	}
	if (!p->open) {
		open_part(p, start);
	} else if (start > p->end) {
		if (vec_push(&p->rows, (struct pack_row){(__u32)(p->end - p->start), UNW_CODE_GAP}))
			return -ENOMEM;
	} else if (mark ? mark == p->last_code
			: p->last_code < UNW_CODE_ENTRY && !memcmp(rule, &p->last, sizeof(*rule))) {
		p->end = end; /* equal neighbours are one row */
		return 0;
	}
	if (!mark) {
		err = code_of(p, rule, &code);
		if (err)
			return err;
		p->last = *rule;
	}
	p->last_code = code;
	p->end = end;
	return vec_push(&p->rows, (struct pack_row){(__u32)(start - p->start), code});
}

int unwind_pack_row(struct unwind_packer *p, __u64 start, __u64 end, const struct unw_rule *rule)
{
	return add_row(p, start, end, rule, 0);
}

int unwind_pack_mark(struct unwind_packer *p, __u64 start, __u64 end, __u32 code)
{
	return add_row(p, start, end, NULL, code);
}

int unwind_pack_finish(struct unwind_packer *p)
{
	int err = close_part(p);

	if (err)
		return err;
	p->table->parts = p->parts.data;
	p->table->n_parts = p->parts.len;
	memset(&p->parts, 0, sizeof(p->parts));
	return 0;
}

void unwind_pack_fini(struct unwind_packer *p)
{
	vec_for_each (part, &p->parts)
		free(part->blob);
	vec_free(&p->parts);
	vec_free(&p->rows);
	vec_free(&p->rules);
	hmap_fini(&p->rule_index);
}
