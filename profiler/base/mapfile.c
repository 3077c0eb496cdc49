// SPDX-License-Identifier: Apache-2.0
/*
 * Mapped foreign files, see mapfile.h. The table of ranges is written under a lock and read by the
 * signal handler without one: a slot's bounds are published before `start`, and a fault can only
 * come from a thread that still holds its mapping open. mmap(2) is a plain system call, so it may
 * be called from the handler.
 */
#include "profiler/base/mapfile.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_RESERVED 1 /* taken, not yet published; no mapping starts there */

static struct slot {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic uintptr_t end;
	_Atomic bool truncated;
} slots[MAPFILE_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

static void on_sigbus(int sig, siginfo_t *info, void *context UNUSED)
{
	uintptr_t addr = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < MAPFILE_MAX; i++) {
		uintptr_t start = atomic_load(&slots[i].start);

		if (start <= SLOT_RESERVED || addr < start || addr >= atomic_load(&slots[i].end))
			continue;
		/* Everything from the fault to the end is gone: one mapping, not one per page. */
		addr &= ~(page - 1);
		if (mmap((void *)addr, atomic_load(&slots[i].end) - addr, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			break;
		atomic_store(&slots[i].truncated, true);
		return;
	}
	signal(sig, SIG_DFL); /* not ours: the access repeats and the process dies as it should */
}

static void install_handler(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

static int take_slot(void)
{
	int slot = -EMFILE;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAPFILE_MAX; i++) {
		if (atomic_load(&slots[i].start))
			continue;
		atomic_store(&slots[i].start, SLOT_RESERVED);
		slot = i;
		break;
	}
	pthread_mutex_unlock(&lock);
	return slot;
}

int mapfile_open(int fd, size_t max_size, struct mapfile *ret_file)
{
	struct stat st;
	size_t size;
	int slot;
	void *p;

	pthread_once(&handler_once, install_handler);
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size <= 0)
		return -ENODATA;
	if ((size_t)st.st_size > max_size)
		return -EFBIG;
	size = (size_t)st.st_size;
	slot = take_slot();
	if (slot < 0)
		return slot;
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		int err = -errno;

		atomic_store(&slots[slot].start, 0);
		return err;
	}
	atomic_store(&slots[slot].truncated, false);
	atomic_store(&slots[slot].end,
		     (uintptr_t)p + ALIGN_UP(size, (size_t)sysconf(_SC_PAGESIZE)));
	atomic_store(&slots[slot].start, (uintptr_t)p);
	*ret_file = (struct mapfile){.data = p, .size = size, .slot = slot};
	return 0;
}

bool mapfile_truncated(const struct mapfile *file)
{
	return file->data && atomic_load(&slots[file->slot].truncated);
}

void mapfile_drop_pages(const struct mapfile *file)
{
	if (file->data && !mapfile_truncated(file))
		madvise((void *)(uintptr_t)file->data, file->size, MADV_DONTNEED);
}

void mapfile_close(struct mapfile *file)
{
	if (!file->data)
		return;
	atomic_store(&slots[file->slot].start, SLOT_RESERVED);
	munmap((void *)(uintptr_t)file->data, file->size);
	atomic_store(&slots[file->slot].start, 0);
	*file = (struct mapfile){0};
}
