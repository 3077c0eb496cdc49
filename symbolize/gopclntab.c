// SPDX-License-Identifier: Apache-2.0
/* Reading pclntab, see gopclntab.h. */
#include "symbolize/gopclntab.h"

#include <errno.h>
#include <string.h>

#define MAGIC_1_2  0xfffffffbu
#define MAGIC_1_16 0xfffffffau
#define MAGIC_1_18 0xfffffff0u
#define MAGIC_1_20 0xfffffff1u

#define PCDATA_INLINE	 2u /* indexes of a function's pcdata and funcdata */
#define FUNCDATA_INLINE	 3u
#define MAX_FUNCS	 (1u << 24)
#define MAX_NAME_BYTES	 4096u
#define NO_FUNC_DATA	 UINT32_MAX
#define WORK_MIN	 ((__u64)1 << 20)
#define WORK_PER_BYTE	 16u /* stretches that a table may yield: compilers write 0.5 a byte */
#define RELATIVE_X86_64	 8u
#define RELATIVE_AARCH64 1027u

/* Offsets in runtime.moduledata (64-bit). */
#define MODULE_NAMES	   8u
#define MODULE_TEXT	   176u
#define MODULE_GOFUNC_1_18 304u
#define MODULE_GOFUNC_1_20 320u

static struct cursor at(const struct go_table *t, __u64 offset)
{
	struct cursor c = t->data;

	cursor_seek(&c, offset);
	return c;
}

static const char *string_at(const struct go_table *t, __u64 offset)
{
	struct cursor c = at(t, offset);
	size_t left = cursor_left(&c);

	return memchr(c.pos, 0, MIN(left, (size_t)MAX_NAME_BYTES)) ? (const char *)c.pos : NULL;
}

/* ---- moduledata ------------------------------------------------------------------------------ */

/* What the loader would put at an address of a position-independent file: a relative relocation's
 * addend. False: none there. */
static bool relocated(const struct elf *elf, __u64 vaddr, __u64 *ret_value)
{
	const struct elf_section *s = elf_section(elf, ".rela.dyn");
	struct cursor c;

	if (!s)
		s = elf_section(elf, ".rela");
	if (!s)
		return false;
	c = elf_section_raw(elf, s);
	while (cursor_left(&c) >= sizeof(Elf64_Rela) && work_take(elf->work, 1)) {
		Elf64_Rela r;

		memcpy(&r, cursor_bytes(&c, sizeof(r)), sizeof(r));
		if (r.r_offset != vaddr)
			continue;
		*ret_value = (__u64)r.r_addend;
		return ELF64_R_TYPE(r.r_info) == RELATIVE_X86_64 ||
		       ELF64_R_TYPE(r.r_info) == RELATIVE_AARCH64;
	}
	return false;
}

static bool pointer_at(const struct elf *elf, __u64 vaddr, __u64 *ret_value)
{
	struct cursor c = elf_at_vaddr(elf, vaddr);

	*ret_value = cursor_u64(&c);
	return (!c.bad && *ret_value) || relocated(elf, vaddr, ret_value);
}

/* moduledata begins with pointers to the pclntab and to its names. */
static bool is_module(const struct go_table *t, __u64 vaddr)
{
	__u64 names;

	return pointer_at(t->elf, vaddr + MODULE_NAMES, &names) && names == t->vaddr + t->names;
}

static bool find_in_section(const struct go_table *t, const struct elf_section *s,
			    __u64 *ret_module)
{
	struct cursor c = elf_section_raw(t->elf, s);

	for (__u64 offset = 0; cursor_left(&c) >= 8; offset += 8) {
		if (offset % 64 == 0 && !work_take(t->elf->work, 1))
			return false;
		if (cursor_u64(&c) == t->vaddr && is_module(t, s->addr + offset)) {
			*ret_module = s->addr + offset;
			return true;
		}
	}
	return false;
}

static bool find_by_relocation(const struct go_table *t, __u64 *ret_module)
{
	const struct elf_section *s = elf_section(t->elf, ".rela.dyn");
	struct cursor c;

	if (!s)
		s = elf_section(t->elf, ".rela");
	if (!s)
		return false;
	c = elf_section_raw(t->elf, s);
	while (cursor_left(&c) >= sizeof(Elf64_Rela) && work_take(t->elf->work, 1)) {
		Elf64_Rela r;

		memcpy(&r, cursor_bytes(&c, sizeof(r)), sizeof(r));
		if ((__u64)r.r_addend == t->vaddr && is_module(t, r.r_offset)) {
			*ret_module = r.r_offset;
			return true;
		}
	}
	return false;
}

static void take_module(struct go_table *t)
{
	__u64 module = 0, text;
	bool found = false;

	for (size_t i = 0; i < t->elf->n_sections && !found; i++) {
		const struct elf_section *s = &t->elf->sections[i];

		if ((s->flags & SHF_ALLOC) && (s->flags & SHF_WRITE) && s->type == SHT_PROGBITS)
			found = find_in_section(t, s, &module);
	}
	if (!found)
		found = find_by_relocation(t, &module);
	if (found && pointer_at(t->elf, module + MODULE_TEXT, &text))
		t->text = text;
	if (!found ||
	    !pointer_at(t->elf,
			module + (t->layout >= GO_1_20 ? MODULE_GOFUNC_1_20 : MODULE_GOFUNC_1_18),
			&t->func_data))
		t->func_data = 0;
	/* 1.26 no longer writes the text's start into the header */
	if (!t->text && elf_section(t->elf, ".text"))
		t->text = elf_section(t->elf, ".text")->addr;
}

/* ---- header ---------------------------------------------------------------------------------- */

static int read_header(struct go_table *t)
{
	struct cursor c = t->data;
	__u32 magic = cursor_u32(&c);

	cursor_skip(&c, 2);
	t->quantum = cursor_u8(&c);
	t->pointer_bytes = cursor_u8(&c);
	t->n_funcs = cursor_u64(&c);
	if (c.bad || t->pointer_bytes != 8 || !t->quantum || t->quantum > 4 ||
	    t->n_funcs > MAX_FUNCS)
		return -EINVAL;
	if (magic == MAGIC_1_2) {
		t->layout = GO_1_2;
		t->funcs = cursor_tell(&c);
		c = at(t, t->funcs + t->n_funcs * 16 + 8);
		t->files = cursor_u32(&c);
		return c.bad ? -EINVAL : 0;
	}
	if (magic != MAGIC_1_16 && magic != MAGIC_1_18 && magic != MAGIC_1_20)
		return -EINVAL;
	t->layout = magic == MAGIC_1_16 ? GO_1_16 : magic == MAGIC_1_18 ? GO_1_18 : GO_1_20;
	cursor_u64(&c); /* files */
	if (t->layout >= GO_1_18)
		t->text = cursor_u64(&c);
	t->names = cursor_u64(&c);
	t->units = cursor_u64(&c);
	t->files = cursor_u64(&c);
	t->pcs = cursor_u64(&c);
	t->funcs = cursor_u64(&c);
	if (c.bad)
		return -EINVAL;
	if (t->layout >= GO_1_18)
		take_module(t);
	return 0;
}

/* The function table must lie in the section: the count bounds every loop over it. */
static bool funcs_fit(const struct go_table *t)
{
	struct cursor c = at(t, t->funcs);

	return !c.bad && t->n_funcs <= cursor_left(&c) / (t->layout >= GO_1_18 ? 8 : 16);
}

int go_table_open(const struct elf *elf, struct go_table *ret_table)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	struct go_table t = {.elf = elf};
	const struct elf_section *s = NULL;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(names) && !s; i++)
		s = elf_section(elf, names[i]);
	if (!s)
		return -ENODATA;
	t.data = elf_section_raw(elf, s);
	t.vaddr = s->addr;
	err = read_header(&t);
	if (!err && !funcs_fit(&t))
		err = -EINVAL;
	if (!err)
		*ret_table = t;
	return err;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* Entry i of the function table: address and where its description lies. Entry n_funcs is the end.
 */
static bool entry_at(const struct go_table *t, __u64 i, __u64 *ret_addr, __u64 *ret_offset)
{
	bool small = t->layout >= GO_1_18;
	struct cursor c = at(t, t->funcs + i * (small ? 8 : 16));

	*ret_addr = small ? t->text + cursor_u32(&c) : cursor_u64(&c);
	*ret_offset = 0;
	if (c.bad)
		return false;
	if (i < t->n_funcs)
		*ret_offset = small ? cursor_u32(&c) : cursor_u64(&c);
	if (t->layout >= GO_1_16)
		*ret_offset += t->funcs;
	return !c.bad;
}

/* The inline tables out of the arrays behind a description: pcdata, then funcdata. */
static void read_arrays(const struct go_table *t, struct cursor c, __u32 n_pcdata, __u32 n_funcdata,
			struct go_func *func)
{
	__u64 pcdata = cursor_tell(&c), funcdata;

	if (n_pcdata <= PCDATA_INLINE || n_funcdata <= FUNCDATA_INLINE || t->layout < GO_1_16)
		return;
	c = at(t, pcdata + 4 * PCDATA_INLINE);
	func->inlining = cursor_u32(&c);
	funcdata = pcdata + 4 * (__u64)n_pcdata;
	if (t->layout >= GO_1_18) {
		__u32 offset;

		c = at(t, funcdata + 4 * FUNCDATA_INLINE);
		offset = cursor_u32(&c);
		if (!c.bad && t->func_data && offset != NO_FUNC_DATA)
			func->inline_tree = t->func_data + offset;
	} else {
		c = at(t, ALIGN_UP(funcdata, 8) + 8 * FUNCDATA_INLINE);
		func->inline_tree = cursor_u64(&c);
	}
}

bool go_func_at(const struct go_table *t, __u64 i, struct go_func *ret_func)
{
	struct go_func f = {0};
	__u64 offset, ignored, name;
	__u32 n_pcdata, n_funcdata;
	struct cursor c;
	const char *s;

	if (i >= t->n_funcs || !entry_at(t, i, &f.start, &offset) ||
	    !entry_at(t, i + 1, &f.end, &ignored) || f.start >= f.end)
		return false;
	c = at(t, offset);
	cursor_skip(&c, t->layout >= GO_1_18 ? 4 : 8); /* entry */
	name = t->names + cursor_u32(&c);
	cursor_skip(&c, 8); /* args, deferreturn (a frame size before 1.3) */
	f.sp = cursor_u32(&c);
	f.file = cursor_u32(&c);
	f.line = cursor_u32(&c);
	n_pcdata = cursor_u32(&c);
	if (t->layout == GO_1_2) {
		n_funcdata = 0;
	} else {
		f.unit = cursor_u32(&c);
		if (t->layout >= GO_1_20)
			f.start_line = cursor_u32(&c);
		cursor_skip(&c, 3); /* id, flags, padding */
		n_funcdata = cursor_u8(&c);
		read_arrays(t, c, n_pcdata, n_funcdata, &f);
	}
	s = c.bad ? NULL : string_at(t, name);
	f.name = s ? s : "";
	*ret_func = f;
	return !c.bad;
}

const char *go_file_name(const struct go_table *t, const struct go_func *func, __s32 value)
{
	struct cursor c;
	__u32 offset;

	if (value < 0)
		return NULL;
	if (t->layout == GO_1_2) {
		c = at(t, t->files + 4 * (__u64)value);
		offset = cursor_u32(&c);
		return c.bad || !value ? NULL : string_at(t, offset);
	}
	c = at(t, t->units + 4 * ((__u64)func->unit + (__u64)value));
	offset = cursor_u32(&c);
	return c.bad || offset == UINT32_MAX ? NULL : string_at(t, t->files + offset);
}

bool go_inlined_at(const struct go_table *t, const struct go_func *func, __s32 i,
		   struct go_inlined *ret_inlined)
{
	bool by_pc = t->layout >= GO_1_20;
	struct go_inlined in = {.by_pc = by_pc, .parent = -1};
	struct cursor c;
	const char *name;
	__u32 name_offset;

	if (i < 0 || !func->inline_tree)
		return false;
	c = elf_at_vaddr(t->elf, func->inline_tree + (__u64)i * (by_pc ? 16 : 20));
	if (by_pc) {
		cursor_skip(&c, 4);
		name_offset = cursor_u32(&c);
		in.parent_pc = cursor_u32(&c);
		in.start_line = cursor_u32(&c);
	} else {
		in.parent = cursor_s16(&c);
		cursor_skip(&c, 2);
		in.file = cursor_s32(&c);
		in.line = cursor_s32(&c);
		name_offset = cursor_u32(&c);
		in.parent_pc = cursor_u32(&c);
	}
	name = c.bad ? NULL : string_at(t, t->names + name_offset);
	if (!name)
		return false;
	in.name = name;
	*ret_inlined = in;
	return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

struct go_values go_values_of(const struct go_table *t, const struct go_func *func, __u32 offset)
{
	struct go_values v = {
		.c = offset ? at(t, t->pcs + offset) : cursor_of(NULL, 0),
		.start = func->start,
		.end = func->start,
		.value = -1,
		.quantum = t->quantum,
		.first = true,
	};

	return v;
}

bool go_values_next(struct go_values *v)
{
	__u32 change;
	__u64 delta;

	if (!cursor_left(&v->c))
		return false;
	change = (__u32)cursor_uleb(&v->c);
	if (!change && !v->first)
		return false;
	v->first = false;
	delta = cursor_uleb(&v->c) * v->quantum;
	v->value = (__s32)((__u32)v->value + (change & 1 ? ~(change >> 1) : change >> 1));
	v->start = v->end;
	return !v->c.bad && delta && !__builtin_add_overflow(v->start, delta, &v->end);
}

__s32 go_value_at(const struct go_table *t, const struct go_func *func, __u32 offset, __u64 addr,
		  __s32 fall_back)
{
	struct go_values v = go_values_of(t, func, offset);

	while (go_values_next(&v))
		if (addr < v.end)
			return addr >= v.start ? v.value : fall_back;
	return fall_back;
}

struct go_deltas go_deltas_of(const struct go_table *t)
{
	return (struct go_deltas){.table = t,
				  .work = WORK_MIN + WORK_PER_BYTE * (__u64)cursor_left(&t->data)};
}

static bool spend(struct go_deltas *d)
{
	if (!d->work || !work_take(d->table->elf->work, 1))
		return false;
	d->work--;
	return true;
}

int go_deltas_in(struct go_deltas *d, __u64 start, __u64 end,
		 int (*sp)(void *arg, __u64 start, __u64 end, __s32 delta), void *arg)
{
	for (; d->next < d->table->n_funcs && spend(d); d->next++) {
		struct go_func f;
		struct go_values v;
		__u64 limit;

		if (!go_func_at(d->table, d->next, &f) || f.start < d->done || f.end <= start)
			continue;
		if (f.start >= end)
			return 0;
		limit = MIN(f.end, end);
		v = go_values_of(d->table, &f, f.sp);
		while (spend(d) && go_values_next(&v) && v.start < limit) {
			__u64 from = MAX(v.start, start), to = MIN(v.end, limit);
			int err = from < to ? sp(arg, from, to, v.value) : 0;

			if (err)
				return err;
		}
		if (f.end > end)
			return 0; /* the rest of it stands in a range to come */
		d->done = f.end;
	}
	return 0;
}
