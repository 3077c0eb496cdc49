// SPDX-License-Identifier: Apache-2.0
/*
 * ELF headers, sections, segments and build ID, see elf.h. Nothing here trusts a count or an
 * offset: tables are read through a cursor over the whole file, and a table that does not fit is
 * refused.
 */
#include "symbolize/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "symbolize/inflate.h"
#include "symbolize/scratch.h"

#define MAX_FILE_BYTES	   ((size_t)16 << 30)
#define MAX_SECTIONS	   (1u << 20)
#define MAX_SEGMENTS	   4096u
#define MAX_NAME_BYTES	   512u	  /* of a section: all of them may have the same long one */
#define SEGMENTS_PER_UNIT  64u	  /* of work.h */
#define MAX_NOTES	   65536u /* of a file; real ones have some thousands */
#define MAX_INFLATED_BYTES ((size_t)2 << 30)
#define GNU_NOTE_BUILD_ID  3

struct elf_inflated {
	struct elf_inflated *next;
	__u64 offset; /* of the section in the file: its key */
	struct scratch block;
};

static const char *const refusal_texts[] = {
#define X(name, text) text,
	ELF_REFUSALS(X)
#undef X
};

const char *elf_refusal_text(enum elf_refusal why)
{
	return refusal_texts[why];
}

static enum elf_refusal read_segments(struct elf *elf, const Elf64_Ehdr *eh)
{
	struct cursor c = cursor_of(elf->data, elf->size);

	if (!eh->e_phnum)
		return ELF_REFUSAL_NONE;
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum > MAX_SEGMENTS)
		return ELF_REFUSAL_HEADERS;
	elf->segments = calloc(eh->e_phnum, sizeof(*elf->segments));
	if (!elf->segments)
		return ELF_REFUSAL_MEMORY;
	cursor_seek(&c, eh->e_phoff);
	for (size_t i = 0; i < eh->e_phnum; i++) {
		const void *raw = cursor_bytes(&c, sizeof(Elf64_Phdr));
		Elf64_Phdr ph;

		if (!raw)
			return ELF_REFUSAL_TRUNCATED;
		memcpy(&ph, raw, sizeof(ph));
		elf->segments[elf->n_segments++] = (struct elf_segment){
			.type = ph.p_type,
			.flags = ph.p_flags,
			.offset = ph.p_offset,
			.vaddr = ph.p_vaddr,
			.filesz = ph.p_filesz,
			.memsz = ph.p_memsz,
		};
	}
	return ELF_REFUSAL_NONE;
}

static bool read_section(struct cursor *c, struct elf_section *ret_section, __u32 *ret_name)
{
	const void *raw = cursor_bytes(c, sizeof(Elf64_Shdr));
	Elf64_Shdr sh;

	if (!raw)
		return false;
	memcpy(&sh, raw, sizeof(sh));
	*ret_name = sh.sh_name;
	*ret_section = (struct elf_section){
		.name = "",
		.type = sh.sh_type,
		.link = sh.sh_link,
		.info = sh.sh_info,
		.flags = sh.sh_flags,
		.addr = sh.sh_addr,
		.offset = sh.sh_offset,
		.size = sh.sh_size,
		.entsize = sh.sh_entsize,
	};
	return true;
}

static const char *section_name(struct cursor names, __u64 offset)
{
	cursor_seek(&names, offset);
	names = cursor_sub(&names, MIN(cursor_left(&names), (size_t)MAX_NAME_BYTES));
	return cursor_str(&names);
}

/* A section table that is cut off or absurd is dropped, not fatal: segments still unwind the file.
 */
static enum elf_refusal read_sections(struct elf *elf, const Elf64_Ehdr *eh)
{
	struct cursor c = cursor_of(elf->data, elf->size), names;
	struct elf_section first;
	__u32 name, name_section = eh->e_shstrndx;
	__u64 n = eh->e_shnum;

	if (!eh->e_shoff || eh->e_shentsize != sizeof(Elf64_Shdr))
		return ELF_REFUSAL_NONE;
	cursor_seek(&c, eh->e_shoff);
	if (!read_section(&c, &first, &name))
		return ELF_REFUSAL_NONE;
	if (n == 0) /* gABI: the real count stands in the first entry */
		n = first.size;
	if (name_section == SHN_XINDEX)
		name_section = first.link;
	cursor_seek(&c, eh->e_shoff);
	if (n == 0 || n > MAX_SECTIONS || n * sizeof(Elf64_Shdr) > cursor_left(&c))
		return ELF_REFUSAL_NONE;
	elf->sections = calloc(n, sizeof(*elf->sections));
	if (!elf->sections)
		return ELF_REFUSAL_MEMORY;
	elf->n_sections = n;
	/* Names need the name section, which may stand anywhere: two passes. */
	for (size_t i = 0; i < n; i++)
		if (!read_section(&c, &elf->sections[i], &name))
			return ELF_REFUSAL_TRUNCATED;
	if (name_section >= n)
		return ELF_REFUSAL_NONE;
	names = elf_section_raw(elf, &elf->sections[name_section]);
	cursor_seek(&c, eh->e_shoff);
	for (size_t i = 0; i < n; i++) {
		struct elf_section ignored;

		if (!read_section(&c, &ignored, &name))
			return ELF_REFUSAL_TRUNCATED;
		elf->sections[i].name = section_name(names, name);
	}
	return ELF_REFUSAL_NONE;
}

/* max: how many notes may still be looked at, in all notes of the file together. */
static bool take_build_id(struct elf *elf, struct cursor notes, unsigned *max)
{
	while (cursor_left(&notes) >= sizeof(Elf64_Nhdr) && *max) {
		__u32 name_size = cursor_u32(&notes), desc_size = cursor_u32(&notes),
		      type = cursor_u32(&notes);
		const void *name = cursor_bytes(&notes, ALIGN_UP((__u64)name_size, 4));
		const void *desc = cursor_bytes(&notes, desc_size);

		--*max;
		if (!name || !desc)
			return false;
		if (type == GNU_NOTE_BUILD_ID && name_size == 4 && !memcmp(name, "GNU", 4) &&
		    desc_size > 0 && desc_size <= ELF_BUILD_ID_MAX) {
			memcpy(elf->build_id, desc, desc_size);
			elf->build_id_len = desc_size;
			return true;
		}
		cursor_skip(&notes, MIN(ALIGN_UP((__u64)desc_size, 4) - desc_size,
					(__u64)cursor_left(&notes)));
	}
	return false;
}

static void read_build_id(struct elf *elf)
{
	unsigned max = MAX_NOTES;

	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		struct cursor c = cursor_of(elf->data, elf->size);

		if (s->type != PT_NOTE)
			continue;
		cursor_seek(&c, s->offset);
		if (take_build_id(elf, cursor_sub(&c, MIN(s->filesz, (__u64)cursor_left(&c))),
				  &max))
			return;
	}
	for (size_t i = 0; i < elf->n_sections; i++)
		if (elf->sections[i].type == SHT_NOTE &&
		    take_build_id(elf, elf_section_raw(elf, &elf->sections[i]), &max))
			return;
}

static enum elf_refusal read_headers(struct elf *elf)
{
	enum elf_refusal why;
	Elf64_Ehdr eh;

	elf->inflate_limit = MAX_INFLATED_BYTES;
	if (elf->size < SELFMAG || memcmp(elf->data, ELFMAG, SELFMAG) != 0)
		return ELF_REFUSAL_NOT_ELF;
	if (elf->size < EI_NIDENT)
		return ELF_REFUSAL_TRUNCATED;
	if (elf->data[EI_CLASS] != ELFCLASS64)
		return ELF_REFUSAL_CLASS;
	if (elf->data[EI_DATA] != ELFDATA2LSB)
		return ELF_REFUSAL_ENDIAN;
	if (elf->size < sizeof(eh))
		return ELF_REFUSAL_TRUNCATED;
	memcpy(&eh, elf->data, sizeof(eh));
	elf->type = eh.e_type;
	elf->machine = eh.e_machine;
	elf->entry = eh.e_entry;
	why = read_segments(elf, &eh);
	if (why == ELF_REFUSAL_NONE)
		why = read_sections(elf, &eh);
	if (why == ELF_REFUSAL_NONE)
		read_build_id(elf);
	return why;
}

static struct elf *open_common(struct elf *elf, enum elf_refusal *ret_why)
{
	*ret_why = read_headers(elf);
	if (*ret_why == ELF_REFUSAL_NONE)
		return elf;
	elf_free(elf);
	return NULL;
}

struct elf *elf_open_memory(const void *data, size_t size, enum elf_refusal *ret_why)
{
	struct elf *elf = calloc(1, sizeof(*elf));

	if (!elf) {
		*ret_why = ELF_REFUSAL_MEMORY;
		return NULL;
	}
	elf->data = data;
	elf->size = elf->data_bytes = size;
	return open_common(elf, ret_why);
}

struct elf *elf_open(int fd, enum elf_refusal *ret_why)
{
	struct elf *elf = calloc(1, sizeof(*elf));
	int err;

	*ret_why = ELF_REFUSAL_MEMORY;
	if (!elf)
		return NULL;
	err = mapfile_open(fd, MAX_FILE_BYTES, &elf->file);
	if (err) {
		*ret_why = err == -EFBIG		       ? ELF_REFUSAL_SIZE
			   : err == -ENODATA || err == -EINVAL ? ELF_REFUSAL_NOT_ELF
							       : ELF_REFUSAL_READ;
		free(elf);
		return NULL;
	}
	elf->data = elf->file.data;
	elf->size = elf->file.size;
	elf->data_bytes = fs_data_bytes(fd, elf->size);
	return open_common(elf, ret_why);
}

struct elf *elf_open_path(const char *path, enum elf_refusal *ret_why)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		*ret_why = ELF_REFUSAL_READ;
		return NULL;
	}
	return elf_open(fd, ret_why);
}

void elf_free(struct elf *elf)
{
	if (!elf)
		return;
	while (elf->inflated) {
		struct elf_inflated *next = elf->inflated->next;

		scratch_free(&elf->inflated->block);
		free(elf->inflated);
		elf->inflated = next;
	}
	mapfile_close(&elf->file);
	free(elf->sections);
	free(elf->segments);
	free(elf);
}

void elf_set_work(struct elf *elf, struct work *work)
{
	elf->work = work;
	if (work)
		work_grow(work, elf->data_bytes);
}

const struct elf_section *elf_section(const struct elf *elf, const char *name)
{
	for (size_t i = 0; i < elf->n_sections; i++)
		if (!strcmp(elf->sections[i].name, name))
			return &elf->sections[i];
	return NULL;
}

struct cursor elf_section_raw(const struct elf *elf, const struct elf_section *section)
{
	struct cursor c = cursor_of(elf->data, elf->size);

	if (section->type == SHT_NOBITS || section->type == SHT_NULL)
		return cursor_of(NULL, 0);
	cursor_seek(&c, section->offset);
	c = cursor_sub(&c, section->size);
	return c.bad ? cursor_of(NULL, 0) : c;
}

/* What the header of a compressed section says: SHF_COMPRESSED's Elf64_Chdr, or GNU's "ZLIB" +
 * size. */
static int compression(const struct elf_section *section, struct cursor *c, __u32 *ret_type,
		       __u64 *ret_size)
{
	if (section->flags & SHF_COMPRESSED) {
		*ret_type = cursor_u32(c);
		cursor_skip(c, 4);
		*ret_size = cursor_u64(c);
		cursor_skip(c, 8);
		return c->bad ? -EINVAL : 0;
	}
	if (!strncmp(section->name, ".zdebug_", 8)) {
		const __u8 *magic = cursor_bytes(c, 12);

		if (!magic || memcmp(magic, "ZLIB", 4) != 0)
			return -EINVAL;
		*ret_type = ELFCOMPRESS_ZLIB;
		*ret_size = 0;
		for (int i = 4; i < 12; i++)
			*ret_size = *ret_size << 8 | magic[i];
		return 0;
	}
	*ret_type = 0;
	return 0;
}

struct inflating {
	struct spill spill;
	const struct elf *elf;
	size_t dropped; /* bytes out when pages of the file were given back last */
};

static int put_inflated(void *arg, const __u8 *bytes, size_t n)
{
	struct inflating *i = arg;

	spill_add(&i->spill, bytes, n);
	if (i->spill.len - i->dropped >= ELF_DROP_BYTES) {
		mapfile_drop_pages(&i->elf->file);
		i->dropped = i->spill.len;
	}
	return i->spill.err;
}

static int inflate_section(const struct elf *elf, __u32 type, struct cursor c, __u64 size,
			   struct scratch *ret_block)
{
	struct inflating i = {.elf = elf};
	int err = inflate_check(type, cursor_left(&c), (size_t)size);

	if (!err)
		err = spill_init(&i.spill, elf->scratch_dir);
	if (err)
		return err;
	spill_reserve(&i.spill, size);
	err = i.spill.err;
	if (!err)
		err = inflate_stream(type, c.pos, cursor_left(&c), (size_t)size, elf->work,
				     put_inflated, &i);
	if (!err)
		return scratch_take(&i.spill, ret_block);
	spill_fini(&i.spill);
	return err;
}

struct cursor elf_section_data(struct elf *elf, const struct elf_section *section, int *ret_err)
{
	struct cursor c = elf_section_raw(elf, section), none = cursor_of(NULL, 0);
	struct elf_inflated *inflated;
	__u32 type;
	__u64 size;

	*ret_err = compression(section, &c, &type, &size);
	if (*ret_err)
		return none;
	if (!type)
		return c;
	for (inflated = elf->inflated; inflated; inflated = inflated->next)
		if (inflated->offset == section->offset)
			return cursor_of(inflated->block.data, inflated->block.size);
	*ret_err = -EFBIG;
	if (size > elf->inflate_limit || elf->inflated_bytes > elf->inflate_limit - size)
		return none;
	*ret_err = -ENOMEM;
	inflated = calloc(1, sizeof(*inflated));
	if (!inflated)
		return none;
	*ret_err = inflate_section(elf, type, c, size, &inflated->block);
	if (*ret_err) {
		free(inflated);
		return none;
	}
	inflated->offset = section->offset;
	inflated->next = elf->inflated;
	elf->inflated = inflated;
	elf->inflated_bytes += (size_t)size;
	return cursor_of(inflated->block.data, (size_t)size);
}

void elf_drop_pages(const struct elf *elf)
{
	mapfile_drop_pages(&elf->file);
	for (const struct elf_inflated *i = elf->inflated; i; i = i->next)
		scratch_drop_pages(&i->block);
}

struct cursor elf_debug_data(struct elf *elf, const char *name, int *ret_err)
{
	*ret_err = 0;
	for (size_t i = 0; i < elf->n_sections; i++) {
		const char *s = elf->sections[i].name;

		if (s[0] != '.' || elf->sections[i].type == SHT_NOBITS)
			continue;
		if (!strcmp(s + 1, name) || (s[1] == 'z' && !strcmp(s + 2, name)))
			return elf_section_data(elf, &elf->sections[i], ret_err);
	}
	return cursor_of(NULL, 0);
}

/* All segments are looked at; those of an honest file, a dozen, cost nothing worth counting. */
static bool may_look(const struct elf *elf)
{
	__u64 n = elf->n_segments / SEGMENTS_PER_UNIT;

	return !n || work_take(elf->work, n);
}

struct cursor elf_at_vaddr(const struct elf *elf, __u64 vaddr)
{
	if (!may_look(elf))
		return cursor_of(NULL, 0);
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		struct cursor c = cursor_of(elf->data, elf->size);

		if (s->type != PT_LOAD || vaddr < s->vaddr || vaddr - s->vaddr >= s->filesz)
			continue;
		cursor_seek(&c, s->offset);
		c = cursor_sub(&c, MIN(s->filesz, (__u64)cursor_left(&c)));
		cursor_skip(&c, vaddr - s->vaddr);
		return c.bad ? cursor_of(NULL, 0) : cursor_of(c.pos, cursor_left(&c));
	}
	return cursor_of(NULL, 0);
}

bool elf_is_text(const struct elf *elf, __u64 start, __u64 end)
{
	if (!may_look(elf))
		return false;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->type == PT_LOAD && s->flags & PF_X && start >= s->vaddr && end >= start &&
		    end - s->vaddr <= s->memsz)
			return true;
	}
	return false;
}

bool elf_offset_to_vaddr(const struct elf *elf, __u64 offset, __u64 *ret_vaddr)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->type != PT_LOAD || offset < s->offset || offset - s->offset >= s->filesz)
			continue;
		*ret_vaddr = s->vaddr + (offset - s->offset);
		return true;
	}
	return false;
}

void elf_build_id_hex(const struct elf *elf, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < elf->build_id_len; i++) {
		*out++ = digits[elf->build_id[i] >> 4];
		*out++ = digits[elf->build_id[i] & 15];
	}
	*out = 0;
}
