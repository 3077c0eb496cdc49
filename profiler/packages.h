/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which package of this host a file came from, and which one has its symbols: what somebody who
 * sees a function without a name installs next. Debian's database only (dpkg's lists of files, one
 * line a path); elsewhere nothing is known.
 *
 * The lists are read at most once a minute, all questions at once: 30 ms for a thousand packages.
 * One thread at a time. Bounded: PACKAGES_MAX_PATHS, then all are forgotten and asked for anew.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

#define PACKAGES_MAX_PATHS 1024u

struct packages;

/* dir: NULL is dpkg's. NULL when memory ends. */
struct packages *packages_new(const char *dir);
void packages_free(struct packages *packages);

/* The package that has the symbols of a file of the host's root (`libc6-dbg`), "" when no package
 * has the file, NULL as long as it was not looked for. Borrowed until the next call. */
const char *packages_symbols_of(struct packages *packages, const char *path);
/* Look for what was asked since, unless that was done less than a minute ago. True when there are
 * new answers. */
bool packages_look(struct packages *packages, __u64 now_ns);
