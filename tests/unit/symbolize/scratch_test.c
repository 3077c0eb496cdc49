// SPDX-License-Identifier: Apache-2.0
/* Streams that are written once: read back at any offset, and taken as a block; with a file, in
 * memory, and within the buffer. */
#include "symbolize/scratch.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define NUMBERS 100000u

static void fill(struct spill *spill, const char *dir, __u32 n)
{
	ASSERT_INT(spill_init(spill, dir), 0);
	for (__u32 i = 0; i < n; i++)
		spill_add(spill, &i, sizeof(i));
}

static void spills_read_back(void)
{
	struct spill spill;
	__u8 out[16];
	int wrong = 0;

	fill(&spill, SCRATCH_IN_MEMORY, NUMBERS);
	for (__u32 i = 0; i + 4 < NUMBERS; i += 77) {
		__u32 got;

		wrong += spill_read(&spill, out, sizeof(out), (__u64)i * 4) != 0;
		memcpy(&got, out + 12, 4);
		wrong += got != i + 3;
	}
	ASSERT_INT(wrong, 0);
	ASSERT_INT(spill_read(&spill, out, sizeof(out), NUMBERS * 4 - 8), -EINVAL);
	spill_fini(&spill);
}

static int wrong_numbers(const struct scratch *block)
{
	const __u32 *numbers = block->data;
	int wrong = 0;

	for (__u32 i = 0; i < block->size / 4; i++)
		wrong += numbers[i] != i;
	return wrong;
}

static void takes_blocks(void)
{
	const char *const dirs[] = {test_dir(), SCRATCH_IN_MEMORY};
	const __u32 sizes[] = {0, 1, 16383, 16384, 16385, NUMBERS};
	struct scratch block;
	struct spill spill;

	for (size_t d = 0; d < ARRAY_SIZE(dirs); d++)
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			fill(&spill, dirs[d], sizes[s]);
			ASSERT_INT(scratch_take(&spill, &block), 0);
			ASSERT_INT(block.size, sizes[s] * 4);
			ASSERT_INT(wrong_numbers(&block), 0);
			scratch_drop_pages(&block);
			ASSERT_INT(wrong_numbers(&block), 0);
			scratch_free(&block);
		}
}

/* Large pieces pass the buffer by, in order with what waits in it. */
static void takes_large_pieces(void)
{
	static __u32 numbers[NUMBERS];
	struct scratch block;
	struct spill spill;

	for (__u32 i = 0; i < NUMBERS; i++)
		numbers[i] = i;
	fill(&spill, test_dir(), 5);
	spill_add(&spill, numbers + 5, sizeof(numbers) - 20);
	ASSERT_INT(scratch_take(&spill, &block), 0);
	ASSERT_INT(block.size, sizeof(numbers));
	ASSERT_INT(wrong_numbers(&block), 0);
	scratch_free(&block);
}

static void is_bounded(void)
{
	struct scratch block;
	struct spill spill;

	ASSERT_INT(spill_init(&spill, SCRATCH_IN_MEMORY), 0);
	spill_reserve(&spill, SCRATCH_MEMORY_MAX);
	ASSERT_INT(spill.err, 0);
	spill_reserve(&spill, SCRATCH_MEMORY_MAX + 1);
	ASSERT_INT(spill.err, -ENOSPC);
	spill_add(&spill, "x", 1);
	ASSERT_INT(scratch_take(&spill, &block), -ENOSPC);

	ASSERT_INT(spill_init(&spill, test_dir()), 0);
	spill_reserve(&spill, (__u64)1 << 60); /* more than any file */
	CU_ASSERT_TRUE(spill.err < 0);
	spill_fini(&spill);
}

/* A folder in RAM is passed over: what is not on a disk is bounded. */
static void tmpfs_is_memory(void)
{
	struct statfs fs;
	bool in_memory;
	int fd;

	ASSERT_INT(statfs("/dev/shm", &fs), 0);
	ASSERT_INT(fs.f_type, TMPFS_MAGIC);
	fd = scratch_open("/dev/shm", &in_memory);
	CU_ASSERT_FATAL(fd >= 0);
	ASSERT_INT(fstatfs(fd, &fs), 0);
	CU_ASSERT(in_memory || (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC));
	close(fd);
}

SUITE(scratch, {"spills read back", spills_read_back}, {"takes blocks", takes_blocks},
      {"takes large pieces", takes_large_pieces}, {"is bounded", is_bounded},
      {"tmpfs is memory", tmpfs_is_memory});
