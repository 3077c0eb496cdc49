// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes as the code of the functions that Go changes stacks in, with depths out of them: what
 * unwind_go.c reads out of them is ascending, within the code and can be packed.
 */
#include <stdlib.h>

#include "symbolize/unwind.h"
#include "tests/support/go_image.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static const char *const names[] = {"runtime.systemstack.abi0",
				    "gosave_systemstack_switch",
				    "runtime.asmcgocall",
				    "runtime.morestack",
				    "runtime.cgocallback.abi0",
				    "runtime.mcall",
				    "gogo",
				    "crosscall2",
				    "time.now",
				    "runtime.sigreturn",
				    "runtime.goexit",
				    "main.main"};

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct go_image_func funcs[ARRAY_SIZE(names)] = {0};
	size_t each = size / ARRAY_SIZE(names);
	struct unwind_table *table;
	struct go_image image;
	enum unwind_skip skip;
	__u64 last = 0;

	if (each < 2)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		funcs[i] = (struct go_image_func){
			.name = names[i],
			.code = data + i * each + 1,
			.n = each - 1,
			.deltas = {{0, 1 + (data[i * each] & 15)}, {data[i * each] >> 4 << 3, 0}}};
	go_image_init(&image, funcs, ARRAY_SIZE(names));
	table = unwind_compile(&image.elf, UNWIND_DERIVED, &skip);
	for (size_t i = 0; table && i < table->n_specials; i++) {
		const struct unwind_special *s = &table->specials[i];

		if (s->start < last || s->start >= s->end)
			abort();
		last = s->end;
	}
	unwind_table_free(table);
	go_image_fini(&image);
	return 0;
}
