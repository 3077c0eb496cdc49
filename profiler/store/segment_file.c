// SPDX-License-Identifier: Apache-2.0
/* Segments of the store, see segment_file.h. */
#include "profiler/store/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "profiler/base/hmap.h"

#define FILE_MAGIC   "BQSTORE1"
#define FILE_VERSION 1u
#define BLOCK_MAGIC  0x4b4c4251u /* "QBLK" */
#define ENDING	     ".seg"
#define LEVEL	     3 /* of zstd: 4 costs twice the time for 2 % */
/* The search for the next block behind a damaged one. */
#define SCAN_BYTES   (64u << 10) /* read at once */
#define RESYNC_BYTES (64u << 20) /* of places that looked like a block and were none, ... */
#define TRY_BYTES    4096u	 /* ... each counted with this much more */

struct file_head {
	char magic[8];
	__u32 version, zero;
	__u8 boot_id[16];
	__u64 made_ns;
};
_Static_assert(sizeof(struct file_head) == SEGMENT_FILE_HEAD, "as on disk");

struct block_head {
	__u32 magic;
	__u16 kind, zero;
	__u32 packed, raw;
	__u64 check;
};
_Static_assert(sizeof(struct block_head) == BLOCK_HEAD, "as on disk");

void segment_file_name(__u64 id, char name[SEGMENT_FILE_NAME])
{
	snprintf(name, SEGMENT_FILE_NAME, "%016llx" ENDING, (unsigned long long)id);
}

bool segment_file_id(const char *name, __u64 *ret_id)
{
	if (strlen(name) != 16 + strlen(ENDING) || strcmp(name + 16, ENDING) ||
	    strspn(name, "0123456789abcdef") != 16)
		return false;
	*ret_id = strtoull(name, NULL, 16);
	return true;
}

int segment_file_create(int dir_fd, __u64 id, __u64 now_ns, const __u8 boot_id[16],
			struct segment_file *ret_file)
{
	struct file_head head = {.version = FILE_VERSION, .made_ns = now_ns};
	char name[SEGMENT_FILE_NAME];
	int fd, err;

	memcpy(head.magic, FILE_MAGIC, sizeof(head.magic));
	memcpy(head.boot_id, boot_id, sizeof(head.boot_id));
	segment_file_name(id, name);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = fs_write_all(fd, &head, sizeof(head));
	if (err) {
		close(fd);
		unlinkat(dir_fd, name, 0);
		return err;
	}
	*ret_file = (struct segment_file){
		.fd = fd, .id = id, .bytes = SEGMENT_FILE_HEAD, .made_ns = now_ns};
	memcpy(ret_file->boot_id, boot_id, sizeof(ret_file->boot_id));
	return 0;
}

int segment_file_open(int dir_fd, __u64 id, struct segment_file *ret_file)
{
	struct file_head head;
	char name[SEGMENT_FILE_NAME];
	struct stat st;
	_close_ int fd = -1;
	int err;

	segment_file_name(id, name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	err = fs_pread_all(fd, &head, sizeof(head), 0);
	if (err)
		return err;
	if (memcmp(head.magic, FILE_MAGIC, sizeof(head.magic)) || head.version != FILE_VERSION)
		return -EBADMSG;
	*ret_file = (struct segment_file){
		.fd = take_fd(&fd), .id = id, .bytes = (__u64)st.st_size, .made_ns = head.made_ns};
	memcpy(ret_file->boot_id, head.boot_id, sizeof(ret_file->boot_id));
	return 0;
}

void segment_file_close(struct segment_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	*file = SEGMENT_FILE_NONE;
}

static __u64 check_of(const struct block_head *head, const void *packed)
{
	__u64 seed = hash_mix(head->kind, (__u64)head->raw << 32 | head->packed);

	return XXH3_64bits_withSeed(packed, head->packed, seed);
}

int segment_file_append(struct segment_file *file, enum block_kind kind, const struct buf *raw,
			__u64 *ret_at)
{
	struct block_head head = {.magic = BLOCK_MAGIC, .kind = (__u16)kind};
	size_t room, packed;
	_free_ char *out = NULL;
	int err;

	if (raw->err)
		return raw->err;
	if (raw->len > BLOCK_MAX_BYTES)
		return -EFBIG;
	room = ZSTD_compressBound(raw->len);
	out = malloc(BLOCK_HEAD + room);
	if (!out)
		return -ENOMEM;
	packed = ZSTD_compress(out + BLOCK_HEAD, room, raw->data, raw->len, LEVEL);
	if (ZSTD_isError(packed))
		return -ENOMEM; /* its only reason here */
	if (packed > BLOCK_MAX_BYTES)
		return -EFBIG;
	head.packed = (__u32)packed;
	head.raw = (__u32)raw->len;
	head.check = check_of(&head, out + BLOCK_HEAD);
	memcpy(out, &head, sizeof(head));
	if (lseek(file->fd, (off_t)file->bytes, SEEK_SET) < 0)
		return -errno;
	err = fs_write_all(file->fd, out, BLOCK_HEAD + packed);
	if (err) {
		if (ftruncate(file->fd, (off_t)file->bytes))
			return err; /* a reader finds the torn end by its check */
		return err;
	}
	*ret_at = file->bytes;
	file->bytes += BLOCK_HEAD + packed;
	return 0;
}

/* The packed payload to raw. */
static int unpack(const struct block_head *head, const void *packed, struct buf *ret_raw)
{
	unsigned long long raw = ZSTD_getFrameContentSize(packed, head->packed);
	size_t n;

	if (raw != head->raw)
		return -EBADMSG;
	if (buf_reserve(ret_raw, head->raw))
		return -ENOMEM;
	n = ZSTD_decompress(ret_raw->data, head->raw, packed, head->packed);
	if (ZSTD_isError(n) || n != head->raw)
		return -EBADMSG;
	ret_raw->len = n;
	ret_raw->data[n] = 0;
	return 0;
}

/* 0: its lengths can be, whatever else it says; -EBADMSG: they cannot; else -errno. */
static int read_head(const struct segment_file *file, __u64 at, struct block_head *ret_head)
{
	int err;

	if (at > file->bytes || file->bytes - at < BLOCK_HEAD)
		return -EBADMSG;
	err = fs_pread_all(file->fd, ret_head, sizeof(*ret_head), (off_t)at);
	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	return ret_head->packed > BLOCK_MAX_BYTES || ret_head->raw > BLOCK_MAX_BYTES ||
			       ret_head->packed > file->bytes - at - BLOCK_HEAD
		       ? -EBADMSG
		       : 0;
}

/* raw NULL: only look whether it is what was written. */
static int read_payload(const struct segment_file *file, __u64 at, const struct block_head *head,
			struct buf *raw)
{
	_free_ void *packed = malloc(head->packed + 1);
	int err;

	if (!packed)
		return -ENOMEM;
	err = fs_pread_all(file->fd, packed, head->packed, (off_t)(at + BLOCK_HEAD));
	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	if (head->check != check_of(head, packed))
		return -EBADMSG;
	return raw ? unpack(head, packed, raw) : 0;
}

/* Whether a length is to be believed: the file ends there, or the next block begins. */
static bool is_boundary(const struct segment_file *file, __u64 at)
{
	struct block_head head;

	return at == file->bytes || (!read_head(file, at, &head) && head.magic == BLOCK_MAGIC);
}

/* Whether a whole block begins at `at`: 0, then block->end says so, or -EBADMSG; else -errno. */
static int try_block(const struct segment_file *file, __u64 at, struct block *block)
{
	struct block_head head;
	int err;

	if (block->in_vain > RESYNC_BYTES) {
		block->end = file->bytes;
		return 0;
	}
	block->in_vain += TRY_BYTES;
	err = read_head(file, at, &head);
	if (err)
		return err;
	err = read_payload(file, at, &head, NULL);
	if (!err)
		block->end = at;
	else
		block->in_vain += head.packed;
	return err;
}

/* Behind a block at `at` whose length says nothing: the next whole one. -EBADMSG; else -errno. */
static int find_next(const struct segment_file *file, __u64 at, struct block *block)
{
	static const __u32 magic = BLOCK_MAGIC;
	_free_ char *bytes = malloc(SCAN_BYTES);

	if (!bytes)
		return -ENOMEM;
	for (__u64 from = at + 1; from < file->bytes; from += SCAN_BYTES - (sizeof(magic) - 1)) {
		size_t n = MIN((__u64)SCAN_BYTES, file->bytes - from);
		const char *p = bytes;
		int err = fs_pread_all(file->fd, bytes, n, (off_t)from);

		if (err)
			return err == -ENODATA ? -EBADMSG : err;
		while ((p = memmem(p, (size_t)(bytes + n - p), &magic, sizeof(magic)))) {
			err = try_block(file, from + (__u64)(p - bytes), block);
			if (err != -EBADMSG)
				return err ? err : -EBADMSG;
			p++;
		}
	}
	return -EBADMSG;
}

/* kind 0: any. A magic that is damaged takes nothing: the check says that the block is whole. */
static int read_block(const struct segment_file *file, __u64 at, unsigned kind, struct block *block)
{
	struct block_head head;
	bool known, other;
	__u64 end;
	int err;

	buf_reset(&block->raw);
	block->at = at;
	block->end = 0;
	if (at == file->bytes)
		return -ENODATA;
	err = read_head(file, at, &head);
	if (err)
		return err == -EBADMSG ? find_next(file, at, block) : err;
	end = at + BLOCK_HEAD + head.packed;
	known = head.kind >= BLOCK_DICT && head.kind < BLOCK_KINDS;
	other = kind && head.kind != kind;
	if (!other || head.magic != BLOCK_MAGIC || !is_boundary(file, end)) {
		err = read_payload(file, at, &head, other ? NULL : &block->raw);
		if (err == -EBADMSG && !is_boundary(file, end))
			return find_next(file, at, block);
		if (err && err != -EBADMSG)
			return err;
	}
	block->end = end;
	if (known)
		block->kind = head.kind;
	return known ? err : -EBADMSG;
}

int segment_file_read(const struct segment_file *file, __u64 at, struct block *block)
{
	return read_block(file, at, 0, block);
}

int segment_file_read_kind(const struct segment_file *file, __u64 at, enum block_kind kind,
			   struct block *block)
{
	return read_block(file, at, kind, block);
}

void block_fini(struct block *block)
{
	buf_fini(&block->raw);
}
