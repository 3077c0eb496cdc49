// SPDX-License-Identifier: Apache-2.0
/* Objects and look-ups, see symbol.h. The readable form of a raw name is made at first use and kept
 * by the name's place in the index. */
#include "symbolize/symbol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/arena.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "symbolize/demangle.h"
#include "symbolize/symbol_build.h"

struct readable {
	__u32 raw; /* string offset in the index */
	const char *name;
};

struct symbol_object {
	char *path;
	const char *base_name;
	char build_id[2 * ELF_BUILD_ID_MAX + 1];
	struct index index;
	VEC(struct elf_segment) segments; /* the PT_LOADs */
	bool raw_names;
	bool from_cache, stored;
	VEC(struct readable) names;
	struct hmap name_index;
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
	vec_free(&o->names);
	hmap_fini(&o->name_index);
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

static const char *readable(struct symbol_object *o, __u32 raw)
{
	const char *name = index_str(&o->index, raw), *copy;
	__u32 i;

	if (o->raw_names)
		return name;
	hmap_for_each_match (&o->name_index, hash_u64(raw), i) {
		if (o->names.data[i].raw == raw)
			return o->names.data[i].name;
	}
	buf_reset(&o->text);
	demangle_name(name, &o->text);
	if (!o->text.err && o->text.len == strlen(name) && !memcmp(o->text.data, name, o->text.len))
		copy = name; /* not mangled: the index has it */
	else
		copy = arena_strndup(&o->name_arena, o->text.data ? o->text.data : "", o->text.len);
	if (!copy || o->text.err || vec_push(&o->names, (struct readable){raw, copy})) {
		o->names_raw_total++;
		return name;
	}
	if (hmap_add(&o->name_index, hash_u64(raw), (__u32)o->names.len - 1))
		o->names.len--;
	return copy;
}

static const char *unknown_name(struct symbol_object *o, __u64 vaddr)
{
	snprintf(o->unknown, sizeof(o->unknown), "%.480s+0x%llx",
		 *o->base_name ? o->base_name : "[unknown]", (unsigned long long)vaddr);
	return o->unknown;
}

/* ---- look-ups -------------------------------------------------------------------------------- */

static struct symbol_frame *name_frame(struct symbol_object *o, struct symbol_frame *frame,
				       const struct index_node *node)
{
	const struct index_func *func = &o->index.funcs[node->func];

	frame->inlined = node->parent != 0;
	frame->start_line = func->start_line;
	frame->function = frame->system_name = "";
	if (func->name) {
		frame->function = readable(o, func->name);
		frame->system_name = index_str(&o->index, func->name);
	}
	return frame;
}

/* The chain of a node. The last frame is always the physical function: a chain that is too deep
 * loses frames before it. */
static size_t find_chain(struct symbol_object *o, const struct index_hit *hit,
			 struct symbol_frame frames[SYMBOL_FRAMES_MAX])
{
	struct symbol_frame next = {
		.file = index_file_name(&o->index, hit->file),
		.line = hit->line,
		.column = hit->column,
	};
	__u32 id = hit->node;
	size_t n = 0;

	while (id) {
		struct index_node node;

		if (!index_node_read(&o->index, id, &node))
			break;
		if (n == SYMBOL_FRAMES_MAX) {
			o->chains_cut_total++;
			n--;
		}
		frames[n] = next;
		name_frame(o, &frames[n++], &node);
		next = (struct symbol_frame){
			.file = index_file_name(&o->index, node.call_file),
			.line = node.call_line,
			.column = node.call_column,
		};
		id = node.parent;
	}
	return n;
}

static bool is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

/* The physical function has an ELF symbol besides its DWARF name: it is the raw name, and the
 * better one where DWARF has none, or only a plain one for a mangled symbol (static C++ functions).
 */
static void join_symbol(struct symbol_object *o, struct symbol_frame *frame,
			const struct index_hit *hit)
{
	const char *raw = index_str(&o->index, hit->symbol);

	if (!hit->symbol)
		return;
	if (!*frame->function || (is_mangled(raw) && !is_mangled(frame->system_name)))
		frame->function = readable(o, hit->symbol);
	frame->system_name = raw;
}

size_t symbol_object_find(struct symbol_object *o, __u64 vaddr,
			  struct symbol_frame frames[SYMBOL_FRAMES_MAX])
{
	struct symbol_frame *last;
	struct index_hit hit = {0};
	size_t n = 0;

	if (index_find(&o->index, vaddr, &hit))
		n = find_chain(o, &hit, frames);
	if (!n) {
		frames[n++] = (struct symbol_frame){
			.file = index_file_name(&o->index, hit.file),
			.line = hit.line,
			.column = hit.column,
			.function = "",
			.system_name = "",
		};
	}
	last = &frames[n - 1];
	join_symbol(o, last, &hit);
	if (!*last->function)
		last->function = unknown_name(o, vaddr);
	for (size_t i = 0; i < n; i++) {
		if (!*frames[i].function)
			frames[i].function = "[unknown]";
		if (!*frames[i].system_name)
			frames[i].system_name = frames[i].function;
	}
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
		.name_bytes = o->name_arena.reserved + o->names.cap * sizeof(*o->names.data) +
			      ((__u64)o->name_index.mask + 1) * sizeof(struct hmap_slot),
		.names_raw_total = o->names_raw_total,
		.chains_cut_total = o->chains_cut_total,
	};
}
