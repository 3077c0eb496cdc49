// SPDX-License-Identifier: Apache-2.0
/* Reading a compiled table back: look-up, walk, and the text of a rule. */
#include <stdio.h>
#include <string.h>

#include "symbolize/unwind.h"
#include "symbolize/unwind_arch.h"

size_t unwind_table_bytes(const struct unwind_table *table)
{
	size_t bytes = 0;

	for (size_t i = 0; i < table->n_parts; i++)
		bytes += (size_t)table->parts[i].n_words * 4;
	return bytes;
}

bool unwind_rule_of(const struct unwind_part *part, __u16 machine, __u32 code,
		    struct unw_rule *ret_rule)
{
	if (code >= UNW_CODE_ENTRY)
		return false;
	if (!(code & UNW_CODE_RULE)) {
		unwind_arch_of(machine)->decode(code, ret_rule);
		return true;
	}
	code &= UNW_CODE_INDEX;
	if (code >= part->n_rules)
		return false;
	memcpy(ret_rule, part->blob + part->rules + code * (sizeof(*ret_rule) / 4),
	       sizeof(*ret_rule));
	return true;
}

static const __u16 *directory(const struct unwind_part *part)
{
	return (const __u16 *)(part->blob + part->dir);
}

__u32 unwind_find(const struct unwind_table *table, __u64 vaddr,
		  const struct unwind_part **ret_part)
{
	for (size_t i = 0; i < table->n_parts; i++) {
		const struct unwind_part *part = &table->parts[i];
		__u32 page, row, low;

		if (vaddr < part->start || vaddr >= part->end)
			continue;
		page = (__u32)((vaddr - part->start) >> part->shift);
		low = (__u32)(vaddr - part->start) & ((1u << part->shift) - 1);
		row = directory(part)[page + 1];
		while (row > directory(part)[page] && part->blob[part->rows + row - 1] >> 16 > low)
			row--;
		if (ret_part)
			*ret_part = part;
		return row ? part->blob[part->rows + row - 1] & 0xffff : UNW_CODE_GAP;
	}
	return UNW_CODE_GAP;
}

static int each_row_of(const struct unwind_part *part, bool adjacent,
		       int (*row)(void *arg, __u64 vaddr, const struct unwind_part *part,
				  __u32 code),
		       void *arg)
{
	for (__u32 page = 0; page < part->n_pages; page++) {
		for (__u32 r = directory(part)[page]; r < directory(part)[page + 1]; r++) {
			__u32 word = part->blob[part->rows + r];
			__u64 vaddr = part->start + ((__u64)page << part->shift) + (word >> 16);
			int ret;

			if (vaddr >= part->end)
				continue; /* the sentinel */
			ret = row(arg, vaddr, part, word & 0xffff);
			if (ret)
				return ret;
		}
	}
	return adjacent ? 0 : row(arg, part->end, part, UNW_CODE_GAP);
}

int unwind_each_row(const struct unwind_table *table,
		    int (*row)(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code),
		    void *arg)
{
	for (size_t i = 0; i < table->n_parts; i++) {
		bool adjacent =
			i + 1 < table->n_parts && table->parts[i + 1].start == table->parts[i].end;
		int ret = each_row_of(&table->parts[i], adjacent, row, arg);

		if (ret)
			return ret;
	}
	return 0;
}

static const char *reg_name(const struct unwind_arch *arch, unsigned reg, char out[8])
{
	if (reg < arch->n_names)
		return arch->names[reg];
	snprintf(out, 8, "r%u", reg);
	return out;
}

static void reg_text(const struct unwind_arch *arch, __u8 op, __s32 off, char *out, size_t size)
{
	char name[8];

	switch (op) {
	case UNW_REG_UNSPECIFIED: /* readelf does not tell these two apart */
	case UNW_REG_UNDEFINED:
		snprintf(out, size, "u");
		break;
	case UNW_REG_SAME:
		snprintf(out, size, "s");
		break;
	case UNW_REG_CFA:
		snprintf(out, size, "CFA%+d", off);
		break;
	case UNW_REG_CFA_VALUE:
		snprintf(out, size, "vCFA%+d", off);
		break;
	case UNW_REG_REG:
		snprintf(out, size, "%s", reg_name(arch, (unsigned)off, name));
		break;
	case UNW_REG_VEXPR:
		snprintf(out, size, "vexp");
		break;
	default:
		snprintf(out, size, "exp");
	}
}

void unwind_rule_text(__u16 machine, const struct unw_rule *rule, char *out, size_t size)
{
	const struct unwind_arch *arch = unwind_arch_of(machine);
	char cfa[32], fp[32], ra[32], name[8];

	if (rule->cfa_op == UNW_CFA_REG)
		snprintf(cfa, sizeof(cfa), "%s%+d", reg_name(arch, rule->cfa_reg, name),
			 rule->cfa_off);
	else
		snprintf(cfa, sizeof(cfa), "exp");
	reg_text(arch, rule->fp_op, rule->fp_off, fp, sizeof(fp));
	reg_text(arch, rule->ra_op, rule->ra_off, ra, sizeof(ra));
	snprintf(out, size, "CFA=%s %s=%s ra=%s", cfa, reg_name(arch, arch->fp, name), fp, ra);
}
