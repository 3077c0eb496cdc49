/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One profile in memory: what the builder fills for a window or a recording, and the only input of
 * every encoder (profiler/export). Close to pprof's tables, so that encoding is a walk:
 *
 *	string <- function <- line <- location <- stack <- sample -> label set
 *	                     mapping <-'
 *
 * Ids are indices into the tables below. A stack is leaf first; a location's lines are innermost
 * first: the last one is the physical function, those before it were inlined into it. A mapping is
 * in ELF space (p_vaddr, p_vaddr + p_memsz, p_offset), and so are addresses: equal code has equal
 * addresses in every process, and stacks of different processes meet.
 *
 * Nothing is refused and nothing is lost. A table that may not grow (limits, or memory ends)
 * answers id 0, which is valid everywhere: the function, location and stack `[profile full]`, the
 * empty label set, no mapping. So callers test no errors, totals stay right, and refused_total says
 * how often it happened. Strings are made fit to print when they enter: UTF-8 without NUL, other
 * bytes as \xHH, at most PROFILE_MAX_STRING bytes (the middle is cut). No name is ever empty.
 *
 * Adding the same (stack, labels) again sums. One thread at a time; the caller owns the profile.
 * Cost: 4 bytes a frame and 16 a stack, 40 a sample, plus 11 to 21 bytes of index each.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/arena.h"
#include "profiler/base/check.h"
#include "profiler/base/hmap.h"
#include "profiler/base/strtab.h"
#include "profiler/base/vec.h"

enum {
	PROFILE_MAX_TYPES = 4,
	PROFILE_MAX_LABELS = 32,    /* in one set */
	PROFILE_MAX_LINES = 256,    /* inlined into one location */
	PROFILE_MAX_FRAMES = 8192,  /* of one stack */
	PROFILE_MAX_STRING = 16384, /* bytes */
	PROFILE_MAX_COMMENTS = 32,
};

/* What a frame is: name (in the page's data), suffix (in folded stacks). A MARK stands for frames
 * that are not there (`[truncated]`, `[incomplete:REASON]`, at the root end); a GROUP is the comm,
 * process or thread that encoders set above a stack, never part of a profile. */
#define FRAME_KINDS(X)                                                                             \
	X(NATIVE, "native", "")                                                                    \
	X(KERNEL, "kernel", "_[k]")                                                                \
	X(JIT, "jit", "_[j]")                                                                      \
	X(PYTHON, "python", "")                                                                    \
	X(JAVA, "java", "")                                                                        \
	X(GPU, "gpu", "")                                                                          \
	X(MARK, "mark", "")                                                                        \
	X(GROUP, "group", "")

enum frame_kind {
#define X(name, text, suffix) FRAME_##name,
	FRAME_KINDS(X)
#undef X
		FRAME_KIND_COUNT
};
const char *frame_kind_name(enum frame_kind kind);
const char *frame_kind_suffix(enum frame_kind kind);

/* The frame that stands for small parts of a profile, below what called them (profile_fold). */
#define PROFILE_OTHER "[other]"

/* Strings whose ids are known beforehand. */
#define PROFILE_STRINGS(X)                                                                         \
	X(EMPTY, "")                                                                               \
	X(FULL, "[profile full]")                                                                  \
	X(UNKNOWN, "[unknown]")                                                                    \
	X(COMM, "comm")                                                                            \
	X(THREAD, "thread")                                                                        \
	X(PID, "pid")                                                                              \
	X(TID, "tid")

enum {
#define X(name, text) PROFILE_STR_##name,
	PROFILE_STRINGS(X)
#undef X
		PROFILE_STR_COUNT
};

#define PROFILE_TABLES(X)                                                                          \
	X(strings) X(mappings) X(functions) X(locations) X(stacks) X(label_sets) X(samples)

enum profile_table {
#define X(name) PROFILE_TABLE_##name,
	PROFILE_TABLES(X)
#undef X
		PROFILE_TABLE_COUNT
};
const char *profile_table_name(enum profile_table table);

struct profile_mapping {
	__u64 start, limit, offset; /* ELF virtual addresses [start, limit), file offset of start */
	__u32 file, build_id;	    /* strings; build_id in hex, 0: none */
};

struct profile_function {
	__u32 name, system_name, file; /* strings; system_name 0: the same as name */
	__u32 start_line;	       /* 0: unknown */
};

struct profile_line {
	__u32 function, line, column; /* line, column 0: unknown */
};

struct profile_location {
	__u64 address;
	__u32 mapping;	  /* 0: none */
	__u32 first_line; /* in lines */
	__u16 n_lines;	  /* >= 1 */
	__u8 kind;	  /* enum frame_kind */
	__u8 named;	  /* false: its line is a stub made here, no symbol was found */
};

struct profile_stack {
	const __u32 *frames; /* locations, leaf first */
	__u32 n_frames;	     /* >= 1 */
};

/* One label: a string (str != 0) or a number (str == 0) with a unit (0: none). */
struct profile_label {
	__u32 key, str, unit;
	__s64 num;
};

struct profile_label_set {
	const struct profile_label *labels; /* ascending by key id, each key once */
	__u32 n_labels;
};

struct profile_sample {
	__u32 stack, labels;
	__s64 values[PROFILE_MAX_TYPES]; /* >= 0 */
};

struct profile_type {
	__u32 type, unit; /* strings; 0, 0: not set */
};

struct profile_limits {
	__u32 max_stacks; /* 0: 1 Mi */
	size_t max_bytes; /* of everything; strings get at most half of it. 0: 256 MiB */
};

struct profile {
	/* What was measured. Set once, before the first sample. */
	struct profile_type types[PROFILE_MAX_TYPES];
	unsigned n_types;
	unsigned default_type; /* the value people look at first */
	struct profile_type period_type;
	__u64 period;
	__u32 name; /* string: cpu, off_cpu, memory, ... */

	/* When, and how well. */
	__u64 time_ns; /* start, CLOCK_REALTIME; 0: unknown */
	__u64 duration_ns;
	__u64 lost_total; /* samples known to be missing here, for whatever reason */
	/* A profile that is compared with another one has the other's values behind its own: value t
	 * of the baseline is value t + base_types. 0: no baseline. */
	unsigned base_types;
	__u64 base_time_ns, base_duration_ns;
	/* Sums of all samples. They stop at INT64_MAX, so no sum of values overflows anywhere. */
	__u64 totals[PROFILE_MAX_TYPES];
	__u32 main_mapping; /* the main binary; 0: not known */
	__u32 comments[PROFILE_MAX_COMMENTS];
	unsigned n_comments;

	/* The tables: readers walk data[0 .. len). Entry 0 is what the head says. */
	struct strtab strings;
	VEC(struct profile_mapping) mappings;
	VEC(struct profile_function) functions;
	VEC(struct profile_line) lines;
	VEC(struct profile_location) locations;
	VEC(struct profile_stack) stacks;
	VEC(struct profile_label_set) label_sets;
	VEC(struct profile_sample) samples; /* entry 0 may be all zeros: nothing was too much */
	__u64 refused_total[PROFILE_TABLE_COUNT];
	/* A value of the default type: no node of a label set's tree has lost more to `[other]`
	 * (profile_fold), so all that is worth more is there. 0: nothing was folded. */
	__u64 folded_below;

	/* Private. */
	struct arena arena; /* frames and labels */
	struct hmap mapping_index, function_index, location_index, stack_index, label_index,
		sample_index;
	struct profile_limits limits;
};

/* limits NULL: the defaults. NULL when memory ends. */
struct profile *profile_new(const struct profile_limits *limits);
void profile_free(struct profile *profile);

/* The next sample type; the number to use in values[]. A `-` becomes `_` (some readers refuse it).
 */
unsigned profile_add_type(struct profile *profile, const char *type, const char *unit);
void profile_set_period(struct profile *profile, const char *type, const char *unit, __u64 period);
/* A line of text for whoever reads the profile; beyond PROFILE_MAX_COMMENTS it is dropped and
 * counted with the strings. */
void profile_add_comment(struct profile *profile, const char *text);

/* The id of a string, cleaned as the head says; 0 only for the empty one (what does not fit is
 * `[string table full]`). */
__u32 profile_string(struct profile *profile, const char *s, size_t len);
__u32 profile_cstring(struct profile *profile, const char *s);
/* Borrowed until profile_free. */
static inline const char *profile_str(const struct profile *profile, __u32 id)
{
	return strtab_get(&profile->strings, id);
}

/* The id of an equal entry, made when there is none. */
__u32 profile_mapping(struct profile *profile, const struct profile_mapping *mapping);
/* An empty name becomes `[unknown]`. */
__u32 profile_function(struct profile *profile, const struct profile_function *function);
/* lines innermost first; none: as profile_unnamed_location. More than PROFILE_MAX_LINES: those in
 * the middle are left out. */
__u32 profile_location(struct profile *profile, enum frame_kind kind, __u32 mapping, __u64 address,
		       const struct profile_line *lines, size_t n_lines);
/* A frame that is named by where it is: `libc.so.6+0x1234` after the mapping's file and the function's
 * start (the address, where that is unknown), else `[unknown]`. It counts as without symbol. */
__u32 profile_unnamed_location(struct profile *profile, enum frame_kind kind, __u32 mapping,
			       __u64 address, __u64 start);
/* A frame that is only a name: marks, frames of interpreters. */
__u32 profile_named_location(struct profile *profile, enum frame_kind kind, const char *name);
/* frames: locations, leaf first; more than PROFILE_MAX_FRAMES, or none, is stack 0. */
__u32 profile_stack(struct profile *profile, const __u32 *frames, size_t n_frames);
/* Any order; of equal keys the first counts, at most PROFILE_MAX_LABELS. Leave out a label whose
 * string is empty: its id, 0, would make it a number. */
__u32 profile_labels(struct profile *profile, const struct profile_label *labels, size_t n_labels);
/* The usual set: comm, thread (strings, NULL or "": without), pid, tid (numbers, 0: without). */
__u32 profile_thread_labels(struct profile *profile, const char *comm, const char *thread,
			    __u32 pid, __u32 tid);
/* n_types values, each >= 0 (a negative one counts as 0). */
void profile_add(struct profile *profile, __u32 stack, __u32 labels, const __s64 *values);

/* profile_merge.c: set the baseline, once: the values of `base`, which measures the same, join this
 * one's stacks as further types (base_cpu, ...). 0, -EINVAL when the types differ or there is no
 * room for as many again, or -ENOMEM. */
MUST_CHECK int profile_set_base(struct profile *profile, const struct profile *base);

/* Whether one more stack, sample or label set, and what they need, would still find a place. */
bool profile_has_room(const struct profile *profile);
/* profile_fold.c: make room by folding what is small. Stacks are a tree from the root; a subtree that
 * is worth less than a floor (found here, added to `folded_below`) becomes one frame `[other]` below
 * its caller. So what is large stays as it is, sums stay right at every frame that is left, and what
 * comes later finds room, large or small. Ids of before are void. Tables then take at most half of
 * the limit, when that can be reached. 0 or -ENOMEM (nothing changed). */
MUST_CHECK int profile_fold(struct profile *profile);

/* The label of a set by key; NULL for none. */
const struct profile_label *profile_label_find(const struct profile *profile, __u32 labels,
					       __u32 key);
/* False when the root end of the stack is a mark: frames are missing. */
bool profile_stack_whole(const struct profile *profile, __u32 stack);
/* The number of a sample type by name, or -1. */
int profile_find_type(const struct profile *profile, const char *type);
/* Sum of a value over all samples, and over those whose stack is whole. */
__u64 profile_total(const struct profile *profile, unsigned type);
__u64 profile_whole_total(const struct profile *profile, unsigned type);
/* Memory of everything in it. */
size_t profile_bytes(const struct profile *profile);
