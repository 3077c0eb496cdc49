/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target needs: its entry, a check that ends it, and a folder that it takes along. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/cursor.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static char fuzz_dir[64];

static inline void fuzz_remove_dir(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", fuzz_dir);
	if (system(command))
		fprintf(stderr, "%s stays behind\n", fuzz_dir);
}

/* A folder in memory, made at the first call. */
static inline const char *fuzz_folder(void)
{
	if (*fuzz_dir)
		return fuzz_dir;
	snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/bianque_fuzz.%d",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", getpid());
	CHECK(!mkdir(fuzz_dir, 0700));
	atexit(fuzz_remove_dir);
	return fuzz_dir;
}

/* The next `len` bytes, or what there is, as a string of its own without NULs inside. */
static inline char *fuzz_text(struct cursor *c, size_t len)
{
	size_t n = MIN(len, cursor_left(c));
	char *text = malloc(n + 1);

	CHECK(text);
	memcpy(text, cursor_bytes(c, n), n);
	text[n] = 0;
	return text;
}
