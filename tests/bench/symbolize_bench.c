// SPDX-License-Identifier: Apache-2.0
/*
 * Look-ups from the index, by library call: random text addresses of a file, all frames of each,
 * for one second; and what opening it cost, built and from the cache. Printed, never asserted.
 *
 *	symbolize_bench FILE [CACHE_DIR]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "symbolize/debug_file.h"
#include "symbolize/symbol.h"

#define ADDRESSES 65536u

/* KiB of this process by the name in its status. (getrusage's peak is that of what ran before exec,
 * too.) */
static long status_kib(const char *name)
{
	_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	size_t len = strlen(name);

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			return atol(line + len + 1);
	return 0;
}

static bool find_text(const char *path, __u64 *ret_start, __u64 *ret_size)
{
	enum elf_refusal why;
	struct elf *elf = elf_open_path(path, &why);
	const struct elf_section *text = elf ? elf_section(elf, ".text") : NULL;

	if (text) {
		*ret_start = text->addr;
		*ret_size = text->size;
	}
	elf_free(elf);
	return text != NULL;
}

static void bench_find(struct symbol_object *object, __u64 start, __u64 size)
{
	static __u64 addresses[ADDRESSES];
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	__u64 seed = 1, n = 0, n_frames = 0, began, took;

	for (size_t i = 0; i < ADDRESSES; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		addresses[i] = start + (seed >> 16) % size;
	}
	for (size_t i = 0; i < ADDRESSES; i++) /* names are made readable once */
		symbol_object_find(object, addresses[i], frames);
	began = clock_thread_cpu_ns();
	do {
		for (size_t i = 0; i < ADDRESSES; i++)
			n_frames += symbol_object_find(object, addresses[i], frames);
		n += ADDRESSES;
		took = clock_thread_cpu_ns() - began;
	} while (took < NS_PER_S);
	printf("find: %.2f M addresses/s, %.2f frames each\n", (double)n * 1e3 / (double)took,
	       (double)n_frames / (double)n);
}

static struct symbol_object *open_timed(const char *path, const struct symbol_options *options,
					const char *what)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	__u64 began = clock_process_cpu_ns();
	struct symbol_object *object = NULL;
	struct symbol_info info;
	enum elf_refusal why;
	int err = symbol_object_open(fd, path, DEBUG_ROOT_HOST, options, &object, &why);

	if (err) {
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
		exit(1);
	}
	symbol_object_info(object, &info);
	printf("%s: %.3f CPU s, index %.1f MB%s, RssAnon+RssShmem now %ld KiB\n", what,
	       (double)(clock_process_cpu_ns() - began) / 1e9, (double)info.index_bytes / 1e6,
	       info.from_cache ? " (from the cache)" : "",
	       status_kib("RssAnon") + status_kib("RssShmem"));
	return object;
}

int main(int argc, char **argv)
{
	struct symbol_options options = {0};
	struct symbol_object *object;
	struct index_cache cache = {0};
	__u64 start, size;

	if (argc < 2 || !find_text(argv[1], &start, &size)) {
		fprintf(stderr, "usage: symbolize_bench FILE [CACHE_DIR]\n");
		return 2;
	}
	if (argc > 2 && !index_cache_open(&cache, argv[2], 0)) {
		options.cache = &cache;
		options.scratch_dir = cache.dir;
	}
	object = open_timed(argv[1], &options, "open");
	printf("peak RSS, file pages included: %ld KiB\n", status_kib("VmHWM"));
	if (options.cache) {
		symbol_object_free(object);
		object = open_timed(argv[1], &options, "open again");
	}
	bench_find(object, start, size);
	symbol_object_free(object);
	index_cache_close(&cache);
	return 0;
}
