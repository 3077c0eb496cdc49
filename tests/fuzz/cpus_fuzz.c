// SPDX-License-Identifier: Apache-2.0
/* A CPU list of anybody's making: never beyond the table, refused or read. */
#include "profiler/cpus.h"

#include "tests/fuzz/fuzz.h"

#define N 130

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	char *text = fuzz_text(&c, size);
	bool *online = malloc(N);

	CHECK(online);
	memset(online, 2, N);
	if (!cpus_parse(text, online, N))
		for (int i = 0; i < N; i++)
			CHECK(*(const __u8 *)&online[i] <= 1);
	free(online);
	free(text);
	return 0;
}
