/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ELF file (64-bit, little-endian), read with every offset checked: headers are copied out at
 * open, section bytes are borrowed from the mapped file or decompressed into scratch files.
 * Sections may be missing (stripped headers): what the program headers tell is enough to unwind.
 * Format: System V gABI, chapters 4 and 5; notes and .gnu_debuglink as GNU binutils write them.
 *
 * A struct elf is immutable after open, except for the cache of decompressed sections: use it from
 * one thread at a time.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/base/cursor.h"
#include "profiler/base/mapfile.h"
#include "symbolize/work.h"

#define ELF_BUILD_ID_MAX 64
#define ELF_DROP_BYTES	 ((size_t)16 << 20)

/* Why a file could not be opened: the text after the name in every message. */
#define ELF_REFUSALS(X)                                                                            \
	X(NONE, "")                                                                                \
	X(NOT_ELF, "not an ELF file")                                                              \
	X(CLASS, "32-bit ELF")                                                                     \
	X(ENDIAN, "big-endian ELF")                                                                \
	X(TRUNCATED, "truncated ELF headers")                                                      \
	X(HEADERS, "malformed ELF headers")                                                        \
	X(MEMORY, "out of memory")                                                                 \
	X(SIZE, "file too large")                                                                  \
	X(READ, "cannot be read")

enum elf_refusal {
#define X(name, text) ELF_REFUSAL_##name,
	ELF_REFUSALS(X)
#undef X
};
const char *elf_refusal_text(enum elf_refusal why);

struct elf_section {
	const char *name; /* borrowed from the file; "" when it is too long or not there */
	__u32 type, link, info;
	__u64 flags, addr, offset, size, entsize;
};

struct elf_segment {
	__u32 type, flags;
	__u64 offset, vaddr, filesz, memsz;
};

struct elf {
	const __u8 *data;
	size_t size;
	__u64 data_bytes;    /* of it; the rest are holes, which a file may have for nothing */
	__u16 type, machine; /* ET_*, EM_* */
	__u64 entry;
	struct elf_section *sections;
	size_t n_sections;
	struct elf_segment *segments;
	size_t n_segments;
	__u8 build_id[ELF_BUILD_ID_MAX];
	size_t build_id_len; /* 0: none */

	struct mapfile file;	       /* data NULL: the bytes are borrowed */
	struct elf_inflated *inflated; /* decompressed sections, owned */
	size_t inflated_bytes;
	size_t inflate_limit; /* bytes of decompressed sections together; the caller may lower it */
	struct work *work;    /* taken from by whoever reads the file; NULL: no bound; borrowed */
	const char *scratch_dir; /* for decompressed sections (scratch.h); borrowed, may be NULL */
};

/* Map and read the file behind fd (not closed). On NULL, *ret_why tells. */
struct elf *elf_open(int fd, enum elf_refusal *ret_why);
/* Open by path; FIFOs and devices are refused without blocking. */
struct elf *elf_open_path(const char *path, enum elf_refusal *ret_why);
/* The same over bytes that outlive the result (the vDSO, decompressed MiniDebugInfo). */
struct elf *elf_open_memory(const void *data, size_t size, enum elf_refusal *ret_why);
void elf_free(struct elf *elf);
/* From now on reading the file takes from `work`, which grows by what a file of so much data may
 * cost.
 * NULL: no bound. */
void elf_set_work(struct elf *elf, struct work *work);

/* First section of that name, or NULL. */
const struct elf_section *elf_section(const struct elf *elf, const char *name);
/* The bytes as they stand in the file, empty for SHT_NOBITS or a range outside the file. */
struct cursor elf_section_raw(const struct elf *elf, const struct elf_section *section);
/* The same, decompressed when SHF_COMPRESSED (zlib, zstd) or a GNU .zdebug_ section; the bytes live
 * until elf_free. Empty and *ret_err (-ENOMEM, -ENOSPC, -EFBIG, -EINVAL, -ENOTSUP, -ECANCELED
 * when the work is used up) when that fails. */
struct cursor elf_section_data(struct elf *elf, const struct elf_section *section, int *ret_err);
/* elf_section_data of .NAME or .zNAME ("debug_info"); empty when there is none. */
struct cursor elf_debug_data(struct elf *elf, const char *name, int *ret_err);

/* Let go of resident pages of the file and of decompressed sections; they come back when read. Who
 * reads a file from end to end does so every ELF_DROP_BYTES. */
void elf_drop_pages(const struct elf *elf);

/* Bytes from vaddr to the end of the file-backed part of its PT_LOAD; empty when none holds it, and
 * where thousands of segments used up elf->work. */
struct cursor elf_at_vaddr(const struct elf *elf, __u64 vaddr);
/* True when [start, end) lies within one executable PT_LOAD (the same holds of elf->work). */
bool elf_is_text(const struct elf *elf, __u64 start, __u64 end);
/* File offset to ELF virtual address by the PT_LOADs; false when no segment holds it. */
bool elf_offset_to_vaddr(const struct elf *elf, __u64 offset, __u64 *ret_vaddr);
/* Lower-case hex of the build ID; "" without one. out holds 2 * ELF_BUILD_ID_MAX + 1. */
void elf_build_id_hex(const struct elf *elf, char *out);
