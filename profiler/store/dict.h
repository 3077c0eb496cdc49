/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dictionary of a segment: what its windows refer to, each thing once. The writer takes it from
 * the profiles that it stores; blocks of the kind BLOCK_DICT hold what is new since the last one, so
 * reading all of them in order gives the same tables again.
 *
 *	string <- function <- line <- location <- node <- entry (columns.h)
 *	           mapping <-'                     thread, series <-'
 *
 * A stack is a node of a tree: (parent, location), root first; node 0 is the empty stack. Frames are
 * kept by function and line, not by address, except those without a name: so stacks meet that differ
 * only in the instruction, and what could still be named later keeps its place (mapping, build ID,
 * address).
 *
 * A block: per table varints {id of the first, count, entries}; a reader that missed one sees it by
 * the ids (-EBADMSG). Every id is checked when it is read.
 *
 * Bounded by max_bytes; -ENOSPC then, and the writer begins the next segment. One thread.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"
#include "profiler/base/cursor.h"
#include "profiler/base/hmap.h"
#include "profiler/base/strtab.h"
#include "profiler/base/vec.h"
#include "profiler/profile.h"
#include "profiler/store/stack_hash.h"

#define DICT_MAX_LABELS 64 /* of a series */

struct dict_mapping {
	__u64 start, limit, offset;
	__u32 file, build_id;
};
struct dict_function {
	__u32 name, system_name, file, start_line;
};
struct dict_line {
	__u32 function, line;
};
struct dict_location {
	__u64 address; /* 0 when it has a name */
	__u32 mapping, first_line;
	__u16 n_lines;
	__u8 kind, named;
};
struct dict_node {
	__u32 parent, location; /* parent: a smaller id */
};
struct dict_thread {
	__u32 pid, tid, comm;
};
struct dict_kind {
	__u32 name; /* cpu, off_cpu, ... */
	__u32 n_types, default_type, pad;
	struct profile_type types[PROFILE_MAX_TYPES], period_type; /* strings of the dictionary */
	__u64 period;
};
struct dict_label {
	__u32 name, value;
};
struct dict_series {
	__u32 kind, first_label, n_labels;
};

#define DICT_TABLES(X)                                                                             \
	X(mappings, mapping)                                                                       \
	X(functions, function)                                                                     \
	X(lines, line)                                                                             \
	X(locations, location)                                                                     \
	X(nodes, node) X(threads, thread) X(kinds, kind) X(labels, label) X(series, series)

struct dict {
	struct strtab strings;
#define X(table, type) VEC(struct dict_##type) table;
	DICT_TABLES(X)
#undef X
	size_t max_bytes;
	/* The writer's: equal things, and how much of each table is on disk. */
	struct hmap mapping_index, function_index, location_index, node_index, thread_index,
		kind_index, series_index, known_index;
	VEC(struct dict_known {
		__u64 hash; /* stack_hash.h */
		__u32 node;
	})
	known; /* stacks that were added */
	struct dict_mark {
		__u32 strings;
#define X(table, type) __u32 table;
		DICT_TABLES(X)
#undef X
	} written;
};

/* 0 or -ENOMEM. */
MUST_CHECK int dict_init(struct dict *dict, size_t max_bytes);
void dict_fini(struct dict *dict);
/* What its entries and indexes take: room that waits for more is not touched yet. */
size_t dict_bytes(const struct dict *dict);

/* ---- writing: dict_write.c ------------------------------------------------------------------- */

/* Ids of a profile's things in the dictionary, filled as they are met. */
struct dict_import {
	const struct profile *profile;
	__u32 *strings, *mappings, *functions, *locations, *stacks; /* UINT32_MAX: not met yet */
	struct stack_hashes hashes;
};
/* 0 or -ENOMEM; dict_import_fini even then. */
MUST_CHECK int dict_import_init(struct dict_import *import, const struct profile *profile);
void dict_import_fini(struct dict_import *import);

/* The node of a stack, the thread of a label set (labels pid, tid, comm; 0 for none of them). 0,
 * -ENOSPC or -ENOMEM. */
MUST_CHECK int dict_add_stack(struct dict *dict, struct dict_import *import, __u32 stack,
			      __u32 *ret_node);
MUST_CHECK int dict_add_thread(struct dict *dict, struct dict_import *import, __u32 labels,
			       __u32 *ret_thread);
/* A series: what the profile measures, and these labels (sorted by name by the caller). */
struct dict_label_text {
	const char *name, *value;
};
MUST_CHECK int dict_add_series(struct dict *dict, struct dict_import *import,
			       const struct dict_label_text *labels, size_t n_labels,
			       __u32 *ret_series);
/* Whether a block is due; what is new since dict_written. */
bool dict_has_news(const struct dict *dict);
void dict_encode(const struct dict *dict, struct buf *out);
void dict_written(struct dict *dict);

/* ---- reading: dict_read.c -------------------------------------------------------------------- */

/* Append a block. 0; -EBADMSG: damaged, or one before it is missing; -ENOSPC: beyond max_bytes;
 * -ENOMEM. The tables are then as far as it could be read. */
MUST_CHECK int dict_decode(struct dict *dict, struct cursor in);
/* Borrowed; NULL when a series has no such label. */
const char *dict_series_label(const struct dict *dict, __u32 series, const char *name);
