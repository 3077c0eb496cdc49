// SPDX-License-Identifier: Apache-2.0
/*
 * A spool folder in which every file may hold anything: opened, drained, written and opened again.
 * It opens whatever is there, never hands out a record whose check is wrong, counts what is lost,
 * keeps its bounds, and a record added afterwards comes back as it was.
 *
 * Input: up to 5 files, each {u8 which (0: ack, else segment number), u16 length, u8 repair} +
 * bytes. repair: correct the heads and checks that chance would never hit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "profiler/base/clock.h"
#include "profiler/base/cursor.h"
#include "profiler/base/fs.h"
#include "profiler/spool.h"

#define NOW_NS	     (1700000000ULL * NS_PER_S)
#define RECORD_MAGIC 0x43455251u
#define N_FILES	     5

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static char dir[64];

static void remove_dir(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "%s stays behind\n", dir);
}

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "%s/spool_fuzz.%d",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", getpid());
	CHECK(!mkdir(dir, 0700));
	atexit(remove_dir);
}

static void file_name(unsigned which, char out[128])
{
	if (which)
		snprintf(out, 128, "%s/%016x.spool", dir, which);
	else
		snprintf(out, 128, "%s/ack", dir);
}

/* Make the checks of a segment's records right, as far as their lengths make sense. */
static void repair_segment(__u8 *data, size_t len)
{
	size_t at = 16;

	if (len < 16)
		return;
	memcpy(data, "BQSPOOL1\1\0\0\0\0\0\0\0", 16);
	while (at + 24 <= len) {
		XXH3_state_t *hash = XXH3_createState();
		__u32 magic = RECORD_MAGIC, size;
		__u64 check;

		memcpy(data + at, &magic, sizeof(magic));
		memcpy(&size, data + at + 4, sizeof(size));
		size &= 0xff;
		if (at + 24 + size > len)
			size = (__u32)(len - at - 24);
		memcpy(data + at + 4, &size, sizeof(size));
		XXH3_64bits_reset(hash);
		XXH3_64bits_update(hash, data + at + 4, 12);
		XXH3_64bits_update(hash, data + at + 24, size);
		check = XXH3_64bits_digest(hash);
		XXH3_freeState(hash);
		memcpy(data + at + 16, &check, sizeof(check));
		at += 24 + ALIGN_UP(size, 8u);
	}
}

static void repair_ack(__u8 *data, size_t len)
{
	for (size_t at = 0; at + 24 <= len && at < 48; at += 24) {
		__u64 check;

		data[at + 1] &= 3; /* a number near those of the segments */
		memset(data + at + 2, 0, 6);
		check = XXH3_64bits(data + at, 16);
		memcpy(data + at + 16, &check, sizeof(check));
	}
}

static void write_files(struct cursor *c)
{
	char name[128];

	for (int i = 0; i < N_FILES; i++) {
		unsigned which = cursor_u8(c) % N_FILES;
		size_t len = cursor_u16(c);
		bool repair = cursor_u8(c) & 1;
		__u8 *copy;
		int fd;

		len = MIN(len, cursor_left(c));
		if (c->bad)
			return;
		copy = malloc(len + 1);
		memcpy(copy, cursor_bytes(c, len), len);
		if (repair && which)
			repair_segment(copy, len);
		else if (repair)
			repair_ack(copy, len);
		file_name(which, name);
		fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0 && !fs_write_all(fd, copy, len));
		close(fd);
		free(copy);
	}
}

/* Everything out; how many records. */
static unsigned drain(struct spool *spool, const char *expected)
{
	struct spool_place place;
	struct spool_stats stats;
	struct buf out = {0};
	unsigned n = 0;
	__u64 time_ns;
	int err;

	while (!(err = spool_peek(spool, NOW_NS, &out, &time_ns, &place))) {
		CHECK(time_ns >= NOW_NS || NOW_NS - time_ns < 3600 * NS_PER_S);
		if (expected)
			CHECK(out.len == strlen(expected) && !memcmp(out.data, expected, out.len));
		CHECK(!spool_done(spool, &place));
		CHECK(++n < 100000);
	}
	CHECK(err == -ENOENT);
	spool_stats(spool, &stats);
	CHECK(stats.records == 0 && stats.bytes <= SPOOL_MIN_BYTES);
	buf_fini(&out);
	return n;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct spool_limits limits = {.max_bytes = SPOOL_MIN_BYTES, .max_age_ns = 3600 * NS_PER_S};
	struct iovec piece = {.iov_base = (void *)(uintptr_t) "a record", .iov_len = 8};
	struct cursor c = cursor_of(data, size);
	struct spool *spool;
	char error[512], name[128];
	bool half;

	if (!*dir)
		make_dir();
	half = cursor_u8(&c) & 1;
	write_files(&c);
	CHECK(!spool_open(dir, &limits, &spool, error, sizeof(error)));
	if (half) { /* what was added waits behind what was there, and survives a restart */
		CHECK(!spool_add(spool, NOW_NS, &piece, 1));
		spool_close(spool);
		CHECK(!spool_open(dir, &limits, &spool, error, sizeof(error)));
		CHECK(drain(spool, NULL) >= 1);
	} else {
		drain(spool, NULL);
		CHECK(!spool_add(spool, NOW_NS, &piece, 1));
		CHECK(drain(spool, "a record") == 1);
	}
	spool_close(spool);
	CHECK(!spool_open(dir, &limits, &spool, error, sizeof(error)));
	CHECK(drain(spool, NULL) == 0); /* done is done */
	spool_close(spool);
	for (unsigned i = 0; i < 64; i++) {
		file_name(i, name);
		unlink(name);
	}
	return 0;
}
