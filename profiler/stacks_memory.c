// SPDX-License-Identifier: Apache-2.0
/* Another process's memory by whole pages, so that walking up a stack costs one system call for
 * each 4 KiB of it: process_vm_readv(2), which never stops the process and brings swapped pages in.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "profiler/stacks_internal.h"

void process_memory_reset(struct process_memory *memory)
{
	memset(memory->pages, 0, sizeof(memory->pages));
}

static const __u8 *page_at(struct process_memory *memory, __u64 page)
{
	__u32 slot = (__u32)(page / MEMORY_PAGE_BYTES) % MEMORY_SLOTS;
	struct iovec local = {memory->bytes[slot], MEMORY_PAGE_BYTES};
	struct iovec remote = {(void *)(uintptr_t)page, MEMORY_PAGE_BYTES}; // NOLINT

	if (memory->pages[slot] == page + 1)
		return memory->bytes[slot];
	memory->pages[slot] = 0;
	if (process_vm_readv((pid_t)memory->tid, &local, 1, &remote, 1, 0) != MEMORY_PAGE_BYTES) {
		if ((errno == EPERM || errno == EACCES) && !memory->err)
			memory->err = -errno;
		return NULL;
	}
	memory->pages[slot] = page + 1;
	return memory->bytes[slot];
}

int process_memory_read(void *arg, void *dst, size_t len, __u64 addr)
{
	struct process_memory *memory = arg;

	while (len) {
		__u64 page = addr & ~(__u64)(MEMORY_PAGE_BYTES - 1);
		size_t at = (size_t)(addr - page), n = MIN(len, MEMORY_PAGE_BYTES - at);
		const __u8 *bytes = page_at(memory, page);

		if (!bytes)
			return 1;
		memcpy(dst, bytes + at, n);
		dst = (__u8 *)dst + n;
		addr += n;
		len -= n;
	}
	return 0;
}
