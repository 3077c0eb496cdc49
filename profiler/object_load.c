// SPDX-License-Identifier: Apache-2.0
/* Loading objects, see object_load.h. */
#include "profiler/object_load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/fs.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "profiler/process.h"
#include "profiler/row_cache.h"
#include "profiler/vdso.h"
#include "symbolize/debug_file.h"
#include "symbolize/elf.h"
#include "symbolize/unwind.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define BTRFS_MAGIC	0x9123683e
#define DELETED_SUFFIX	" (deleted)"

/* Does the link begin with the path? /proc/PID/maps writes a newline as \012. NULL: no; else what
 * follows it. */
static const char *behind_path(const char *link, const char *path)
{
	for (; *path; link++, path++) {
		if (*link == '\n' && !strncmp(path, "\\012", 4))
			path += 3;
		else if (*link != *path)
			return NULL;
	}
	return link;
}

/* The link of a map_files entry names what is mapped there now; it must still be our file. */
static bool same_path(const char *link, const char *path)
{
	const char *rest = behind_path(link, path);

	return rest && (!*rest || !strcmp(rest, DELETED_SUFFIX));
}

static int open_map_file(const struct object_source *source)
{
	char name[96], link[PATH_MAX];
	ssize_t len;

	snprintf(name, sizeof(name), "/proc/%u/map_files/%llx-%llx", source->pid,
		 (unsigned long long)source->start, (unsigned long long)source->end);
	len = readlink(name, link, sizeof(link) - 1);
	if (len < 0)
		return -errno;
	link[len] = 0;
	if (!same_path(link, source->path))
		return -ESTALE;
	return fs_open_magic(AT_FDCWD, name);
}

/* A deleted file's number is given to another one, which has another generation. Many file systems
 * tell it; *ret_known: this one did, and so did who saw the mapping. */
static bool is_generation(int fd, const struct object_key *key, bool *ret_known)
{
	long generation = 0; /* file systems write an int */

	*ret_known = key->generation != OBJECT_ANY_GENERATION &&
		     !ioctl(fd, FS_IOC_GETVERSION, &generation);
	return !*ret_known || (__u32)generation == (__u32)key->generation;
}

/*
 * Is this the inode that was mapped? Mappings are told by the device of the file system; stat tells
 * one of its own for every subvolume of btrfs, whose inode numbers repeat in each, and on overlayfs
 * device and inode may both be others. In the root of the process, the path does there.
 */
static bool is_mapped_inode(int fd, const struct object_key *key, bool in_its_root)
{
	struct statfs fs;
	struct stat st;
	bool known;

	if (fstat(fd, &st) || !is_generation(fd, key, &known))
		return false;
	if (st.st_ino == key->inode && major(st.st_dev) == key->major &&
	    minor(st.st_dev) == key->minor)
		return true;
	if (fstatfs(fd, &fs))
		return false;
	if (fs.f_type == BTRFS_MAGIC)
		return st.st_ino == key->inode && (known || in_its_root);
	return fs.f_type == OVERLAYFS_MAGIC && in_its_root;
}

static int open_root(__u32 pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/root", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Also when that cannot be told. */
static bool is_our_root(int root)
{
	struct stat ours, theirs;

	return fstat(root, &theirs) || stat("/", &ours) ||
	       (ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino);
}

/* Below the root of the process itself, or of its parent when it has ended. That one's is the
 * host's when the process was the first one of a container: then it is not the root of both. */
static int open_in_root(__u32 pid, const struct object_source *source)
{
	_close_ int root = open_root(pid), fd = -1;

	if (root < 0)
		return root;
	fd = fs_open_foreign(root, source->path, FS_LINKS_BELOW);
	if (fd < 0)
		return fd;
	return is_mapped_inode(fd, &source->key, pid == source->pid || !is_our_root(root))
		       ? take_fd(&fd)
		       : -ENOENT;
}

static int open_on_host(const struct object_source *source)
{
	_close_ int fd = fs_open_foreign(AT_FDCWD, source->path, FS_LINKS_BELOW);

	if (fd < 0)
		return fd;
	return is_mapped_inode(fd, &source->key, false) ? take_fd(&fd) : -ENOENT;
}

int object_open(const struct object_source *source)
{
	int fd = open_map_file(source);

	if (fd < 0 && source->path[0] != '/')
		return -ENOENT;
	if (fd < 0)
		fd = open_in_root(source->pid, source);
	if (fd < 0 && source->parent)
		fd = open_in_root(source->parent, source);
	return fd < 0 ? open_on_host(source) : fd;
}

/* Does the path lead to that very file there? */
static bool leads_to(int root, const char *path, int fd)
{
	_close_ int found = fs_open_foreign(root, path, FS_LINKS_BELOW);
	struct stat there, ours;

	return found >= 0 && !fstat(found, &there) && !fstat(fd, &ours) &&
	       there.st_dev == ours.st_dev && there.st_ino == ours.st_ino;
}

int object_debug_root(const struct object_source *source, int fd)
{
	_close_ int root = open_root(source->pid);

	if (root < 0 && source->parent) {
		_close_ int parent = open_root(source->parent);

		if (parent >= 0 && leads_to(parent, source->path, fd))
			root = take_fd(&parent);
	}
	if (root < 0)
		return leads_to(AT_FDCWD, source->path, fd) ? DEBUG_ROOT_HOST : DEBUG_ROOT_NONE;
	return is_our_root(root) ? DEBUG_ROOT_HOST : take_fd(&root);
}

/* ---- images ---------------------------------------------------------------------------------- */

static void fail(struct object_image *image, enum object_state state, const char *why)
{
	image->state = state;
	image->why = why;
}

static int take_loads(struct object_image *image, const struct elf *elf)
{
	image->loads = calloc(elf->n_segments + 1, sizeof(*image->loads));
	if (!image->loads)
		return -ENOMEM;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->type == PT_LOAD && s->flags & PF_X)
			image->loads[image->n_loads++] = (struct object_load){
				.offset = s->offset, .vaddr = s->vaddr, .filesz = s->filesz};
	}
	image->machine = elf->machine;
	image->build_id_len = (__u8)elf->build_id_len;
	memcpy(image->build_id, elf->build_id, elf->build_id_len);
	return 0;
}

/* Copy the parts into segments; what was copied stays recorded, so that a failure frees it. */
static int take_parts(struct object_image *image, const struct unwind_table *table,
		      struct segments *segments)
{
	image->parts = calloc(table->n_parts, sizeof(*image->parts));
	image->blobs = calloc(table->n_parts, sizeof(*image->blobs));
	if (!image->parts || !image->blobs)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_parts; i++) {
		const struct unwind_part *from = &table->parts[i];
		struct blob *blob = &image->blobs[i];
		int err = segments_alloc(segments, from->n_words, blob);

		if (err)
			return err;
		memcpy(segments_words(segments, blob), from->blob, (size_t)from->n_words * 4);
		image->parts[i] = (struct object_part){
			.start = from->start,
			.end = from->end,
			.n_pages = from->n_pages,
			.dir = blob->offset + from->dir,
			.rows = blob->offset + from->rows,
			.rules = blob->offset + from->rules,
			.segment = (__u16)blob->segment,
			.shift = from->shift,
		};
		image->n_parts = i + 1;
	}
	image->n_rows = table->n_rows;
	image->tracks_bx = table->tracks_bx;
	return 0;
}

/* The table's rows go into segments; the table goes. */
static void take_table(struct object_image *image, struct unwind_table *table,
		       struct segments *segments)
{
	if (take_parts(image, table, segments)) {
		for (size_t i = 0; i < table->n_parts && image->blobs; i++)
			segments_release(segments, &image->blobs[i]);
		image->n_parts = 0;
		fail(image, OBJECT_NO_ROWS, "no memory for unwind rows (symbols.rows_budget)");
	} else {
		image->state = OBJECT_READY;
		image->why = "";
	}
	unwind_table_free(table);
}

/* only_quick: what takes long is left LOADING. */
static void load_rows(struct object_image *image, struct elf *elf,
		      const struct object_loading *loading, bool only_quick)
{
	struct work work = {.cancelled = loading->cancelled, .arg = loading->arg};
	enum unwind_skip why = UNWIND_SKIP_NONE;
	struct unwind_table *table;

	work_grow(&work, elf->data_bytes);
	work.left = MIN(work.left, OBJECT_WORK_MAX);
	elf->work = &work;
	if (only_quick && elf->size > OBJECT_QUICK_BYTES) {
		table = row_cache_find(loading->cache, elf);
		image->from_cache = table != NULL;
	} else {
		table = row_cache_compile(loading->cache, elf, &why, &image->from_cache);
		if (!table)
			fail(image, OBJECT_NO_ROWS, unwind_skip_text(why));
		image->too_much_work = why == UNWIND_SKIP_WORK;
	}
	if (table)
		take_table(image, table, loading->segments);
	elf->work = NULL;
}

static void refuse(struct object_image *image, enum elf_refusal refusal)
{
	fail(image,
	     refusal == ELF_REFUSAL_MEMORY || refusal == ELF_REFUSAL_READ ? OBJECT_GONE
									  : OBJECT_NOT_ELF,
	     elf_refusal_text(refusal));
}

static void load_file(struct object_image *image, const struct object_source *source,
		      struct elf **ret_elf)
{
	_close_ int fd = object_open(source);
	enum elf_refusal refusal;
	struct stat st;

	if (fd < 0) {
		fail(image, OBJECT_GONE, "file gone");
		return;
	}
	if (!fstat(fd, &st)) {
		image->size = (__u64)st.st_size;
		image->mtime_ns =
			(__u64)st.st_mtim.tv_sec * 1000000000ull + (__u64)st.st_mtim.tv_nsec;
	}
	*ret_elf = elf_open(fd, &refusal);
	if (*ret_elf)
		image->fd = take_fd(&fd);
	else
		refuse(image, refusal);
}

static void load_vdso(struct object_image *image, struct elf **ret_elf)
{
	enum elf_refusal refusal;
	size_t size;
	const void *vdso = vdso_image(&size);

	*ret_elf = elf_open_memory(vdso, size, &refusal);
	if (!*ret_elf)
		refuse(image, refusal);
}

struct object_image *object_load_quick(const struct object_source *source,
				       const struct object_loading *loading)
{
	struct object_image *image = calloc(1, sizeof(*image));
	struct elf *elf = NULL;

	if (!image)
		return NULL;
	image->state = OBJECT_LOADING;
	image->why = "";
	image->fd = -1;
	image->pid = source->pid;
	image->parent = source->parent;
	image->map_start = source->start;
	image->map_end = source->end;
	if (!source->key.inode && !strcmp(source->path, VDSO_PATH))
		load_vdso(image, &elf);
	else
		load_file(image, source, &elf);
	if (!elf)
		return image;
	if (take_loads(image, elf))
		fail(image, OBJECT_GONE, "out of memory");
	else
		load_rows(image, elf, loading, true);
	elf_free(elf);
	return image;
}

void object_compile(struct object_image *image, const struct object_loading *loading)
{
	enum elf_refusal refusal;
	struct elf *elf = elf_open(image->fd, &refusal);

	if (elf)
		load_rows(image, elf, loading, false);
	else
		refuse(image, refusal);
	elf_free(elf);
}

struct object_image *object_load(const struct object_source *source,
				 const struct object_loading *loading)
{
	struct object_image *image = object_load_quick(source, loading);

	if (image && image->state == OBJECT_LOADING)
		object_compile(image, loading);
	return image;
}
