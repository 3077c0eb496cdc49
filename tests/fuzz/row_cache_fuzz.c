// SPDX-License-Identifier: Apache-2.0
/*
 * A file of the row cache that holds anything: it is taken or removed, and what is taken can be
 * searched and walked without leaving its bounds. Input: u8 how, then the bytes. how: bit 0 they
 * are changes {u16 place, u8 value} of a sound file, else the file; bit 1 head and check repaired.
 */
#include "profiler/row_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/buf.h"
#include "profiler/base/fs.h"
#include "tests/fuzz/fuzz.h"

#define HEAD_BYTES  24u /* magic, version, machine, check of what follows */
#define CHECK_AT    16u
#define SOUND_BYTES 16u /* magic, version, machine */

static struct elf *elf;
static char file[512];
static struct buf sound;

static void find_file(void)
{
	char rows[128];
	struct dirent *d;
	DIR *dir;

	snprintf(rows, sizeof(rows), "%s/rows", fuzz_folder());
	dir = opendir(rows);
	CHECK(dir);
	while ((d = readdir(dir)))
		if (strstr(d->d_name, ".rows"))
			snprintf(file, sizeof(file), "%s/%s", rows, d->d_name);
	closedir(dir);
	CHECK(*file && !fs_read(AT_FDCWD, file, 64u << 20, &sound) && sound.len > HEAD_BYTES);
}

static struct unwind_table *compile(bool *ret_from_cache)
{
	struct row_cache *cache = row_cache_open(fuzz_folder(), 1u << 30);
	enum unwind_skip why;
	struct unwind_table *table;

	CHECK(cache);
	table = row_cache_compile(cache, elf, &why, ret_from_cache);
	CHECK(table);
	row_cache_close(cache);
	return table;
}

static void prepare(void)
{
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	enum elf_refusal refusal;
	bool from_cache;

	CHECK(fd >= 0);
	elf = elf_open(fd, &refusal);
	CHECK(elf);
	close(fd);
	unwind_table_free(compile(&from_cache));
	find_file();
}

static void write_file(const __u8 *bytes, size_t len)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && !fs_write_all(fd, bytes, len));
	close(fd);
}

static void make_file(struct cursor *c)
{
	__u8 how = cursor_u8(c), *bytes;
	size_t len = how & 1 ? sound.len : cursor_left(c);
	__u64 check;

	bytes = malloc(len + 1);
	CHECK(bytes);
	if (how & 1) {
		memcpy(bytes, sound.data, len);
		while (cursor_left(c) >= 3) {
			size_t at = cursor_u16(c);

			bytes[at % len] = cursor_u8(c);
		}
	} else {
		memcpy(bytes, cursor_bytes(c, len), len);
	}
	if (how & 2 && len >= HEAD_BYTES) {
		memcpy(bytes, sound.data, SOUND_BYTES);
		check = XXH3_64bits(bytes + HEAD_BYTES, len - HEAD_BYTES);
		memcpy(bytes + CHECK_AT, &check, sizeof(check));
	}
	write_file(bytes, len);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct unwind_table *table;
	bool from_cache;

	if (!elf)
		prepare();
	if (!size)
		return 0;
	make_file(&c);
	table = compile(&from_cache);
	for (size_t i = 0; i < table->n_parts; i++) {
		const struct unwind_part *part = &table->parts[i];

		for (__u64 a = part->start; a < part->end && a < part->start + 4096; a += 5)
			unwind_find(table, a, NULL);
		unwind_find(table, part->end - 1, NULL);
	}
	unwind_table_free(table);
	return 0;
}
