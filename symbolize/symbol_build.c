// SPDX-License-Identifier: Apache-2.0
/*
 * An object's index, see symbol_build.h: find the debug file, dwz's common file and the package of
 * split units; ask the cache by a key over all of them; else build. A build that meets a full disk
 * is tried again in bounded memory, then with symbols only.
 */
#include "symbolize/symbol_build.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "symbolize/dwarf_scan.h"
#include "symbolize/dwarf_split.h"
#include "symbolize/go_scan.h"
#include "symbolize/symtab.h"
#include "symbolize/unnamed.h"

enum { FILE_MAIN, FILE_DEBUG, FILE_ALT, FILE_DWP, FILE_COUNT };

struct build {
	const struct symbol_source *source;
	struct elf *files[FILE_COUNT]; /* all but the first are owned */
	char debug_path[PATH_MAX];
	enum debug_miss miss;
	const char *scratch_dir;
	bool symbols_only;
	struct work work; /* of all files together */
	bool has_key;	  /* else nothing is kept */
	__u8 key[INDEX_KEY_BYTES];
};

static bool has_section(const struct elf *elf, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), ".%s", name);
	if (elf_section(elf, full) && elf_section(elf, full)->type != SHT_NOBITS)
		return true;
	snprintf(full, sizeof(full), ".z%s", name);
	return elf_section(elf, full) != NULL;
}

static struct elf *open_package(const struct debug_root *root, struct work *work)
{
	char path[PATH_MAX];
	_close_ int fd = -1;
	enum elf_refusal refusal;
	struct elf *elf;

	if (!root->path || snprintf(path, sizeof(path), "%s.dwp", root->path) >= (int)sizeof(path))
		return NULL;
	fd = debug_root_open(root, path);
	elf = fd < 0 ? NULL : elf_open(fd, &refusal);
	if (elf)
		elf_set_work(elf, work);
	return elf;
}

static void find_files(struct build *b)
{
	const struct symbol_source *source = b->source;
	struct elf *dwarf = source->elf;
	const char *dwarf_path = source->root.path;

	b->files[FILE_MAIN] = source->elf;
	elf_set_work(source->elf, &b->work);
	if (source->symbols_only)
		return;
	if (!has_section(source->elf, "debug_info") && !source->options->no_debug_files) {
		b->files[FILE_DEBUG] =
			debug_file_open(&source->root, source->elf, b->debug_path, &b->miss);
		if (b->files[FILE_DEBUG]) {
			dwarf = b->files[FILE_DEBUG];
			dwarf_path = b->debug_path;
		}
	}
	if (source->options->no_debug_files)
		return;
	b->files[FILE_ALT] = debug_alt_open(&source->root, dwarf, dwarf_path);
	b->files[FILE_DWP] = open_package(&source->root, &b->work);
}

static int scan_dwarf(struct build *b, struct index_builder *ib)
{
	struct elf *elf = b->files[FILE_DEBUG] ? b->files[FILE_DEBUG] : b->files[FILE_MAIN];
	struct dwarf_file file = {0}, alt = {0};
	struct dwarf_split split = {0};
	int err;

	if (!has_section(elf, "debug_info"))
		return 0;
	elf->scratch_dir = b->scratch_dir;
	err = dwarf_file_init(&file, elf, false, &b->work);
	if (!err && b->files[FILE_ALT]) {
		b->files[FILE_ALT]->scratch_dir = b->scratch_dir;
		if (!dwarf_file_init(&alt, b->files[FILE_ALT], false, &b->work))
			file.alt = &alt;
	}
	if (!err)
		err = dwarf_split_init(&split, &b->source->root, b->files[FILE_DWP], b->scratch_dir,
				       &b->work);
	b->files[FILE_DWP] = NULL; /* the split's now */
	if (!err)
		err = dwarf_scan(&file, &split, ib);
	if (split.n_dwo)
		ib->facts.flags |= INDEX_NO_CACHE;
	dwarf_split_fini(&split);
	dwarf_file_fini(&alt);
	dwarf_file_fini(&file);
	/* Damaged or unsupported sections: the symbols still stand. */
	return err == -ENOMEM || err == -ENOSPC ? err : 0;
}

static __u32 note_string(struct index_builder *ib, const char *s)
{
	return index_string(ib, s, strlen(s));
}

static void take_notes(struct build *b, struct index_builder *ib)
{
	__u32 flags = ib->facts.flags;

	if (b->files[FILE_DEBUG])
		ib->facts.debug_path = note_string(ib, b->debug_path);
	if (flags & INDEX_CUT)
		ib->facts.note = note_string(ib, "the file is too large or cyclic; reading it "
						 "stopped at the work limit");
	else if (b->symbols_only && !b->source->symbols_only)
		ib->facts.note = note_string(ib, "no disk space for the index of the debug "
						 "information; symbols only");
	else if (!(flags & (INDEX_HAS_LINES | INDEX_HAS_GO)) && b->miss != DEBUG_MISS_NONE)
		ib->facts.note = note_string(ib, debug_miss_text(b->miss));
	else if (!(flags & (INDEX_HAS_LINES | INDEX_HAS_GO)))
		ib->facts.note = note_string(ib, "no debug information");
}

/* Symbols, lines and inlining of all files into the builder. */
static int collect(struct build *b, struct index_builder *ib)
{
	int err = symtab_text(b->files[FILE_MAIN], ib);

	if (!err)
		err = symtab_read(b->files[FILE_MAIN], ib);
	if (!err && b->files[FILE_DEBUG])
		err = symtab_read(b->files[FILE_DEBUG], ib);
	if (!err && !(ib->facts.flags & INDEX_HAS_SYMTAB))
		err = symtab_read_mini(b->files[FILE_MAIN], ib);
	if (!err && !(ib->facts.flags & (INDEX_HAS_SYMTAB | INDEX_HAS_MINI)))
		err = unnamed_read(b->files[FILE_MAIN], ib);
	if (!err && !b->symbols_only)
		err = scan_dwarf(b, ib);
	if (!err && !b->symbols_only)
		err = go_scan(b->files[FILE_MAIN], ib);
	if (!b->work.left) /* whoever met it stopped where it was */
		ib->facts.flags |= INDEX_CUT;
	if (!err)
		take_notes(b, ib);
	memcpy(ib->key, b->key, sizeof(ib->key));
	return err;
}

/* Into the cache folder, so that it can be kept. */
static int write_kept(struct build *b, struct index_builder *ib, struct index *ret_index,
		      bool *ret_stored)
{
	struct index_cache *cache = b->source->options->cache;
	char path[PATH_MAX];
	_close_ int fd = -1;
	int err;

	if (!b->has_key || (ib->facts.flags & (INDEX_NO_CACHE | INDEX_CUT)) || b->symbols_only)
		return -ENOENT;
	fd = index_cache_begin(cache, path);
	if (fd < 0)
		return fd;
	err = index_builder_finish(ib, fd);
	if (!err)
		err = index_open(fd, b->key, ret_index);
	if (err) {
		unlink(path);
		return err;
	}
	*ret_stored = index_cache_commit(cache, b->source->elf, b->key, path) == 0;
	return 0;
}

static int write_temporary(struct build *b, struct index_builder *ib, struct index *ret_index)
{
	_close_ int fd = scratch_open(b->scratch_dir, NULL);
	int err;

	if (fd < 0)
		return fd;
	err = index_builder_finish(ib, fd);
	return err ? err : index_open(fd, b->key, ret_index);
}

static int build_once(struct build *b, struct index *ret_index, bool *ret_stored)
{
	struct index_builder ib;
	int err = index_builder_init(&ib, b->scratch_dir);

	if (err)
		return err;
	err = collect(b, &ib);
	if (!err && write_kept(b, &ib, ret_index, ret_stored))
		err = write_temporary(b, &ib, ret_index);
	index_builder_fini(&ib);
	return err;
}

static int build(struct build *b, struct index *ret_index, bool *ret_stored)
{
	const struct symbol_options *options = b->source->options;
	int err;

	b->scratch_dir = options->scratch_dir;
	b->symbols_only = b->source->symbols_only;
	err = build_once(b, ret_index, ret_stored);
	if (err == -ENOSPC) {
		b->scratch_dir = SCRATCH_IN_MEMORY;
		err = build_once(b, ret_index, ret_stored);
	}
	if (err == -ENOSPC && !b->symbols_only) {
		b->symbols_only = true;
		err = build_once(b, ret_index, ret_stored);
	}
	return err;
}

int symbol_index_make(const struct symbol_source *source, struct index *ret_index,
		      bool *ret_from_cache, bool *ret_stored)
{
	struct build *b = calloc(1, sizeof(*b));
	struct index_cache *cache = source->options->cache;
	int err = -ENOENT;

	*ret_from_cache = *ret_stored = false;
	if (!b)
		return -ENOMEM;
	b->source = source;
	b->work =
		(struct work){.cancelled = source->options->cancelled, .arg = source->options->arg};
	find_files(b);
	b->has_key =
		cache && cache->dir &&
		!index_cache_key(cache, (const struct elf *const *)b->files, FILE_COUNT, b->key);
	if (b->has_key) {
		err = index_cache_find(cache, source->elf, b->key, ret_index);
		*ret_from_cache = !err;
	}
	if (err)
		err = build(b, ret_index, ret_stored);
	for (size_t i = FILE_MAIN + 1; i < FILE_COUNT; i++)
		elf_free(b->files[i]);
	source->elf->work = NULL;
	free(b);
	return err;
}
