// SPDX-License-Identifier: Apache-2.0
#include "profiler/loader.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "profiler/row_cache.h"
#include "tests/support/elf_image.h"
#include "tests/unit/test.h"

#define CODE_VADDR 0x100000u
#define LARGE	   ((size_t)16 << 20)
#define MAX_WAITS  4000 /* of 5 ms */

static struct segments *segments;
static struct row_cache *cache;
static struct loader *loader;

static void setup(void)
{
	struct loader_options o = {.procfs = "/proc"};

	segments = segments_new(-1, 8u << 20);
	cache = row_cache_open(test_dir(), 64u << 20);
	o.segments = segments;
	o.cache = cache;
	ASSERT_INT(loader_start(&o, &loader), 0);
}

static void teardown(void)
{
	loader_stop(loader);
	row_cache_close(cache);
	segments_free(segments);
}

static struct object_key key_of(const struct stat *st)
{
	return (struct object_key){.major = major(st->st_dev),
				   .minor = minor(st->st_dev),
				   .inode = st->st_ino,
				   .generation = OBJECT_ANY_GENERATION};
}

/* A program of so many bytes of `push; pop; ret`, written to path. */
static void write_program(struct object_source *source, char path[256], const char *name,
			  size_t size)
{
	static struct elf_image image;
	Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = CODE_VADDR};
	char *code = malloc(size);
	struct stat st;

	for (size_t i = 0; i < size; i++)
		code[i] = "\x55\x5d\xc3"[i % 3];
	elf_image_init(&image);
	load.p_offset = image.bytes.len;
	load.p_filesz = load.p_memsz = size;
	elf_image_section(&image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, code, size)
		->sh_addr = CODE_VADDR;
	elf_image_segment(&image, &load);
	elf_image_finish(&image);
	snprintf(path, 256, "%s/%s", test_dir(), name);
	ASSERT_INT(fs_replace(path, image.bytes.data, image.bytes.len), 0);
	elf_image_close(&image, NULL);
	free(code);
	CU_ASSERT_FATAL(!stat(path, &st));
	*source = (struct object_source){.key = key_of(&st), .path = path, .pid = (__u32)getpid()};
}

/* Wait for n answers; their object ids in order, and whether the last came from the cache. */
static bool wait_for(unsigned n, __u32 *ids)
{
	bool from_cache = false;
	unsigned got = 0;

	for (int i = 0; i < MAX_WAITS && got < n; i++) {
		poll(NULL, 0, 5); /* loader_fd is for a watch on edges */
		for (struct loader_answer *next, *a = loader_take(loader); a; a = next) {
			next = a->next;
			CU_ASSERT_FATAL(a->image && got < n);
			CU_ASSERT(a->image->state != OBJECT_LOADING);
			from_cache = a->image->from_cache;
			ids[got++] = a->object_id;
			loader_answer_free(a, segments);
		}
	}
	ASSERT_INT(got, n);
	return from_cache;
}

/* The first time: whoever comes behind a large file passes it, whether it is being compiled already
 * or not. From the cache it keeps its place. */
static void large_files_let_others_pass(void)
{
	struct object_source large, small;
	char large_path[256], small_path[256];
	__u32 ids[4] = {0};

	setup();
	write_program(&large, large_path, "large", LARGE);
	write_program(&small, small_path, "small", 4096);
	CU_ASSERT(loader_load_object(loader, 1, &large));
	CU_ASSERT(loader_load_object(loader, 2, &small));
	CU_ASSERT(loader_load_object(loader, 3, &small));
	CU_ASSERT(wait_for(3, ids) == false);
	ASSERT_INT(ids[0], 2);
	ASSERT_INT(ids[1], 3);
	ASSERT_INT(ids[2], 1);
	ASSERT_INT(loader_stats(loader).slow, 0);
	CU_ASSERT(loader_load_object(loader, 4, &large));
	CU_ASSERT(wait_for(1, ids));
	ASSERT_INT(ids[0], 4);
	teardown();
}

/* A hole of 15 GiB as call frame information: no rows, and it is known why. */
static void too_much_work(void)
{
	static struct elf_image image;
	Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = CODE_VADDR};
	struct object_loading loading = {0};
	char path[256];
	struct object_source source = {.path = path, .pid = (__u32)getpid()};
	struct object_image *loaded;
	struct stat st;
	Elf64_Shdr *s;

	setup();
	elf_image_init(&image);
	s = elf_image_section(&image, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, NULL, 0);
	s->sh_offset = 1 << 20;
	s->sh_size = (__u64)15 << 30;
	elf_image_segment(&image, &load);
	elf_image_finish(&image);
	snprintf(path, sizeof(path), "%s/holes", test_dir());
	ASSERT_INT(fs_replace(path, image.bytes.data, image.bytes.len), 0);
	elf_image_close(&image, NULL);
	CU_ASSERT_FATAL(!truncate(path, (off_t)16 << 30) && !stat(path, &st));
	source.key = key_of(&st);
	loading.segments = segments;
	loading.cache = cache;
	loaded = object_load(&source, &loading);
	CU_ASSERT_FATAL(loaded != NULL);
	ASSERT_INT(loaded->state, OBJECT_NO_ROWS);
	CU_ASSERT(loaded->too_much_work);
	ASSERT_STR(loaded->why, "too much work");
	object_image_free(loaded, segments);
	teardown();
}

/* The end comes while one is compiled and others wait: all of them are let go. */
static void the_end_waits_for_none(void)
{
	struct object_source large;
	char path[256];

	setup();
	write_program(&large, path, "larger", LARGE + 4096); /* no other test's: not cached */
	for (__u32 id = 1; id < 2 * LOADER_MAX_SLOW; id++)
		CU_ASSERT(loader_load_object(loader, id, &large));
	for (int i = 0; i < MAX_WAITS && !loader_stats(loader).slow; i++)
		usleep(1000);
	CU_ASSERT(loader_stats(loader).slow > 0);
	teardown();
}

SUITE(loader, {"large files let others pass", large_files_let_others_pass},
      {"too much work", too_much_work}, {"the end waits for none", the_end_waits_for_none});
