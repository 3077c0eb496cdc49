// SPDX-License-Identifier: Apache-2.0
/* Names of foreign symbol tables. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/demangle.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	char *name = malloc(size + 3);
	struct buf out = {0};

	memcpy(name, data, size);
	name[size] = 0;
	if (demangle_parent_len(name) > strlen(name))
		abort();
	demangle_name(name, &out);
	if (out.err || out.len > DEMANGLE_MAX_BYTES + size || (*name && !out.len))
		abort();
	buf_fini(&out);
	free(name);
	return 0;
}
