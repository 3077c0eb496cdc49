// SPDX-License-Identifier: Apache-2.0
#include "profiler/thread_files.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

#define TAIL " 1 2 3 4 -1 4194560 7 8 9 10 11 12 13 14 20 0 1 0 2231 9 9 18446744073709551615"

static void stat_lines(void)
{
	struct thread_stat s;

	CU_ASSERT(thread_stat_parse("77 (sh) S" TAIL, &s));
	ASSERT_STR(s.comm, "sh");
	ASSERT_INT(s.state, 'S');
	ASSERT_INT(s.parent, 1);
	ASSERT_INT(s.flags, 4194560);
	ASSERT_INT(s.start_time, 2231);
	CU_ASSERT(thread_stat_parse("77 (a) R 9 (b\n) D" TAIL, &s));
	ASSERT_STR(s.comm, "a) R 9 (b\n");
	ASSERT_INT(s.state, 'D');
	CU_ASSERT(thread_stat_parse("77 () Z" TAIL, &s));
	ASSERT_STR(s.comm, "");
	CU_ASSERT(thread_stat_parse("7 (kworker/u8:2-a queue name that is longer than anybody will "
				    "ever need it) I" TAIL,
				    &s));
	ASSERT_INT(strlen(s.comm), THREAD_COMM_BYTES - 1);
}

static void stat_lines_that_are_none(void)
{
	struct thread_stat s = {.state = 'q'};
	static const char *const bad[] = {"",	       "(",
					  ")(",	       "1 (x)",
					  "1 (x) ",    "1 (x) S",
					  "1 (x) S 1", "1 (x) S 1 2 3 x",
					  "1 x S 1",   "1 (x) SS 1 2 3 4"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT(!thread_stat_parse(bad[i], &s));
	ASSERT_INT(s.state, 'q');
}

static void our_own_stat(void)
{
	struct thread_stat s;
	char text[1024];

	CU_ASSERT(fs_read_small(AT_FDCWD, "/proc/self/stat", text, sizeof(text)) > 0);
	CU_ASSERT(thread_stat_parse(text, &s));
	ASSERT_INT(s.state, 'R');
	ASSERT_INT(s.parent, getppid());
	ASSERT_STR(thread_state_name(s.state), "running");
}

static void switch_counters(void)
{
	__u64 n = 5;
	char text[8192];

	CU_ASSERT(thread_switches_parse("Name:\tx\nvoluntary_ctxt_switches:\t30\n"
					"nonvoluntary_ctxt_switches:\t12\n",
					&n));
	ASSERT_INT(n, 42);
	CU_ASSERT(!thread_switches_parse("Name:\tx\nvoluntary_ctxt_switches:\t30\n", &n));
	CU_ASSERT(!thread_switches_parse("\nvoluntary_ctxt_switches:\n"
					 "nonvoluntary_ctxt_switches:\t1\n",
					 &n));
	ASSERT_INT(n, 42);
	CU_ASSERT(fs_read_small(AT_FDCWD, "/proc/self/status", text, sizeof(text)) > 0);
	CU_ASSERT(thread_switches_parse(text, &n));
}

static void syscall_lines(void)
{
	__u64 pc = 0, sp = 0;

	CU_ASSERT(
		thread_syscall_parse("230 0x0 0x1 0x2 0x3 0x4 0x5 0x7ffd10 0x7f4455\n", &pc, &sp));
	ASSERT_INT(sp, 0x7ffd10);
	ASSERT_INT(pc, 0x7f4455);
	CU_ASSERT(thread_syscall_parse("-1 0x7ffd18 0x401000\n", &pc, &sp));
	ASSERT_INT(sp, 0x7ffd18);
	ASSERT_INT(pc, 0x401000);
	CU_ASSERT(!thread_syscall_parse("running\n", &pc, &sp));
	CU_ASSERT(!thread_syscall_parse("", &pc, &sp));
	CU_ASSERT(!thread_syscall_parse("0 0x1 0x2 0x3", &pc, &sp));
	CU_ASSERT(!thread_syscall_parse("0 0x1 0x2 0x3 0x4 0x5 0x6 0x7 8", &pc, &sp));
	CU_ASSERT(!thread_syscall_parse("-1 0x1ffffffffffffffff 0x1", &pc, &sp));
	ASSERT_INT(pc, 0x401000);
}

static void kernel_lines(void)
{
	const char *text = "[<0>] do_poll.constprop.0+0x22c/0x3a0\n"
			   "garbage\n"
			   "[<0>] ext4_sync_file+0x1/0x2 [ext4]\n"
			   "[<0>] \n"
			   "[<ffffffff81000000>] 0xffffffff81000000\n"
			   "[<0>] cut+0x";
	struct kernel_frame f;

	CU_ASSERT(kernel_frame_next(&text, &f));
	CU_ASSERT(f.function_len == 19 && !strncmp(f.function, "do_poll.constprop.0", 19));
	ASSERT_INT(f.module_len, 0);
	CU_ASSERT(kernel_frame_next(&text, &f));
	CU_ASSERT(f.function_len == 14 && !strncmp(f.function, "ext4_sync_file", 14));
	CU_ASSERT(f.module_len == 4 && !strncmp(f.module, "ext4", 4));
	CU_ASSERT(kernel_frame_next(&text, &f));
	CU_ASSERT(f.function_len == 18 && !strncmp(f.function, "0xffffffff81000000", 18));
	CU_ASSERT(kernel_frame_next(&text, &f));
	CU_ASSERT(f.function_len == 3 && !strncmp(f.function, "cut", 3));
	CU_ASSERT(!kernel_frame_next(&text, &f));
	CU_ASSERT(!*text);
}

SUITE(thread_files, {"stat lines", stat_lines},
      {"stat lines that are none", stat_lines_that_are_none}, {"our own stat", our_own_stat},
      {"switch counters", switch_counters}, {"syscall lines", syscall_lines},
      {"kernel lines", kernel_lines});
