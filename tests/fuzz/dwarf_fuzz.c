// SPDX-License-Identifier: Apache-2.0
/*
 * The index builder on debug sections out of one input: a byte of flags, then for each section two
 * bytes of length and its bytes; the last one takes the rest. What was built is opened and
 * searched.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/dwarf_scan.h"
#include "symbolize/dwarf_split.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define TEXT_VADDR 0x1000u
#define TEXT_BYTES 0x10000u

static void search(struct index *index)
{
	for (__u64 a = TEXT_VADDR; a < TEXT_VADDR + TEXT_BYTES; a += 97) {
		struct index_hit hit;
		__u32 node;

		if (!index_find(index, a, &hit))
			continue;
		index_file_name(index, hit.file);
		node = hit.node;
		while (node) {
			struct index_node n;

			if (!index_node_read(index, node, &n))
				abort(); /* what we wrote ourselves is whole */
			index_str(index, index->funcs[n.func].name);
			node = n.parent;
		}
	}
}

static void build(struct elf *elf)
{
	struct work budget = {0};
	struct index_range text = {TEXT_VADDR, TEXT_VADDR + TEXT_BYTES};
	struct index_builder b;
	struct dwarf_file file;
	struct index index;
	int fd;

	if (index_builder_init(&b, SCRATCH_IN_MEMORY))
		return;
	work_grow(&budget, elf->size);
	if (index_builder_text(&b, &text, 1))
		abort();
	if (!dwarf_file_init(&file, elf, false, &budget)) {
		file.alt = &file; /* references between files, and in circles */
		if (dwarf_scan(&file, NULL, &b))
			abort();
		fd = scratch_open(SCRATCH_IN_MEMORY, NULL);
		if (index_builder_finish(&b, fd) || index_open(fd, NULL, &index))
			abort();
		search(&index);
		index_close(&index);
		close(fd);
	}
	dwarf_file_fini(&file);
	index_builder_fini(&b);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const char *const names[] = {
#define X(name, text) "." text,
		DWARF_SECTIONS(X)
#undef X
	};
	struct elf_section sections[DWARF_SECTION_COUNT];
	struct elf elf = {.data = data, .size = size, .type = ET_DYN, .machine = EM_X86_64};
	size_t at = 0;

	elf.sections = sections;
	elf.n_sections = DWARF_SECTION_COUNT;
	elf.inflate_limit = 1 << 20;
	for (size_t i = 0; i < DWARF_SECTION_COUNT; i++) {
		size_t len = size - at;

		if (i + 1 < DWARF_SECTION_COUNT && len >= 2) {
			len = MIN((size_t)(data[at] | data[at + 1] << 8), size - at - 2);
			at += 2;
		}
		sections[i] = (struct elf_section){
			.name = names[i], .type = SHT_PROGBITS, .offset = at, .size = len};
		at += len;
	}
	build(&elf);
	return 0;
}
