/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the debug half of an object lies: by build ID under /usr/lib/debug/.build-id, by
 * .gnu_debuglink beside the object, in its .debug folder and under /usr/lib/debug (CRC checked), or
 * under folders that the caller names instead; dwz's common file by .gnu_debugaltlink, split units
 * by their own paths; at last, when it is asked for, from debuginfod. Everything is opened below a
 * root (a container's), which no symbolic link or ".." leaves, and only if it is a regular file
 * (fs_open_foreign).
 *
 * Sources: gdb's manual "Separate Debug Files"; elfutils' debuginfod-client(3).
 */
#pragma once

#include "symbolize/elf.h"

#define DEBUG_ROOT_HOST (-1)
#define DEBUG_ROOT_NONE (-2) /* nobody knows which: nothing is looked for in files */

struct debug_root {
	int fd;		  /* of the root folder, or one of the above */
	const char *path; /* of the object below that root; may be NULL */
	/* Folders of debug files below that root; n_dirs 0: /usr/lib/debug. */
	const char *const *dirs;
	size_t n_dirs;
	bool debuginfod; /* ask $DEBUGINFOD_URLS: may take long, `cancelled` ends it */
	bool (*cancelled)(void *arg);
	void *arg;
};

/* Open a path below the root for reading; relative ones are refused. fd or -errno; of no root
 * -ENOENT. */
MUST_CHECK int debug_root_open(const struct debug_root *root, const char *path);

/* Why there is no debug file. */
#define DEBUG_MISSES(X)                                                                            \
	X(NONE, "")                                                                                \
	X(NOT_FOUND, "no debug file by build ID or debug link")                                    \
	X(NO_ID, "neither build ID nor debug link")                                                \
	X(CRC, "the debug file's CRC does not match the debug link")                               \
	X(ID, "the debug file has another build ID")                                               \
	X(UNREADABLE, "the debug file cannot be read")

enum debug_miss {
#define X(name, text) DEBUG_MISS_##name,
	DEBUG_MISSES(X)
#undef X
};
const char *debug_miss_text(enum debug_miss why);

/* The file with the DWARF of an object, or NULL; ret_path holds its path (PATH_MAX bytes). Looking
 * takes from the object's work, and so does reading what is found. */
struct elf *debug_file_open(const struct debug_root *root, const struct elf *elf, char *ret_path,
			    enum debug_miss *ret_why);
/* What .gnu_debugaltlink of a file (found at path) names, or NULL; its work as above. */
struct elf *debug_alt_open(const struct debug_root *root, const struct elf *elf, const char *path);
