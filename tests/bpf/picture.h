/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that exists only here: mappings with rows written by hand, and stretches of memory; the
 * kernel side's unwinder, compiled natively, walks it. A stack that fails in the field is rebuilt
 * with these calls and stepped through in gdb.
 */
#pragma once

#include "bpf/reason.h"
#include "bpf/record.h"
#include "bpf/unwind.h"
#include "profiler/segment.h"

#define PICTURE_MAPPINGS 64
#define PICTURE_REGIONS	 4

struct picture_row {
	__u32 offset; /* from the mapping's start */
	__u32 code;   /* CODE() or UNW_CODE_* */
};

/* CFA = sp (or fp) + cfa, caller's frame pointer at CFA - slot (0: unchanged); bytes. */
#define CODE_SP(cfa, slot) ((cfa) / 8u << UNW_CODE_CFA_SHIFT | (slot) / 8u)
#define CODE_FP(cfa, slot) (UNW_CODE_FP | CODE_SP(cfa, slot))

struct picture_region {
	__u64 start, len;
	__u8 *bytes;
};

struct picture_mapping {
	__u64 start, end;
	struct unw_mapping m;
	struct blob blob;
};

struct picture {
	struct segments *segments;
	struct picture_mapping maps[PICTURE_MAPPINGS]; /* ascending */
	size_t n_maps;
	struct picture_region regions[PICTURE_REGIONS];
	size_t n_regions;
	struct blob set;
	unsigned reads; /* of memory, so far */
	__u64 thread_pointer;
};

void picture_init(struct picture *picture);
void picture_fini(struct picture *picture);

/* A mapping of n_rows rows; its file id is its place, from 1, its ELF addresses begin at 0x1000. */
void picture_map_rows(struct picture *picture, __u64 start, __u64 end,
		      const struct picture_row *rows, size_t n_rows, const struct unw_rule *rules,
		      size_t n_rules);
void picture_map_kind(struct picture *picture, __u64 start, __u64 end, enum unw_kind kind);
/* Readable memory, zeroed. */
void picture_memory(struct picture *picture, __u64 start, __u64 len);
void picture_put(struct picture *picture, __u64 addr, __u64 word);

/* As stack.bpf.h calls the step: user frames into frames (USER_FRAMES_MAX); how many. */
size_t picture_unwind(struct picture *picture, const __u64 regs[DWARF_REGS], __u32 max_frames,
		      __u64 *frames, __u8 *ret_stop);

/* The run-time address of a frame; callers' are return addresses - 1. */
__u64 picture_frame_addr(const struct picture *picture, __u64 frame);
