/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address to frames. An object is one ELF file (or the kernel, or the vDSO) with its index:
 * loaded from the cache folder, else built from the file's symbols, DWARF and Go tables, which may
 * take seconds for a large one (0.4 of llvm-symbolizer's time). After that the file itself is
 * closed and a look-up costs less than a microsecond.
 *
 * Names: `function` is demangled with parameters, without Rust's hash and without what compilers
 * append to pieces (.cold, .part.0, .isra.0, .llvm.N, BOLT's); `system_name` is as it stands in the
 * file. The physical function's name is DWARF's where DWARF has the function, else the symbol's
 * (index_write.c says which of several).
 *
 * One thread at a time per object. Memory: the index is a mapped file; anonymous are the demangled
 * names that were asked for and the table of them (SYMBOL_NAME_BYTES_MAX each an object, then names
 * stay raw and are counted).
 */
#pragma once

#include "symbolize/index.h"
#include "symbolize/index_cache.h"

#define SYMBOL_FRAMES_MAX     128 /* a deeper chain loses its middle; counted */
#define SYMBOL_NAME_BYTES_MAX ((size_t)8 << 20)

struct symbol_frame {
	const char *function;	 /* never empty */
	const char *system_name; /* never empty */
	const char *file;	 /* "" unknown */
	__u32 line, column;	 /* 0 unknown */
	__u32 start_line;	 /* where the function begins; 0 unknown */
	bool inlined;
};

struct symbol_options {
	struct index_cache *cache;     /* NULL: nothing is kept on disk */
	const char *scratch_dir;       /* for temporaries, see scratch.h; NULL: /var/tmp */
	bool no_debug_files;	       /* only the file itself */
	const char *const *debug_dirs; /* see debug_file.h; n_debug_dirs 0: the usual one */
	size_t n_debug_dirs;
	bool debuginfod;	      /* ask $DEBUGINFOD_URLS when nothing is found here: slow */
	bool raw_names;		      /* function = the raw name too */
	bool (*cancelled)(void *arg); /* asked while an index is built; may be NULL */
	void *arg;
};

struct symbol_object;

/* Open the file behind fd (not closed; it must stay open only for this call). path: its path below
 * the root, for messages and debug files; root_fd: that root (a container's), or one of
 * debug_file.h's DEBUG_ROOT_HOST and DEBUG_ROOT_NONE.
 * 0 or -errno with *ret_why when the file itself was refused. */
MUST_CHECK int symbol_object_open(int fd, const char *path, int root_fd,
				  const struct symbol_options *options,
				  struct symbol_object **ret_object, enum elf_refusal *ret_why);
/* The same over bytes (the vDSO), only their symbols. */
MUST_CHECK int symbol_object_open_memory(const void *data, size_t size, const char *path,
					 const struct symbol_options *options,
					 struct symbol_object **ret_object);
/* Over a finished index (the kernel's), taken over. */
MUST_CHECK int symbol_object_of_index(struct index *index, const char *path,
				      const struct symbol_options *options,
				      struct symbol_object **ret_object);
void symbol_object_free(struct symbol_object *object);

/* The frames at an ELF virtual address, innermost first; at least one: an unknown address is named
 * `libfoo.so+0x1234`. For a return address pass the one before it. Strings are borrowed until the
 * object is freed, except that of an unknown address: until the next call. Returns the count. */
size_t symbol_object_find(struct symbol_object *object, __u64 vaddr,
			  struct symbol_frame frames[SYMBOL_FRAMES_MAX]);
/* True when find() will know a name for the address. */
bool symbol_object_knows(struct symbol_object *object, __u64 vaddr);
/* Where the function at an address begins that has no name; the address itself when that is not
 * known either. */
__u64 symbol_object_start(const struct symbol_object *object, __u64 vaddr);
/* The module that owns a kernel address; "" for the kernel itself and for files. */
const char *symbol_object_owner(struct symbol_object *object, __u64 vaddr);
/* ELF virtual address of a file offset; false when no segment holds it. */
bool symbol_object_vaddr(const struct symbol_object *object, __u64 offset, __u64 *ret_vaddr);

/* What status shows: which objects lack what, and why. Strings borrowed until the object is freed.
 */
struct symbol_info {
	const char *path, *build_id;
	const char *debug_file; /* "" none */
	const char *note;	/* why symbols, lines or inlining are missing; "" nothing is */
	__u32 flags;		/* INDEX_HAS_*, INDEX_CUT */
	bool from_cache, stored;
	__u32 n_symbols, n_functions, n_units, n_bad_units;
	__u64 index_bytes, name_bytes; /* mapped, anonymous */
	__u64 names_raw_total, chains_cut_total;
};
void symbol_object_info(const struct symbol_object *object, struct symbol_info *ret_info);
