// SPDX-License-Identifier: Apache-2.0
/* A whole ELF file of somebody else's making: headers, sections, CFI, compiled and read back. */
#include <stdlib.h>

#include "symbolize/elf.h"
#include "symbolize/unwind.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static int check_row(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct unwind_table *table = arg;
	struct unw_rule rule;
	char text[128];

	if (vaddr < part->start || vaddr > part->end)
		abort();
	if (unwind_rule_of(part, table->machine, code, &rule))
		unwind_rule_text(table->machine, &rule, text, sizeof(text));
	else if (code < UNW_CODE_ENTRY)
		abort();
	if (vaddr < part->end && unwind_find(table, vaddr, NULL) != code)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	enum elf_refusal refusal;
	enum unwind_skip skip;
	struct elf *elf = elf_open_memory(data, size, &refusal);
	struct unwind_table *table;
	int err;

	if (!elf)
		return 0;
	elf->inflate_limit = 64 << 20;
	for (size_t i = 0; i < elf->n_sections && i < 64; i++)
		elf_section_data(elf, &elf->sections[i], &err);
	table = unwind_compile(elf, UNWIND_DERIVED, &skip);
	if (table)
		unwind_each_row(table, check_row, table);
	unwind_table_free(table);
	elf_free(elf);
	return 0;
}
