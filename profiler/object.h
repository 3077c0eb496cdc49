/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects: the files that processes have mapped executable, each once for the whole host. An object
 * is known by what the kernel says of its inode, gets its unwind rows from the loader, and is what
 * a user frame points to (its id stands in the frame).
 *
 * Owner: the router thread. Reference counted with atomics, because stacks handed to the builder
 * keep their objects alive; the fields below `ready` are written once, before any other thread sees
 * them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "bpf/unwind.h"
#include "profiler/base/check.h"
#include "profiler/segment.h"

struct object_key {
	__u32 major, minor; /* file system as the kernel numbers it; 0:0 = no file */
	__u64 inode;
	__u64 generation; /* of the inode number; /proc/PID/maps does not tell it */
};
#define OBJECT_ANY_GENERATION UINT64_MAX

/* Where a part's rows stand: what a map set's entry needs of it. */
struct object_part {
	__u64 start, end; /* ELF virtual addresses */
	__u32 n_pages;
	__u32 dir, rows, rules; /* words of the segment */
	__u16 segment;
	__u8 shift;
};

/* An executable PT_LOAD: from file offsets to ELF virtual addresses. */
struct object_load {
	__u64 offset, vaddr, filesz;
};

enum object_state {
	OBJECT_NEW,	/* nobody asked for its rows yet */
	OBJECT_LOADING, /* the loader has it */
	OBJECT_READY,	/* rows are in segments */
	OBJECT_NO_ROWS, /* an ELF file, but nothing to unwind it by: frame pointers */
	OBJECT_NOT_ELF, /* a JIT's shared memory, data: its addresses mean nothing outside the
			   process */
	OBJECT_GONE, /* could not be opened before its processes ended; tried again when seen again
		      */
};

#define OBJECT_BUILD_ID_MAX 64

/* What the loader makes of a file; owned by the object once ready. */
struct object_image {
	enum object_state state;
	const char *why; /* static text for NO_ROWS, NOT_ELF and GONE; "" when ready */
	__u16 machine;
	bool tracks_bx;	    /* unwind_table's */
	bool too_much_work; /* NO_ROWS because of that */
	struct object_load *loads;
	size_t n_loads;
	struct object_part *parts; /* ascending */
	size_t n_parts;
	struct blob *blobs; /* one per part */
	__u64 n_rows;
	__u8 build_id[OBJECT_BUILD_ID_MAX];
	__u8 build_id_len;
	__u64 size, mtime_ns; /* of the file when it was read */
	bool from_cache;
	/* The file, kept open a while for its symbols (object_take_fd); -1: not. */
	_Atomic int fd;
	/* A mapping by which it was opened. */
	__u32 pid, parent;
	__u64 map_start, map_end;
};
void object_image_free(struct object_image *image, struct segments *segments);

struct object {
	__u32 id; /* what frames carry; unique while referenced */
	_Atomic __u32 refs;
	struct object_key key;
	char *path;	  /* as its first process saw it, without " (deleted)" */
	const char *name; /* base name, within path */
	enum object_state state;
	/* NULL until loaded. One that says GONE is replaced when the file is found after all; it
	 * stays in `old`, since others may still look at it. */
	struct object_image *_Atomic image;
	struct object_image *old;
	__u64 used_ns;	/* last time it was mapped or sampled */
	__u64 retry_ns; /* GONE: not before */
	__u64 loaded_ns;
	_Atomic bool sampled; /* some stack holds a frame of it */
	_Atomic bool cut;     /* object_first_cut */
};

struct object_table;

/* max: objects at a time. NULL when memory ends. */
struct object_table *object_table_new(struct segments *segments, __u32 max);
/* After the last reference is given back: captures go before the table. */
void object_table_free(struct object_table *table);

/* The object of a key, made at first sight; a reference for the caller. NULL when the table is full
 * or memory ends (counted in object_table_refused). */
struct object *object_get(struct object_table *table, const struct object_key *key,
			  const char *path);
struct object *object_ref(struct object *object);
/* Any thread. The object itself goes when the table sweeps. */
void object_unref(struct object *object);
/* By id, no reference; NULL for an id that is not in use. */
struct object *object_by_id(const struct object_table *table, __u32 id);
/* The loader's answer; takes the image. Another GONE after the first changes nothing. */
void object_set_image(struct object *object, struct object_image *image);

/* Reading its rows or symbols stopped as too much work: true for who says so first, which once in
 * the log is enough. Any thread. */
bool object_first_cut(struct object *object);
/* All of them, in no order, until the visit says false. */
void object_each(const struct object_table *table,
		 bool (*visit)(void *arg, const struct object *object), void *arg);

/* The open file, the caller's from now on; -1 when it was taken or closed. Any thread. */
int object_take_fd(const struct object *object);
/* Close the files of objects that were loaded before `before_ns` and never sampled: an open file
 * keeps its file system from being unmounted. */
void object_table_close_files(struct object_table *table, __u64 before_ns);

/* Forget objects without references, least recently used first, until at most `keep_bytes` of rows
 * of unmapped objects stay; those that stay serve the next exec of the same file. Returns how many
 * went. */
unsigned object_table_sweep(struct object_table *table, size_t keep_bytes);

struct object_stats {
	__u32 n, max, n_ready, n_failed;
	__u64 n_rows, refused_total;
};
struct object_stats object_table_stats(const struct object_table *table);

/* ELF virtual address of a file offset; false when no executable segment holds it. */
bool object_vaddr(const struct object_image *image, __u64 file_offset, __u64 *ret_vaddr);
