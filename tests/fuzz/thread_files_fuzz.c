// SPDX-License-Identifier: Apache-2.0
/* Files of a thread with names and bytes of anybody's making: parsed without leaving the text. */
#include <stdlib.h>
#include <string.h>

#include "profiler/thread_files.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	char *text = malloc(size + 1);
	const char *at = text;
	struct thread_stat stat;
	struct kernel_frame frame;
	__u64 a, b;
	size_t n = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (thread_stat_parse(text, &stat) && strlen(stat.comm) >= sizeof(stat.comm))
		abort();
	thread_switches_parse(text, &a);
	thread_syscall_parse(text, &a, &b);
	while (kernel_frame_next(&at, &frame)) {
		if (frame.function < text || frame.function + frame.function_len > at ||
		    (frame.module_len &&
		     (frame.module < text || frame.module + frame.module_len > at)))
			abort();
		n++;
	}
	if (n > size)
		abort();
	free(text);
	return 0;
}
