/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A password or token that lives in a file of its own (a *_file key): read at start, read again
 * when the file changes (orchestrators rotate them by swapping a link), wiped from memory when
 * replaced. One line; a newline at the end is cut. Bounds: 16 KiB, no control characters inside,
 * since the value goes into HTTP headers. A file that every user of the host may read or write is
 * refused. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "profiler/base/check.h"

#define SECRET_MAX_BYTES 16384

struct secret {
	char *path;  /* NULL: not open */
	char *value; /* NULL: not read yet (secret_await) */
	size_t len;
	struct stat seen;   /* the file as it was when the value was read */
	__u64 next_look_ns; /* monotonic: no stat before */
	bool complained;    /* the last look failed and was logged */
};

/* Read it. 0, or -errno with a sentence for the user in error: -ENODATA for an empty file, -EINVAL
 * for bytes that cannot be, -EFBIG, -EPERM for a file that is open to everybody. */
MUST_CHECK int secret_open(struct secret *secret, const char *path, char *error, size_t size);
/* Could it be opened? The same errors. */
MUST_CHECK int secret_check(const char *path, char *error, size_t size);
/* Look at the file, at most once a second, and read it when it changed; a file that cannot be read
 * keeps the old value (logged once). True when the value changed. */
bool secret_refresh(struct secret *secret, __u64 now_ns);
/* For a file that may come later: remember the path; value stays NULL until secret_refresh finds
 * it. 0 or -ENOMEM. */
MUST_CHECK int secret_await(struct secret *secret, const char *path);
/* Whether the len bytes at text are the value; the time taken does not tell where they differ. */
bool secret_equals(const struct secret *secret, const char *text, size_t len);
void secret_close(struct secret *secret);
