// SPDX-License-Identifier: Apache-2.0
/* The vDSO of this process, see vdso.h (vdso(7)). */
#include "profiler/vdso.h"

#include <stdio.h>
#include <sys/auxv.h>

#include "profiler/base/cleanup.h"

const void *vdso_image(size_t *ret_size)
{
	unsigned long at = getauxval(AT_SYSINFO_EHDR), start, end;
	_fclose_ FILE *f = at ? fopen("/proc/self/maps", "re") : NULL;
	char line[4096];

	*ret_size = 0;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == at)
			*ret_size = end - start;
	return *ret_size ? (const void *)at : NULL;
}
