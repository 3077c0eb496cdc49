// SPDX-License-Identifier: Apache-2.0
/* /proc/kallsyms of a kernel that we do not know. */
#include <stdlib.h>

#include "symbolize/kernel_symbols.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct symbol_options options = {.scratch_dir = ""};
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	struct symbol_object *object;

	if (kernel_symbols_parse((const char *)data, size, &options, &object))
		return 0;
	for (__u64 i = 0; i < 256; i++) {
		__u64 addr = 0xffffffff80000000ULL + i * 0x123457;

		if (symbol_object_find(object, addr, frames) != 1 || !*frames[0].function)
			abort();
		symbol_object_owner(object, addr);
	}
	symbol_object_free(object);
	return 0;
}
