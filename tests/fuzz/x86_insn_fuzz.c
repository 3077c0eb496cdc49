// SPDX-License-Identifier: Apache-2.0
/* The bytes as code, read from each offset: no instruction is empty, too long or reads on. */
#include <stdlib.h>

#include "symbolize/unwind_state.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define MAX_INSN 15

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct frame_state state = frame_state_start();
	struct unw_rule rule;

	for (size_t at = 0; at < size; at++) {
		struct cursor c = cursor_of(data + at, size - at);
		struct x86_insn i;

		if (!x86_insn_read(&c, 0x400000 + at, &i)) {
			if (c.pos != data + at)
				abort();
			continue;
		}
		if (!i.len || i.len > MAX_INSN || c.bad || c.pos != data + at + i.len)
			abort();
		frame_state_step(&state, &i);
		if (frame_state_rule(&state, &rule) && rule.cfa_op == UNW_CFA_REG &&
		    rule.cfa_reg == 7 && rule.cfa_off < 8)
			abort();
	}
	return 0;
}
