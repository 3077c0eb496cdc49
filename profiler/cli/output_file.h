/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that a command writes: whole or not at all. It grows beside its place under a name of
 * its own and is renamed when it is complete. A link stays a link, what it names is replaced; what
 * is no plain file (a pipe, /dev/null), and what stands for a descriptor that is open already
 * (/dev/stdout, /dev/fd/N, anything in /proc), is written to as it is.
 *
 * One at a time in a process.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "profiler/base/check.h"

struct output_file {
	int fd;		     /* -1: none */
	bool beside;	     /* a file of ours, renamed to `path` when it is whole */
	char path[PATH_MAX]; /* without links */
};

/* "-" is standard output. 0 or -errno. */
MUST_CHECK int output_file_open(struct output_file *o, const char *path);
/* With keep: put it in its place; else nothing is left of it. Nothing when it is closed already. 0
 * or -errno. */
MUST_CHECK int output_file_close(struct output_file *o, bool keep);
/* From a signal handler, before _exit: nothing is left of an unfinished file. */
void output_file_abandon(void);
