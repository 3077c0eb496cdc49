/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local store, its reading half: a range of time and a choice of series, merged into one profile
 * (profiler/profile.h), which every encoder takes. Beside the writer, in a thread of its own, with a
 * connection of its own to the index.
 *
 * Whole hours and minutes inside the range are read from their sums, the edges from windows; a
 * window counts where its middle lies. What was dropped meanwhile, or is damaged, is left out and
 * counted.
 *
 * Memory: the dictionary of one segment and its stacks that have a value, and the profile.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/store/columns.h"
#include "profiler/store/segment_file.h"

struct profile;
struct store_reader;

struct store_reader *store_reader_new(const char *dir); /* NULL when memory ends */
void store_reader_free(struct store_reader *reader);
/* Why the last call failed; borrowed. */
const char *store_reader_error(const struct store_reader *reader);

enum store_group { STORE_GROUP_NONE, STORE_GROUP_COMM, STORE_GROUP_PID, STORE_GROUP_TID };

struct store_labels {
	const struct dict *dict;
	__u32 series;
};
struct store_choice {
	const char *kind; /* cpu, ... */
	__u64 from_ns, to_ns;
	/* Which series; NULL: all. */
	bool (*series)(void *arg, const struct store_labels *labels);
	/* Which threads (pid, tid 0 and comm "": not known); NULL: all. */
	bool (*thread)(void *arg, __u32 pid, __u32 tid, const char *comm);
	bool (*cancelled)(void *arg);
	void *arg;
	enum store_group group;
};
struct store_result {
	struct facts facts;   /* of the host, in what was read */
	__u64 skipped_blocks; /* gone or damaged */
	__u32 n_blocks;	      /* read */
};
/* Add to the profile; its types are set when it has none. 0, -ECANCELED, -ENOENT (there is no store
 * yet), or -errno. */
MUST_CHECK int store_read_profile(struct store_reader *reader, const struct store_choice *choice,
				  struct profile *profile, struct store_result *ret_result);

/* What a thread of a series had in a window or a minute. */
struct store_point {
	const struct dict *dict; /* of the segment */
	__u64 segment;
	__u32 series, thread;
	__u64 start_ns, end_ns; /* CLOCK_REALTIME */
	__s64 samples, value;	/* value: of the kind's default type */
};
/* Points of what overlaps the time, in no order; coarsest: BLOCK_WINDOW or BLOCK_MINUTE. What visit
 * returns ends it when it is not 0. Else as store_read_profile. */
MUST_CHECK int store_read_points(struct store_reader *reader, const struct store_choice *choice,
				 enum block_kind coarsest,
				 int (*visit)(void *arg, const struct store_point *point),
				 struct store_result *ret_result);

/* The index, within one view: for series, labels and points. 0 or -errno. */
struct store_index;
MUST_CHECK int store_reader_begin(struct store_reader *reader, struct store_index **ret_index);
void store_reader_end(struct store_reader *reader);
