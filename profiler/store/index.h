/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's index: an sqlite database (WAL) that says where things are. Everything in it follows
 * from the segments (segment_file.h), so a damaged or missing one is made again from them; users may
 * query it with sqlite3.
 *
 *	segment(id, made_ns, bytes)		bytes: up to where it is indexed
 *	block(segment, at, len, level, start_ns, end_ns, samples, whole, lost)
 *						level: enum block_kind; a dictionary has no times
 *	series(id, kind, type, unit, labels)	labels: a JSON object, sorted
 *	seen(segment, series)			which series a segment has
 *	point(segment, at, series, samples, value)
 *						what a window or a minute adds up to; value of the
 *						kind's default type
 *
 * Times are CLOCK_REALTIME. One thread a connection; one writer, any number of readers beside it,
 * each of which sees what was committed when its transaction began.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/store/columns.h"
#include "profiler/store/segment_file.h"

#define STORE_INDEX_NAME "index.sqlite"

struct store_index;

/* Open the index in the folder. write: made when it is missing, brought to this version when it is
 * older, looked over for damage. 0; -EBADMSG: damaged, or no index; -EPROTO: of a newer version;
 * -ENOENT: there is none, or (for a reader) its writer has yet to make or to migrate it; -EROFS, -EACCES, -ENOSPC, -ENOMEM or -EIO; error says why. */
MUST_CHECK int store_index_open(const char *dir, bool write, struct store_index **ret_index,
				char *error, size_t size);
void store_index_close(struct store_index *index);

/* A transaction: the writer's changes, or a reader's one view. 0 or -errno (as above). */
MUST_CHECK int store_index_begin(struct store_index *index);
MUST_CHECK int store_index_commit(struct store_index *index);
void store_index_rollback(struct store_index *index);
/* What sqlite said last; borrowed until the next call. */
const char *store_index_error(const struct store_index *index);

/* ---- writing: within a transaction; 0 or -errno ---------------------------------------------- */

MUST_CHECK int store_index_add_segment(struct store_index *index, __u64 id, __u64 made_ns,
				       __u64 bytes);
/* facts NULL: a dictionary. The segment is indexed up to the end of this block then. */
MUST_CHECK int store_index_add_block(struct store_index *index, __u64 segment,
				     const struct block *block, const struct facts *facts);
/* The id of a series, made when it is new. labels: JSON. */
MUST_CHECK int store_index_series(struct store_index *index, const char *kind, const char *type,
				  const char *unit, const char *labels, __s64 *ret_id);
MUST_CHECK int store_index_add_point(struct store_index *index, __u64 segment, __u64 at,
				     __s64 series, __s64 samples, __s64 value);
/* Forget what lies at `bytes` and beyond. */
MUST_CHECK int store_index_cut(struct store_index *index, __u64 segment, __u64 bytes);
/* Forget a segment, and series that no other has. */
MUST_CHECK int store_index_drop(struct store_index *index, __u64 segment);
/* Give free pages back to the disk; outside a transaction. */
void store_index_shrink(struct store_index *index);

/* ---- reading --------------------------------------------------------------------------------- */

struct index_segment {
	__u64 id, made_ns, bytes;
	__u64 start_ns, end_ns; /* of its windows; 0, 0: none */
	__u64 recorded_ns;	/* what its windows last, each at most window_ns */
};
/* All of them, oldest first. 0 or -errno; what visit returns ends it when it is not 0. */
MUST_CHECK int store_index_segments(struct store_index *index, __u64 window_ns,
				    int (*visit)(void *arg, const struct index_segment *segment),
				    void *arg);

struct index_block {
	__u64 segment, at;
	enum block_kind kind;
	struct facts facts; /* without start_mono_ns, windows */
};
/* Windows, minutes and hours that overlap [from_ns, to_ns), by segment, then coarse ones first,
 * then by time. */
MUST_CHECK int store_index_blocks(struct store_index *index, __u64 from_ns, __u64 to_ns,
				  int (*visit)(void *arg, const struct index_block *block),
				  void *arg);

/* From when to when the windows that overlap the time last, by start. */
MUST_CHECK int store_index_times(struct store_index *index, __u64 from_ns, __u64 to_ns,
				 int (*visit)(void *arg, __u64 start_ns, __u64 end_ns), void *arg);

struct index_series {
	__s64 id;
	const char *kind, *type, *unit, *labels; /* borrowed for the call */
};
/* Series of the segments that overlap the time, by id. */
MUST_CHECK int store_index_each_series(struct store_index *index, __u64 from_ns, __u64 to_ns,
				       int (*visit)(void *arg, const struct index_series *series),
				       void *arg);

struct index_point {
	__s64 series;
	__u64 start_ns, end_ns;
	__s64 samples, value;
};
/* Points that overlap the time. coarsest: BLOCK_WINDOW, or BLOCK_MINUTE for minutes of the segments
 * that were closed (all of their windows are in one) and windows of the others. */
MUST_CHECK int store_index_points(struct store_index *index, enum block_kind coarsest,
				  __u64 from_ns, __u64 to_ns,
				  int (*visit)(void *arg, const struct index_point *point),
				  void *arg);
/* Facts of all windows that overlap the time, added up; windows 0: none. */
MUST_CHECK int store_index_facts(struct store_index *index, __u64 from_ns, __u64 to_ns,
				 struct facts *ret_facts);
/* How far back there is anything; 0: nothing. */
MUST_CHECK int store_index_since(struct store_index *index, __u64 *ret_ns);
/* Bytes of its own files. */
__u64 store_index_bytes(const char *dir);
