/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue on disk for what a sink cannot send now: first in, first out, knows nothing of
 * what it holds. It survives restarts, kill -9 and a full disk.
 *
 * Folder: segments NNNNNNNNNNNNNNNN.spool (16 hex digits, ascending) of at most 4 MiB, each
 *	head    magic "BQSPOOL1", u32 version, u32 0
 *	record  u32 magic, u32 len, u64 time_ns, u64 check (XXH3-64 of len, time and payload),
 *		payload, padded to 8
 * little-endian, appended only; and `ack`, two slots of {u64 segment, u64 offset, u64 check}
 * written in turn: everything before that place is done. A torn end of a segment is cut off by its
 * checks; a damaged record is skipped where its length still makes sense, else the rest of its
 * segment goes. Nothing is written into a segment of an earlier run. Files are 0600, the folder
 * 0700 and locked.
 *
 * Reading hands out one record at a time (peek) until it is done; done is on disk before the next
 * peek, so a crash makes at most that one record come again (a power cut too, as fdatasync goes).
 * New records are not synced: what a power cut takes is lost, not repeated.
 *
 * Bounds: max_bytes (the oldest segment goes first), max_age of records by the caller's real time.
 * Every loss is counted by cause. One thread, which may block on the disk.
 */
#pragma once

#include <sys/uio.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

#define SPOOL_MAX_RECORD (8u << 20)
#define SPOOL_MIN_BYTES	 (4u << 20)

struct spool;

struct spool_limits {
	__u64 max_bytes;  /* at least SPOOL_MIN_BYTES */
	__u64 max_age_ns; /* 0: none */
};

struct spool_stats {
	__u64 bytes, records; /* on disk; records not yet done */
	/* Records lost, since open. A segment whose head or chain is damaged counts one. */
	__u64 dropped_full, dropped_old, dropped_damaged;
};

/* A record's place, good until it is done or its segment went. */
struct spool_place {
	__u64 segment, offset;
};

/* Opens or makes the folder. 0, or -errno with what and what to do in error; -EBUSY: another
 * process has it. */
MUST_CHECK int spool_open(const char *dir, const struct spool_limits *limits,
			  struct spool **ret_spool, char *error, size_t size);
/* Syncs and unlocks. NULL is fine. */
void spool_close(struct spool *spool);

/* Append one record made of n pieces. 0; -EMSGSIZE beyond SPOOL_MAX_RECORD; -ENOSPC and other
 * -errno when the disk refuses (nothing half-written stays). */
MUST_CHECK int spool_add(struct spool *spool, __u64 time_ns, const struct iovec *pieces, int n);
/* The oldest record that is neither done nor too old, into out (emptied first). 0, -ENOENT when
 * there is none, or -errno. */
MUST_CHECK int spool_peek(struct spool *spool, __u64 now_ns, struct buf *out, __u64 *ret_time_ns,
			  struct spool_place *ret_place);
/* The record peeked last will not come again, nor will those before it. 0 or -errno (it may then
 * come again after a crash). */
MUST_CHECK int spool_done(struct spool *spool, const struct spool_place *place);
void spool_stats(const struct spool *spool, struct spool_stats *ret_stats);
/* Change the limits; what is beyond them goes at the next spool_add or spool_peek. */
void spool_set_limits(struct spool *spool, const struct spool_limits *limits);
