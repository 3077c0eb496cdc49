// SPDX-License-Identifier: Apache-2.0
/*
 * The unwinder over real programs, stopped at chance moments: mappings from /proc, rows compiled
 * from the ELF files, memory and registers by ptrace; held against libunwind's walk of the same
 * stop. A stack is whole when it has its root. Where libunwind's walk is whole too, both must be
 * equal.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/stacks_internal.h"
#include "profiler/thread_regs.h"
#include "tests/unit/test.h"

#define STOPS	80
#define MIN_PCT 99 /* of the stops: whole, and equal */
/* Between two stops: never the same, or they beat with a program's own timers. */
#define BETWEEN_NS(i) (2 * NS_PER_MS + (__u64)(i) % 17 * 131 * NS_PER_US)
#define MAX_FRAMES    USER_FRAMES_MAX
#define START_NS      (80 * NS_PER_MS)
#define SHOWN	      2 /* differences printed per program */

/* What became of the stops of one program. */
struct tally {
	unsigned stops, whole, judged, equal, frames;
	unsigned reasons[STOP_COUNT];
};

static void pause_ns(__u64 ns)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static pid_t spawn(const char *const *argv)
{
	pid_t pid = fork();
	int null;

	if (pid)
		return pid;
	null = open("/dev/null", O_RDWR);
	if (dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(126);
	alarm(60); /* never longer than this suite */
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static bool take_regs(pid_t tid, struct thread_view *view)
{
	__u64 raw[THREAD_REGS_WORDS] = {0};
	struct iovec io = {raw, sizeof(raw)};

	*view = (struct thread_view){0};
	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io))
		return false;
	return thread_regs_from_entry(raw, view->regs);
}

static void show(const char *who, const struct stack *stack)
{
	printf("    %s:", who);
	for (unsigned i = 0; i < stack->n_user && i < 12; i++)
		printf(" %llx", (unsigned long long)stack->frames[i]);
	printf(" (%u frames, stop %u)\n", stack->n_user, stack->stop);
}

static bool same_frames(const struct stack *a, const struct stack *b)
{
	return a->n_user == b->n_user &&
	       !memcmp(a->frames, b->frames, a->n_user * sizeof(*a->frames));
}

/* libunwind stops at the first frame it has no rows for, and takes that for the end: its walk
 * counts when it got as far as ours, or further. */
static void judge(struct tally *t, const struct stack *ours, const struct stack *theirs)
{
	t->stops++;
	t->frames += ours->n_user;
	t->whole += ours->stop == STOP_ROOT;
	if (ours->stop != STOP_ROOT && t->stops - t->whole <= SHOWN)
		show("cut   ", ours);
	t->reasons[ours->stop]++;
	if (theirs->stop != STOP_ROOT || theirs->n_user < ours->n_user)
		return;
	t->judged++;
	if (same_frames(ours, theirs)) {
		t->equal++;
	} else if (t->judged - t->equal <= SHOWN) {
		show("ours  ", ours);
		show("theirs", theirs);
	}
}

static bool one_stop(struct space *space, pid_t pid, struct tally *t)
{
	static __u64 pcs[MAX_FRAMES];
	static bool exact[MAX_FRAMES];
	const struct stack *ours, *theirs;
	struct thread_view view;
	struct stopped *stopped;
	__u8 stop = STOP_NO_ROW;
	size_t n;

	if (stop_process((__u32)pid, &stopped))
		return false;
	if (space_changed(space) && space_load(space, (__u32)pid)) {
		stop_release(stopped);
		return false;
	}
	if (take_regs(pid, &view)) {
		ours = space_unwind(space, &view);
		n = stop_unwind(stopped, (__u32)pid, pcs, exact, MAX_FRAMES, &stop);
		theirs = space_stack_of(space, pcs, exact, n, stop);
		if (ours && theirs)
			judge(t, ours, theirs);
	}
	stop_release(stopped);
	return true;
}

static void print_reasons(const struct tally *t)
{
	static const char *const labels[] = {
#define X(name, label, whole) label,
		STOP_LIST(X)
#undef X
	};

	for (int i = 0; i < STOP_COUNT; i++)
		if (t->reasons[i] && i != STOP_ROOT)
			printf(" %s %u", labels[i], t->reasons[i]);
}

static void hold(const char *const *argv)
{
	struct tally t = {0};
	struct space *space = NULL;
	pid_t pid = spawn(argv);

	pause_ns(START_NS);
	CU_ASSERT_FATAL(pid > 0 && !space_open((__u32)pid, NULL, &space));
	if (space_load(space, (__u32)pid)) {
		waitpid(pid, NULL, 0);
		space_close(space);
		SKIP("%s does not run here", argv[0]);
	}
	while (t.stops < STOPS && one_stop(space, pid, &t))
		pause_ns(BETWEEN_NS(t.stops));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	space_close(space);
	printf("  %-14s %-11s %u stops, %u frames, whole %.1f %%, equal %u of %u judged;",
	       strrchr(argv[0], '/') + 1, argv[1], t.stops, t.frames,
	       t.stops ? 100.0 * t.whole / t.stops : 0, t.equal, t.judged);
	print_reasons(&t);
	putchar('\n');
	ASSERT_INT(t.stops, STOPS);
	/* One of so few is not yet a share. */
	CU_ASSERT(t.whole + 1 >= t.stops * MIN_PCT / 100);
	CU_ASSERT(t.equal + 1 >= t.judged * MIN_PCT / 100);
}

static const char *workload(const char *name)
{
	static char path[512];
	const char *dir = getenv("WORKLOADS");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "build/workloads", name);
	return path;
}

static void hold_workload(const char *name, const char *mode)
{
	const char *argv[] = {workload(name), mode, "--seconds", "50", NULL};
	const char *plain[] = {argv[0], "--seconds", "50", NULL};

	if (access(argv[0], X_OK))
		SKIP("%s is not built (make workloads)", name);
	hold(mode ? argv : plain);
}

static void c_programs(void)
{
	hold_workload("shares", NULL);
	hold_workload("shares-nopie", NULL);
	hold_workload("shares-static", NULL);
	hold_workload("shares-debugfr", NULL);
	hold_workload("shares-musl", NULL);
	hold_workload("shares-fp", NULL);
	hold_workload("shares-clang", NULL);
}

static void hard_stacks(void)
{
	hold_workload("stacks", "recurse500");
	hold_workload("stacks", "huge");
	hold_workload("stacks", "realign");
	hold_workload("stacks", "setjmp");
	hold_workload("stacks", "noreturn");
	hold_workload("stacks", "tail");
}

static void signals(void)
{
	hold_workload("signals", "alt");
	hold_workload("signals", "normal");
	hold_workload("signals", "self");
	hold_workload("signals", "nested");
}

static void other_languages(void)
{
	hold_workload("cxx", "shares");
	hold_workload("cxx", "storm");
	hold_workload("rust", NULL);
}

/* Lazy binding, the vDSO, assembly without frame pointers, dlopen and dlclose, a deleted file,
 * 5,000 mappings. */
static void libraries(void)
{
	hold_workload("libs", "plt");
	hold_workload("libs", "vdso");
	hold_workload("libs", "crypto");
	hold_workload("libs", "swap");
	hold_workload("placed", "deleted");
	hold_workload("maps", "many");
}

/* Marked, not cut: 1,024 frames from the leaf. */
static void too_deep(void)
{
	const char *argv[] = {workload("stacks"), "recurse3000", "--seconds", "50", NULL};
	unsigned truncated = 0, stops = 0;
	struct space *space = NULL;
	pid_t pid;

	if (access(argv[0], X_OK))
		SKIP("stacks is not built (make workloads)");
	pid = spawn(argv);
	pause_ns(5 * START_NS);
	CU_ASSERT_FATAL(!space_open((__u32)pid, NULL, &space));
	CU_ASSERT_FATAL(!space_load(space, (__u32)pid));
	for (; stops < 20; stops++) {
		const struct stack *ours = NULL;
		struct thread_view view;
		struct stopped *stopped;

		CU_ASSERT_FATAL(!stop_process((__u32)pid, &stopped));
		if (take_regs(pid, &view))
			ours = space_unwind(space, &view);
		truncated +=
			ours && ours->stop == STOP_TRUNCATED && ours->n_user == USER_FRAMES_MAX;
		stop_release(stopped);
		pause_ns(BETWEEN_NS(stops));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	space_close(space);
	CU_ASSERT(truncated >= stops - 2); /* it may stand higher for a moment */
}

/* Large programs that nobody here wrote. */
static void foreign_programs(void)
{
	static const char *const python[] = {
		"/usr/bin/python3", "-c",
		"import hashlib,json,re,zlib\nwhile 1:\n [json.dumps({str(i):[i]*9}) for i in "
		"range(99)]\n"
		" hashlib.sha256(b'x'*9999); zlib.compress(b'xyz'*9999); "
		"re.findall('(a|b)*c','ab'*99)",
		NULL};
	static const char *const shell[] = {"/bin/bash", "-c",
					    "while :; do x=$((x+1)); y=${x//1/2}; done", NULL};
	static const char *const openssl[] = {"/usr/bin/openssl", "speed", "-seconds", "30",
					      "rsa2048",	  NULL};

	if (!access(python[0], X_OK))
		hold(python);
	if (!access(shell[0], X_OK))
		hold(shell);
	if (!access(openssl[0], X_OK))
		hold(openssl);
}

SUITE_TIMEOUT(bpf_real, 300, {"C programs", c_programs}, {"hard stacks", hard_stacks},
	      {"signal handlers", signals}, {"C++ and Rust", other_languages},
	      {"libraries", libraries}, {"deeper than the limit", too_deep},
	      {"foreign programs", foreign_programs});
