// SPDX-License-Identifier: Apache-2.0
/* object.h: files by what the kernel says of their inodes, and who may still look at them. */
#include "profiler/object.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/fs.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/object_load.h"
#include "profiler/proc_maps.h"
#include "symbolize/debug_file.h"
#include "tests/unit/test.h"

static struct segments *segments;
static struct object_table *table;

static void setup(__u32 max)
{
	segments = segments_new(-1, 16u << 20);
	table = object_table_new(segments, max);
}

static void teardown(void)
{
	object_table_free(table);
	segments_free(segments);
}

static struct object *get(__u64 inode, __u64 generation)
{
	struct object_key key = {.major = 8, .minor = 1, .inode = inode, .generation = generation};

	return object_get(table, &key, "/usr/bin/some prog (deleted)");
}

static void keys(void)
{
	struct object *a, *b, *c, *d;
	struct object_key other = {.major = 8, .minor = 2, .inode = 5, .generation = 1};

	setup(16);
	a = get(5, 1);
	CU_ASSERT(get(5, 1) == a);
	ASSERT_INT(atomic_load(&a->refs), 2);
	ASSERT_STR(a->path, "/usr/bin/some prog");
	ASSERT_STR(a->name, "some prog");
	b = get(5, 2); /* the number was used again for another file */
	CU_ASSERT(b != a);
	c = object_get(table, &other, "relative");
	CU_ASSERT(c != a && c != b);
	ASSERT_STR(c->name, "relative");
	d = get(6, OBJECT_ANY_GENERATION); /* from /proc, which does not tell it */
	CU_ASSERT(get(6, 9) == d);	   /* now it is known */
	CU_ASSERT(get(6, 8) != d);
	CU_ASSERT(object_by_id(table, a->id) == a);
	CU_ASSERT_PTR_NULL(object_by_id(table, 0));
	CU_ASSERT_PTR_NULL(object_by_id(table, 4000000));
	teardown();
}

static void a_full_table(void)
{
	struct object *all[4];
	__u32 id;

	setup(4);
	for (__u64 i = 0; i < 4; i++)
		all[i] = get(i + 1, 0);
	CU_ASSERT_PTR_NULL(get(9, 0));
	ASSERT_INT(object_table_stats(table).refused_total, 1);
	CU_ASSERT_PTR_NOT_NULL(get(1, 0)); /* what is there is found */
	object_unref(all[0]);
	object_unref(all[0]);
	for (int i = 1; i < 4; i++) {
		all[i]->used_ns = 10 * (__u64)i;
		object_unref(all[i]);
	}
	id = all[0]->id;
	all[3]->state = OBJECT_LOADING; /* the loader has it: it stays whatever its references */
	ASSERT_INT(object_table_sweep(table, 0), 2); /* a quarter may be idle */
	CU_ASSERT_PTR_NULL(object_by_id(table, id));
	CU_ASSERT_PTR_NOT_NULL(object_by_id(table, all[2]->id));
	CU_ASSERT_PTR_NOT_NULL(get(9, 0));
	teardown();
}

static struct object_image *image_of(enum object_state state, const char *why)
{
	struct object_image *image = calloc(1, sizeof(*image));

	*image = (struct object_image){.state = state, .why = why, .fd = -1};
	return image;
}

/* A file that could not be opened is tried again; whoever looks at the old answer may go on. */
static void gone_and_back(void)
{
	struct object_image *first = image_of(OBJECT_GONE, "file gone");
	struct object *object;

	setup(4);
	object = get(1, 0);
	first->pid = 77;
	object_set_image(object, first);
	ASSERT_INT(object->state, OBJECT_GONE);
	object->state = OBJECT_LOADING;
	object_set_image(object, image_of(OBJECT_GONE, "file gone"));
	CU_ASSERT(object->image == first);
	object->state = OBJECT_LOADING;
	object_set_image(object, image_of(OBJECT_NO_ROWS, "no rows"));
	ASSERT_INT(object->state, OBJECT_NO_ROWS);
	CU_ASSERT(object->image != first);
	ASSERT_INT(first->pid, 77); /* a sanitizer sees if it is freed */
	teardown();
}

static void files_are_closed(void)
{
	struct object *used, *idle;
	int fds[2];

	setup(4);
	used = get(1, 0);
	idle = get(2, 0);
	CU_ASSERT_FATAL(!pipe(fds));
	object_set_image(used, image_of(OBJECT_NO_ROWS, ""));
	object_set_image(idle, image_of(OBJECT_NO_ROWS, ""));
	ASSERT_INT(object_take_fd(used), -1);
	atomic_store(&((struct object_image *)used->image)->fd, fds[0]);
	atomic_store(&((struct object_image *)idle->image)->fd, fds[1]);
	atomic_store(&used->sampled, true);
	object_table_close_files(table, 0); /* young */
	CU_ASSERT(fcntl(fds[1], F_GETFD) >= 0);
	object_table_close_files(table, UINT64_MAX);
	CU_ASSERT(fcntl(fds[1], F_GETFD) < 0);
	ASSERT_INT(object_take_fd(idle), -1);
	ASSERT_INT(object_take_fd(used), fds[0]);
	ASSERT_INT(object_take_fd(used), -1); /* once */
	close(fds[0]);
	teardown();
}

static void addresses(void)
{
	struct object_load loads[] = {{.offset = 0x1234, .vaddr = 0x402234, .filesz = 0x1000},
				      {.offset = 0x3000, .vaddr = 0x804000, .filesz = 0x10}};
	struct object_image image = {.loads = loads, .n_loads = 2};
	__u64 vaddr = 1;

	CU_ASSERT(object_vaddr(&image, 0x1000, &vaddr)); /* the page's start */
	ASSERT_INT(vaddr, 0x402000);
	CU_ASSERT(object_vaddr(&image, 0x300f, &vaddr));
	ASSERT_INT(vaddr, 0x80400f);
	vaddr = 1;
	CU_ASSERT(!object_vaddr(&image, 0x3010, &vaddr));
	CU_ASSERT(!object_vaddr(&image, 0xfff, &vaddr));
	ASSERT_INT(vaddr, 1);
}

/* ---- real files ------------------------------------------------------------------------------ */

static struct snapshot_map *maps;
static char *text;

/* The first mapping of this process whose path holds `part`. */
static bool find_map(const char *part, struct object_source *ret_source)
{
	size_t n;

	free(maps);
	free(text);
	CU_ASSERT_FATAL(!proc_maps_read("/proc", (__u32)getpid(), &maps, &n, &text));
	for (size_t i = 0; i < n; i++) {
		if (!strstr(maps[i].path, part))
			continue;
		*ret_source = (struct object_source){.key = maps[i].key,
						     .path = maps[i].path,
						     .pid = (__u32)getpid(),
						     .start = maps[i].start,
						     .end = maps[i].end};
		return true;
	}
	return false;
}

static struct object_image *load(const struct object_source *source)
{
	return object_load(source, &(struct object_loading){.segments = segments});
}

static void a_library(void)
{
	struct object_source source;
	struct object_image *image;

	setup(4);
	CU_ASSERT_FATAL(find_map("/libc.so.6", &source));
	image = load(&source);
	ASSERT_INT(image->state, OBJECT_READY);
	ASSERT_STR(image->why, "");
	CU_ASSERT(image->n_rows > 1000 && image->n_parts >= 1 && image->build_id_len == 20);
	CU_ASSERT(image->fd >= 0 && image->size > 100000);
	for (size_t i = 0; i < image->n_parts; i++)
		CU_ASSERT(image->parts[i].start < image->parts[i].end &&
			  image->parts[i].rows < UNW_SEGMENT_WORDS);
	object_image_free(image, segments);
	ASSERT_INT(find_map("[vdso]", &source), 1);
	image = load(&source);
	ASSERT_INT(image->state, OBJECT_READY);
	ASSERT_INT(image->fd, -1);
	object_image_free(image, segments);
	teardown();
}

/* No room for its rows: frame pointers, said why, and nothing of it stays in the segments. */
static void no_room_for_rows(void)
{
	struct object_source source;
	struct object_image *image;

	segments = segments_new(-1, 0);
	CU_ASSERT_FATAL(find_map("/libc.so.6", &source));
	image = load(&source);
	ASSERT_INT(image->state, OBJECT_NO_ROWS);
	CU_ASSERT(strlen(image->why) > 5);
	ASSERT_INT(image->n_parts, 0);
	object_image_free(image, segments);
	segments_free(segments);
}

static void copy_file(const char *from, const char *to)
{
	struct buf buf = {0};

	CU_ASSERT_FATAL(!fs_read(AT_FDCWD, from, 64u << 20, &buf));
	CU_ASSERT_FATAL(!fs_replace(to, buf.data, buf.len) && !chmod(to, 0700));
	buf_fini(&buf);
}

/* A program with a name that lies (spaces, a newline), deleted or replaced while it runs. */
static void deleted_files(void)
{
	char path[512], link[600];
	struct object_source source = {0};
	struct object_image *image;
	struct snapshot_map *its = NULL;
	char *its_text = NULL;
	size_t n = 0;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/a b\n(deleted)", test_dir());
	copy_file("/bin/sleep", path);
	pid = fork();
	if (!pid) {
		execl(path, path, "30", NULL);
		_exit(1);
	}
	snprintf(link, sizeof(link), "/proc/%d/map_files", pid);
	for (int i = 0; i < 2000 && n == 0; i++) {
		free(its);
		free(its_text);
		usleep(5000);
		its = NULL;
		its_text = NULL;
		if (proc_maps_read("/proc", (__u32)pid, &its, &n, &its_text))
			n = 0;
		if (n && !strstr(its[0].path, "(deleted)"))
			n = 0; /* not yet exec'ed */
	}
	CU_ASSERT_FATAL(n > 0);
	source = (struct object_source){.key = its[0].key,
					.path = its[0].path,
					.pid = (__u32)pid,
					.start = its[0].start,
					.end = its[0].end};
	setup(4);
	if (!access(link, X_OK)) {
		image = load(&source);
		ASSERT_INT(image->state, OBJECT_READY);
		object_image_free(image, segments);
		unlink(path);
		image = load(&source);
		ASSERT_INT(image->state, OBJECT_READY);
		object_image_free(image, segments);
		copy_file("/bin/true", path); /* another program under its name is not it */
		source.pid = 0x7ffffff0;
		source.parent = (__u32)pid;
		image = load(&source);
		ASSERT_INT(image->state, OBJECT_GONE);
		CU_ASSERT(image->n_rows == 0);
		object_image_free(image, segments);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(its);
	free(its_text);
	teardown();
}

static struct object_key key_of(const struct stat *st)
{
	return (struct object_key){.major = major(st->st_dev),
				   .minor = minor(st->st_dev),
				   .inode = st->st_ino,
				   .generation = OBJECT_ANY_GENERATION};
}

/* No regular file is opened for reading: a fifo would hang, a device might act. */
static void strange_files(void)
{
	char path[512];
	struct object_source source = {.path = path, .pid = (__u32)getpid(), .parent = 1};
	struct object_image *image;
	struct stat st;

	setup(4);
	snprintf(path, sizeof(path), "%s/fifo", test_dir());
	CU_ASSERT_FATAL(!mkfifo(path, 0600) && !stat(path, &st));
	source.key = key_of(&st);
	image = load(&source);
	ASSERT_INT(image->state, OBJECT_GONE);
	object_image_free(image, segments);
	snprintf(path, sizeof(path), "%s/text", test_dir());
	CU_ASSERT_FATAL(!fs_replace(path, "no ELF file", 11) && !stat(path, &st));
	source.key = key_of(&st);
	image = load(&source);
	ASSERT_INT(image->state, OBJECT_NOT_ELF);
	object_image_free(image, segments);
	strcpy(path, "not/absolute");
	ASSERT_INT(object_open(&source), -ENOENT);
	teardown();
}

/* A process of another root: what its links say holds there, not here. */
static pid_t start_rooted(const char *root)
{
	int ends[2];
	char done;
	pid_t pid;

	CU_ASSERT_FATAL(!pipe(ends));
	pid = fork();
	if (!pid) {
		if (chroot(root) || chdir("/"))
			_exit(1);
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	close(ends[1]);
	CU_ASSERT(!read(ends[0], &done, 1));
	close(ends[0]);
	return pid;
}

static bool is_root(int fd, const char *path)
{
	struct stat a, b;
	bool same =
		!fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;

	if (fd >= 0)
		close(fd);
	return same;
}

/* The open file /file of a process with another root: a debug file of the host's is none of its. */
static void debug_roots(const struct object_source *source, int fd, const char *root)
{
	struct object_source ended = *source;
	char path[300];

	CU_ASSERT(is_root(object_debug_root(source, fd), root));
	ended.pid = 0x7ffffff0;
	ASSERT_INT(object_debug_root(&ended, fd), DEBUG_ROOT_NONE);
	ended.parent = source->pid;
	CU_ASSERT(is_root(object_debug_root(&ended, fd), root));
	ended.path = "/bin/sh"; /* the host has one, but that is not it */
	ASSERT_INT(object_debug_root(&ended, fd), DEBUG_ROOT_NONE);
	ended.path = path;
	snprintf(path, sizeof(path), "%s/file", root);
	ASSERT_INT(object_debug_root(&ended, fd), DEBUG_ROOT_HOST);
	ended.pid = (__u32)getpid();
	ASSERT_INT(object_debug_root(&ended, fd), DEBUG_ROOT_HOST);
}

static void another_root(void)
{
	char root[256], file[300], link[300];
	struct object_source source = {.path = "/link"};
	struct stat st;
	pid_t pid;
	int fd;

	if (geteuid())
		SKIP("only root may chroot");
	snprintf(root, sizeof(root), "%s/root", test_dir());
	snprintf(file, sizeof(file), "%s/outside", test_dir());
	snprintf(link, sizeof(link), "%s/link", root);
	CU_ASSERT_FATAL(!fs_mkdirs(root) && !fs_replace(file, "text", 4) && !stat(file, &st));
	CU_ASSERT_FATAL(!symlink(file, link));
	pid = start_rooted(root);
	source.pid = (__u32)pid;
	source.key = key_of(&st);
	ASSERT_INT(object_open(&source), -ENOENT);
	/* the file itself is there by another name */
	snprintf(link, sizeof(link), "%s/file", root);
	CU_ASSERT_FATAL(!rename(file, link));
	source.path = "/file";
	fd = object_open(&source);
	CU_ASSERT(fd >= 0);
	debug_roots(&source, fd, root);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int open_and_close(const struct object_source *source)
{
	int fd = object_open(source);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* An inode's number alone says little: of another device, or of a file that was deleted. */
static void another_inode(void)
{
	char path[256];
	struct object_source source = {.path = path, .pid = (__u32)getpid(), .parent = 1};
	long generation = 0;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/text", test_dir());
	CU_ASSERT_FATAL(!fs_replace(path, "text", 4) && !stat(path, &st));
	source.key = key_of(&st);
	ASSERT_INT(open_and_close(&source), 0);
	source.key.inode++;
	ASSERT_INT(open_and_close(&source), -ENOENT);
	source.key.inode--;
	source.key.minor++;
	ASSERT_INT(open_and_close(&source), -ENOENT);
	source.key.minor--;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (ioctl(fd, FS_IOC_GETVERSION, &generation)) {
		close(fd);
		SKIP("no generation of '%s': %s", path, strerror(errno));
	}
	close(fd);
	source.key.generation = (__u32)generation;
	ASSERT_INT(open_and_close(&source), 0);
	source.key.generation++;
	ASSERT_INT(open_and_close(&source), -ENOENT);
}

/* In a mount namespace of its own: 0, an errno when there is no overlay, -1: wrong. */
static int try_overlay(const char *dir)
{
	char options[1024], path[256];
	struct object_source source = {.path = path, .pid = (__u32)getpid()};

	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 dir, dir, dir);
	snprintf(path, sizeof(path), "%s/all", dir);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("overlay", path, "overlay", 0, options))
		return errno;
	snprintf(path, sizeof(path), "%s/all/text", dir);
	source.key.inode = 1; /* what the kernel says of the layer below */
	if (open_and_close(&source))
		return -1;
	source.parent = source.pid;
	source.pid = 0x7ffffff0; /* ended; its parent has the host's root, as we see it */
	if (open_and_close(&source) != -ENOENT)
		return -1;
	source.parent = 0;
	return open_and_close(&source) == -ENOENT ? 0 : -1;
}

static void overlays(void)
{
	static const char *const names[] = {"lower", "upper", "work", "all"};
	char dir[200], path[256];
	int status;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/overlay", test_dir());
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		CU_ASSERT_FATAL(!fs_mkdirs(path));
	}
	snprintf(path, sizeof(path), "%s/lower/text", dir);
	CU_ASSERT_FATAL(!fs_replace(path, "text", 4));
	pid = fork();
	if (!pid)
		_exit(try_overlay(dir) & 0xff);
	waitpid(pid, &status, 0);
	CU_ASSERT_FATAL(WIFEXITED(status));
	if (WEXITSTATUS(status) && WEXITSTATUS(status) != 0xff)
		SKIP("an overlay cannot be mounted: %s", strerror(WEXITSTATUS(status)));
	ASSERT_INT(WEXITSTATUS(status), 0);
}

SUITE(object, {"keys", keys}, {"a full table", a_full_table}, {"gone and back", gone_and_back},
      {"files are closed", files_are_closed}, {"addresses", addresses}, {"a library", a_library},
      {"no room for rows", no_room_for_rows}, {"deleted files", deleted_files},
      {"strange files", strange_files}, {"another root", another_root},
      {"another inode", another_inode}, {"overlays", overlays});
