// SPDX-License-Identifier: Apache-2.0
/* Objects end to end on this very program: names, lines, inlining, the cache on disk, processes,
 * the vDSO, perf maps and kallsyms. */
#include "symbolize/symbol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "symbolize/debug_file.h"
#include "symbolize/kernel_symbols.h"
#include "symbolize/perf_map.h"
#include "symbolize/process_symbols.h"
#include "symbolize/symtab.h"
#include "symbolize/unnamed.h"
#include "tests/unit/test.h"

static inline __attribute__((always_inline)) __u64 here(void)
{
	__u64 pc;

#ifdef __x86_64__
	__asm__ volatile("lea 0(%%rip), %0" : "=r"(pc));
#else
	__asm__ volatile("adr %0, ." : "=r"(pc));
#endif
	return pc;
}

static __attribute__((noinline)) __u64 caller_of_here(int *line)
{
	*line = __LINE__ + 1;
	return here();
}

static void finds_own_inlined_call(void)
{
	struct symbol_options options = {.no_debug_files = true};
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	struct symbol_cache cache;
	struct process_symbols *process;
	const char *object, *id;
	size_t n;
	int line;
	__u64 pc = caller_of_here(&line) - 1; /* the address is that behind the instruction */

	symbol_cache_init(&cache, &options, 0, 0);
	ASSERT_INT(process_symbols_open(getpid(), &cache, &process), 0);
	n = process_symbols_find(process, pc, frames, &object, &id);
	ASSERT_INT(n, 2);
	if (n == 2) {
		ASSERT_STR(frames[0].function, "here");
		CU_ASSERT(frames[0].inlined);
		ASSERT_STR(frames[1].function, "caller_of_here");
		ASSERT_INT(frames[1].line, line);
		CU_ASSERT(strstr(frames[1].file, "tests/unit/symbolize/symbol_test.c") != NULL);
		CU_ASSERT_FALSE(frames[1].inlined);
	}
	CU_ASSERT(strstr(object, "/unit") != NULL);
	CU_ASSERT(strlen(id) >= 40);
	n = process_symbols_find(process, (__u64)(uintptr_t)&getppid, frames, &object, &id);
	CU_ASSERT(n >= 1 && strstr(object, "libc") != NULL);
	ASSERT_INT(process_symbols_find(process, 16, frames, &object, &id), 0);
	process_symbols_free(process);
	ASSERT_INT(cache.misses_total, 2);
	symbol_cache_fini(&cache);
	ASSERT_INT(process_symbols_open(0x3ffffff, &cache, &process), -ESRCH);
}

extern const char __ehdr_start[]; /* the linker's: where this program lies */

/* This very program without its symbols. */
static void knows_unnamed(void)
{
	__u64 start = (__u64)((const char *)&caller_of_here - __ehdr_start);
	_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct index_builder b;
	enum elf_refusal why;
	struct elf *elf = elf_open(fd, &why);
	int out;
	struct index index;
	struct index_hit hit;

	CU_ASSERT_FATAL(elf != NULL && elf->type == ET_DYN);
	ASSERT_INT(index_builder_init(&b, NULL), 0);
	ASSERT_INT(symtab_text(elf, &b), 0);
	ASSERT_INT(unnamed_read(elf, &b), 0);
	elf_free(elf);
	out = scratch_open(NULL, NULL);
	ASSERT_INT(index_builder_finish(&b, out), 0);
	index_builder_fini(&b);
	ASSERT_INT(index_open(out, NULL, &index), 0);
	close(out);
	for (__u64 addr = start; addr < start + 4; addr++) {
		CU_ASSERT_FALSE(index_find(&index, addr, &hit));
		CU_ASSERT(hit.unnamed);
		ASSERT_INT(index.header->base + hit.symbol_start, start);
	}
	CU_ASSERT(!index_find(&index, start - 1, &hit) &&
		  (!hit.unnamed || index.header->base + hit.symbol_start < start));
	index_close(&index);
}

static void names_jit_and_vdso(void)
{
	struct symbol_options options = {.no_debug_files = true};
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	struct symbol_cache cache;
	struct process_symbols *process;
	const char *object, *id;
	char path[64], line[128];
	__u64 vdso = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	__u8 *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *map;

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "[vdso]"))
			vdso = strtoull(line, NULL, 16);
	fclose(maps);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	symbol_cache_init(&cache, &options, 0, 0);
	ASSERT_INT(process_symbols_open(getpid(), &cache, &process), 0);
	ASSERT_INT(process_symbols_find(process, (__u64)(uintptr_t)code, frames, &object, &id), 1);
	ASSERT_STR(frames[0].function, "[jit]");
	map = fopen(path, "we");
	fprintf(map, "%llx 10 first one\n", (unsigned long long)(uintptr_t)code);
	fclose(map);
	ASSERT_INT(process_symbols_find(process, (__u64)(uintptr_t)code + 8, frames, &object, &id),
		   1);
	ASSERT_STR(frames[0].function, "first one");
	unlink(path);
	if (vdso) {
		process_symbols_find(process, vdso + 0x800, frames, &object, &id);
		ASSERT_STR(object, "[vdso]");
	}
	process_symbols_free(process);
	symbol_cache_fini(&cache);
	munmap(code, 4096);
}

static void damage_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd;

		if (!strstr(e->d_name, ".index"))
			continue;
		fd = openat(dirfd(d), e->d_name, O_WRONLY | O_CLOEXEC);
		CU_ASSERT(pwrite(fd, "damage", 6, 5000) == 6);
		close(fd);
	}
	closedir(d);
}

static bool open_self(struct index_cache *cache)
{
	struct symbol_options options = {.cache = cache, .scratch_dir = test_dir()};
	struct symbol_object *object = NULL;
	struct symbol_info info = {0};
	enum elf_refusal why;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ASSERT_INT(symbol_object_open(fd, "/x/unit", DEBUG_ROOT_HOST, &options, &object, &why), 0);
	close(fd);
	if (!object)
		return false;
	symbol_object_info(object, &info);
	CU_ASSERT(info.flags & INDEX_HAS_LINES);
	CU_ASSERT(info.flags & INDEX_HAS_INLINES);
	ASSERT_INT(info.n_bad_units, 0);
	ASSERT_STR(info.note, "");
	symbol_object_free(object);
	return info.from_cache;
}

static void keeps_indexes(void)
{
	char dir[256];
	struct index_cache cache, other;
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/cache", test_dir());
	ASSERT_INT(index_cache_open(&cache, dir, 0), 0);
	CU_ASSERT_FALSE(open_self(&cache));
	ASSERT_INT(cache.stored_total, 1);
	CU_ASSERT(open_self(&cache));
	damage_files(dir);
	CU_ASSERT_FALSE(open_self(&cache));
	ASSERT_INT(cache.damaged_total, 1);
	CU_ASSERT(open_self(&cache));
	/* the secret stays: another process finds the same files */
	ASSERT_INT(index_cache_open(&other, dir, 0), 0);
	CU_ASSERT(open_self(&other));
	ASSERT_INT(memcmp(other.secret, cache.secret, sizeof(cache.secret)), 0);
	index_cache_close(&other);
	/* a bound of one byte keeps nothing */
	cache.max_bytes = 1;
	damage_files(dir);
	open_self(&cache);
	CU_ASSERT(cache.trimmed_total >= 1);
	index_cache_close(&cache);
	ASSERT_INT(stat(dir, &st), 0);
	ASSERT_INT(st.st_mode & 0777, 0700);
	/* a folder that others may write to is not trusted */
	chmod(dir, 0777);
	ASSERT_INT(index_cache_open(&cache, dir, 0), -EPERM);
}

static void copy_file(int from, const char *path)
{
	int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	CU_ASSERT_FATAL(to >= 0 && !fstat(from, &st));
	ASSERT_INT(sendfile(to, from, &(off_t){0}, (size_t)st.st_size), st.st_size);
	close(to);
}

/* A debug file, here a copy with the same build ID, in the second of two folders. */
static void looks_in_debug_folders(void)
{
	char none[256], dir[256], path[512];
	const char *const dirs[] = {none, dir};
	struct symbol_options options = {.debug_dirs = dirs, .n_debug_dirs = ARRAY_SIZE(dirs)};
	struct symbol_object *object = NULL;
	struct symbol_info info;
	enum elf_refusal why;
	int fd = open("/bin/sh", O_RDONLY | O_CLOEXEC);

	snprintf(none, sizeof(none), "%s/none", test_dir());
	snprintf(dir, sizeof(dir), "%s/debug", test_dir());
	ASSERT_INT(symbol_object_open(fd, "/bin/sh", DEBUG_ROOT_HOST, &options, &object, &why), 0);
	CU_ASSERT_FATAL(object != NULL);
	symbol_object_info(object, &info);
	ASSERT_STR(info.debug_file, "");
	snprintf(path, sizeof(path), "%s/.build-id/%.2s", dir, info.build_id);
	ASSERT_INT(fs_mkdirs(path), 0);
	snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", dir, info.build_id,
		 info.build_id + 2);
	symbol_object_free(object);
	copy_file(fd, path);
	ASSERT_INT(symbol_object_open(fd, "/bin/sh", DEBUG_ROOT_HOST, &options, &object, &why), 0);
	symbol_object_info(object, &info);
	ASSERT_STR(info.debug_file, path);
	symbol_object_free(object);
	/* of a root that cannot be looked at: what the host has is not its */
	ASSERT_INT(symbol_object_open(fd, "/bin/sh", DEBUG_ROOT_NONE, &options, &object, &why), 0);
	symbol_object_info(object, &info);
	ASSERT_STR(info.debug_file, "");
	symbol_object_free(object);
	close(fd);
}

static void evicts_objects(void)
{
	static const char *const files[] = {"/proc/self/exe", "/bin/sh", "/bin/ls"};
	struct symbol_options options = {.no_debug_files = true};
	struct symbol_cache cache;

	symbol_cache_init(&cache, &options, 2, 0);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
			int fd = open(files[i], O_RDONLY | O_CLOEXEC);

			CU_ASSERT_PTR_NOT_NULL(
				symbol_cache_get(&cache, fd, files[i], DEBUG_ROOT_HOST));
			CU_ASSERT_PTR_NOT_NULL(
				symbol_cache_get(&cache, fd, files[i], DEBUG_ROOT_HOST));
			close(fd);
		}
	ASSERT_INT(cache.entries.len, 2);
	ASSERT_INT(cache.hits_total, 6);
	ASSERT_INT(cache.evicted_total, 4);
	symbol_cache_fini(&cache);
}

static void reads_perf_maps(void)
{
	static const char text[] = "1000 100 whole\n0x1040 0x20 inner\nnonsense\n2000 0 empty\n"
				   "1050 8 innermost\n3000 10 last\n4000 10 cut";
	struct perf_map map;

	perf_map_init(&map);
	ASSERT_INT(perf_map_add(&map, text, strlen(text)), strlen(text) - strlen("4000 10 cut"));
	ASSERT_STR(perf_map_find(&map, 0x1000), "whole");
	ASSERT_STR(perf_map_find(&map, 0x104f), "inner");
	ASSERT_STR(perf_map_find(&map, 0x1057), "innermost");
	ASSERT_STR(perf_map_find(&map, 0x1058), "inner");
	ASSERT_STR(perf_map_find(&map, 0x10ff), "whole");
	CU_ASSERT_PTR_NULL(perf_map_find(&map, 0x1100));
	CU_ASSERT_PTR_NULL(perf_map_find(&map, 0x4000));
	ASSERT_INT(map.stats.bad_lines_total, 2);
	/* a function that was compiled again, elsewhere overlapping */
	ASSERT_INT(perf_map_add(&map, "10f0 20 again\n", 14), 14);
	ASSERT_STR(perf_map_find(&map, 0x10ef), "whole");
	ASSERT_STR(perf_map_find(&map, 0x10ff), "again");
	perf_map_fini(&map);
}

static void write_map(const char *path, const char *mode, const char *text)
{
	FILE *file = fopen(path, mode);

	CU_ASSERT_FATAL(file != NULL);
	fputs(text, file);
	fclose(file);
}

#define INNER	       20000
#define INNER_NAME     430
#define JIT_CODE_START 0x100000

/* A region with a long name and 20,000 functions inside, whose names fill more than half of what
 * a map may hold: with one line more the names are packed, and all of them are still there. */
static void packs_split_names(void)
{
	static char outer[1001], inner[INNER_NAME + 1];
	_free_ char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	struct perf_map map;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	memset(outer, 'o', sizeof(outer) - 1);
	memset(inner, 'i', sizeof(inner) - 1);
	fprintf(file, "%x %x %s\n", JIT_CODE_START, INNER * 32, outer);
	for (int i = 0; i < INNER; i++)
		fprintf(file, "%x 10 %s%d\n", JIT_CODE_START + i * 32, inner, i);
	fclose(file);
	write_map(path, "we", text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	perf_map_init(&map);
	ASSERT_INT(perf_map_read(&map, fd), 0);
	CU_ASSERT(map.names.used > PERF_MAP_NAME_BYTES / 2);
	for (int round = 0; round < 2; round++) {
		write_map(path, "ae", round ? "2000 10 second\n" : "1000 10 first\n");
		ASSERT_INT(perf_map_read(&map, fd), 0);
		ASSERT_STR(perf_map_find(&map, round ? 0x2000 : 0x1000),
			   round ? "second" : "first");
		for (int i = 0; i < INNER; i += INNER / 4) {
			const char *name = perf_map_find(&map, (__u64)JIT_CODE_START + i * 32);

			CU_ASSERT_FATAL(name != NULL);
			ASSERT_INT(atoi(name + INNER_NAME), i);
			ASSERT_STR(perf_map_find(&map, (__u64)JIT_CODE_START + i * 32 + 16), outer);
		}
	}
	ASSERT_INT(map.stats.dropped_total, 0);
	ASSERT_INT(map.stats.restarts_total, 0);
	unlink(path);
	close(fd);
	perf_map_fini(&map);
}

/* Growth, a line in the making, a file that is written anew, one that is gone. */
static void follows_perf_map_files(void)
{
	struct perf_map map;
	char path[64];
	int fd, dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);
	perf_map_init(&map);
	ASSERT_INT(perf_map_open(dir, getpid()), -ENOENT);
	write_map(path, "we", "1000 10 one\n2000 10 two");
	fd = perf_map_open(dir, getpid());
	CU_ASSERT_FATAL(fd >= 0);
	ASSERT_INT(perf_map_read(&map, fd), 0);
	ASSERT_STR(perf_map_find(&map, 0x1008), "one");
	CU_ASSERT_PTR_NULL(perf_map_find(&map, 0x2008));
	write_map(path, "ae", " and more\n");
	ASSERT_INT(perf_map_read(&map, fd), 0);
	ASSERT_STR(perf_map_find(&map, 0x2008), "two and more");
	ASSERT_INT(map.stats.restarts_total, 0);
	/* longer than before, another beginning */
	write_map(path, "we", "1000 10 other\n2000 10 second\n3000 10 third\n");
	ASSERT_INT(perf_map_read(&map, fd), 0);
	ASSERT_STR(perf_map_find(&map, 0x1000), "other");
	ASSERT_STR(perf_map_find(&map, 0x3000), "third");
	ASSERT_INT(map.stats.restarts_total, 1);
	unlink(path);
	CU_ASSERT(perf_map_bytes(&map) > 0);
	perf_map_fini(&map);
	perf_map_init(&map);
	ASSERT_INT(perf_map_read(&map, fd), 0);
	ASSERT_STR(perf_map_find(&map, 0x2000), "second");
	close(fd);
	if (!geteuid()) { /* only root can give a file away */
		write_map(path, "we", "1000 10 mine\n");
		CU_ASSERT(!chown(path, 65534, 65534));
		ASSERT_INT(perf_map_open(dir, getpid()), -EPERM);
		unlink(path);
	}
	/* nobody's file under its name */
	CU_ASSERT(!symlink("/proc/self/exe", path));
	ASSERT_INT(perf_map_open(dir, getpid()), -ELOOP);
	unlink(path);
	perf_map_fini(&map);
	close(dir);
}

static void whose_perf_maps(void)
{
	static const struct {
		uid_t owner, real, effective;
		bool own;
	} cases[] = {
		{0, 0, 0, true},
		{0, 0, 1000, true},
		{1000, 0, 1000, true},
		{0, 1000, 0, false}, /* anybody's sudo */
		{0, 1000, 1000, false},
		{1000, 1000, 0, true},
		{1001, 1000, 1000, false},
		{1001, 0, 0, false},
		{0, (uid_t)-1, (uid_t)-1, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stat st = {.st_uid = cases[i].owner};

		ASSERT_INT(perf_map_is_own(&st, cases[i].real, cases[i].effective), cases[i].own);
	}
}

static void reads_kallsyms(void)
{
	static const char text[] = "ffffffff81000000 T _text\nffffffff81000000 t first\n"
				   "ffffffff81000100 t do_work.isra.0\nffffffff82000000 D data\n"
				   "0000000000000000 A percpu\n"
				   "ffffffffc0001000 t helper\t[mod]\n";
	static const char hidden[] = "0000000000000000 T _text\n0000000000000000 T other\n";
	struct symbol_options options = {0};
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	struct symbol_object *kernel;

	ASSERT_INT(kernel_symbols_parse(text, strlen(text), &options, &kernel), 0);
	ASSERT_INT(symbol_object_find(kernel, 0xffffffff81000110, frames), 1);
	ASSERT_STR(frames[0].function, "do_work");
	ASSERT_STR(frames[0].system_name, "do_work.isra.0");
	ASSERT_STR(symbol_object_owner(kernel, 0xffffffff81000110), "");
	symbol_object_find(kernel, 0xffffffffc0001004, frames);
	ASSERT_STR(frames[0].function, "helper");
	ASSERT_STR(symbol_object_owner(kernel, 0xffffffffc0001004), "[mod]");
	CU_ASSERT_FALSE(symbol_object_knows(kernel, 0xffffffff80000000));
	symbol_object_free(kernel);
	ASSERT_INT(kernel_symbols_parse(hidden, strlen(hidden), &options, &kernel), -EACCES);
	ASSERT_INT(kernel_symbols_parse("", 0, &options, &kernel), -ENODATA);
}

SUITE_TIMEOUT(symbol, 120, {"finds an inlined call", finds_own_inlined_call},
	      {"knows where functions without a name begin", knows_unnamed},
	      {"names JIT code and the vDSO", names_jit_and_vdso}, {"keeps indexes", keeps_indexes},
	      {"looks in debug folders", looks_in_debug_folders},
	      {"evicts objects", evicts_objects}, {"reads perf maps", reads_perf_maps},
	      {"follows perf map files", follows_perf_map_files},
	      {"whose perf maps", whose_perf_maps}, {"packs split names", packs_split_names},
	      {"reads kallsyms", reads_kallsyms});
