// SPDX-License-Identifier: Apache-2.0
/* The row cache, see row_cache.h. */
#include "profiler/row_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/base/vec.h"
#include "symbolize/unwind_arch.h"

#define ROWS_MAGIC	 0x736b77726f77bb01ull
#define ROWS_VERSION	 5u /* of this file, of bpf/unwind.h and of what is derived */
#define MAX_FILE_BYTES	 ((off_t)512 << 20)
#define MAX_PARTS	 65536u
#define CODE_BLOCKS	 64u
#define CODE_BLOCK_BYTES 1024u
#define HASH_STEP	 ((size_t)1 << 20)
#define BYTES_PER_UNIT	 64u /* of work.h */
#define CHECKED_FROM	 offsetof(struct file_head, n_parts)
#define SWEEP_EVERY	 64u /* stores between two looks at the folder's size */

struct row_cache {
	char *dir; /* NULL: stores nothing */
	__u64 secret;
	__u64 max_bytes;
	unsigned unswept; /* files stored since the last look at the folder's size */
	bool complained;
	struct row_cache_stats stats;
};

struct file_head {
	__u64 magic;
	__u32 version, machine;
	__u64 checksum; /* of all that follows it */
	__u64 n_parts, n_rows, n_fdes, n_raw_rows;
	__u64 tracks_bx;
};

struct file_part {
	__u64 start, end;
	__u32 n_pages, n_rows, n_rules;
	__u32 dir, rows, rules, n_words;
	__u32 shift;
};

/* ---- the folder ------------------------------------------------------------------------------ */

struct row_cache *row_cache_open(const char *dir, __u64 max_bytes)
{
	struct row_cache *cache = calloc(1, sizeof(*cache));
	char path[PATH_MAX], secret[PATH_MAX];
	int err;

	if (!cache)
		return NULL;
	cache->max_bytes = max_bytes;
	if ((size_t)snprintf(path, sizeof(path), "%s/rows", dir) >= sizeof(path) ||
	    (size_t)snprintf(secret, sizeof(secret), "%s/rows/secret", dir) >= sizeof(secret))
		err = -ENAMETOOLONG;
	else
		err = fs_own_dir(path);
	if (!err)
		err = fs_secret(secret, &cache->secret, sizeof(cache->secret));
	if (!err && !(cache->dir = strdup(path)))
		err = -ENOMEM;
	if (err)
		log_warn(unwind,
			 "row cache '%s' cannot be used (%s); unwind rows are compiled at every "
			 "start",
			 path, fs_own_dir_error(err));
	return cache;
}

struct row_cache_stats row_cache_stats(const struct row_cache *cache)
{
	return cache->stats;
}

struct entry {
	struct timespec used;
	off_t size;
	char name[NAME_MAX + 1];
};

static int by_use(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	if (a->used.tv_sec != b->used.tv_sec)
		return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
	return a->used.tv_nsec < b->used.tv_nsec ? -1 : a->used.tv_nsec > b->used.tv_nsec;
}

/* Remove the files not used for longest until the folder is below its bound. A hit sets mtime. */
static void sweep(struct row_cache *cache)
{
	VEC(struct entry) entries = {0};
	DIR *dir = opendir(cache->dir);
	struct dirent *d;
	__u64 total = 0;

	cache->unswept = 0;
	while (dir && (d = readdir(dir))) {
		struct entry e;
		struct stat st;

		if (!strstr(d->d_name, ".rows") || fstatat(dirfd(dir), d->d_name, &st, 0))
			continue;
		e.used = st.st_mtim;
		e.size = st.st_size;
		snprintf(e.name, sizeof(e.name), "%s", d->d_name);
		total += (__u64)st.st_size;
		if (vec_push(&entries, e))
			break;
	}
	if (total > cache->max_bytes) {
		qsort(entries.data, entries.len, sizeof(*entries.data), by_use);
		vec_for_each (e, &entries) {
			if (total <= cache->max_bytes / 4 * 3)
				break;
			unlinkat(dirfd(dir), e->name, 0);
			total -= (__u64)e->size;
		}
	}
	if (dir)
		closedir(dir);
	vec_free(&entries);
}

void row_cache_close(struct row_cache *cache)
{
	if (!cache)
		return;
	if (cache->unswept) /* not at the first store: a process waits for its rows then */
		sweep(cache);
	free(cache->dir);
	free(cache);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* All that the unwinder and our own walks index must lie within the blob. */
static bool part_is_sound(const struct unwind_part *part)
{
	const __u16 *dir = (const __u16 *)part->blob;
	__u64 pages = part->n_pages, words = part->n_words;

	if (part->shift < UNW_MIN_SHIFT || part->shift > UNW_MAX_SHIFT || part->dir != 0 ||
	    part->n_rows > UNW_PART_MAX_ROWS + 1 || part->n_rules > UNW_MAX_RULES ||
	    part->end <= part->start || part->end - part->start > pages << part->shift ||
	    (pages + 1) * 2 > (__u64)part->rows * 4 || part->rows + (__u64)part->n_rows > words ||
	    part->rules % 2 || part->rules < part->rows + part->n_rows ||
	    part->rules + (__u64)part->n_rules * (sizeof(struct unw_rule) / 4) > words)
		return false;
	for (__u32 page = 0; page < part->n_pages; page++)
		if (dir[page] > dir[page + 1])
			return false;
	return dir[part->n_pages] <= part->n_rows;
}

static int read_part(struct cursor *c, struct unwind_part *part)
{
	struct file_part head;
	const void *raw = cursor_bytes(c, sizeof(head)), *words;

	if (!raw)
		return -EINVAL;
	memcpy(&head, raw, sizeof(head));
	*part = (struct unwind_part){
		.start = head.start,
		.end = head.end,
		.n_pages = head.n_pages,
		.n_rows = head.n_rows,
		.n_rules = head.n_rules,
		.dir = head.dir,
		.rows = head.rows,
		.rules = head.rules,
		.n_words = head.n_words,
		.shift = (__u8)head.shift,
	};
	words = cursor_bytes(c, (size_t)head.n_words * 4);
	if (!words || head.n_words * 4ull > UNW_PART_MAX_BYTES)
		return -EINVAL;
	part->blob = malloc((size_t)head.n_words * 4);
	if (!part->blob)
		return -ENOMEM;
	memcpy(part->blob, words, (size_t)head.n_words * 4);
	return part_is_sound(part) ? 0 : -EINVAL;
}

static int read_table(const void *data, size_t size, __u16 machine, struct unwind_table *table)
{
	struct cursor c = cursor_of(data, size);
	const __u8 *raw = cursor_bytes(&c, sizeof(struct file_head));
	struct file_head head;
	int err = 0;

	if (!raw)
		return -EINVAL;
	memcpy(&head, raw, sizeof(head));
	if (head.magic != ROWS_MAGIC || head.version != ROWS_VERSION || head.machine != machine ||
	    head.n_parts == 0 || head.n_parts > MAX_PARTS ||
	    head.checksum != XXH3_64bits(raw + CHECKED_FROM, size - CHECKED_FROM))
		return -EINVAL;
	table->machine = machine;
	table->n_rows = head.n_rows;
	table->n_fdes = head.n_fdes;
	table->n_raw_rows = head.n_raw_rows;
	table->tracks_bx = head.tracks_bx;
	table->parts = calloc(head.n_parts, sizeof(*table->parts));
	if (!table->parts)
		return -ENOMEM;
	while (!err && table->n_parts < head.n_parts)
		err = read_part(&c, &table->parts[table->n_parts++]);
	return err;
}

static struct unwind_table *load(struct row_cache *cache, const char *path, __u16 machine)
{
	struct unwind_table *table = NULL;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_free_ void *data = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > MAX_FILE_BYTES)
		return NULL;
	data = malloc((size_t)st.st_size);
	table = calloc(1, sizeof(*table));
	if (data && table && !fs_pread_all(fd, data, (size_t)st.st_size, 0) &&
	    !read_table(data, (size_t)st.st_size, machine, table)) {
		futimens(fd, NULL);
		return table;
	}
	unwind_table_free(table);
	cache->stats.damaged_total++;
	unlink(path);
	return NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_table(struct buf *out, const struct unwind_table *table)
{
	struct file_head head = {
		.magic = ROWS_MAGIC,
		.version = ROWS_VERSION,
		.machine = table->machine,
		.n_parts = table->n_parts,
		.n_rows = table->n_rows,
		.n_fdes = table->n_fdes,
		.n_raw_rows = table->n_raw_rows,
		.tracks_bx = table->tracks_bx,
	};

	buf_add(out, &head, sizeof(head));
	for (size_t i = 0; i < table->n_parts; i++) {
		const struct unwind_part *p = &table->parts[i];
		struct file_part part = {
			.start = p->start,
			.end = p->end,
			.n_pages = p->n_pages,
			.n_rows = p->n_rows,
			.n_rules = p->n_rules,
			.dir = p->dir,
			.rows = p->rows,
			.rules = p->rules,
			.n_words = p->n_words,
			.shift = p->shift,
		};

		buf_add(out, &part, sizeof(part));
		buf_add(out, p->blob, (size_t)p->n_words * 4);
	}
	if (out->err)
		return;
	head.checksum = XXH3_64bits(out->data + CHECKED_FROM, out->len - CHECKED_FROM);
	memcpy(out->data, &head, sizeof(head));
}

static void store(struct row_cache *cache, const char *path, const struct unwind_table *table)
{
	struct buf out = {0};
	int err;

	write_table(&out, table);
	err = out.err ? out.err : fs_replace(path, out.data, out.len);
	buf_fini(&out);
	if (err) {
		cache->stats.failed_total++;
		if (!cache->complained)
			log_warn(unwind,
				 "row cache '%s' cannot be written (%s); going on without it", path,
				 strerror(-err));
		cache->complained = true;
		return;
	}
	if (++cache->unswept == SWEEP_EVERY)
		sweep(cache);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static __u64 hash_section(struct elf *elf, const char *name, __u64 seed)
{
	const struct elf_section *s = elf_section(elf, name);
	struct cursor c = s ? elf_section_raw(elf, s) : cursor_of(NULL, 0);

	seed += s ? s->addr : 0;
	do {
		size_t n = MIN(cursor_left(&c), HASH_STEP);

		seed = XXH3_64bits_withSeed(c.pos, n, seed);
		cursor_skip(&c, n);
		if (!work_take(elf->work, 1 + n / BYTES_PER_UNIT))
			break;
	} while (cursor_left(&c));
	return seed;
}

/* Evenly spaced blocks of the executable sections: rows are derived from code, and all of it would
 * be too much to read at every start. */
static __u64 hash_code(struct elf *elf, __u64 seed)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct elf_section *s = &elf->sections[i];
		struct cursor c = cursor_of(NULL, 0);
		size_t step;

		if (!(s->flags & SHF_EXECINSTR) || s->type != SHT_PROGBITS)
			continue;
		c = elf_section_raw(elf, s);
		step = MAX(cursor_left(&c) / CODE_BLOCKS, (size_t)CODE_BLOCK_BYTES);
		while (cursor_left(&c) && work_take(elf->work, CODE_BLOCK_BYTES / BYTES_PER_UNIT)) {
			size_t left = cursor_left(&c);

			seed = XXH3_64bits_withSeed(c.pos, MIN(left, (size_t)CODE_BLOCK_BYTES),
						    seed);
			cursor_skip(&c, MIN(left, step));
		}
	}
	return seed;
}

/* All that unwind_compile reads: the CFI bytes, the code, and the segments that say which of it is
 * real. Of no use when that takes all of the file's work. */
static void content_key(const struct row_cache *cache, struct elf *elf, char *out, size_t size)
{
	static const char *const sections[] = UNWIND_SECTIONS;
	char build_id[2 * ELF_BUILD_ID_MAX + 1];
	__u64 hash = XXH3_64bits_withSeed(elf->segments, elf->n_segments * sizeof(*elf->segments),
					  cache->secret ^ elf->entry);

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		hash = hash_section(elf, sections[i], hash);
	hash = hash_code(elf, hash);
	elf_build_id_hex(elf, build_id);
	snprintf(out, size, "%s/%.64s-%016llx%08llx.rows", cache->dir,
		 build_id[0] ? build_id : "none", (unsigned long long)hash,
		 (unsigned long long)elf->size);
}

static bool may_be_kept(const struct row_cache *cache, const struct elf *elf)
{
	return cache && cache->dir && elf->n_sections && unwind_arch_of(elf->machine);
}

static struct unwind_table *find(struct row_cache *cache, struct elf *elf, char path[PATH_MAX])
{
	struct unwind_table *table;

	content_key(cache, elf, path, PATH_MAX);
	table = work_is_over(elf->work) ? NULL : load(cache, path, elf->machine);
	cache->stats.hits_total += table != NULL;
	return table;
}

struct unwind_table *row_cache_find(struct row_cache *cache, struct elf *elf)
{
	char path[PATH_MAX];

	return may_be_kept(cache, elf) ? find(cache, elf, path) : NULL;
}

struct unwind_table *row_cache_compile(struct row_cache *cache, struct elf *elf,
				       enum unwind_skip *ret_why, bool *ret_from_cache)
{
	struct unwind_table *table;
	char path[PATH_MAX];

	*ret_from_cache = false;
	if (!may_be_kept(cache, elf))
		return unwind_compile(elf, UNWIND_DERIVED, ret_why);
	table = find(cache, elf, path);
	if (table) {
		*ret_from_cache = true;
		return table;
	}
	cache->stats.misses_total++;
	table = unwind_compile(elf, UNWIND_DERIVED, ret_why);
	if (table)
		store(cache, path, table);
	return table;
}
