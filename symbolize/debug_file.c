// SPDX-License-Identifier: Apache-2.0
/* Looking for debug files, see debug_file.h. */
#include "symbolize/debug_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"

#define MAX_CRC_BYTES  ((size_t)4 << 30)
#define CRC_STEP_BYTES ((size_t)1 << 20)
#define CRC_WORK_BYTES 64u /* that a unit of work pays for */
#define ALT_SECTION    ".gnu_debugaltlink"
#define DEBUGINFOD_LIB "libdebuginfod.so.1"

static const char *const miss_texts[] = {
#define X(name, text) text,
	DEBUG_MISSES(X)
#undef X
};

const char *debug_miss_text(enum debug_miss why)
{
	return miss_texts[why];
}

int debug_root_open(const struct debug_root *root, const char *path)
{
	if (root->fd == DEBUG_ROOT_NONE)
		return -ENOENT;
	return fs_open_foreign(root->fd == DEBUG_ROOT_HOST ? AT_FDCWD : root->fd, path,
			       FS_LINKS_BELOW);
}

static struct elf *open_elf(const struct debug_root *root, const char *path, struct work *work,
			    enum debug_miss *ret_why)
{
	_close_ int fd = debug_root_open(root, path);
	enum elf_refusal refusal;
	struct elf *elf;

	if (fd < 0)
		return NULL;
	elf = elf_open(fd, &refusal);
	if (elf)
		elf_set_work(elf, work);
	else
		*ret_why = DEBUG_MISS_UNREADABLE;
	return elf;
}

static bool same_id(const struct elf *a, const __u8 *id, size_t len)
{
	return a->build_id_len == len && !memcmp(a->build_id, id, len);
}

static const char *const usual_dirs[] = {"/usr/lib/debug"};

static size_t debug_dirs(const struct debug_root *root, const char *const **ret_dirs)
{
	*ret_dirs = root->n_dirs ? root->dirs : usual_dirs;
	return root->n_dirs ? root->n_dirs : ARRAY_SIZE(usual_dirs);
}

/* DIR/.build-id/ab/cdef.debug, whose build ID must be the same. */
static struct elf *open_by_id(const struct debug_root *root, const __u8 *id, size_t len,
			      struct work *work, char *ret_path, enum debug_miss *ret_why)
{
	const char *const *dirs;
	size_t n_dirs = debug_dirs(root, &dirs);
	char hex[2 * ELF_BUILD_ID_MAX + 1];

	if (len < 2 || len > ELF_BUILD_ID_MAX)
		return NULL;
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	for (size_t i = 0; i < n_dirs; i++) {
		struct elf *elf;

		if (snprintf(ret_path, PATH_MAX, "%s/.build-id/%.2s/%s.debug", dirs[i], hex,
			     hex + 2) >= PATH_MAX)
			continue;
		elf = open_elf(root, ret_path, work, ret_why);
		if (elf && same_id(elf, id, len))
			return elf;
		if (elf)
			*ret_why = DEBUG_MISS_ID;
		elf_free(elf);
	}
	return NULL;
}

static bool crc_matches(const struct elf *elf, __u32 crc)
{
	uLong value = crc32(0, NULL, 0);

	if (elf->size > MAX_CRC_BYTES)
		return false;
	for (size_t at = 0; at < elf->size; at += CRC_STEP_BYTES) {
		if (!work_take(elf->work, CRC_STEP_BYTES / CRC_WORK_BYTES))
			return false;
		value = crc32(value, elf->data + at, (uInt)MIN(elf->size - at, CRC_STEP_BYTES));
		if (at % ELF_DROP_BYTES == 0)
			elf_drop_pages(elf);
	}
	return value == crc;
}

static struct elf *open_by_link(const struct debug_root *root, const struct elf *elf,
				const char *name, __u32 crc, char *ret_path,
				enum debug_miss *ret_why)
{
	const char *slash = root->path ? strrchr(root->path, '/') : NULL;
	int dir_len = slash ? (int)(slash - root->path) : 0;
	const char *const *dirs;
	size_t n_dirs = debug_dirs(root, &dirs);

	if (!slash || !*name || strchr(name, '/'))
		return NULL;
	/* Beside the object, in its .debug, then under each folder of debug files. */
	for (size_t i = 0; i < n_dirs + 2; i++) {
		struct elf *found;

		if (snprintf(ret_path, PATH_MAX, "%s%.*s%s/%s", i < 2 ? "" : dirs[i - 2], dir_len,
			     root->path, i == 1 ? "/.debug" : "", name) >= PATH_MAX)
			continue;
		found = open_elf(root, ret_path, elf->work, ret_why);
		if (!found)
			continue;
		/* An equal build ID says the same as the CRC, without reading the whole file. */
		if ((elf->build_id_len && same_id(found, elf->build_id, elf->build_id_len)) ||
		    crc_matches(found, crc))
			return found;
		*ret_why = DEBUG_MISS_CRC;
		elf_free(found);
	}
	return NULL;
}

/* ---- debuginfod ------------------------------------------------------------------------------ */

struct debuginfod {
	void *lib, *client;
	void *(*begin)(void);
	int (*find)(void *client, const unsigned char *id, int len, char **path);
	void (*set_progress)(void *client, int (*fn)(void *client, long a, long b));
	void (*set_data)(void *client, void *data);
	void *(*get_data)(void *client);
	void (*end)(void *client);
};

static struct debuginfod server;

static int on_progress(void *client, long a UNUSED, long b UNUSED)
{
	const struct debug_root *root = server.get_data(client);

	return root->cancelled && root->cancelled(root->arg);
}

/* The library is an option of the host's: no header, no link. Loaded at the first question. */
static bool debuginfod_load(void)
{
	static bool tried;

	if (tried)
		return server.client != NULL;
	tried = true;
	server.lib = dlopen(DEBUGINFOD_LIB, RTLD_LAZY | RTLD_LOCAL);
	if (!server.lib)
		return false;
	*(void **)&server.begin = dlsym(server.lib, "debuginfod_begin");
	*(void **)&server.find = dlsym(server.lib, "debuginfod_find_debuginfo");
	*(void **)&server.set_progress = dlsym(server.lib, "debuginfod_set_progressfn");
	*(void **)&server.set_data = dlsym(server.lib, "debuginfod_set_user_data");
	*(void **)&server.get_data = dlsym(server.lib, "debuginfod_get_user_data");
	if (server.begin && server.find && server.set_progress && server.set_data &&
	    server.get_data)
		server.client = server.begin();
	if (server.client)
		server.set_progress(server.client, on_progress);
	return server.client != NULL;
}

static struct elf *open_by_server(const struct debug_root *root, const struct elf *elf,
				  char *ret_path, enum debug_miss *ret_why)
{
	_free_ char *path = NULL;
	_close_ int fd = -1;
	enum elf_refusal refusal;
	struct elf *found;

	if (!root->debuginfod || !elf->build_id_len || !debuginfod_load())
		return NULL;
	server.set_data(server.client, (void *)(uintptr_t)root);
	fd = server.find(server.client, elf->build_id, (int)elf->build_id_len, &path);
	if (fd < 0)
		return NULL;
	found = elf_open(fd, &refusal);
	if (found && same_id(found, elf->build_id, elf->build_id_len)) {
		elf_set_work(found, elf->work);
		snprintf(ret_path, PATH_MAX, "%s", path ? path : "");
		return found;
	}
	*ret_why = found ? DEBUG_MISS_ID : DEBUG_MISS_UNREADABLE;
	elf_free(found);
	return NULL;
}

struct elf *debug_file_open(const struct debug_root *root, const struct elf *elf, char *ret_path,
			    enum debug_miss *ret_why)
{
	const struct elf_section *link = elf_section(elf, ".gnu_debuglink");
	struct elf *found = NULL;

	*ret_why = link || elf->build_id_len ? DEBUG_MISS_NOT_FOUND : DEBUG_MISS_NO_ID;
	found = open_by_id(root, elf->build_id, elf->build_id_len, elf->work, ret_path, ret_why);
	if (!found && link) {
		struct cursor c = elf_section_raw(elf, link);
		const char *name = cursor_str(&c);

		cursor_seek(&c, ALIGN_UP((__u64)cursor_tell(&c), 4));
		found = open_by_link(root, elf, name, cursor_u32(&c), ret_path, ret_why);
	}
	if (!found)
		found = open_by_server(root, elf, ret_path, ret_why);
	if (found)
		*ret_why = DEBUG_MISS_NONE;
	return found;
}

struct elf *debug_alt_open(const struct debug_root *root, const struct elf *elf, const char *path)
{
	const struct elf_section *section = elf_section(elf, ALT_SECTION);
	enum debug_miss why;
	char full[PATH_MAX];
	const char *name, *slash;
	struct elf *found = NULL;
	struct cursor c;

	if (!section)
		return NULL;
	c = elf_section_raw(elf, section);
	name = cursor_str(&c);
	slash = path ? strrchr(path, '/') : NULL;
	if (c.bad || !*name)
		return NULL;
	if (*name == '/')
		found = open_elf(root, name, elf->work, &why);
	else if (slash && snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - path), path, name) <
				  (int)sizeof(full))
		found = open_elf(root, full, elf->work, &why);
	if (found && !same_id(found, c.pos, cursor_left(&c))) {
		elf_free(found);
		found = NULL;
	}
	return found ? found : open_by_id(root, c.pos, cursor_left(&c), elf->work, full, &why);
}
