/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local store, its writing half: the windows of the continuous profile on this host's disk, so
 * that last night can be asked for without any server. Under STATE/store:
 *
 *	0000000000000001.seg ...	an hour each (segment_file.h), oldest first by name
 *	index.sqlite			where things are (index.h), made from them
 *
 * A window is appended as one block, after a block of what is new in the dictionary (dict.h), and
 * then entered in the index. When a minute is over its windows are added up into another block, and
 * the minutes when the hour is over: long ranges are read from these. Every start of the agent
 * begins a segment of its own; a full dictionary or a clock that is set begin one, too.
 *
 * What survives: kill -9 takes the open window, no more: a torn end is cut off at the next start,
 * and what the index lacks is read from the segments. A power cut takes what the kernel had not
 * written yet. Damage takes the blocks it hit (in a dictionary also what refers to it); every drop
 * is counted and said.
 *
 * Retention drops whole segments, the oldest (by number) first: for size when the store is larger
 * than max_bytes, for age when more than retention_ns was *recorded* after a segment. So age is time
 * that windows of this store last, each at most STORE_WINDOW_NS, and no clock is asked: one that is
 * set forth or back, one that is wrong at the start, a suspend or a host that was off make nothing
 * old, and what lies before a crash is there when the host is up again; an agent that runs all the
 * time keeps exactly the last retention_ns. What cannot be read as a segment is dropped in its turn.
 *
 * One thread (the builder), which may block on the disk. Memory: the dictionary of the open segment
 * (at most STORE_DICT_BYTES) and one window; at the end of an hour its minutes.
 */
#pragma once

#include <stdbool.h>

#include "profiler/store/columns.h"
#include "profiler/store/segment_file.h"

#define STORE_DICT_BYTES    ((size_t)16 << 20)
#define STORE_SEGMENT_BYTES ((__u64)32 << 20) /* then the next one, hour or not */
#define STORE_MIN_BYTES	    ((__u64)64 << 20)
#define STORE_WINDOW_NS	    300000000000ull /* five minutes: no window lasts longer */
#define STORE_DAMAGED_INDEX "index.sqlite.damaged"

struct store;

struct store_limits {
	__u64 retention_ns; /* of time recorded, see above */
	__u64 max_bytes;
};

/* What opening found: the agent says it once. */
struct store_report {
	__u32 n_segments;
	__u64 dropped_blocks, dropped_bytes; /* damaged or torn */
	__u32 foreign_segments;		     /* of another version, or no segments: not read */
	__u32 recovered_blocks;		     /* the index did not have them */
	bool index_made;		     /* it was damaged, and is new */
};

/* Open or make the store in the folder. 0, or -errno with what and what to do in error. */
MUST_CHECK int store_open(const char *dir, const struct store_limits *limits,
			  struct store **ret_store, struct store_report *ret_report, char *error,
			  size_t size);
/* Adds up what is open and closes. NULL is fine. */
void store_close(struct store *store);
void store_set_limits(struct store *store, const struct store_limits *limits);

/* One window: begin, each series' profile, end. labels: sorted by name. Thread labels of samples
 * (pid, tid, comm) are kept, others are not. What cannot be kept is dropped with its window: 0, or
 * -errno for the caller to count and to say (store_error: the reason in words). */
MUST_CHECK int store_begin(struct store *store, const struct facts *facts);
MUST_CHECK int store_add(struct store *store, const struct dict_label_text *labels, size_t n_labels,
			 const struct profile *profile);
MUST_CHECK int store_end(struct store *store);
/* Forget the window that is open. */
void store_abandon(struct store *store);
/* Why the last call failed; borrowed. */
const char *store_error(const struct store *store);

struct store_stats {
	__u64 bytes, max_bytes; /* on disk, the index included */
	__u32 n_segments;
	__u64 oldest_ns;		    /* CLOCK_REALTIME of the first window; 0: none */
	__u64 last_ns;			    /* end of the last window */
	__u64 windows_total;		    /* stored */
	__u64 expired_total, evicted_total; /* segments dropped by age, by size */
	__u64 dict_bytes;
};
struct store_stats store_stats(const struct store *store);

/* store_index.c: enter what the file holds from `from` on. dict: of this segment; decode: it is not
 * filled yet. *ret_end: up to where it could be read; *report is added to. 0 or -errno (of the
 * index). */
struct store_index;
MUST_CHECK int store_index_rest(struct store_index *index, const struct segment_file *file,
				__u64 from, struct dict *dict, bool decode, __u64 *ret_end,
				struct store_report *report);
