// SPDX-License-Identifier: Apache-2.0
/*
 * Unusual executable memory.
 *
 *	many		the text of libmapped.so mapped 5,000 times; calls go through all of them in
 *			turn
 *	jit		anonymous code with frame pointers, three frames deep, called from code
 *			without
 *	perfmap		the same with names in /tmp/perf-PID.map
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/workloads/truth.h"

typedef unsigned long (*code_fn)(unsigned long x);

static int fail(const char *what)
{
	fprintf(stderr, "maps: %s: %s\n", what, strerror(errno));
	return 1;
}

/* ---- many ------------------------------------------------------------------------------------ */

enum { N_MAPPINGS = 5000 };

static code_fn mapped[N_MAPPINGS];

TRUTH_FRAME unsigned long many_call(unsigned long x)
{
	static unsigned next;

	next = (next + 1) % N_MAPPINGS;
	return mapped[next](x) ^ 1;
}

/* The file's one executable segment and, within it, its entry point: mapped_outer. */
static int find_text(const unsigned char *file, Elf64_Phdr *ret_text, size_t *ret_entry)
{
	const Elf64_Ehdr *head = (const void *)file;
	const Elf64_Phdr *segments = (const void *)(file + head->e_phoff);

	for (unsigned i = 0; i < head->e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD || !(segments[i].p_flags & PF_X))
			continue;
		*ret_text = segments[i];
		*ret_entry = head->e_entry - segments[i].p_vaddr;
		return 0;
	}
	return -ENOEXEC;
}

/* Two mappings of the same part never merge, so each is one of its own. */
static int set_up_many(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 32);
	Elf64_Phdr text;
	size_t entry;
	unsigned char *file;
	struct stat st;
	int fd;

	if (len < 0)
		return fail("readlink");
	path[len] = 0;
	strcat(dirname(path), "/libmapped.so");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return fail(path);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED || find_text(file, &text, &entry))
		return fail(path);
	for (unsigned i = 0; i < N_MAPPINGS; i++) {
		unsigned char *p = mmap(NULL, text.p_memsz, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd,
					(off_t)text.p_offset);

		if (p == MAP_FAILED)
			return fail("mmap");
		mapped[i] = (code_fn)(p + entry);
	}
	return 0;
}

/* ---- jit ------------------------------------------------------------------------------------- */

static code_fn jit_entry;

TRUTH_BUSY(jit_call, jit_entry)

struct code {
	unsigned char *start, *p;
};

static void emit(struct code *code, const void *bytes, size_t n)
{
	memcpy(code->p, bytes, n);
	code->p += n;
}
#define EMIT(code, ...)                                                                            \
	emit(code, (const unsigned char[]){__VA_ARGS__}, sizeof((unsigned char[]){__VA_ARGS__}))

static void emit_u32(struct code *code, unsigned value)
{
	emit(code, &value, sizeof(value));
}

static void emit_u64(struct code *code, unsigned long value)
{
	emit(code, &value, sizeof(value));
}

/* TRUTH_LEAF with a frame pointer. */
static void emit_leaf(struct code *code)
{
	EMIT(code, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0x48, 0xbe); /* ...; mov rax, rdi */
	emit_u64(code, 6364136223846793005UL);				  /* mov rsi, imm */
	EMIT(code, 0x48, 0xb9);
	emit_u64(code, 1442695040888963407UL); /* mov rcx, imm */
	EMIT(code, 0xba);
	emit_u32(code, TRUTH_STEPS); /* mov edx, imm */
	/* imul rax, rsi; add rax, rcx; sub edx, 1; jnz -12; pop rbp; ret */
	EMIT(code, 0x48, 0x0f, 0xaf, 0xc6, 0x48, 0x01, 0xc8, 0x83, 0xea, 0x01, 0x75, 0xf4, 0x5d,
	     0xc3);
}

/* push rbp; mov rbp, rsp; sub rsp, 32; call target; leave; ret */
static unsigned char *emit_caller(struct code *code, const unsigned char *target)
{
	unsigned char *start = code->p;

	EMIT(code, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0xe8);
	emit_u32(code, (unsigned)(target - (code->p + 4)));
	EMIT(code, 0xc9, 0xc3);
	return start;
}

static int set_up_jit(void)
{
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct code code = {page, page};
	unsigned char *middle;

	if (page == MAP_FAILED)
		return fail("executable memory");
	emit_leaf(&code);
	middle = emit_caller(&code, page);
	jit_entry = (code_fn)emit_caller(&code, middle);
	return 0;
}

static int set_up_perfmap(void)
{
	char path[64];
	unsigned long leaf, entry;
	FILE *map;

	if (set_up_jit())
		return 1;
	entry = (unsigned long)jit_entry;
	leaf = entry & ~4095UL;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	map = fopen(path, "we");
	if (!map)
		return fail(path);
	fprintf(map, "%lx %lx jit_leaf\n%lx %x jit_middle\n%lx %x jit entry\n", leaf,
		entry - 15 - leaf, entry - 15, 15, entry, 15);
	return fclose(map) ? fail(path) : 0;
}

static int run_perfmap(void)
{
	char path[64];
	static const struct truth units = {.units = {{100, jit_call, ""}}};
	int status = set_up_perfmap();

	if (!status)
		status = truth_run(&units);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);
	return status;
}

static void expect_perfmap(void)
{
	truth_print(100, "run_perfmap;truth_run;jit_call;jit entry;jit_middle;jit_leaf");
}

/* Mapping 5,000 times takes a while. */
static void expect_many(void)
{
	puts("base known");
	truth_print(100, "truth_run;many_call;mapped_outer;mapped_inner;mapped_leaf");
}

static const struct truth truths[] = {
	{"many", {{100, many_call, ""}}, .setup = set_up_many, .expect = expect_many},
	{"jit", {{100, jit_call, "jit_call;?;?;?"}}, .setup = set_up_jit},
	{"perfmap", .run = run_perfmap, .expect = expect_perfmap},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
