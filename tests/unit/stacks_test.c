// SPDX-License-Identifier: Apache-2.0
/* Stacks of our own children, as whoever runs the tests: with BPF for root, by /proc for others. */
#include <jansson.h>

#include "profiler/stacks.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/stacks_internal.h"
#include "tests/unit/test.h"

__attribute__((noipa)) static void sits_here(const int *fds)
{
	char byte;

	while (read(fds[0], &byte, 1) != 0)
		;
	_exit(1);
}

__attribute__((noipa)) static void goes_there(const int *fds)
{
	sits_here(fds);
	_exit(2);
}

static pid_t start_child(int *fds)
{
	pid_t child;

	CU_ASSERT_FATAL(!pipe(fds));
	child = fork();
	if (child == 0)
		goes_there(fds);
	CU_ASSERT_FATAL(child > 0);
	usleep(50000);
	return child;
}

static void end_child(pid_t child, const int *fds)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(fds[0]);
	close(fds[1]);
}

/* Index of the frame of that function, -1 for none. */
static int frame_named(json_t *frames, const char *name)
{
	size_t i;
	json_t *frame;

	json_array_foreach(frames, i, frame)
	{
		if (!strcmp(json_string_value(json_object_get(frame, "function")), name))
			return (int)i;
	}
	return -1;
}

static void look_at(pid_t child, bool stop)
{
	struct stacks_options o = {.pid = child, .stop = stop};
	struct stacks *s;
	struct buf out = {0};
	json_t *root, *frames;
	char *why, head[128];
	int here, err = stacks_take(&o, &s, &why);

	if (err)
		printf("%s\n", why);
	CU_ASSERT_FATAL(!err);
	ASSERT_INT(s->n, 1);
	ASSERT_INT(s->threads[0].tid, child);
	stacks_text(s, &s->threads[0], &out);
	snprintf(head, sizeof(head), "%d %s\n  ", child, s->threads[0].stat.comm);
	CU_ASSERT(!strncmp(out.data, head, strlen(head)));
	CU_ASSERT(strstr(out.data, "\n  sits_here (") != NULL);
	buf_reset(&out);
	stacks_json(s, &s->threads[0], &out);
	root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	CU_ASSERT_FATAL(root != NULL);
	ASSERT_STR(json_string_value(json_object_get(root, "state")), "sleeping");
	frames = json_object_get(root, "frames");
	here = frame_named(frames, "sits_here");
	CU_ASSERT(here > 0);
	if (s->threads[0].how != STACKS_PC_SP) { /* else its caller may not be known */
		ASSERT_INT(frame_named(frames, "goes_there"), here + 1);
		CU_ASSERT(frame_named(frames, "main") > here);
	}
	json_decref(root);
	buf_fini(&out);
	stacks_free(s);
}

static void a_blocked_child(void)
{
	int fds[2];
	pid_t child = start_child(fds);

	look_at(child, false);
	end_child(child, fds);
}

static void a_stopped_child(void)
{
	int fds[2];
	pid_t child = start_child(fds);

	look_at(child, true);
	CU_ASSERT(waitpid(child, NULL, WNOHANG) == 0); /* goes on */
	end_child(child, fds);
}

static void nobody(void)
{
	struct stacks_options o = {.pid = INT32_MAX};
	struct stacks *s;
	char *why;

	ASSERT_INT(stacks_take(&o, &s, &why), -ESRCH);
	ASSERT_STR(why, "there is no process 2147483647");
	free(why);
}

static void a_zombie(void)
{
	struct stacks_options o = {.pid = fork()};
	struct stacks *s;
	char *why;

	if (o.pid == 0)
		_exit(0);
	usleep(50000);
	ASSERT_INT(stacks_take(&o, &s, &why), -ESRCH);
	CU_ASSERT(strstr(why, "has ended and waits for its parent") != NULL);
	free(why);
	waitpid(o.pid, NULL, 0);
}

static void memory_by_pages(void)
{
	static struct process_memory memory;
	size_t page = MEMORY_PAGE_BYTES;
	__u8 *p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u8 got[3 * MEMORY_PAGE_BYTES];

	CU_ASSERT_FATAL(p != MAP_FAILED);
	memory.tid = (__u32)getpid();
	for (size_t i = 0; i < 3 * page; i++)
		p[i] = (__u8)(i * 7 + i / page);
	munmap(p + 3 * page, page);
	CU_ASSERT(!process_memory_read(&memory, got, 3 * page, (uintptr_t)p));
	CU_ASSERT(!memcmp(got, p, 3 * page));
	CU_ASSERT(!process_memory_read(&memory, got, 10, (uintptr_t)p + page - 5));
	CU_ASSERT(!memcmp(got, p + page - 5, 10));
	/* Up to the last byte, and not beyond it. */
	CU_ASSERT(!process_memory_read(&memory, got, 8, (uintptr_t)p + 3 * page - 8));
	CU_ASSERT(process_memory_read(&memory, got, 9, (uintptr_t)p + 3 * page - 8));
	CU_ASSERT(process_memory_read(&memory, got, 8, ~0ull - 4));
	CU_ASSERT(process_memory_read(&memory, got, 8, 0));
	ASSERT_INT(memory.err, 0);
	/* What was read stays until it is forgotten, or another page takes its place. */
	CU_ASSERT(!process_memory_read(&memory, got, 8, (uintptr_t)p));
	p[3] ^= 1;
	CU_ASSERT(!process_memory_read(&memory, got, 8, (uintptr_t)p));
	CU_ASSERT(got[3] != p[3]);
	process_memory_reset(&memory);
	CU_ASSERT(!process_memory_read(&memory, got, 8, (uintptr_t)p));
	CU_ASSERT(got[3] == p[3]);
	munmap(p, 3 * page);
}

SUITE(stacks, {"a blocked child", a_blocked_child}, {"a stopped child", a_stopped_child},
      {"nobody", nobody}, {"a zombie", a_zombie}, {"memory by pages", memory_by_pages});
