// SPDX-License-Identifier: Apache-2.0
/* ELF symbols, MiniDebugInfo and PLT stubs, see symtab.h. gABI chapter 4, "Symbol Table". */
#include "symbolize/symtab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "symbolize/inflate.h"

#define MAX_MINI_BYTES	((size_t)64 << 20)
#define MAX_UNDERSCORES 7u
#define MAX_PLTS	8u	   /* sections; linkers make up to three */
#define MAX_SLOTS	(1u << 20) /* of the GOT; the largest libraries have some 10,000 */
#define WORK_BYTES	64u	   /* of a name, that a unit of work pays for */

int symtab_text(const struct elf *elf, struct index_builder *b)
{
	VEC(struct index_range) ranges = {0};
	int err = 0;

	for (size_t i = 0; i < elf->n_sections && !err; i++) {
		const struct elf_section *s = &elf->sections[i];

		if ((s->flags & SHF_ALLOC) && (s->flags & SHF_EXECINSTR) && s->size &&
		    s->addr + s->size > s->addr)
			err = vec_push(&ranges, (struct index_range){s->addr, s->addr + s->size});
	}
	for (size_t i = 0; i < elf->n_segments && !elf->n_sections && !err; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->type == PT_LOAD && (s->flags & PF_X) && s->vaddr + s->memsz > s->vaddr)
			err = vec_push(&ranges,
				       (struct index_range){s->vaddr, s->vaddr + s->memsz});
	}
	if (!err)
		err = index_builder_text(b, ranges.data, ranges.len);
	vec_free(&ranges);
	return err;
}

static __u32 rank_of(const char *name, const Elf64_Sym *sym)
{
	__u32 underscores = (__u32)strspn(name, "_");
	__u32 rank = MAX_UNDERSCORES - MIN(underscores, MAX_UNDERSCORES);

	if (ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE)
		rank += INDEX_SYMBOL_FUNCTION;
	if (ELF64_ST_BIND(sym->st_info) != STB_LOCAL)
		rank += INDEX_SYMBOL_GLOBAL;
	return rank;
}

/* Mapping symbols ($x, $d.1) and compilers' local labels name no function. */
static bool is_label(const char *name)
{
	return !*name ||
	       (name[0] == '$' && name[1] && strchr("adtx", name[1]) &&
		(!name[2] || name[2] == '.')) ||
	       (name[0] == '.' && name[1] == 'L');
}

/* Strings may overlap: their bytes are not bounded by the file's. NULL: none, or too much work. */
static const char *string_at(const struct elf *elf, const struct cursor *names, __u64 offset)
{
	const char *s = cursor_str_at(names, offset);

	return s && work_take(elf->work, strlen(s) / WORK_BYTES + 1) ? s : NULL;
}

static int read_table(const struct elf *elf, const struct elf_section *table,
		      struct index_builder *b)
{
	struct cursor syms = elf_section_raw(elf, table), names;
	int err = 0;

	if (table->link >= elf->n_sections)
		return 0;
	names = elf_section_raw(elf, &elf->sections[table->link]);
	while (cursor_left(&syms) >= sizeof(Elf64_Sym) && !err && work_take(elf->work, 1)) {
		const void *raw = cursor_bytes(&syms, sizeof(Elf64_Sym));
		const char *name;
		Elf64_Sym sym;
		__u8 type;

		memcpy(&sym, raw, sizeof(sym));
		type = ELF64_ST_TYPE(sym.st_info);
		if (sym.st_shndx == SHN_UNDEF ||
		    (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
		    !index_is_text(b, sym.st_value, sym.st_value + 1))
			continue;
		name = string_at(elf, &names, sym.st_name);
		if (!name || is_label(name))
			continue;
		/* "memcpy@@GLIBC_2.14": the version is not part of the name */
		err = index_symbol(b, sym.st_value, sym.st_size,
				   index_string(b, name, 1 + strcspn(name + 1, "@")), 0,
				   rank_of(name, &sym));
	}
	return err;
}

/* ---- PLT ------------------------------------------------------------------------------------- */

/* What the dynamic linker puts into the GOT: who is called by the stub that reads a slot. */
struct got_slot {
	__u64 addr;
	const char *name; /* borrowed from the file */
	__u32 order;	  /* of two for one slot the first counts */
};

struct got {
	VEC(struct got_slot) slots; /* ascending */
	bool known;
};

static int by_slot(const void *pa, const void *pb)
{
	const struct got_slot *a = pa, *b = pb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int add_slots(const struct elf *elf, const struct elf_section *rela, struct got *got)
{
	struct cursor c = elf_section_raw(elf, rela), syms, names;
	const struct elf_section *table;
	int err = 0;

	if (rela->link >= elf->n_sections)
		return 0;
	table = &elf->sections[rela->link];
	if (table->link >= elf->n_sections)
		return 0;
	syms = elf_section_raw(elf, table);
	names = elf_section_raw(elf, &elf->sections[table->link]);
	while (cursor_left(&c) >= sizeof(Elf64_Rela) && got->slots.len < MAX_SLOTS && !err) {
		struct got_slot slot = {.order = (__u32)got->slots.len};
		struct cursor at = syms;
		const void *raw;
		Elf64_Rela r;
		Elf64_Sym sym;

		memcpy(&r, cursor_bytes(&c, sizeof(r)), sizeof(r));
		if (!work_take(elf->work, 1))
			break;
		if (ELF64_R_TYPE(r.r_info) != R_X86_64_JUMP_SLOT &&
		    ELF64_R_TYPE(r.r_info) != R_X86_64_GLOB_DAT)
			continue;
		cursor_seek(&at, ELF64_R_SYM(r.r_info) * sizeof(sym));
		raw = cursor_bytes(&at, sizeof(sym));
		if (!raw)
			continue;
		memcpy(&sym, raw, sizeof(sym));
		slot.addr = r.r_offset;
		slot.name = string_at(elf, &names, sym.st_name);
		if (slot.name)
			err = vec_push(&got->slots, slot);
	}
	return err;
}

/* By .rela.plt and .rela.dyn, read at the first stub. */
static int read_got(const struct elf *elf, struct got *got)
{
	static const char *const sections[] = {".rela.plt", ".rela.dyn"};
	int err = 0;

	got->known = true;
	for (size_t i = 0; i < ARRAY_SIZE(sections) && !err; i++) {
		const struct elf_section *rela = elf_section(elf, sections[i]);

		if (rela)
			err = add_slots(elf, rela, got);
	}
	if (got->slots.len)
		qsort(got->slots.data, got->slots.len, sizeof(*got->slots.data), by_slot);
	return err;
}

static const char *got_name(const struct got *got, __u64 addr)
{
	size_t low = 0, high = got->slots.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (got->slots.data[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < got->slots.len && got->slots.data[low].addr == addr ? got->slots.data[low].name
									 : NULL;
}

#define PLT_ENTRY 16u

/* x86-64: every stub holds `jmp *disp32(%rip)` (ff 25), with endbr64 or bnd before it. */
static int read_plt(const struct elf *elf, const struct elf_section *plt, struct got *got,
		    struct index_builder *b)
{
	struct cursor c = elf_section_raw(elf, plt);
	unsigned entry = plt->entsize == 8 ? 8 : PLT_ENTRY;
	int err = got->known ? 0 : read_got(elf, got);

	for (__u64 at = 0; cursor_left(&c) >= entry && !err && work_take(elf->work, 1);
	     at += entry) {
		const __u8 *p = cursor_bytes(&c, entry);
		const char *name = NULL;
		char text[512];

		for (unsigned i = 0; i + 6 <= entry && !name; i++) {
			__s32 disp;

			if (p[i] != 0xff || p[i + 1] != 0x25)
				continue;
			memcpy(&disp, p + i + 2, sizeof(disp));
			name = got_name(got, plt->addr + at + i + 6 + (__u64)(__s64)disp);
		}
		if (!name || !*name)
			continue;
		snprintf(text, sizeof(text), "%.480s@plt", name);
		err = index_symbol(b, plt->addr + at, entry, index_string(b, text, strlen(text)), 0,
				   INDEX_SYMBOL_FUNCTION);
	}
	return err;
}

int symtab_read(const struct elf *elf, struct index_builder *b)
{
	unsigned n_plts = 0;
	struct got got = {0};
	int err = 0;

	for (size_t i = 0; i < elf->n_sections && !err; i++) {
		const struct elf_section *s = &elf->sections[i];

		if (s->type == SHT_SYMTAB || s->type == SHT_DYNSYM) {
			err = read_table(elf, s, b);
			b->facts.flags |=
				s->type == SHT_SYMTAB ? INDEX_HAS_SYMTAB : INDEX_HAS_DYNSYM;
		} else if (elf->machine == EM_X86_64 && s->type == SHT_PROGBITS &&
			   !strncmp(s->name, ".plt", 4) && n_plts < MAX_PLTS) {
			n_plts++;
			err = read_plt(elf, s, &got, b);
		}
	}
	vec_free(&got.slots);
	return err;
}

int symtab_read_mini(const struct elf *elf, struct index_builder *b)
{
	const struct elf_section *section = elf_section(elf, ".gnu_debugdata");
	enum elf_refusal refusal;
	struct elf *mini = NULL;
	struct cursor c;
	__u8 *data;
	size_t size;
	int err;

	if (!section)
		return 0;
	c = elf_section_raw(elf, section);
	err = inflate_xz(c.pos, cursor_left(&c), MAX_MINI_BYTES, elf->work, &data, &size);
	if (err)
		return err == -ENOMEM ? err : 0;
	mini = elf_open_memory(data, size, &refusal);
	if (mini)
		mini->work = elf->work;
	for (size_t i = 0; mini && i < mini->n_sections && !err; i++)
		if (mini->sections[i].type == SHT_SYMTAB) {
			err = read_table(mini, &mini->sections[i], b);
			b->facts.flags |= INDEX_HAS_MINI;
		}
	elf_free(mini);
	free(data);
	return err;
}
