// SPDX-License-Identifier: Apache-2.0
/* Look-up in the embedded files of web.h. */
#include "profiler/web/web.h"

#include <string.h>

const struct web_file *web_file_find(const char *name)
{
	for (const struct web_file *file = web_files; file->name; file++)
		if (!strcmp(file->name, name))
			return file;
	return NULL;
}
