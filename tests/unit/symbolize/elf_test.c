// SPDX-License-Identifier: Apache-2.0
/* What files that only make work are: refused or bounded. */
#include "symbolize/elf.h"

#include "profiler/base/clock.h"
#include "tests/support/elf_image.h"
#include "tests/unit/test.h"

#define MAX_NOTES 65536u /* as elf.c has it: beyond, no note is looked at */

static void put_gnu_note(struct buf *out, __u32 type)
{
	Elf64_Nhdr head = {.n_namesz = 4, .n_descsz = 4, .n_type = type};

	buf_add(out, &head, sizeof(head));
	buf_add(out, "GNU", 4);
	buf_add(out, "\xab\xcd\xef\x01", 4);
}

/* A file of notes: empty ones, one of GNU, empty ones; the same bytes in each of so many segments. */
static void notes_image(struct elf_image *image, size_t before, __u32 type, size_t behind,
			unsigned n_segments)
{
	static const Elf64_Nhdr empty;
	Elf64_Phdr ph = {.p_type = PT_NOTE, .p_align = 4};

	elf_image_init(image);
	ph.p_offset = image->bytes.len;
	for (size_t i = 0; i < before; i++)
		buf_add(&image->bytes, &empty, sizeof(empty));
	put_gnu_note(&image->bytes, type);
	for (size_t i = 0; i < behind; i++)
		buf_add(&image->bytes, &empty, sizeof(empty));
	ph.p_filesz = image->bytes.len - ph.p_offset;
	for (unsigned i = 0; i < n_segments; i++)
		elf_image_segment(image, &ph);
}

static void expect(size_t before, __u32 type, size_t behind, unsigned n_segments, const char *want)
{
	static struct elf_image image;
	char hex[2 * ELF_BUILD_ID_MAX + 1];
	__u64 began_ns;
	struct elf *elf;

	notes_image(&image, before, type, behind, n_segments);
	began_ns = clock_thread_cpu_ns();
	elf = elf_image_open(&image, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(elf);
	CU_ASSERT(clock_thread_cpu_ns() - began_ns < NS_PER_S);
	elf_build_id_hex(elf, hex);
	ASSERT_STR(hex, want);
	elf_image_close(&image, elf);
}

static void notes_are_bounded(void)
{
	expect(0, NT_GNU_BUILD_ID, 0, 1, "abcdef01");
	expect(0, NT_GNU_BUILD_ID, MAX_NOTES + 1, 1, "abcdef01");
	expect(MAX_NOTES - 1, NT_GNU_BUILD_ID, 1, 1, "abcdef01");
	expect(MAX_NOTES, NT_GNU_BUILD_ID, 0, 1, "");
	expect(MAX_NOTES + 1, NT_GNU_BUILD_ID, 0, 1, "");
}

/* The bound is of the file, not of each segment: else this were four billion notes. */
static void the_same_notes_in_many_segments(void)
{
	expect(16 * MAX_NOTES, NT_GNU_ABI_TAG, 0, 4096, "");
}

SUITE(elf, {"notes are bounded", notes_are_bounded},
      {"the same notes in many segments", the_same_notes_in_many_segments});
