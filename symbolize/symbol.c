// SPDX-License-Identifier: Apache-2.0
/*
 * Objects and look-ups, see symbol.h. The readable form of a raw name is made at first use and kept
 * by the name's place in the index. A look-up touches none of the strings that it returns: what it
 * must know of a name (is there one, is it mangled) stands beside it in the table.
 */
#include "symbolize/symbol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/arena.h"
#include "profiler/base/vec.h"
#include "symbolize/demangle.h"
#include "symbolize/symbol_build.h"

#define NAME_SLOTS_MIN 64u

struct name {
	__u32 raw;	  /* string offset in the index; 0: an empty slot */
	bool mangled;	  /* as it stands in the file */
	const char *text; /* readable; NULL: there is no name */
};

struct symbol_object {
	char *path;
	const char *base_name;
	char build_id[2 * ELF_BUILD_ID_MAX + 1];
	struct index index;
	VEC(struct elf_segment) segments; /* the PT_LOADs */
	bool raw_names;
	bool from_cache, stored;
	struct name *names; /* open addressing, at most 3/4 full */
	__u32 n_names, name_slots;
	struct arena name_arena;
	struct buf text;
	char unknown[512];
	__u64 names_raw_total, chains_cut_total;
};

static int object_new(const char *path, const struct symbol_options *options,
		      struct symbol_object **ret_object)
{
	struct symbol_object *o = calloc(1, sizeof(*o));
	const char *slash;

	if (!o)
		return -ENOMEM;
	o->raw_names = options->raw_names;
	o->name_arena.limit = SYMBOL_NAME_BYTES_MAX;
	o->path = strdup(path ? path : "");
	if (!o->path) {
		free(o);
		return -ENOMEM;
	}
	slash = strrchr(o->path, '/');
	o->base_name = slash && slash[1] ? slash + 1 : o->path;
	*ret_object = o;
	return 0;
}

void symbol_object_free(struct symbol_object *o)
{
	if (!o)
		return;
	index_close(&o->index);
	vec_free(&o->segments);
	free(o->names);
	arena_fini(&o->name_arena);
	buf_fini(&o->text);
	free(o->path);
	free(o);
}

static int take_elf(struct symbol_object *o, const struct elf *elf)
{
	elf_build_id_hex(elf, o->build_id);
	for (size_t i = 0; i < elf->n_segments; i++)
		if (elf->segments[i].type == PT_LOAD && vec_push(&o->segments, elf->segments[i]))
			return -ENOMEM;
	return 0;
}

int symbol_object_open(int fd, const char *path, int root_fd, const struct symbol_options *options,
		       struct symbol_object **ret_object, enum elf_refusal *ret_why)
{
	struct elf *elf = elf_open(fd, ret_why);
	struct symbol_object *o = NULL;
	struct symbol_source source = {
		.elf = elf,
		.root = {.fd = root_fd,
			 .path = path && *path == '/' ? path : NULL,
			 .dirs = options->debug_dirs,
			 .n_dirs = options->n_debug_dirs,
			 .debuginfod = options->debuginfod,
			 .cancelled = options->cancelled,
			 .arg = options->arg},
		.options = options,
	};
	int err;

	if (!elf)
		return -EINVAL;
	err = object_new(path, options, &o);
	if (!err)
		err = take_elf(o, elf);
	if (!err)
		err = symbol_index_make(&source, &o->index, &o->from_cache, &o->stored);
	elf_free(elf);
	if (err) {
		symbol_object_free(o);
		return err;
	}
	*ret_object = o;
	return 0;
}

int symbol_object_open_memory(const void *data, size_t size, const char *path,
			      const struct symbol_options *options,
			      struct symbol_object **ret_object)
{
	struct symbol_options own = *options;
	enum elf_refusal why;
	struct elf *elf = elf_open_memory(data, size, &why);
	struct symbol_source source = {
		.elf = elf, .root = {.fd = DEBUG_ROOT_NONE}, .options = &own, .symbols_only = true};
	struct symbol_object *o = NULL;
	int err;

	if (!elf)
		return -EINVAL;
	own.cache = NULL;
	err = object_new(path, options, &o);
	if (!err)
		err = take_elf(o, elf);
	if (!err)
		err = symbol_index_make(&source, &o->index, &o->from_cache, &o->stored);
	elf_free(elf);
	if (err) {
		symbol_object_free(o);
		return err;
	}
	*ret_object = o;
	return 0;
}

int symbol_object_of_index(struct index *index, const char *path,
			   const struct symbol_options *options, struct symbol_object **ret_object)
{
	struct symbol_object *o;
	int err = object_new(path, options, &o);

	if (err)
		return err;
	o->index = *index;
	*index = (struct index){0};
	*ret_object = o;
	return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

static inline __u32 name_home(__u32 n_slots, __u32 raw)
{
	return (__u32)((__u64)(raw * 0x9e3779b1u) * n_slots >> 32);
}

/* Where a name is or would be; there is an empty slot. */
static inline struct name *name_slot(struct name *names, __u32 n_slots, __u32 raw)
{
	__u32 i = name_home(n_slots, raw);

	while (names[i].raw && names[i].raw != raw)
		i = i + 1 < n_slots ? i + 1 : 0;
	return &names[i];
}

static bool names_grow(struct symbol_object *o)
{
	__u32 n_slots = MAX(o->name_slots * 2, NAME_SLOTS_MIN);
	struct name *names;

	if (n_slots * sizeof(*names) > SYMBOL_NAME_BYTES_MAX)
		return false;
	names = calloc(n_slots, sizeof(*names));
	if (!names)
		return false;
	for (__u32 i = 0; i < o->name_slots; i++)
		if (o->names[i].raw)
			*name_slot(names, n_slots, o->names[i].raw) = o->names[i];
	free(o->names);
	o->names = names;
	o->name_slots = n_slots;
	return true;
}

/* The readable form, or the name itself where it is the same. NULL: no memory, or too many names. */
static const char *demangle(struct symbol_object *o, const char *name)
{
	buf_reset(&o->text);
	demangle_name(name, &o->text);
	if (o->text.err)
		return NULL;
	if (!o->text.len ||
	    (o->text.len == strlen(name) && !memcmp(o->text.data, name, o->text.len)))
		return name;
	return arena_strndup(&o->name_arena, o->text.data, o->text.len);
}

static struct name name_make(struct symbol_object *o, __u32 raw)
{
	const char *text = index_str(&o->index, raw);
	struct name name = {.raw = raw, .mangled = is_mangled(text), .text = *text ? text : NULL};
	bool kept = o->n_names < o->name_slots / 4 * 3 || names_grow(o);

	if (kept && *text && !o->raw_names) {
		const char *readable = demangle(o, text);

		kept = readable != NULL;
		if (kept)
			name.text = readable;
	}
	if (!kept) {
		o->names_raw_total++;
		return name;
	}
	*name_slot(o->names, o->name_slots, raw) = name;
	o->n_names++;
	return name;
}

/* Of a string of the index; without a text for 0 and the empty string. */
static inline struct name name_get(struct symbol_object *o, __u32 raw)
{
	if (raw && o->name_slots) {
		const struct name *found = name_slot(o->names, o->name_slots, raw);

		if (found->raw)
			return *found;
	}
	return raw ? name_make(o, raw) : (struct name){0};
}

static const char *unknown_name(struct symbol_object *o, __u64 vaddr)
{
	snprintf(o->unknown, sizeof(o->unknown), "%.480s+0x%llx",
		 *o->base_name ? o->base_name : "[unknown]", (unsigned long long)vaddr);
	return o->unknown;
}

/* ---- look-ups -------------------------------------------------------------------------------- */

/* The names of a chain, of which func[] are the functions (overwritten). Returns the physical one's.
 */
static struct name name_frames(struct symbol_object *o, struct symbol_frame *frames, size_t n,
			       __u32 *func)
{
	struct name name = {0};

	for (size_t i = 0; i < n; i++) {
		const struct index_func *f = &o->index.funcs[func[i]];

		frames[i].start_line = f->start_line;
		func[i] = f->name;
		if (o->name_slots)
			__builtin_prefetch(&o->names[name_home(o->name_slots, f->name)]);
	}
	for (size_t i = 0; i < n; i++) {
		name = name_get(o, func[i]);
		frames[i].function = name.text ? name.text : "[unknown]";
		frames[i].system_name = name.text ? index_str(&o->index, name.raw) : "[unknown]";
	}
	return name;
}

/* The chain of a node; *ret_name: the physical function's. A chain that is too deep loses frames
 * before that one. Nodes first and then names: most of the time goes to fetching them from memory,
 * which so overlaps. */
static size_t find_chain(struct symbol_object *o, const struct index_hit *hit,
			 struct symbol_frame frames[SYMBOL_FRAMES_MAX], struct name *ret_name)
{
	__u32 id = hit->node, file = hit->file, line = hit->line, column = hit->column;
	__u32 func[SYMBOL_FRAMES_MAX];
	struct index_node node;
	size_t n = 0;

	for (; id && index_node_read(&o->index, id, &node); id = node.parent) {
		__builtin_prefetch(&o->index.funcs[node.func]);
		if (n == SYMBOL_FRAMES_MAX) {
			o->chains_cut_total++;
			n--;
		}
		func[n] = node.func;
		frames[n++] = (struct symbol_frame){
			.file = index_file_name(&o->index, file),
			.line = line,
			.column = column,
			.inlined = node.parent != 0,
		};
		file = node.call_file;
		line = node.call_line;
		column = node.call_column;
	}
	*ret_name = name_frames(o, frames, n, func);
	return n;
}

/* The physical function has an ELF symbol besides its DWARF name: it is the raw name, and the
 * better one where DWARF has none, or only a plain one for a mangled symbol (static C++ functions).
 */
static void join_symbol(struct symbol_object *o, struct symbol_frame *frame,
			const struct name *dwarf, __u32 symbol)
{
	const char *raw;

	if (dwarf->text && symbol == dwarf->raw)
		return;
	raw = index_str(&o->index, symbol);
	if (!*raw)
		return;
	if (!dwarf->text || (!dwarf->mangled && is_mangled(raw)))
		frame->function = name_get(o, symbol).text;
	frame->system_name = raw;
}

size_t symbol_object_find(struct symbol_object *o, __u64 vaddr,
			  struct symbol_frame frames[SYMBOL_FRAMES_MAX])
{
	struct symbol_frame *last;
	struct index_hit hit = {0};
	struct name name = {0};
	size_t n = 0;

	if (index_find(&o->index, vaddr, &hit))
		n = find_chain(o, &hit, frames, &name);
	if (!n)
		frames[n++] = (struct symbol_frame){.file = index_file_name(&o->index, hit.file),
						    .line = hit.line,
						    .column = hit.column};
	last = &frames[n - 1];
	if (!name.text)
		last->function = last->system_name = NULL;
	if (hit.symbol)
		join_symbol(o, last, &name, hit.symbol);
	if (!last->function)
		last->function = unknown_name(o, vaddr);
	if (!last->system_name)
		last->system_name = last->function;
	return n;
}

bool symbol_object_knows(struct symbol_object *o, __u64 vaddr)
{
	struct index_hit hit;

	return index_find(&o->index, vaddr, &hit) && (hit.node || hit.symbol);
}

__u64 symbol_object_start(const struct symbol_object *o, __u64 vaddr)
{
	struct index_hit hit = {0};

	index_find(&o->index, vaddr, &hit);
	return hit.unnamed ? o->index.header->base + hit.symbol_start : vaddr;
}

const char *symbol_object_owner(struct symbol_object *o, __u64 vaddr)
{
	struct index_hit hit;

	return index_find(&o->index, vaddr, &hit) ? index_str(&o->index, hit.owner) : "";
}

bool symbol_object_vaddr(const struct symbol_object *o, __u64 offset, __u64 *ret_vaddr)
{
	for (size_t i = 0; i < o->segments.len; i++) {
		const struct elf_segment *s = &o->segments.data[i];

		if (offset < s->offset || offset - s->offset >= s->filesz)
			continue;
		*ret_vaddr = s->vaddr + (offset - s->offset);
		return true;
	}
	return false;
}

void symbol_object_info(const struct symbol_object *o, struct symbol_info *ret_info)
{
	const struct index_header *h = o->index.header;

	*ret_info = (struct symbol_info){
		.path = o->path,
		.build_id = o->build_id,
		.debug_file = index_str(&o->index, h->facts.debug_path),
		.note = index_str(&o->index, h->facts.note),
		.flags = h->facts.flags,
		.from_cache = o->from_cache,
		.stored = o->stored,
		.n_symbols = h->n_symbols,
		.n_functions = h->n_funcs,
		.n_units = h->facts.n_units,
		.n_bad_units = h->facts.n_bad_units,
		.index_bytes = h->bytes,
		.name_bytes = o->name_arena.reserved + o->name_slots * sizeof(*o->names),
		.names_raw_total = o->names_raw_total,
		.chains_cut_total = o->chains_cut_total,
	};
}
