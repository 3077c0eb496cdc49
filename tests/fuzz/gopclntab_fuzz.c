// SPDX-License-Identifier: Apache-2.0
/* The bytes as the .gopclntab of an otherwise sound file, and as what its pointers lead to. */
#include <stdlib.h>
#include <unistd.h>

#include "symbolize/go_scan.h"
#include "symbolize/gopclntab.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static int take(void *arg, __u64 start, __u64 end, __s32 delta UNUSED)
{
	__u64 *n = arg;

	if (start >= end)
		abort();
	return ++*n > 100000;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct elf_section sections[] = {
		{.name = ".gopclntab", .type = SHT_PROGBITS, .addr = 0x8000, .size = size},
		{.name = ".data",
		 .type = SHT_PROGBITS,
		 .flags = SHF_ALLOC | SHF_WRITE,
		 .addr = 0x8000,
		 .size = size},
		{.name = ".text", .type = SHT_NOBITS, .addr = 0x1000, .size = 0x1000},
	};
	struct elf_segment segments[] = {
		{.type = PT_LOAD, .flags = PF_R, .vaddr = 0x8000, .filesz = size, .memsz = size},
	};
	struct elf elf = {
		.data = data,
		.size = size,
		.type = ET_EXEC,
		.machine = EM_X86_64,
		.sections = sections,
		.n_sections = ARRAY_SIZE(sections),
		.segments = segments,
		.n_segments = 1,
	};
	struct index_range text = {0x1000, 0x2000};
	struct index_builder b;
	struct go_table table;
	__u64 n = 0;
	int fd;

	if (!go_table_open(&elf, &table)) {
		struct go_deltas deltas = go_deltas_of(&table);

		if (go_deltas_in(&deltas, 0, UINT64_MAX, take, &n) && n <= 100000)
			abort();
	}
	if (index_builder_init(&b, SCRATCH_IN_MEMORY))
		return 0;
	fd = scratch_open(SCRATCH_IN_MEMORY, NULL);
	if (index_builder_text(&b, &text, 1) || go_scan(&elf, &b) || index_builder_finish(&b, fd))
		abort();
	close(fd);
	index_builder_fini(&b);
	return 0;
}
