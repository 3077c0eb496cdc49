// SPDX-License-Identifier: Apache-2.0
/* FDEs as functions, see unnamed.h. A split function's cold piece is a function of its own. */
#include "symbolize/unnamed.h"

#include "symbolize/cfi.h"

static int take_fde(void *arg, const struct cfi_fde *fde)
{
	return index_unnamed(arg, fde->start, fde->end);
}

int unnamed_read(struct elf *elf, struct index_builder *b)
{
	const struct unwind_arch *arch = unwind_arch_of(elf->machine);
	struct cfi_section sections[CFI_SECTION_COUNT] = {0};
	__u64 faults[UNWIND_FAULT_COUNT] = {0};
	int err = 0;

	if (!arch)
		return 0;
	cfi_find(elf, arch, sections);
	for (int i = 0; i < CFI_SECTION_COUNT && !err; i++)
		err = cfi_each(&sections[i], take_fde, b, faults);
	for (int i = 0; i < CFI_SECTION_COUNT; i++)
		cfi_section_fini(&sections[i]);
	return err;
}
