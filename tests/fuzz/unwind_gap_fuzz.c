// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes as code that no CFI describes, of an otherwise sound file: the first says which section
 * and how many symbols, two bytes each name where these begin. What is found must be ascending and
 * within the code; compiled, too, it must be bounded in time.
 */
#include <stdlib.h>
#include <string.h>

#include "symbolize/unwind.h"
#include "symbolize/unwind_gap.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define TEXT	    0x1000u
#define MAX_SYMBOLS 15

struct found {
	__u64 last, end;
};

static int take_state(void *arg, __u64 start, __u64 end, const struct frame_state *state)
{
	struct found *f = arg;
	struct unw_rule rule;

	if (start < f->last || start >= end || end > f->end)
		abort();
	f->last = end;
	(void)!frame_state_rule(state, &rule);
	return 0;
}

/* The byte before belongs to it. */
static int take_signal(void *arg, __u64 start, __u64 end)
{
	struct found *f = arg;

	if (start + 1 < f->last || start >= end || end > f->end)
		abort();
	f->last = end;
	return 0;
}

static void follow(const struct elf *elf, const gap_functions *functions, bool plt)
{
	struct found found = {TEXT, TEXT + elf->segments[0].filesz};
	const struct gap_sink sink = {&found, take_state, take_signal};
	__u64 left_out = 0;
	struct gap gap = {.elf = elf,
			  .start = TEXT,
			  .end = found.end,
			  .is_plt = plt,
			  .guess_start = true,
			  .functions = {functions->data, functions->len},
			  .left_out = &left_out,
			  .root = elf->entry};

	if (gap_follow(&gap, &sink))
		abort();
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	size_t n = size ? data[0] >> 1 & MAX_SYMBOLS : 0, head = 1 + 2 * n;
	struct elf_segment text = {.type = PT_LOAD, .flags = PF_R | PF_X, .vaddr = TEXT};
	struct elf_section section = {
		.type = SHT_PROGBITS, .flags = SHF_ALLOC | SHF_EXECINSTR, .addr = TEXT};
	struct elf elf = {.type = ET_DYN,
			  .machine = EM_X86_64,
			  .sections = &section,
			  .n_sections = 1,
			  .segments = &text,
			  .n_segments = 1};
	struct gap_function starts[MAX_SYMBOLS];
	gap_functions functions = {.data = starts};
	struct unwind_table *table;
	enum unwind_skip skip;
	__u64 last = 0;

	if (size < head + 1)
		return 0;
	section.name = data[0] & 1 ? ".plt" : ".text";
	section.size = text.filesz = text.memsz = size - head;
	elf.data = data + head;
	elf.size = size - head;
	elf.entry = data[0] & 0x20 ? TEXT + (size - head) / 2 : 0;
	for (size_t i = 0; i < n; i++) {
		__u64 at = TEXT + (data[1 + 2 * i] | (__u64)data[2 + 2 * i] << 8);

		if (at <= last)
			continue;
		starts[functions.len++] = (struct gap_function){at, at + (data[0] & 0x40 ? 64 : 0)};
		last = at;
	}
	follow(&elf, &functions, data[0] & 1);
	table = unwind_compile(&elf, UNWIND_DERIVED, &skip);
	unwind_table_free(table);
	return 0;
}
