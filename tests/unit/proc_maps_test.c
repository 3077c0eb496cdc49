// SPDX-License-Identifier: Apache-2.0
/* proc_maps.h: lines of /proc/PID/maps, the strange ones above all. */
#include "profiler/proc_maps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profiler/base/buf.h"
#include "tests/unit/test.h"

static struct snapshot_map *maps;
static char text[8192];
static size_t n;

static void parse(const char *lines)
{
	free(maps);
	snprintf(text, sizeof(text), "%s", lines);
	CU_ASSERT_FATAL(!proc_maps_parse(text, strlen(text), &maps, &n));
}

static void lines(void)
{
	parse("55d0c0000000-55d0c0001000 r--p 00000000 08:01 77                         /bin/a\n"
	      "55d0c0001000-55d0c0009000 r-xp 00001000 fd:1f 18446744073709551615       /bin/a b\n"
	      "7ffd1000-7ffd3000 rwxp 00000000 00:00 0                                  [heap]\n"
	      "7f0000000000-7f0000001000 r-xs 00002000 00:01 1024         /memfd:jit (deleted)\n"
	      "7fff0000-7fff1000 r-xp 00000000 00:00 0                                  [vdso]\n"
	      "7fff2000-7fff3000 --xp 00000000 00:00 0 \n"
	      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0              [vsyscall]\n");
	ASSERT_INT(n, 6);
	ASSERT_INT(maps[0].start, 0x55d0c0001000);
	ASSERT_INT(maps[0].end, 0x55d0c0009000);
	ASSERT_INT(maps[0].offset, 0x1000);
	ASSERT_INT(maps[0].key.major, 0xfd);
	ASSERT_INT(maps[0].key.minor, 0x1f);
	CU_ASSERT(maps[0].key.inode == UINT64_MAX);
	CU_ASSERT(maps[0].key.generation == OBJECT_ANY_GENERATION);
	ASSERT_STR(maps[0].path, "/bin/a b");
	ASSERT_STR(maps[1].path, "[heap]");
	ASSERT_STR(maps[2].path, "/memfd:jit (deleted)");
	ASSERT_STR(maps[4].path, "");
	ASSERT_STR(maps[5].path, "[vsyscall]");
}

/* Names that try to look like something else; a newline stands as \012. */
static void hostile_names(void)
{
	parse("1000-2000 r-xp 00000000 08:01 5    /tmp/a\\0121000-2000 r-xp 0 08:01 6 /bin/sh\n"
	      "3000-4000 r-xp 00000000 08:01 5    /tmp/a\tb\x01\xff (deleted) (deleted)\n"
	      "5000-6000 r-xp 00000000 08:01 5 r-xp\n");
	ASSERT_INT(n, 3);
	ASSERT_INT(maps[0].key.inode, 5);
	ASSERT_STR(maps[0].path, "/tmp/a\\0121000-2000 r-xp 0 08:01 6 /bin/sh");
	ASSERT_STR(maps[1].path, "/tmp/a\tb\x01\xff (deleted) (deleted)");
	ASSERT_STR(maps[2].path, "r-xp");
}

/* Not a mapping: passed over; the next one is seen. */
static void lines_that_are_none(void)
{
	parse("\n\n-\nx-y r-xp 0 0:0 0 a\n2000-1000 r-xp 0 08:01 5 /b\n1000-1000 r-xp 0 08:01 5 "
	      "/b\n"
	      "1000 2000 r-xp 0 08:01 5 /c\n1000-2000 r-x\n1000-2000 r-xp 0 0801 5 /d\n"
	      "1000-2000 r-xp 0 08:01\n"
	      "1000-2000 r-xp 0 08:01 5 /good\n1000-2000 r-xp 0 08:01 5 /cut");
	ASSERT_INT(n, 1);
	ASSERT_STR(maps[0].path, "/good");
	parse("");
	ASSERT_INT(n, 0);
}

static void five_thousand(void)
{
	struct buf b = {0};

	for (unsigned i = 0; i < 5000; i++)
		buf_printf(&b, "%x-%x r-xp %08x 08:01 %u /lib/l%u.so\n", 0x10000 + i * 0x2000,
			   0x11000 + i * 0x2000, i * 0x1000, i + 1, i);
	CU_ASSERT_FATAL(!b.err);
	free(maps);
	CU_ASSERT_FATAL(!proc_maps_parse(b.data, b.len, &maps, &n));
	ASSERT_INT(n, 5000);
	ASSERT_INT(maps[4999].key.inode, 5000);
	ASSERT_STR(maps[4999].path, "/lib/l4999.so");
	buf_fini(&b);
}

/* This very process: the code that runs here lies in one of the mappings. */
static void a_real_one(void)
{
	__u64 here = (__u64)(uintptr_t)&a_real_one;
	char *whole = NULL;
	bool found = false;

	free(maps);
	CU_ASSERT_FATAL(!proc_maps_read("/proc", (__u32)getpid(), &maps, &n, &whole));
	for (size_t i = 0; i < n; i++)
		found |= maps[i].start <= here && here < maps[i].end && maps[i].path[0] == '/';
	CU_ASSERT(found);
	free(whole);
	free(maps);
	maps = NULL;
	ASSERT_INT(proc_maps_read("/proc", 0x7fffffff, &maps, &n, &whole), -ESRCH);
}

SUITE(proc_maps, {"lines", lines}, {"hostile names", hostile_names},
      {"lines that are none", lines_that_are_none}, {"five thousand", five_thousand},
      {"a real one", a_real_one});
