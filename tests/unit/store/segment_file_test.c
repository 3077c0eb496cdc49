// SPDX-License-Identifier: Apache-2.0
/*
 * Damage in segments, byte by byte: each block that was not hit is found again, whatever the damaged
 * one says of its length, by every reader and by a store that lost its index; a file is cut only
 * where nothing whole follows, and the search for the next block ends soon in a file made to fool it.
 */
#include "profiler/store/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/store/store.h"
#include "profiler/store/store_read.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define T0	 (1700000000 * NS_PER_S)
#define N_BLOCKS 9

/* ---- blocks ---------------------------------------------------------------------------------- */

static const __u8 boot_id[16] = "sixteen of boot";

static int open_dir(const char *name, char path[512])
{
	snprintf(path, 512, "%s/%s", test_dir(), name);
	ASSERT_INT(mkdir(path, 0700), 0);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What a block holds: enough that a few hundred bytes of it remain packed. */
static void payload(struct buf *raw, unsigned i)
{
	unsigned state = i + 1;

	buf_reset(raw);
	for (unsigned n = 0; n < 50 + 400 * i; n++) {
		state = state * 1664525 + 1013904223;
		buf_add(raw, &(char){(char)(state >> 24)}, 1);
	}
}

static enum block_kind kind_of(unsigned i)
{
	return i % 3 ? BLOCK_WINDOW : BLOCK_DICT;
}

/* N_BLOCKS blocks; where each begins, and the end. */
static struct segment_file make_segment(int dir, __u64 at[N_BLOCKS + 1])
{
	struct segment_file file;
	struct buf raw = {0};

	ASSERT_INT(segment_file_create(dir, 1, T0, boot_id, &file), 0);
	for (unsigned i = 0; i < N_BLOCKS; i++) {
		payload(&raw, i);
		ASSERT_INT(segment_file_append(&file, kind_of(i), &raw, &at[i]), 0);
	}
	at[N_BLOCKS] = file.bytes;
	buf_fini(&raw);
	return file;
}

/* Read all; a bit for each block that came out as it went in. kind 0: all kinds. */
static unsigned read_all(const struct segment_file *file, const __u64 at[N_BLOCKS + 1],
			 enum block_kind kind, __u64 *ret_end)
{
	struct block block = {0};
	struct buf raw = {0};
	unsigned found = 0;
	__u64 from = SEGMENT_FILE_HEAD;
	int err;

	for (;; from = block.end) {
		err = kind ? segment_file_read_kind(file, from, kind, &block)
			   : segment_file_read(file, from, &block);
		if ((err && err != -EBADMSG) || !block.end)
			break;
		CU_ASSERT_FATAL(block.end > from && block.end <= file->bytes);
		for (unsigned i = 0; i < N_BLOCKS && !err; i++) {
			if (at[i] != from)
				continue;
			payload(&raw, i);
			if (!kind || kind == kind_of(i))
				ASSERT_INT(block.kind, kind_of(i));
			ASSERT_INT(block.end, at[i + 1]);
			if (kind && kind_of(i) != kind)
				buf_reset(&raw); /* not read */
			CU_ASSERT(block.raw.len == raw.len &&
				  (!raw.len || !memcmp(block.raw.data, raw.data, raw.len)));
			found |= 1u << i;
		}
	}
	CU_ASSERT(err == -ENODATA || err == -EBADMSG);
	*ret_end = from;
	block_fini(&block);
	buf_fini(&raw);
	return found;
}

static void flip(int fd, __u64 at, __u8 bits)
{
	__u8 byte;

	ASSERT_INT(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= bits;
	ASSERT_INT(pwrite(fd, &byte, 1, (off_t)at), 1);
}

/* Any byte of any block: no other block is lost, and the magic takes none at all. */
static void a_byte_takes_a_block(void)
{
	const unsigned all = (1u << N_BLOCKS) - 1;
	char path[512];
	int dir = open_dir("byte", path);
	__u64 at[N_BLOCKS + 1], end;
	struct segment_file file = make_segment(dir, at);
	unsigned wrong = 0, kept = 0;

	ASSERT_INT(read_all(&file, at, 0, &end), all);
	ASSERT_INT(read_all(&file, at, BLOCK_DICT, &end), all);
	for (unsigned i = 0; i < N_BLOCKS; i++)
		for (__u64 byte = at[i]; byte < MIN(at[i] + 60, at[i + 1]); byte++)
			for (unsigned bit = 0; bit < 8; bit += 3) {
				unsigned found, dicts;
				bool magic = byte < at[i] + 4;

				flip(file.fd, byte, (__u8)(1u << bit));
				found = read_all(&file, at, 0, &end);
				wrong += (found | 1u << i) != all || (magic && found != all);
				kept += found == all;
				wrong += end != at[N_BLOCKS] && i < N_BLOCKS - 1;
				/* Dictionaries are found behind a damaged window, too. */
				dicts = read_all(&file, at, BLOCK_DICT, &end);
				wrong += (dicts | 1u << i) != all || (magic && dicts != all);
				flip(file.fd, byte, (__u8)(1u << bit));
			}
	ASSERT_INT(wrong, 0);
	ASSERT_INT(kept, N_BLOCKS * 6 * 3); /* the magic, and two bytes that say nothing */
	segment_file_close(&file);
	close(dir);
}

/* A stretch that the disk gave back as zeros: from within one block to within another. */
static void a_stretch_takes_its_blocks(void)
{
	char path[512];
	int dir = open_dir("stretch", path);
	__u64 at[N_BLOCKS + 1], end;
	struct segment_file file = make_segment(dir, at);
	static const __u8 zeros[8192];
	size_t len = at[6] + 10 - (at[3] + 100);

	ASSERT_INT(pwrite(file.fd, zeros, len, (off_t)(at[3] + 100)), len);
	ASSERT_INT(read_all(&file, at, 0, &end), 0x187); /* 0-2, 7, 8 */
	ASSERT_INT(end, file.bytes);
	/* Nothing whole behind it: a torn end. */
	ASSERT_INT(pwrite(file.fd, zeros, file.bytes - at[7], (off_t)at[7]), file.bytes - at[7]);
	ASSERT_INT(read_all(&file, at, 0, &end), 0x7);
	CU_ASSERT(end >= at[3] && end <= at[4]);
	segment_file_close(&file);
	close(dir);
}

/* Heads that look right all over a damaged part: the search is given up, the rest not called torn. */
static void a_search_ends(void)
{
	struct {
		char magic[4];
		__u16 kind, zero;
		__u32 packed, raw;
		__u64 check;
	} fake = {.magic = "QBLK", .kind = BLOCK_WINDOW, .packed = 200000, .raw = 4};
	char path[512];
	int dir = open_dir("search", path);
	__u64 at[N_BLOCKS + 1], end, last;
	struct segment_file file = make_segment(dir, at);
	struct block block = {0};
	struct buf raw = {0};

	_Static_assert(sizeof(fake) == BLOCK_HEAD, "as on disk");
	flip(file.fd, at[N_BLOCKS - 1] + 11, 0xff); /* its length */
	CU_ASSERT_FATAL(lseek(file.fd, 0, SEEK_END) > 0);
	for (int i = 0; i < 20000; i++)
		ASSERT_INT(write(file.fd, &fake, sizeof(fake)), sizeof(fake));
	file.bytes = (__u64)lseek(file.fd, 0, SEEK_CUR);
	payload(&raw, 5);
	ASSERT_INT(segment_file_append(&file, BLOCK_WINDOW, &raw, &last), 0);
	ASSERT_INT(segment_file_read(&file, at[N_BLOCKS - 1], &block), -EBADMSG);
	ASSERT_INT(block.end, file.bytes);
	CU_ASSERT(block.in_vain < 70 << 20);
	ASSERT_INT(read_all(&file, at, 0, &end), (1u << (N_BLOCKS - 1)) - 1);
	ASSERT_INT(end, file.bytes);
	block_fini(&block);
	buf_fini(&raw);
	segment_file_close(&file);
	close(dir);
}

/* ---- a store --------------------------------------------------------------------------------- */

#define N_WINDOWS 40

/* The same stack in each window: one dictionary, then windows and minutes. */
static void put_windows(const char *dir)
{
	struct store_report report;
	struct store *store = stores_open(dir, NULL, &report);
	struct dict_label_text label = {"service_name", "s"};

	for (__u64 i = 0; i < N_WINDOWS; i++) {
		struct facts facts = {.start_ns = T0 + i * 15 * NS_PER_S,
				      .end_ns = T0 + (i + 1) * 15 * NS_PER_S,
				      .samples = 1};
		struct profile *p = profile_new(NULL);
		__u32 frame;

		profile_add_type(p, "samples", "count");
		profile_set_period(p, "cpu", "nanoseconds", 1);
		p->name = profile_cstring(p, "cpu");
		frame = profile_named_location(p, FRAME_NATIVE, "f");
		profile_add(p, profile_stack(p, &frame, 1), 0, (__s64[]){1});
		ASSERT_INT(store_begin(store, &facts), 0);
		ASSERT_INT(store_add(store, &label, 1, p), 0);
		ASSERT_INT(store_end(store), 0);
		profile_free(p);
	}
	store_close(store);
}

static __s64 samples(const char *dir)
{
	struct store_reader *reader = store_reader_new(dir);
	struct store_choice choice = {.kind = "cpu", .to_ns = T0 + 86400 * NS_PER_S};
	struct profile *p = profile_new(NULL);
	struct store_result result;
	__s64 total;

	/* From within the first window on: no sum of an hour. */
	choice.from_ns = T0 + NS_PER_S;
	ASSERT_INT(store_read_profile(reader, &choice, p, &result), 0);
	total = profile_total(p, 0);
	profile_free(p);
	store_reader_free(reader);
	return total;
}

static __u64 nth_window(int dir, unsigned n)
{
	struct block block = {0};
	struct segment_file file;
	__u64 found = 0;

	ASSERT_INT(segment_file_open(dir, 1, &file), 0);
	for (__u64 at = SEGMENT_FILE_HEAD; !found && !segment_file_read(&file, at, &block);
	     at = block.end)
		if (block.kind == BLOCK_WINDOW && !n--)
			found = at;
	block_fini(&block);
	segment_file_close(&file);
	return found;
}

/* Every byte of a window's head, the index lost, too: at most this window's sample is lost, the file
 * keeps its length, and the next start has nothing to say. */
static void a_head_and_the_index(void)
{
	char path[512], segment[600], index[600];
	int dir = open_dir("head", path), fd;
	struct store_report report;
	struct stat before, after;
	__u64 at;

	put_windows(path);
	snprintf(segment, sizeof(segment), "%s/0000000000000001.seg", path);
	snprintf(index, sizeof(index), "%s/index.sqlite", path);
	at = nth_window(dir, 13);
	CU_ASSERT_FATAL(at > 0);
	ASSERT_INT(stat(segment, &before), 0);
	fd = open(segment, O_RDWR | O_CLOEXEC);
	for (unsigned byte = 0; byte < BLOCK_HEAD; byte++) {
		flip(fd, at + byte, 0x10);
		ASSERT_INT(unlink(index), 0);
		store_close(stores_open(path, NULL, &report));
		if (byte < 4)
			ASSERT_INT(report.dropped_blocks, 0);
		CU_ASSERT(report.dropped_blocks <= 1 && report.dropped_bytes < 200);
		CU_ASSERT(samples(path) >= N_WINDOWS - (report.dropped_blocks > 0));
		ASSERT_INT(stat(segment, &after), 0);
		ASSERT_INT(after.st_size, before.st_size);
		store_close(stores_open(path, NULL, &report));
		ASSERT_INT(report.recovered_blocks + report.dropped_blocks, 0);
		flip(fd, at + byte, 0x10);
	}
	/* With the index: readers go by it. */
	ASSERT_INT(unlink(index), 0);
	store_close(stores_open(path, NULL, &report));
	flip(fd, SEGMENT_FILE_HEAD, 1); /* the dictionary's magic */
	store_close(stores_open(path, NULL, &report));
	ASSERT_INT(samples(path), N_WINDOWS);
	close(fd);
	close(dir);
}

SUITE(segment_file, {"a byte takes a block", a_byte_takes_a_block},
      {"a stretch takes its blocks", a_stretch_takes_its_blocks}, {"a search ends", a_search_ends},
      {"a damaged head and a lost index", a_head_and_the_index});
