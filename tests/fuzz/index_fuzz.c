// SPDX-License-Identifier: Apache-2.0
/* An index file of somebody else's making, with the fields that would only be refused set right:
 * magic, sizes, checksum. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "profiler/base/fs.h"
#include "symbolize/symbol.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static void repair(__u8 *copy, size_t size)
{
	struct index_header *h = (void *)copy;
	size_t skip = offsetof(struct index_header, bytes);

	h->magic = INDEX_MAGIC;
	h->version = INDEX_VERSION;
	h->header_bytes = sizeof(*h);
	h->bytes = size;
	h->n_blocks %= 64;
	h->n_funcs %= 64;
	h->n_files %= 64;
	h->n_symbols %= 64;
	for (size_t i = 0; i < INDEX_SECTION_COUNT; i++) {
		h->sections[i].offset = sizeof(*h) + h->sections[i].offset % 64 * 8;
		h->sections[i].bytes %= 1024;
	}
	h->sections[INDEX_BLOCKS].bytes = 8 * ((__u64)h->n_blocks + 1);
	h->sections[INDEX_FUNCS].bytes = 8 * (__u64)h->n_funcs;
	h->sections[INDEX_FILES].bytes = 4 * (__u64)h->n_files;
	h->sections[INDEX_SYMBOLS].bytes = 8 * (__u64)h->n_symbols;
	h->sections[INDEX_OWNERS].bytes =
		h->facts.flags & INDEX_HAS_OWNERS ? 4 * (__u64)h->n_symbols : 0;
	h->sections[INDEX_BLOCK_GUIDE].bytes = h->sections[INDEX_BLOCK_GUIDE].bytes / 4 * 4 + 4;
	h->sections[INDEX_SYMBOL_GUIDE].bytes = h->sections[INDEX_SYMBOL_GUIDE].bytes / 4 * 4 + 4;
	h->block_shift %= 32;
	h->symbol_shift %= 32;
	h->checksum = XXH3_64bits(copy + skip, size - skip);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	struct symbol_options options = {0};
	struct symbol_object *object;
	struct index index;
	__u8 *copy = malloc(size + 1);
	int fd = memfd_create("index", MFD_CLOEXEC);

	memcpy(copy, data, size);
	if (size > sizeof(struct index_header) && !(data[size - 1] & 1))
		repair(copy, size);
	if (fd >= 0 && !fs_write_all(fd, copy, size) && !index_open(fd, NULL, &index)) {
		__u64 base = index.header->base;

		if (symbol_object_of_index(&index, "fuzz", &options, &object))
			abort();
		for (__u64 i = 0; i < 4096; i += 13) {
			if (!symbol_object_find(object, base + i * (i % 7 ? 1 : 1000003), frames))
				abort();
			symbol_object_owner(object, base + i);
		}
		symbol_object_free(object);
	}
	close(fd);
	free(copy);
	return 0;
}
