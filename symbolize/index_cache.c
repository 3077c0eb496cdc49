// SPDX-License-Identifier: Apache-2.0
/* Index files on disk, see index_cache.h. */
#include "symbolize/index_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "profiler/base/vec.h"

#define TRIM_MAX_FILES 65536u
#define SECRET_FILE    "key"
#define SIP_STEP_BYTES ((size_t)1 << 20)
#define SIP_WORK_BYTES 64u /* that a unit of work pays for */

/* ---- SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", with 128 bits out) ----- */

struct sip {
	__u64 v0, v1, v2, v3;
};

static __u64 rotl(__u64 x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static struct sip sip_init(const __u8 secret[16])
{
	__u64 k0, k1;

	memcpy(&k0, secret, 8);
	memcpy(&k1, secret + 8, 8);
	return (struct sip){
		.v0 = k0 ^ 0x736f6d6570736575ULL,
		.v1 = k1 ^ 0x646f72616e646f6dULL ^ 0xee,
		.v2 = k0 ^ 0x6c7967656e657261ULL,
		.v3 = k1 ^ 0x7465646279746573ULL,
	};
}

static void sip_word(struct sip *s, __u64 m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

/* Length first, so that the parts cannot flow into each other. */
static void sip_block(struct sip *s, const __u8 *data, size_t len)
{
	struct sip local = *s;
	__u64 m;

	sip_word(&local, len);
	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&m, data, 8);
		sip_word(&local, m);
	}
	m = 0;
	memcpy(&m, data, len);
	sip_word(&local, m);
	*s = local;
}

static void sip_final(struct sip *s, __u8 out[16])
{
	static const __u8 marks[2] = {0xee, 0xdd};

	for (size_t i = 0; i < 2; i++) {
		__u64 half;

		if (i)
			s->v1 ^= marks[i];
		else
			s->v2 ^= marks[i];
		for (int r = 0; r < 3; r++)
			sip_round(s);
		half = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
		memcpy(out + 8 * i, &half, 8);
	}
}

/* The same of a range of a file, whose pages are given back on the way. */
static int sip_range(struct sip *s, const struct elf *elf, __u64 start, __u64 end, size_t *held)
{
	sip_word(s, start);
	sip_word(s, end);
	while (start < end) {
		size_t n = (size_t)MIN(end - start, (__u64)SIP_STEP_BYTES);

		if (!work_take(elf->work, n / SIP_WORK_BYTES + 1))
			return -ECANCELED;
		sip_block(s, elf->data + start, n);
		start += n;
		*held += n;
		if (*held >= ELF_DROP_BYTES) {
			elf_drop_pages(elf);
			*held = 0;
		}
	}
	return 0;
}

struct range {
	__u64 start, end; /* in the file */
};

static int by_start(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* The same of ranges, which may overlap: each byte once. */
static int sip_ranges(struct sip *s, const struct elf *elf, struct range *ranges, size_t n)
{
	__u64 done = 0;
	size_t held = 0;
	int err = 0;

	if (n)
		qsort(ranges, n, sizeof(*ranges), by_start);
	for (size_t i = 0; i < n && !err; i++) {
		if (ranges[i].end <= done)
			continue;
		err = sip_range(s, elf, MAX(ranges[i].start, done), ranges[i].end, &held);
		done = ranges[i].end;
	}
	return err;
}

/* What an index is made from: everything but the program's loaded bytes; of those the symbols, the
 * PLT and notes. Go's tables refer into its data, so all of such a file counts. */
static int sip_elf(struct sip *s, const struct elf *elf)
{
	struct range whole = {0, elf->size};
	VEC(struct range) ranges = {0};
	bool all = elf->n_sections == 0;
	int err = 0;

	for (size_t i = 0; i < elf->n_sections; i++)
		all |= strstr(elf->sections[i].name, "gopclntab") != NULL;
	if (all)
		return sip_ranges(s, elf, &whole, 1);
	sip_block(s, elf->data, MIN(elf->size, (size_t)4096)); /* file and program headers */
	for (size_t i = 0; i < elf->n_sections && !err; i++) {
		const struct elf_section *section = &elf->sections[i];
		struct cursor c = elf_section_raw(elf, section);
		__u64 place[] = {section->addr,	 section->offset, section->size,
				 section->flags, section->link,	  section->type};

		sip_block(s, (const __u8 *)place, sizeof(place));
		sip_block(s, (const __u8 *)section->name, strlen(section->name));
		if (!work_take(elf->work, 1))
			err = -ECANCELED;
		else if (cursor_left(&c) &&
			 (!(section->flags & SHF_ALLOC) || section->type != SHT_PROGBITS ||
			  !strncmp(section->name, ".plt", 4)))
			err = vec_push(&ranges, (struct range){section->offset,
							       section->offset + section->size});
	}
	if (!err)
		err = sip_ranges(s, elf, ranges.data, ranges.len);
	vec_free(&ranges);
	return err;
}

int index_cache_key(const struct index_cache *cache, const struct elf *const *files, size_t n,
		    __u8 ret_key[INDEX_KEY_BYTES])
{
	struct sip sip = sip_init(cache->secret);
	int err = 0;

	sip_word(&sip, INDEX_VERSION);
	for (size_t i = 0; i < n && !err; i++) {
		sip_word(&sip, files[i] != NULL);
		if (files[i])
			err = sip_elf(&sip, files[i]);
	}
	sip_final(&sip, ret_key);
	return err;
}

/* ---- files ----------------------------------------------------------------------------------- */

int index_cache_open(struct index_cache *cache, const char *dir, __u64 max_bytes)
{
	char path[PATH_MAX];
	int err;

	*cache = (struct index_cache){.max_bytes = max_bytes ? max_bytes : INDEX_CACHE_MAX_BYTES};
	err = fs_own_dir(dir);
	if (err)
		return err;
	if ((size_t)snprintf(path, sizeof(path), "%s/" SECRET_FILE, dir) >= sizeof(path))
		return -ENAMETOOLONG;
	err = fs_secret(path, cache->secret, sizeof(cache->secret));
	if (!err && !(cache->dir = strdup(dir)))
		err = -ENOMEM;
	return err;
}

void index_cache_close(struct index_cache *cache)
{
	free(cache->dir);
	cache->dir = NULL;
}

static int path_of(const struct index_cache *cache, const struct elf *elf,
		   const __u8 key[INDEX_KEY_BYTES], char *out)
{
	char id[2 * ELF_BUILD_ID_MAX + 1], hex[2 * INDEX_KEY_BYTES + 1];

	elf_build_id_hex(elf, id);
	for (size_t i = 0; i < INDEX_KEY_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	return snprintf(out, PATH_MAX, "%s/%s-%s.index", cache->dir, *id ? id : "none", hex) >=
			       PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

int index_cache_find(struct index_cache *cache, const struct elf *elf,
		     const __u8 key[INDEX_KEY_BYTES], struct index *ret_index)
{
	char path[PATH_MAX];
	_close_ int fd = -1;
	struct stat st;
	int err;

	if (!cache->dir || path_of(cache, elf, key, path))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		cache->misses_total++;
		return -ENOENT;
	}
	err = fstat(fd, &st) || st.st_uid != geteuid() || (st.st_mode & 077)
		      ? -EINVAL
		      : index_open(fd, key, ret_index);
	if (!err) {
		cache->hits_total++;
		futimens(fd, NULL); /* trimmed by age of use; a failure costs only that */
		return 0;
	}
	cache->damaged_total++;
	unlink(path);
	return -EINVAL;
}

int index_cache_begin(struct index_cache *cache, char *ret_path)
{
	int fd;

	if (!cache->dir)
		return -ENOENT;
	if (snprintf(ret_path, PATH_MAX, "%s/new.tmp-%d-%d", cache->dir, getpid(), gettid()) >=
	    PATH_MAX)
		return -ENAMETOOLONG;
	unlink(ret_path); /* of an earlier process with our number */
	fd = open(ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? fd : -errno;
}

struct old_file {
	__s64 used_s;
	__u64 bytes;
	char name[2 * ELF_BUILD_ID_MAX + 2 * INDEX_KEY_BYTES + 16];
};

static int by_age(const void *pa, const void *pb)
{
	const struct old_file *a = pa, *b = pb;

	return a->used_s < b->used_s ? -1 : a->used_s > b->used_s;
}

/* Remove the files that were unused the longest until the rest fits. */
static void trim(struct index_cache *cache)
{
	VEC(struct old_file) files = {0};
	DIR *dir = opendir(cache->dir);
	__u64 total = 0;
	struct dirent *entry;

	while (dir && files.len < TRIM_MAX_FILES && (entry = readdir(dir))) {
		struct old_file file = {0};
		struct stat st;

		if (!strstr(entry->d_name, ".index") && !strstr(entry->d_name, ".tmp-"))
			continue;
		if (strlen(entry->d_name) >= sizeof(file.name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		strcpy(file.name, entry->d_name);
		file.used_s = st.st_mtime;
		file.bytes = (__u64)st.st_blocks * 512;
		total += file.bytes;
		if (vec_push(&files, file))
			break;
	}
	if (total > cache->max_bytes)
		qsort(files.data, files.len, sizeof(*files.data), by_age);
	for (size_t i = 0; i < files.len && total > cache->max_bytes; i++) {
		if (unlinkat(dirfd(dir), files.data[i].name, 0))
			continue;
		total -= files.data[i].bytes;
		cache->trimmed_total++;
	}
	vec_free(&files);
	if (dir)
		closedir(dir);
}

int index_cache_commit(struct index_cache *cache, const struct elf *elf,
		       const __u8 key[INDEX_KEY_BYTES], const char *path)
{
	char final[PATH_MAX];
	int err = path_of(cache, elf, key, final);

	if (!err && rename(path, final))
		err = -errno;
	if (err) {
		unlink(path);
		return err;
	}
	cache->stored_total++;
	trim(cache);
	return 0;
}
