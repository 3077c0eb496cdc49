/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment: about an hour of the store in one file, appended only. It explains itself: what the
 * index (index.h) knows of it can be read from it again.
 *
 *	head	magic "BQSTORE1", u32 version, u32 0, 16 bytes boot id, u64 real time made
 *	block	u32 magic, u16 kind, u16 0, u32 packed bytes, u32 raw bytes, u64 check, payload
 *
 * little-endian; the payload is one zstd frame, the check is XXH3-64 of the head's other fields and
 * the packed payload. A block is there whole or not at all: a torn end is found by its check and cut
 * off by the next writer. A damaged block in the middle is stepped over: by its length where that
 * leads to another block, else by looking for the next magic with a right check behind it. Only
 * where none follows the rest is a torn end.
 *
 * One thread a struct; a reader may read what another thread appends, up to an offset it was told.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

#define SEGMENT_FILE_HEAD 40u
#define BLOCK_HEAD	  24u
#define BLOCK_MAX_BYTES	  (32u << 20) /* raw and packed */

enum block_kind {
	BLOCK_DICT = 1, /* dict.h: what later blocks refer to */
	BLOCK_WINDOW,	/* columns.h: one window */
	BLOCK_MINUTE,	/* the windows of a minute added up */
	BLOCK_HOUR,	/* the minutes of the segment */
	BLOCK_KINDS,
};

struct segment_file {
	int fd; /* -1: none */
	__u64 id;
	__u64 bytes; /* where the next block goes */
	__u64 made_ns;
	__u8 boot_id[16];
};
#define SEGMENT_FILE_NONE ((struct segment_file){.fd = -1})

/* A block as read: raw holds its unpacked payload. Zeroed before its first use. */
struct block {
	__u64 at, end; /* offsets in the file */
	enum block_kind kind;
	struct buf raw;
	/* Bytes read for nothing while looking for blocks behind damaged ones: the search ends when
	 * they are many, which only a file made for it has. */
	__u64 in_vain;
};

/* "0000000000000001.seg" */
#define SEGMENT_FILE_NAME 24
void segment_file_name(__u64 id, char name[SEGMENT_FILE_NAME]);
/* The id of a file name; false for others. */
bool segment_file_id(const char *name, __u64 *ret_id);

/* 0 or -errno; nothing stays on failure. */
MUST_CHECK int segment_file_create(int dir_fd, __u64 id, __u64 now_ns, const __u8 boot_id[16],
				   struct segment_file *ret_file);
/* For reading. -ENODATA: it ends before its head does; -EBADMSG: not a segment, or of another
 * version. bytes is the file's size. */
MUST_CHECK int segment_file_open(int dir_fd, __u64 id, struct segment_file *ret_file);
void segment_file_close(struct segment_file *file);

/* Pack and append; the offset of the block. On failure the file is as before: -EFBIG beyond
 * BLOCK_MAX_BYTES, -ENOSPC and others as the disk says. */
MUST_CHECK int segment_file_append(struct segment_file *file, enum block_kind kind,
				   const struct buf *raw, __u64 *ret_at);
/* Read the block at `at` into block (its raw is used again). 0; -ENODATA: the end; -EBADMSG: it is
 * damaged, block->end says where the next one begins (the file's end when the search was given up),
 * or 0 when no whole one follows: a torn end; else -errno. */
MUST_CHECK int segment_file_read(const struct segment_file *file, __u64 at, struct block *block);
/* The same, but the payload of blocks of other kinds is not read: raw is empty then. */
MUST_CHECK int segment_file_read_kind(const struct segment_file *file, __u64 at,
				      enum block_kind kind, struct block *block);
void block_fini(struct block *block);
