/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stack is, in 64 bits: names, files, lines and places of its frames, whatever ids they have.
 * So the writer finds a stack of this window among those of the segment, and the reader one of this
 * segment among those of the day, with one look-up instead of one a frame and string.
 *
 * Two stacks that differ are taken for one with a chance of 3 in 10^8 a day of a million distinct
 * ones; the kernel side knows stacks by 64 bits, too.
 *
 * Hashes of strings, functions, locations and nodes are made when they are first asked for. Memory:
 * 8 bytes an entry of each table.
 */
#pragma once

#include "profiler/base/check.h"
#include "profiler/base/vec.h"

struct dict;
struct profile;

struct stack_hashes {
	__u64 *strings, *mappings, *functions, *locations, *nodes; /* 0: not asked yet */
	VEC(__u32) path;
};

/* For the tables as they are now. 0 or -ENOMEM; fini even then. */
MUST_CHECK int stack_hashes_of_profile(struct stack_hashes *hashes, const struct profile *profile);
MUST_CHECK int stack_hashes_of_dict(struct stack_hashes *hashes, const struct dict *dict);
void stack_hashes_fini(struct stack_hashes *hashes);

/* Of a stack of the profile, of a node of the dictionary; never 0. Both are the writer's or the
 * reader's own: they are not compared with each other. 0: memory ends. */
__u64 stack_hash_in_profile(struct stack_hashes *hashes, const struct profile *profile,
			    __u32 stack);
__u64 stack_hash_in_dict(struct stack_hashes *hashes, const struct dict *dict, __u32 node);
