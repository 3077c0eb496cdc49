/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a window (or a minute, an hour) saw: its facts, and values by (series, stack, thread), as
 * columns of varints that zstd packs well: a window of 570 samples takes about 2 KB.
 *
 * The first value of an entry is written as it is; each further one as what it differs from the
 * first times the kind's period, which is nothing for a profile by time.
 *
 * Pure functions; the memory is the caller's.
 */
#pragma once

#include "profiler/store/dict.h"

struct facts {
	__u64 start_ns, end_ns; /* CLOCK_REALTIME */
	__u64 start_mono_ns;	/* CLOCK_MONOTONIC of its first window */
	__u64 samples, whole;	/* taken; of these with whole user stacks */
	__u64 lost;		/* known to be missing, for whatever reason */
	__u64 windows;		/* added up here */
};

struct entry {
	__u32 series, node, thread, pad;
	__s64 values[PROFILE_MAX_TYPES];
};

struct columns {
	struct facts facts;
	VEC(struct entry) entries;
};

void columns_fini(struct columns *columns);
/* Sort and add up equal entries. */
void columns_combine(struct columns *columns);
/* Entries must be combined; series, nodes and threads of the dictionary. */
void columns_encode(const struct columns *columns, const struct dict *dict, struct buf *out);
/* Only the facts, which come first. 0 or -EBADMSG. */
MUST_CHECK int columns_facts(struct cursor *in, struct facts *ret_facts);
/* Entries are appended, facts added to those that are there. 0, -EBADMSG or -ENOMEM. */
MUST_CHECK int columns_decode(struct columns *columns, const struct dict *dict, struct cursor in);
/* The time of b joins that of a, counts are added. */
void facts_add(struct facts *a, const struct facts *b);
