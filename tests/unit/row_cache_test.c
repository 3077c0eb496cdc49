// SPDX-License-Identifier: Apache-2.0
/* row_cache.h: rows from disk equal rows compiled; whatever happened to the file. */
#include "profiler/row_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

#define HEAD_BYTES 56

static struct elf *elf;
static struct row_cache *cache;

static struct elf *open_elf(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum elf_refusal why;
	struct elf *e = elf_open(fd, &why);

	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	close(fd);
	return e;
}

static void setup(void)
{
	char command[600];

	elf = open_elf("/bin/true");
	snprintf(command, sizeof(command), "rm -rf %s/rows", test_dir());
	CU_ASSERT_FATAL(!system(command));
	cache = row_cache_open(test_dir(), 1u << 30);
}

static void teardown(void)
{
	row_cache_close(cache);
	elf_free(elf);
}

/* Compile through the cache; the rows must be those of unwind_compile. True: from disk. */
static bool compile(struct elf *e)
{
	struct unwind_table *ours, *truth;
	enum unwind_skip why;
	bool cached;

	ours = row_cache_compile(cache, e, &why, &cached);
	truth = unwind_compile(e, UNWIND_DERIVED, &why);
	CU_ASSERT_FATAL(ours && truth);
	ASSERT_INT(ours->n_parts, truth->n_parts);
	ASSERT_INT(ours->n_rows, truth->n_rows);
	ASSERT_INT(ours->tracks_bx, truth->tracks_bx);
	for (size_t i = 0; i < ours->n_parts && i < truth->n_parts; i++) {
		const struct unwind_part *a = &ours->parts[i], *b = &truth->parts[i];

		CU_ASSERT(a->start == b->start && a->end == b->end && a->n_words == b->n_words &&
			  a->shift == b->shift && a->rows == b->rows && a->rules == b->rules);
		CU_ASSERT(!memcmp(a->blob, b->blob, (size_t)a->n_words * 4));
	}
	unwind_table_free(ours);
	unwind_table_free(truth);
	return cached;
}

/* The one file of rows. */
static const char *file(void)
{
	static char path[1024];
	char rows[512];
	struct dirent *d;
	DIR *dir;

	snprintf(rows, sizeof(rows), "%s/rows", test_dir());
	dir = opendir(rows);
	*path = 0;
	while ((d = readdir(dir)))
		if (strstr(d->d_name, ".rows"))
			snprintf(path, sizeof(path), "%s/%s", rows, d->d_name);
	closedir(dir);
	return path;
}

static void hits(void)
{
	setup();
	CU_ASSERT(!compile(elf));
	CU_ASSERT(compile(elf));
	row_cache_close(cache);
	cache = row_cache_open(test_dir(), 1u << 30); /* a restart */
	CU_ASSERT(compile(elf));
	ASSERT_INT(row_cache_stats(cache).hits_total, 1);
	ASSERT_INT(row_cache_stats(cache).misses_total, 0);
	teardown();
}

/* A file that is too much work leaves nothing behind: it may be tried again with more. */
static void too_much_work(void)
{
	struct work work = {.left = 100};
	enum unwind_skip why;
	bool cached;

	setup();
	elf->work = &work;
	CU_ASSERT_PTR_NULL(row_cache_compile(cache, elf, &why, &cached));
	ASSERT_INT(why, UNWIND_SKIP_WORK);
	ASSERT_STR(file(), "");
	elf->work = NULL;
	CU_ASSERT(!compile(elf));
	elf->work = &work; /* and rows that are there are read only by the right key */
	CU_ASSERT_PTR_NULL(row_cache_compile(cache, elf, &why, &cached));
	elf->work = NULL;
	CU_ASSERT(compile(elf));
	teardown();
}

/* A flipped bit anywhere, a cut anywhere: never believed, removed, compiled and stored again. */
static void damage(void)
{
	struct buf sound = {0};
	__u64 n = 0;

	setup();
	compile(elf);
	CU_ASSERT_FATAL(!fs_read(AT_FDCWD, file(), 64u << 20, &sound));
	for (size_t at = 0; at < sound.len; at += at < HEAD_BYTES ? 1 : sound.len / 40) {
		sound.data[at] ^= 0x10;
		CU_ASSERT(!fs_replace(file(), sound.data, sound.len));
		sound.data[at] ^= 0x10;
		CU_ASSERT(!compile(elf));
		n++;
		CU_ASSERT(compile(elf));
	}
	for (size_t len = 1; len < sound.len; len += sound.len / 30) {
		CU_ASSERT(!fs_replace(file(), sound.data, len));
		CU_ASSERT(!compile(elf));
		n++;
	}
	ASSERT_INT(row_cache_stats(cache).damaged_total, n);
	CU_ASSERT(n > 60);
	CU_ASSERT(!truncate(file(), 0));
	CU_ASSERT(!compile(elf));
	CU_ASSERT(compile(elf));
	buf_fini(&sound);
	teardown();
}

/* Another host's secret, or none that can be read: other names, so that nothing is found. */
static void another_secret(void)
{
	char path[512];

	setup();
	compile(elf);
	row_cache_close(cache);
	snprintf(path, sizeof(path), "%s/rows/secret", test_dir());
	CU_ASSERT(!fs_replace(path, "8 bytes!", 8));
	cache = row_cache_open(test_dir(), 1u << 30);
	CU_ASSERT(!compile(elf));
	row_cache_close(cache);
	CU_ASSERT(!fs_replace(path, "short", 5));
	cache = row_cache_open(test_dir(), 1u << 30);
	CU_ASSERT(!compile(elf));
	CU_ASSERT(compile(elf));
	teardown();
}

/* The same build ID and other bytes of CFI, as a container may lie: other rows. */
static void a_liar(void)
{
	struct elf *other;

	setup();
	other = open_elf("/bin/cat");
	memcpy(other->build_id, elf->build_id, elf->build_id_len);
	other->build_id_len = elf->build_id_len;
	compile(elf);
	CU_ASSERT(!compile(other));
	CU_ASSERT(compile(other));
	CU_ASSERT(compile(elf));
	elf_free(other);
	teardown();
}

/* A folder that cannot be: everything works without, and says so once. */
static void no_folder(void)
{
	setup();
	row_cache_close(cache);
	cache = row_cache_open("/proc/nowhere", 1u << 30);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cache);
	CU_ASSERT(!compile(elf));
	CU_ASSERT(!compile(elf));
	row_cache_close(cache);
	cache = NULL;
	CU_ASSERT(!compile(elf));
	teardown();
}

/* A folder that others may write to, or whose secret they may read: what lies there is not ours. */
static void another_owner(void)
{
	char dir[300], path[320];
	struct stat st;
	__u64 before, after;

	setup();
	CU_ASSERT(!compile(elf));
	row_cache_close(cache);
	snprintf(dir, sizeof(dir), "%s/rows", test_dir());
	CU_ASSERT(!chmod(dir, 0770));
	cache = row_cache_open(test_dir(), 1u << 30);
	CU_ASSERT(!compile(elf));
	CU_ASSERT(!compile(elf));
	row_cache_close(cache);
	CU_ASSERT(!chmod(dir, 0755));
	snprintf(path, sizeof(path), "%s/secret", dir);
	CU_ASSERT(fs_read_small(AT_FDCWD, path, (char *)&before, sizeof(before)) >= 0);
	CU_ASSERT(!chmod(path, 0640));
	cache = row_cache_open(test_dir(), 1u << 30);
	CU_ASSERT(fs_read_small(AT_FDCWD, path, (char *)&after, sizeof(after)) >= 0);
	CU_ASSERT(before != after && !stat(path, &st) && (st.st_mode & 0777) == 0600);
	CU_ASSERT(!compile(elf));
	CU_ASSERT(compile(elf));
	if (!geteuid()) { /* only root can give a folder away */
		row_cache_close(cache);
		CU_ASSERT(!chown(dir, 65534, 65534));
		cache = row_cache_open(test_dir(), 1u << 30);
		CU_ASSERT(!compile(elf));
		CU_ASSERT(!compile(elf));
	}
	teardown();
}

/* A link under a file's name is not followed. */
static void a_link(void)
{
	char target[512], link[1024];
	struct stat st;

	setup();
	compile(elf);
	strcpy(link, file());
	snprintf(target, sizeof(target), "%s/elsewhere", test_dir());
	CU_ASSERT(!rename(link, target) && !symlink(target, link));
	CU_ASSERT(!compile(elf));
	CU_ASSERT(!lstat(target, &st) && st.st_size > HEAD_BYTES);
	CU_ASSERT(!lstat(link, &st) && S_ISREG(st.st_mode));
	teardown();
}

/* Below its bound, the least used first. */
static void bounded(void)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	char path[512];
	struct stat st;

	setup();
	for (int i = 0; i < 10; i++) {
		char *bytes = calloc(1, 100000);

		snprintf(path, sizeof(path), "%s/rows/f%d.rows", test_dir(), i);
		CU_ASSERT(!fs_replace(path, bytes, 100000));
		old[0].tv_sec = old[1].tv_sec = 1000 + i;
		CU_ASSERT(!utimensat(AT_FDCWD, path, old, 0));
		free(bytes);
	}
	row_cache_close(cache);
	cache = row_cache_open(test_dir(), 500000);
	CU_ASSERT(!compile(elf));
	row_cache_close(cache); /* one store: the folder is looked at */
	cache = NULL;
	snprintf(path, sizeof(path), "%s/rows/f0.rows", test_dir());
	CU_ASSERT(lstat(path, &st));
	snprintf(path, sizeof(path), "%s/rows/f6.rows", test_dir());
	CU_ASSERT(lstat(path, &st));
	snprintf(path, sizeof(path), "%s/rows/f9.rows", test_dir());
	CU_ASSERT(!lstat(path, &st));
	teardown();
}

SUITE(row_cache, {"hits", hits}, {"too much work", too_much_work}, {"damage", damage},
      {"another secret", another_secret}, {"a liar", a_liar}, {"no folder", no_folder},
      {"a link", a_link}, {"another owner", another_owner}, {"bounded", bounded});
