// SPDX-License-Identifier: Apache-2.0
/* Files for tests, see elf_image.h. */
#include "tests/support/elf_image.h"

#include <string.h>

void elf_image_init(struct elf_image *image)
{
	static const Elf64_Ehdr no_header;

	*image = (struct elf_image){.n_sections = 1};
	buf_add(&image->bytes, &no_header, sizeof(no_header));
	buf_add(&image->names, "", 1);
}

Elf64_Shdr *elf_image_section(struct elf_image *image, const char *name, __u32 type, __u64 flags,
			      const void *data, size_t size)
{
	Elf64_Shdr *s = &image->sections[image->n_sections++];

	BUG_ON(image->n_sections > ELF_IMAGE_MAX_SECTIONS);
	*s = (Elf64_Shdr){
		.sh_name = (__u32)image->names.len,
		.sh_type = type,
		.sh_flags = flags,
		.sh_offset = image->bytes.len,
		.sh_size = size,
	};
	buf_add(&image->names, name, strlen(name) + 1);
	buf_add(&image->bytes, data, size);
	return s;
}

void elf_image_segment(struct elf_image *image, const Elf64_Phdr *segment)
{
	buf_add(&image->segments, segment, sizeof(*segment));
}

void elf_image_finish(struct elf_image *image)
{
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (__u16)(image->segments.len / sizeof(Elf64_Phdr)),
		.e_shentsize = sizeof(Elf64_Shdr),
	};

	eh.e_phoff = eh.e_phnum ? image->bytes.len : 0;
	buf_add(&image->bytes, image->segments.data, image->segments.len);
	if (image->n_sections > 1) {
		Elf64_Shdr *names = elf_image_section(image, ".shstrtab", SHT_STRTAB, 0, NULL, 0);

		names->sh_size = image->names.len; /* its own included */
		buf_add(&image->bytes, image->names.data, image->names.len);
		eh.e_shstrndx = (__u16)(image->n_sections - 1);
		eh.e_shnum = image->n_sections;
		eh.e_shoff = image->bytes.len;
		buf_add(&image->bytes, image->sections,
			image->n_sections * sizeof(*image->sections));
	}
	BUG_ON(image->bytes.err || image->segments.err || image->names.err);
	memcpy(image->bytes.data, &eh, sizeof(eh));
}

struct elf *elf_image_open(struct elf_image *image, struct work *work)
{
	enum elf_refusal why;
	struct elf *elf;

	elf_image_finish(image);
	elf = elf_open_memory(image->bytes.data, image->bytes.len, &why);
	if (elf)
		elf->work = work;
	return elf;
}

void elf_image_close(struct elf_image *image, struct elf *elf)
{
	elf_free(elf);
	buf_fini(&image->bytes);
	buf_fini(&image->segments);
	buf_fini(&image->names);
}
