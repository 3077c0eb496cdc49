// SPDX-License-Identifier: Apache-2.0
/*
 * The programs on the running kernel: how much the verifier had to look at, the reasons to stop
 * that only the kernel side gives, each provoked, and the ids of stacks. Needs root; else skipped.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/config.h"
#include "bpf/profile.skel.h"
#include "bpf/reason.h"
#include "bpf/threads.skel.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/ring.h"
#include "profiler/sampler.h"
#include "tests/unit/test.h"

/* Of the million instructions that a verifier looks at before it gives up: other kernels look at
 * more of the same program, so most of it stays free. */
#define INSNS_MAX 150000u

static int quiet(enum libbpf_print_level level UNUSED, const char *format UNUSED,
		 va_list args UNUSED)
{
	return 0;
}

static void check_programs(struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);

		ASSERT_INT(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len), 0);
		printf("  %-16s verifier looked at %6u instructions, %5u translated, %5u bytes of "
		       "code\n",
		       bpf_program__name(prog), info.verified_insns, info.xlated_prog_len / 8,
		       info.jited_prog_len);
		if (!info.verified_insns)
			printf("  (before 5.16 the kernel does not tell)\n");
		CU_ASSERT(info.verified_insns <= INSNS_MAX);
	}
}

static void instructions(void)
{
	struct profile_bpf *profile;
	struct threads_bpf *threads;

	if (geteuid())
		SKIP("loading BPF programs needs root");
	libbpf_set_print(quiet);
	profile = profile_bpf__open_and_load();
	if (!profile)
		SKIP("this kernel or these rights refuse BPF programs: %s", strerror(errno));
	check_programs(profile->obj);
	profile_bpf__destroy(profile);
	threads = threads_bpf__open_and_load();
	CU_ASSERT_PTR_NOT_NULL_FATAL(threads);
	check_programs(threads->obj);
	threads_bpf__destroy(threads);
}

/* ---- reasons --------------------------------------------------------------------------------- */

static struct sampler *open_sampler(void)
{
	struct sampler_options o = {
		.hz = 997, .max_frames = 64, .max_processes = 1024, .max_segments = 4};
	struct sampler *sampler;
	char *why;

	if (geteuid() || sampler_open(&o, &sampler, &why))
		return NULL;
	return sampler;
}

/* User stacks by reason, so far; empties the rings, which nobody else reads here. */
static void count_stops(struct sampler *sampler, __u64 stops[16])
{
	unsigned n = sampler_possible_cpus(sampler);
	struct cpu_counters *counters = calloc(n, sizeof(*counters));

	CU_ASSERT_PTR_NOT_NULL_FATAL(counters);
	ASSERT_INT(sampler_counters(sampler, counters), 0);
	memset(stops, 0, 16 * sizeof(*stops));
	for (unsigned cpu = 0; cpu < n; cpu++) {
		struct ring *ring = sampler_ring(sampler, cpu);

		while (ring && ring_peek(ring))
			ring_pop(ring);
		if (ring)
			ring_release(ring);
		for (int i = 0; i < 16; i++)
			stops[i] += counters[cpu].stops[i];
	}
	free(counters);
}

/* Waits until the reason came up, for at most ten seconds. */
static bool seen(struct sampler *sampler, enum stop reason)
{
	__u64 stops[16], end_ns = clock_monotonic_ns() + 10 * NS_PER_S;

	do {
		nanosleep(&(struct timespec){.tv_nsec = (long)(20 * NS_PER_MS)}, NULL);
		count_stops(sampler, stops);
	} while (!stops[reason] && clock_monotonic_ns() < end_ns);
	return stops[reason] > 0;
}

static pid_t start(void (*run)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(20);
	run();
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void burn(void)
{
	for (volatile unsigned long i = 0;; i++)
		;
}

/* A program that nobody loaded, and no copy allowed: its limit. */
static void copy_limited(void)
{
	struct sampler *sampler = open_sampler();
	pid_t pid;

	if (!sampler)
		SKIP("sampling needs root and BPF");
	sampler_set_copies(sampler, 0);
	pid = start(burn);
	CU_ASSERT(seen(sampler, STOP_COPY_LIMITED));
	end(pid);
	sampler_close(sampler);
}

/* Nobody reads the rings: copies stop while there is room for samples. */
static void room_for_samples(void)
{
	struct sampler *sampler = open_sampler();
	__u64 end_ns = clock_monotonic_ns() + 10 * NS_PER_S, lost = 0, limited = 0, copies = 0;
	struct cpu_counters *counters;
	unsigned n;
	pid_t pid;

	if (!sampler)
		SKIP("sampling needs root and BPF");
	n = sampler_possible_cpus(sampler);
	counters = calloc(n, sizeof(*counters));
	CU_ASSERT_PTR_NOT_NULL_FATAL(counters);
	pid = start(burn);
	while (!limited && clock_monotonic_ns() < end_ns) {
		nanosleep(&(struct timespec){.tv_nsec = (long)(5 * NS_PER_MS)}, NULL);
		ASSERT_INT(sampler_counters(sampler, counters), 0);
		copies = 0;
		for (unsigned cpu = 0; cpu < n; cpu++) {
			limited += counters[cpu].stops[STOP_COPY_LIMITED];
			lost += counters[cpu].lost[LOSS_RING_FULL][SOURCE_CPU];
			copies += counters[cpu].copies;
		}
	}
	CU_ASSERT(copies > 0);
	CU_ASSERT(limited > 0);
	ASSERT_INT(lost, 0);
	end(pid);
	free(counters);
	sampler_close(sampler);
}

/* Much written and synced: kernel threads have to work. */
static void write_and_sync(void)
{
	static char block[1 << 20];
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/written", test_dir());
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	for (unsigned i = 0; fd >= 0; i++) {
		memset(block, (int)i, sizeof(block));
		if (pwrite(fd, block, sizeof(block), (off_t)(i % 16) << 20) < 0)
			_exit(1);
		sched_yield();
		if (i % 16 == 15)
			fsync(fd);
	}
}

static void no_user(void)
{
	struct sampler *sampler = open_sampler();
	pid_t pid;

	if (!sampler)
		SKIP("sampling needs root and BPF");
	pid = start(write_and_sync);
	CU_ASSERT(seen(sampler, STOP_NO_USER));
	end(pid);
	sampler_close(sampler);
}

/* An ELF32 for i386 whose only instruction is a jump to itself. */
static int write_program32(const char *path)
{
	struct {
		Elf32_Ehdr ehdr;
		Elf32_Phdr phdr;
		__u8 code[2];
	} file = {
		.ehdr = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB,
				     EV_CURRENT},
			 .e_type = ET_EXEC,
			 .e_machine = EM_386,
			 .e_version = EV_CURRENT,
			 .e_entry = 0x8048000 + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
			 .e_phoff = sizeof(Elf32_Ehdr),
			 .e_ehsize = sizeof(Elf32_Ehdr),
			 .e_phentsize = sizeof(Elf32_Phdr),
			 .e_phnum = 1},
		.phdr = {.p_type = PT_LOAD,
			 .p_vaddr = 0x8048000,
			 .p_filesz = 0x56,
			 .p_memsz = 0x56,
			 .p_flags = PF_R | PF_X,
			 .p_align = 0x1000},
		.code = {0xeb, 0xfe},
	};
	int err = fs_replace(path, &file, sizeof(file));

	return err ? err : chmod(path, 0755) ? -errno : 0;
}

static char program32[300];

static void run_program32(void)
{
	execl(program32, program32, (char *)NULL);
	_exit(errno == ENOEXEC ? 77 : 1);
}

static void compat(void)
{
	struct sampler *sampler = open_sampler();
	int status = 0;
	pid_t pid;

	if (!sampler)
		SKIP("sampling needs root and BPF");
	snprintf(program32, sizeof(program32), "%s/program32", test_dir());
	ASSERT_INT(write_program32(program32), 0);
	pid = start(run_program32);
	nanosleep(&(struct timespec){.tv_nsec = (long)(100 * NS_PER_MS)}, NULL);
	if (waitpid(pid, &status, WNOHANG) == pid) {
		sampler_close(sampler);
		SKIP("this kernel runs no 32-bit programs (exit status %d)", WEXITSTATUS(status));
	}
	CU_ASSERT(seen(sampler, STOP_COMPAT));
	end(pid);
	sampler_close(sampler);
}

/* Programs that replace themselves over and over: now and then a sample falls where the old stack
 * is gone and the new program has not begun. */
static void exec_storm(void)
{
	for (;;) {
		pid_t pid = fork();

		if (!pid) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
}

static void exec_in_the_middle(void)
{
	struct sampler *sampler = open_sampler();
	pid_t pids[2];

	if (!sampler)
		SKIP("sampling needs root and BPF");
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = start(exec_storm);
	CU_ASSERT(seen(sampler, STOP_EXEC));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		end(pids[i]);
	sampler_close(sampler);
}

/* One place in a program from which the kernel does many things. */
static void call_kernel(void)
{
	struct stat st;

	for (;;)
		if (stat("/usr/lib/os-release", &st))
			_exit(1);
}

#define OTHERS_MIN 50u /* one that two CPUs send at a time proves nothing */

/* The first stack with each number of kernel frames. */
struct first_stacks {
	const __u64 *frames[256];
	unsigned
		n_others; /* came with the same user frame, and as many kernel frames, but others */
};

static void add_stack(struct first_stacks *first, const struct rec_stack *stack)
{
	const __u64 *frames = (const __u64 *)(stack + 1), **place;
	size_t bytes = (1 + (size_t)stack->n_kernel) * sizeof(*frames);
	__u64 *copy;

	if (stack->n_user != 1 || !stack->n_kernel || stack->n_kernel >= 256)
		return;
	place = &first->frames[stack->n_kernel];
	if (!*place) {
		copy = malloc(bytes);
		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, frames, bytes);
		*place = copy;
	} else if ((*place)[0] == frames[0] && memcmp(*place, frames, bytes) != 0) {
		first->n_others++;
	}
}

static void add_stacks(struct first_stacks *first, struct sampler *sampler, pid_t pid)
{
	for (unsigned cpu = 0; cpu < sampler_possible_cpus(sampler); cpu++) {
		struct ring *ring = sampler_ring(sampler, cpu);
		const struct rec *rec;

		while (ring && (rec = ring_peek(ring))) {
			if (rec->kind == REC_STACK && rec->pid == (__u32)pid)
				add_stack(first, (const struct rec_stack *)rec);
			ring_pop(ring);
		}
		if (ring)
			ring_release(ring);
	}
}

/* A stack is sent once by its id, so stacks that differ in the kernel alone need ids of their own.
 */
static void kernel_frames(void)
{
	struct sampler *sampler = open_sampler();
	__u64 end_ns = clock_monotonic_ns() + 10 * NS_PER_S;
	struct first_stacks first = {0};
	pid_t pid;

	if (!sampler)
		SKIP("sampling needs root and BPF");
	sampler_set_copies(sampler, 0); /* one user frame, always the same */
	pid = start(call_kernel);
	while (first.n_others < OTHERS_MIN && clock_monotonic_ns() < end_ns) {
		nanosleep(&(struct timespec){.tv_nsec = (long)(20 * NS_PER_MS)}, NULL);
		add_stacks(&first, sampler, pid);
	}
	CU_ASSERT(first.n_others >= OTHERS_MIN);
	end(pid);
	sampler_close(sampler);
	for (size_t i = 0; i < ARRAY_SIZE(first.frames); i++)
		free((void *)first.frames[i]);
}

SUITE_TIMEOUT(bpf_kernel, 120, {"instructions of the verifier", instructions},
	      {"copy_limited", copy_limited}, {"room_for_samples", room_for_samples},
	      {"no_user", no_user}, {"32bit", compat}, {"exec", exec_in_the_middle},
	      {"kernel_frames", kernel_frames});
