// SPDX-License-Identifier: Apache-2.0
/* What files that only make work are: refused or bounded. */
#include "symbolize/elf.h"

#include <elf.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/base/clock.h"
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
static struct buf notes_image(size_t before, __u32 type, size_t behind, __u16 n_segments)
{
	static const Elf64_Nhdr empty;
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = n_segments,
	};
	Elf64_Phdr ph = {.p_type = PT_NOTE, .p_align = 4};
	struct buf out = {0};

	ph.p_offset = sizeof(eh) + n_segments * sizeof(ph);
	ph.p_filesz = (before + behind) * sizeof(empty) + 20;
	buf_add(&out, &eh, sizeof(eh));
	for (__u16 i = 0; i < n_segments; i++)
		buf_add(&out, &ph, sizeof(ph));
	for (size_t i = 0; i < before; i++)
		buf_add(&out, &empty, sizeof(empty));
	put_gnu_note(&out, type);
	for (size_t i = 0; i < behind; i++)
		buf_add(&out, &empty, sizeof(empty));
	return out;
}

static void expect(size_t before, __u32 type, size_t behind, __u16 n_segments, const char *want)
{
	struct buf image = notes_image(before, type, behind, n_segments);
	__u64 began_ns = clock_thread_cpu_ns();
	char hex[2 * ELF_BUILD_ID_MAX + 1];
	enum elf_refusal why;
	struct elf *elf;

	ASSERT_INT(image.err, 0);
	elf = elf_open_memory(image.data, image.len, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(elf);
	CU_ASSERT(clock_thread_cpu_ns() - began_ns < NS_PER_S);
	elf_build_id_hex(elf, hex);
	ASSERT_STR(hex, want);
	elf_free(elf);
	buf_fini(&image);
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
