// SPDX-License-Identifier: Apache-2.0
/* CPU lists, see cpus.h (Documentation/admin-guide/cputopology.rst). */
#include "profiler/cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/fs.h"

#define ONLINE_PATH "/sys/devices/system/cpu/online"

static const char *number(const char *s, unsigned long *ret_value)
{
	char *end;

	if (*s < '0' || *s > '9')
		return NULL;
	*ret_value = strtoul(s, &end, 10);
	return end;
}

int cpus_parse(const char *list, bool *online, size_t n)
{
	const char *s = list;

	memset(online, 0, n * sizeof(*online));
	while (*s && *s != '\n') {
		unsigned long first, last;

		s = number(s, &first);
		if (!s)
			return -EINVAL;
		last = first;
		if (*s == '-')
			s = number(s + 1, &last);
		if (!s || last < first || (*s && *s != ',' && *s != '\n'))
			return -EINVAL;
		for (unsigned long cpu = first; cpu <= last && cpu < n; cpu++)
			online[cpu] = true;
		s += *s == ',';
	}
	return 0;
}

void cpus_online(const char *path, bool *online, size_t n)
{
	char text[4096];

	if (fs_read_small(AT_FDCWD, path ? path : ONLINE_PATH, text, sizeof(text)) <= 0 ||
	    cpus_parse(text, online, n))
		memset(online, 1, n * sizeof(*online));
}
