// SPDX-License-Identifier: Apache-2.0
/* ELF symbols, MiniDebugInfo and PLT stubs, see symtab.h. gABI chapter 4, "Symbol Table". */
#include "symbolize/symtab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "symbolize/inflate.h"

#define MAX_MINI_BYTES	((size_t)64 << 20)
#define MAX_UNDERSCORES 7u

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

static int read_table(const struct elf *elf, const struct elf_section *table,
		      struct index_builder *b)
{
	struct cursor syms = elf_section_raw(elf, table), names;
	int err = 0;

	if (table->link >= elf->n_sections)
		return 0;
	names = elf_section_raw(elf, &elf->sections[table->link]);
	while (cursor_left(&syms) >= sizeof(Elf64_Sym) && !err) {
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
		name = cursor_str_at(&names, sym.st_name);
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

/* The dynamic symbol that a GOT slot is filled with, by .rela.plt and .rela.dyn. */
static const char *got_name(const struct elf *elf, __u64 slot)
{
	static const char *const sections[] = {".rela.plt", ".rela.dyn"};

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct elf_section *rela = elf_section(elf, sections[i]);
		struct cursor c, syms, names;
		Elf64_Rela r;
		const void *raw;

		if (!rela || rela->link >= elf->n_sections ||
		    elf->sections[rela->link].link >= elf->n_sections)
			continue;
		c = elf_section_raw(elf, rela);
		syms = elf_section_raw(elf, &elf->sections[rela->link]);
		names = elf_section_raw(elf, &elf->sections[elf->sections[rela->link].link]);
		while (cursor_left(&c) >= sizeof(r)) {
			Elf64_Sym sym;

			memcpy(&r, cursor_bytes(&c, sizeof(r)), sizeof(r));
			if (r.r_offset != slot)
				continue;
			cursor_seek(&syms, ELF64_R_SYM(r.r_info) * sizeof(sym));
			raw = cursor_bytes(&syms, sizeof(sym));
			if (!raw)
				return NULL;
			memcpy(&sym, raw, sizeof(sym));
			return cursor_str_at(&names, sym.st_name);
		}
	}
	return NULL;
}

#define PLT_ENTRY	16u
#define MAX_PLT_ENTRIES 4096u /* the search is quadratic in them */

/* x86-64: every stub holds `jmp *disp32(%rip)` (ff 25), with endbr64 or bnd before it. */
static int read_plt(const struct elf *elf, const struct elf_section *plt, struct index_builder *b)
{
	struct cursor c = elf_section_raw(elf, plt);
	unsigned entry = plt->entsize == 8 ? 8 : PLT_ENTRY;
	int err = 0;

	for (__u64 at = 0; at + entry <= plt->size && at / entry < MAX_PLT_ENTRIES && !err;
	     at += entry) {
		const __u8 *p = cursor_bytes(&c, entry);
		const char *name = NULL;
		char text[512];

		if (!p)
			break;
		for (unsigned i = 0; i + 6 <= entry && !name; i++) {
			__s32 disp;

			if (p[i] != 0xff || p[i + 1] != 0x25)
				continue;
			memcpy(&disp, p + i + 2, sizeof(disp));
			name = got_name(elf, plt->addr + at + i + 6 + (__u64)(__s64)disp);
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
	int err = 0;

	for (size_t i = 0; i < elf->n_sections && !err; i++) {
		const struct elf_section *s = &elf->sections[i];

		if (s->type == SHT_SYMTAB || s->type == SHT_DYNSYM) {
			err = read_table(elf, s, b);
			b->facts.flags |=
				s->type == SHT_SYMTAB ? INDEX_HAS_SYMTAB : INDEX_HAS_DYNSYM;
		} else if (elf->machine == EM_X86_64 && s->type == SHT_PROGBITS &&
			   !strncmp(s->name, ".plt", 4)) {
			err = read_plt(elf, s, b);
		}
	}
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
