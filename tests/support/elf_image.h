/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 64-bit x86-64 ELF file as tests put it together: contents, then the program headers, the names
 * and the section table. Entries may be changed until the finish. A full table, or no memory, is a
 * bug of the test.
 */
#pragma once

#include <elf.h>

#include "profiler/base/buf.h"
#include "symbolize/elf.h"

#define ELF_IMAGE_MAX_SECTIONS 1100u

struct elf_image {
	struct buf bytes; /* with room for the header; the whole file after the finish */
	struct buf segments;
	Elf64_Shdr sections[ELF_IMAGE_MAX_SECTIONS]; /* 0 is the null one */
	__u16 n_sections;
	struct buf names;
};

void elf_image_init(struct elf_image *image);
/* A section with a copy of the data; borrowed until the next one, for what else it is to say. */
Elf64_Shdr *elf_image_section(struct elf_image *image, const char *name, __u32 type, __u64 flags,
			      const void *data, size_t size);
void elf_image_segment(struct elf_image *image, const Elf64_Phdr *segment);
/* Put the tables behind the contents. Without sections there is no table of them. */
void elf_image_finish(struct elf_image *image);
/* Finish and open; NULL when it is refused. work: elf->work. */
struct elf *elf_image_open(struct elf_image *image, struct work *work);
/* elf may be NULL. */
void elf_image_close(struct elf_image *image, struct elf *elf);
