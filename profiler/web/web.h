/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page's files, embedded when building: the modules and styles of this folder as they are, and
 * snapshot.bundle.js, all modules of the one-file page joined (no imports).
 */
#pragma once

#include <stddef.h>

struct web_file {
	const char *name, *content_type;
	const unsigned char *data; /* not NUL-terminated */
	size_t len;
	const char *sha256; /* base64, as a Content-Security-Policy says it; fit for an ETag */
};

extern const struct web_file web_files[]; /* ends with a NULL name */
/* NULL for none. */
const struct web_file *web_file_find(const char *name);
