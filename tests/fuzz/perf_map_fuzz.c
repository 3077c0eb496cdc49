// SPDX-License-Identifier: Apache-2.0
/* A perf map in two portions; what comes out must be ascending and disjoint. */
#include <stdlib.h>

#include "symbolize/perf_map.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct perf_map map;
	__u64 end = 0;
	ssize_t n;

	perf_map_init(&map);
	n = perf_map_add(&map, (const char *)data, size / 2);
	if (n < 0 || perf_map_add(&map, (const char *)data + n, size - (size_t)n) < 0)
		abort();
	vec_for_each (e, &map.entries) {
		if (e->start < end || e->end <= e->start || !*e->name)
			abort();
		end = e->end;
		if (perf_map_find(&map, e->start) != e->name)
			abort();
	}
	perf_map_fini(&map);
	return 0;
}
