// SPDX-License-Identifier: Apache-2.0
/* The queue on disk, see spool.h. */
#include "profiler/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/cursor.h"
#include "profiler/base/fs.h"
#include "profiler/base/mapfile.h"
#include "profiler/base/vec.h"

#define SEGMENT_MAGIC	  "BQSPOOL1"
#define SEGMENT_VERSION	  1
#define SEGMENT_MAX_BYTES (4u << 20)
#define HEAD_BYTES	  16
#define RECORD_MAGIC	  0x43455251u /* "QREC" */
#define RECORD_HEAD_BYTES 24
#define MAX_SEGMENTS	  65536
#define ACK_SLOT_BYTES	  24
#define MAX_SEQ		  (UINT64_MAX / 2)
#define NAME_BYTES	  32

struct segment {
	__u64 seq;
	__u64 bytes;
	__u64 records; /* not yet done */
};

struct record_head {
	__u32 magic, len;
	__u64 time_ns, check;
};
_Static_assert(sizeof(struct record_head) == RECORD_HEAD_BYTES, "as on disk");

struct spool {
	int dir_fd, lock_fd, ack_fd;
	struct spool_limits limits;
	VEC(struct segment) segments; /* by seq; the last one is written when write_fd >= 0 */
	int write_fd;
	int read_fd;	   /* of segments[0], -1: not open */
	__u64 read_offset; /* in segments[0]: the next record */
	unsigned ack_slot; /* to write next */
	__u64 next_seq;
	XXH3_state_t *hash; /* scratch of record_check */
	struct spool_stats stats;
};

static void segment_name(__u64 seq, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "%016llx.spool", (unsigned long long)seq);
}

static __u64 record_check(struct spool *spool, const struct record_head *head,
			  const struct iovec *pieces, int n)
{
	XXH3_64bits_reset(spool->hash);
	XXH3_64bits_update(spool->hash, &head->len, sizeof(head->len));
	XXH3_64bits_update(spool->hash, &head->time_ns, sizeof(head->time_ns));
	for (int i = 0; i < n; i++)
		XXH3_64bits_update(spool->hash, pieces[i].iov_base, pieces[i].iov_len);
	return XXH3_64bits_digest(spool->hash);
}

static __u64 padded(__u64 len)
{
	return ALIGN_UP(len, 8);
}

/* ---- segments ---------------------------------------------------------------------------- */

/* Remove the first segment, for whatever reason its records are gone. */
static void drop_first(struct spool *spool)
{
	struct segment *first = &spool->segments.data[0];
	char name[NAME_BYTES];

	segment_name(first->seq, name);
	unlinkat(spool->dir_fd, name, 0);
	if (spool->segments.len == 1 && spool->write_fd >= 0) {
		close(spool->write_fd);
		spool->write_fd = -1;
	}
	if (spool->read_fd >= 0)
		close(spool->read_fd);
	spool->read_fd = -1;
	spool->read_offset = HEAD_BYTES;
	spool->stats.bytes -= first->bytes;
	spool->stats.records -= first->records;
	memmove(first, first + 1, --spool->segments.len * sizeof(*first));
}

static void make_room(struct spool *spool, __u64 bytes)
{
	while (spool->segments.len && spool->stats.bytes + bytes > spool->limits.max_bytes) {
		spool->stats.dropped_full += spool->segments.data[0].records;
		drop_first(spool);
	}
}

/* Start a new segment to write. 0 or -errno. */
static int rotate(struct spool *spool)
{
	char head[HEAD_BYTES] = SEGMENT_MAGIC, name[NAME_BYTES];
	struct segment segment = {.seq = spool->next_seq, .bytes = HEAD_BYTES};
	__u32 version = SEGMENT_VERSION;
	int err, fd;

	if (spool->write_fd >= 0)
		close(spool->write_fd);
	spool->write_fd = -1;
	if (spool->segments.len == MAX_SEGMENTS) {
		spool->stats.dropped_full += spool->segments.data[0].records;
		drop_first(spool);
	}
	segment_name(segment.seq, name);
	fd = openat(spool->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	memcpy(head + 8, &version, sizeof(version));
	err = fs_write_all(fd, head, sizeof(head));
	if (!err)
		err = vec_push(&spool->segments, segment);
	if (err) {
		unlinkat(spool->dir_fd, name, 0);
		close(fd);
		return err;
	}
	spool->next_seq++;
	spool->write_fd = fd;
	spool->stats.bytes += HEAD_BYTES;
	return 0;
}

int spool_add(struct spool *spool, __u64 time_ns, const struct iovec *pieces, int n)
{
	static const char zeros[8];
	struct record_head head = {.magic = RECORD_MAGIC, .time_ns = time_ns};
	struct segment *last;
	__u64 len = 0, total;
	int err = 0;

	for (int i = 0; i < n; i++)
		len += pieces[i].iov_len;
	if (len > SPOOL_MAX_RECORD || len > spool->limits.max_bytes / 2)
		return -EMSGSIZE;
	head.len = (__u32)len;
	head.check = record_check(spool, &head, pieces, n);
	total = RECORD_HEAD_BYTES + padded(len);
	make_room(spool, total + HEAD_BYTES);
	if (spool->write_fd < 0 ||
	    spool->segments.data[spool->segments.len - 1].bytes + total > SEGMENT_MAX_BYTES)
		err = rotate(spool);
	if (err)
		return err;
	err = fs_write_all(spool->write_fd, &head, sizeof(head));
	for (int i = 0; i < n && !err; i++)
		err = fs_write_all(spool->write_fd, pieces[i].iov_base, pieces[i].iov_len);
	if (!err)
		err = fs_write_all(spool->write_fd, zeros, padded(len) - len);
	last = &spool->segments.data[spool->segments.len - 1];
	if (err) {
		/* Cut the half record off; where even that fails, write elsewhere from now on. */
		if (ftruncate(spool->write_fd, (off_t)last->bytes) ||
		    lseek(spool->write_fd, (off_t)last->bytes, SEEK_SET) < 0) {
			close(spool->write_fd);
			spool->write_fd = -1;
		}
		return err;
	}
	last->bytes += total;
	last->records++;
	spool->stats.bytes += total;
	spool->stats.records++;
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

static int open_first(struct spool *spool)
{
	char name[NAME_BYTES];

	if (spool->read_fd >= 0)
		return 0;
	segment_name(spool->segments.data[0].seq, name);
	spool->read_fd = openat(spool->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return spool->read_fd < 0 ? -errno : 0;
}

enum step { STEP_RECORD, STEP_SKIPPED, STEP_END, STEP_ERROR };

/* The chain of the first segment is broken: what it still held is gone. */
static void drop_damaged(struct spool *spool)
{
	spool->stats.dropped_damaged += MAX(spool->segments.data[0].records, (__u64)1);
	drop_first(spool);
}

static void skip_record(struct spool *spool, const struct record_head *head)
{
	struct segment *first = &spool->segments.data[0];

	spool->read_offset += RECORD_HEAD_BYTES + padded(head->len);
	if (first->records) {
		first->records--;
		spool->stats.records--;
	}
}

/* Read the record at the read offset of the first segment. */
static enum step read_record(struct spool *spool, __u64 now_ns, struct buf *out,
			     struct record_head *head, int *ret_err)
{
	const struct segment *first = &spool->segments.data[0];
	struct iovec payload;
	int err;

	if (spool->read_offset + RECORD_HEAD_BYTES > first->bytes)
		return STEP_END;
	err = open_first(spool);
	if (!err)
		err = fs_pread_all(spool->read_fd, head, sizeof(*head), (off_t)spool->read_offset);
	if (err == -ENODATA || err == -ENOENT ||
	    (!err && (head->magic != RECORD_MAGIC || head->len > SPOOL_MAX_RECORD ||
		      spool->read_offset + RECORD_HEAD_BYTES + padded(head->len) > first->bytes))) {
		drop_damaged(spool);
		return STEP_SKIPPED;
	}
	if (!err && spool->limits.max_age_ns && head->time_ns < now_ns &&
	    now_ns - head->time_ns >= spool->limits.max_age_ns) {
		spool->stats.dropped_old++;
		skip_record(spool, head);
		return STEP_SKIPPED;
	}
	buf_reset(out);
	if (!err)
		err = buf_reserve(out, head->len);
	if (!err)
		err = fs_pread_all(spool->read_fd, out->data, head->len,
				   (off_t)(spool->read_offset + RECORD_HEAD_BYTES));
	if (err && err != -ENODATA) {
		*ret_err = err;
		return STEP_ERROR;
	}
	payload = (struct iovec){.iov_base = out->data, .iov_len = head->len};
	if (err || record_check(spool, head, &payload, 1) != head->check) {
		spool->stats.dropped_damaged++;
		skip_record(spool, head);
		return STEP_SKIPPED;
	}
	out->len = head->len;
	out->data[out->len] = 0;
	return STEP_RECORD;
}

int spool_peek(struct spool *spool, __u64 now_ns, struct buf *out, __u64 *ret_time_ns,
	       struct spool_place *ret_place)
{
	struct record_head head;
	int err = 0;

	make_room(spool, 0);
	while (spool->segments.len) {
		switch (read_record(spool, now_ns, out, &head, &err)) {
		case STEP_RECORD:
			*ret_time_ns = head.time_ns;
			*ret_place = (struct spool_place){.segment = spool->segments.data[0].seq,
							  .offset = spool->read_offset};
			return 0;
		case STEP_SKIPPED:
			break;
		case STEP_END:
			/* All done, the one being written too: an empty spool takes no disk. */
			drop_first(spool);
			break;
		case STEP_ERROR:
			return err;
		}
	}
	return -ENOENT;
}

static int write_ack(struct spool *spool, __u64 seq, __u64 offset)
{
	__u64 slot[3] = {seq, offset, 0};
	ssize_t n;

	slot[2] = XXH3_64bits(slot, 2 * sizeof(*slot));
	n = pwrite(spool->ack_fd, slot, sizeof(slot), (off_t)spool->ack_slot * ACK_SLOT_BYTES);
	if (n != sizeof(slot))
		return n < 0 ? -errno : -ENOSPC;
	spool->ack_slot ^= 1;
	return fdatasync(spool->ack_fd) ? -errno : 0;
}

int spool_done(struct spool *spool, const struct spool_place *place)
{
	struct record_head head;
	int err;

	if (!spool->segments.len || spool->segments.data[0].seq != place->segment ||
	    spool->read_offset != place->offset)
		return 0; /* its segment had to give way meanwhile */
	err = open_first(spool);
	if (!err)
		err = fs_pread_all(spool->read_fd, &head, sizeof(head), (off_t)place->offset);
	if (err)
		return err;
	skip_record(spool, &head);
	return write_ack(spool, place->segment, spool->read_offset);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Count the whole records of a mapped segment from an offset on, and find the end of the last. */
static void scan_chain(struct cursor c, __u64 offset, __u64 *ret_records, __u64 *ret_end)
{
	__u64 records = 0, end = offset;

	cursor_seek(&c, offset);
	for (;;) {
		__u32 magic = cursor_u32(&c), len = cursor_u32(&c);

		cursor_skip(&c, RECORD_HEAD_BYTES - 8);
		if (c.bad || magic != RECORD_MAGIC || len > SPOOL_MAX_RECORD)
			break;
		cursor_skip(&c, padded(len));
		if (c.bad)
			break;
		records++;
		end = cursor_tell(&c);
	}
	*ret_records = records;
	*ret_end = end;
}

/* Take over one segment of an earlier run; removes it when nothing in it is of use. */
static int adopt_segment(struct spool *spool, __u64 seq, __u64 done_offset)
{
	char name[NAME_BYTES];
	struct segment segment = {.seq = seq};
	struct mapfile file = {0};
	struct cursor c;
	_close_ int fd = -1;
	const void *magic;
	int err;

	segment_name(seq, name);
	fd = openat(spool->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	err = fd < 0 ? -errno : mapfile_open(fd, SEGMENT_MAX_BYTES + SPOOL_MAX_RECORD, &file);
	if (err == -ENOMEM || err == -EMFILE)
		return err;
	if (err) { /* an empty one was only just begun */
		spool->stats.dropped_damaged += err != -ENODATA;
	} else {
		c = cursor_of(file.data, file.size);
		magic = cursor_bytes(&c, 8);
		if (magic && !memcmp(magic, SEGMENT_MAGIC, 8) &&
		    cursor_u32(&c) == SEGMENT_VERSION) {
			scan_chain(c, MAX(done_offset, (__u64)HEAD_BYTES), &segment.records,
				   &segment.bytes);
			/* A rest behind the chain: the record that was being written. */
			spool->stats.dropped_damaged += segment.bytes < file.size;
		} else {
			spool->stats.dropped_damaged++;
		}
		mapfile_close(&file);
	}
	if (!segment.records) {
		unlinkat(spool->dir_fd, name, 0);
		return 0;
	}
	err = vec_push(&spool->segments, segment);
	if (err)
		return err;
	spool->stats.bytes += segment.bytes;
	spool->stats.records += segment.records;
	return 0;
}

/* The place up to which everything is done: the later of the whole slots; zeros for none. */
static struct spool_place read_ack(struct spool *spool)
{
	struct spool_place best = {0};

	for (unsigned i = 0; i < 2; i++) {
		__u64 slot[3];

		if (fs_pread_all(spool->ack_fd, slot, sizeof(slot), (off_t)i * ACK_SLOT_BYTES) ||
		    slot[2] != XXH3_64bits(slot, 2 * sizeof(*slot)) || slot[0] >= MAX_SEQ)
			continue;
		if (slot[0] > best.segment || (slot[0] == best.segment && slot[1] > best.offset)) {
			best = (struct spool_place){.segment = slot[0], .offset = slot[1]};
			spool->ack_slot = i ^ 1;
		}
	}
	return best;
}

static int by_seq(const void *pa, const void *pb)
{
	const __u64 *a = pa, *b = pb;

	return (*a > *b) - (*a < *b);
}

/* Sequence numbers of the folder's segments, ascending. 0 or -errno. */
static int list_segments(int dir_fd, __u64 **ret_seqs, size_t *ret_n)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	VEC(__u64) seqs = {0};
	int err = 0;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	for (const struct dirent *d; !err && (d = readdir(dir));) {
		char *end;
		__u64 seq = strtoull(d->d_name, &end, 16);

		if (end == d->d_name + 16 && !strcmp(end, ".spool") && seq < MAX_SEQ)
			err = vec_push(&seqs, seq);
	}
	closedir(dir);
	if (err) {
		vec_free(&seqs);
		return err;
	}
	if (seqs.len)
		qsort(seqs.data, seqs.len, sizeof(*seqs.data), by_seq);
	*ret_seqs = seqs.data;
	*ret_n = seqs.len;
	return 0;
}

static int adopt_all(struct spool *spool)
{
	struct spool_place done = read_ack(spool);
	_free_ __u64 *seqs = NULL;
	size_t n = 0;
	int err = list_segments(spool->dir_fd, &seqs, &n);

	spool->next_seq = done.segment + 1;
	for (size_t i = 0; i < n && !err; i++) {
		bool old = seqs[i] < done.segment || n - i > MAX_SEGMENTS;
		char name[NAME_BYTES];

		spool->next_seq = MAX(spool->next_seq, seqs[i] + 1);
		segment_name(seqs[i], name);
		if (old)
			unlinkat(spool->dir_fd, name, 0);
		else
			err = adopt_segment(spool, seqs[i],
					    seqs[i] == done.segment ? done.offset : 0);
	}
	spool->read_offset = HEAD_BYTES;
	if (spool->segments.len && spool->segments.data[0].seq == done.segment)
		spool->read_offset = MAX(done.offset, (__u64)HEAD_BYTES);
	return err;
}

static int open_files(struct spool *spool, const char *dir)
{
	int err = fs_mkdirs(dir);

	if (err)
		return err;
	spool->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->dir_fd < 0)
		return -errno;
	spool->lock_fd =
		openat(spool->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spool->lock_fd < 0)
		return -errno;
	if (flock(spool->lock_fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	spool->ack_fd =
		openat(spool->dir_fd, "ack", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return spool->ack_fd < 0 ? -errno : 0;
}

int spool_open(const char *dir, const struct spool_limits *limits, struct spool **ret_spool,
	       char *error, size_t size)
{
	struct spool *spool = calloc(1, sizeof(*spool));
	int err;

	if (!spool) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	spool->dir_fd = spool->lock_fd = spool->ack_fd = spool->write_fd = spool->read_fd = -1;
	spool->limits = *limits;
	spool->hash = XXH3_createState();
	err = spool->hash ? open_files(spool, dir) : -ENOMEM;
	if (!err)
		err = adopt_all(spool);
	if (err) {
		if (err == -EBUSY)
			snprintf(error, size,
				 "the spool '%s' is in use by another agent; give each its own "
				 "agent.state_dir",
				 dir);
		else
			snprintf(error, size,
				 "the spool '%s' cannot be used: %s; see that agent.state_dir is a "
				 "folder of the agent's own",
				 dir, strerror(-err));
		spool_close(spool);
		return err;
	}
	*ret_spool = spool;
	return 0;
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	if (spool->write_fd >= 0) {
		fdatasync(spool->write_fd);
		close(spool->write_fd);
	}
	for (const int *fd =
		     (int[]){spool->read_fd, spool->ack_fd, spool->lock_fd, spool->dir_fd, -2};
	     *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	vec_free(&spool->segments);
	XXH3_freeState(spool->hash);
	free(spool);
}

void spool_stats(const struct spool *spool, struct spool_stats *ret_stats)
{
	*ret_stats = spool->stats;
}

void spool_set_limits(struct spool *spool, const struct spool_limits *limits)
{
	spool->limits = *limits;
}
