// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes as the .eh_frame (or, by the first byte, the .debug_frame) of an otherwise sound file:
 * reaches the interpreter without the fuzzer having to invent ELF headers.
 */
#include <stdlib.h>
#include <string.h>

#include "symbolize/elf.h"
#include "symbolize/unwind.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define TEXT_VADDR 0x1000u
#define TEXT_BYTES 0x100000u

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct elf_segment text = {
		.type = PT_LOAD, .flags = PF_X, .vaddr = TEXT_VADDR, .memsz = TEXT_BYTES};
	struct elf_section section = {.type = SHT_PROGBITS, .addr = TEXT_VADDR + TEXT_BYTES};
	struct elf elf = {
		.data = data + 1,
		.size = size - 1,
		.type = ET_DYN,
		.machine = EM_X86_64,
		.sections = &section,
		.n_sections = 1,
		.segments = &text,
		.n_segments = 1,
	};
	enum unwind_skip skip;
	struct unwind_table *table;

	if (size < 1)
		return 0;
	section.name = data[0] & 1 ? ".debug_frame" : ".eh_frame";
	elf.machine = data[0] & 2 ? EM_AARCH64 : EM_X86_64;
	section.size = size - 1;
	table = unwind_compile(&elf, UNWIND_DERIVED, &skip);
	for (__u64 a = TEXT_VADDR; table && a < TEXT_VADDR + 4096; a += 7)
		unwind_find(table, a, NULL);
	unwind_table_free(table);
	return 0;
}
