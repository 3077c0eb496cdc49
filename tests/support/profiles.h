/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles for tests and benchmarks: read from folded text, or made up. */
#pragma once

#include <stddef.h>

#include "profiler/base/check.h"

struct profile;

/* A cpu profile (99 Hz, samples and cpu) from folded lines `comm;root;...;leaf COUNT`: the suffixes
 * _[k], _[i], _[j] and marks in brackets become kinds, each name a function, each frame but inlined
 * and interpreted ones a location with an address in the mapping that `[object]` after a name
 * names, else /usr/bin/COMM. Lines that are not folded stacks are skipped. NULL when memory ends.
 */
struct profile *profile_of_folded(const char *text, size_t len);

/* A cpu profile of n_stacks distinct stacks of `depth` frames, alike in shape to those of a busy
 * host: shared roots, functions by a steep law, a third of the locations with inlined lines. */
struct profile *profile_made_up(__u32 n_stacks, __u32 depth);

/* The hard cases: empty, 5 kB long and non-UTF-8 names, markup, separators, control characters,
 * right-to-left text, marks, deep inlining, recursion, no mapping, zero and huge values. */
struct profile *profile_nasty(void);
