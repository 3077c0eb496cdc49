// SPDX-License-Identifier: Apache-2.0
/*
 * symbolize/x86_insn.c beside `objdump -d`: for every instruction that objdump decodes in the files
 * given (by default large libraries and programs of this machine: compilers' code, hand-written
 * assembly, Go, V8), the length, where control goes, and whether the general register that the text
 * ends with is said to be written. Differences are printed by mnemonic, the first of each with its
 * address and bytes. Exit 1 when there is one.
 *
 *	objdump_insns [FILE...]
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/vec.h"
#include "symbolize/x86_insn.h"

#define MAX_BYTES 16

static const char *const defaults[] = {"/lib/x86_64-linux-gnu/libc.so.6",
				       "/lib/x86_64-linux-gnu/libcrypto.so.3",
				       "/lib/x86_64-linux-musl/libc.so",
				       "/usr/lib/x86_64-linux-gnu/libx265.so.199",
				       "/usr/lib/x86_64-linux-gnu/libx264.so.164",
				       "/usr/lib/x86_64-linux-gnu/libavcodec.so.59",
				       "/usr/lib/x86_64-linux-gnu/libgmp.so.10",
				       "/usr/lib/x86_64-linux-gnu/libopenblas.so.0",
				       "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0",
				       "/usr/bin/python3.11",
				       "/usr/bin/node",
				       "/usr/local/go/bin/go",
				       "/usr/bin/perf",
				       "/bin/busybox"};

static struct difference {
	char what[16], mnemonic[24], example[160];
	unsigned long count;
} differences[256];
static unsigned n_differences;
static unsigned long n_insns;

static void differ(const char *what, const char *mnemonic, const char *line)
{
	struct difference *d = differences;

	while (d < differences + n_differences &&
	       (strcmp(d->what, what) != 0 || strcmp(d->mnemonic, mnemonic) != 0))
		d++;
	if (d == differences + n_differences) {
		if (n_differences == ARRAY_SIZE(differences))
			return;
		n_differences++;
		snprintf(d->what, sizeof(d->what), "%s", what);
		snprintf(d->mnemonic, sizeof(d->mnemonic), "%s", mnemonic);
		snprintf(d->example, sizeof(d->example), "%.159s", line);
	}
	d->count++;
}

/* ---- the text -------------------------------------------------------------------------------- */

struct text {
	__u64 vaddr;
	__u8 bytes[MAX_BYTES];
	unsigned n;
	char mnemonic[24]; /* without prefixes that are words of their own */
	const char *operands;
	bool notrack_or_rep;
};

static bool is_prefix_word(const char *s, size_t len)
{
	static const char *const words[] = {
		"rep", "repz", "repnz", "lock", "bnd", "notrack", "data16",   "addr32",
		"cs",  "ds",   "es",	"ss",	"fs",  "gs",	  "xacquire", "xrelease"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == len && !memcmp(words[i], s, len))
			return true;
	return len >= 3 && !memcmp(s, "rex", 3);
}

/* "  401000:\t48 89 e5 \tmov    %rsp,%rbp"; false for lines of another kind. */
static bool parse_line(const char *line, struct text *t)
{
	char *end;
	const char *s;

	t->vaddr = strtoull(line, &end, 16);
	if (end == line || end[0] != ':' || end[1] != '\t')
		return false;
	s = end + 2;
	for (t->n = 0; isxdigit((unsigned char)s[0]) && isxdigit((unsigned char)s[1]); s += 3) {
		if (t->n == MAX_BYTES)
			return false;
		t->bytes[t->n++] = (__u8)strtoul((char[]){s[0], s[1], 0}, NULL, 16);
	}
	s = strchr(s, '\t');
	if (!s || !t->n)
		return false;
	for (s++;;) {
		size_t len = strcspn(s, " \n");

		if (!is_prefix_word(s, len) || s[len] != ' ') {
			snprintf(t->mnemonic, sizeof(t->mnemonic), "%.*s", (int)len, s);
			t->operands = s + len + strspn(s + len, " ");
			return true;
		}
		s += len + strspn(s + len, " ");
	}
}

/* The general register that the operands end with; X86_NO_REG: something else. */
static __u8 last_register(const char *operands)
{
	static const char *const names[16][4] = {
		{"%al", "%ax", "%eax", "%rax"},	     {"%cl", "%cx", "%ecx", "%rcx"},
		{"%dl", "%dx", "%edx", "%rdx"},	     {"%bl", "%bx", "%ebx", "%rbx"},
		{"%spl", "%sp", "%esp", "%rsp"},     {"%bpl", "%bp", "%ebp", "%rbp"},
		{"%sil", "%si", "%esi", "%rsi"},     {"%dil", "%di", "%edi", "%rdi"},
		{"%r8b", "%r8w", "%r8d", "%r8"},     {"%r9b", "%r9w", "%r9d", "%r9"},
		{"%r10b", "%r10w", "%r10d", "%r10"}, {"%r11b", "%r11w", "%r11d", "%r11"},
		{"%r12b", "%r12w", "%r12d", "%r12"}, {"%r13b", "%r13w", "%r13d", "%r13"},
		{"%r14b", "%r14w", "%r14d", "%r14"}, {"%r15b", "%r15w", "%r15d", "%r15"}};
	static const char *const high[] = {"%ah", "%ch", "%dh", "%bh"};
	size_t len = strcspn(operands, "#\n<");
	const char *last;

	while (len && operands[len - 1] == ' ')
		len--;
	for (last = operands + len; last > operands && last[-1] != ','; last--)
		if (last[-1] == ')' || last[-1] == '*')
			return X86_NO_REG;
	len -= (size_t)(last - operands);
	for (__u8 reg = 0; reg < 16; reg++)
		for (int width = 0; width < 4; width++)
			if (strlen(names[reg][width]) == len &&
			    !memcmp(names[reg][width], last, len))
				return reg;
	for (__u8 reg = 0; reg < 4; reg++)
		if (len == 3 && !memcmp(high[reg], last, len))
			return reg;
	return X86_NO_REG;
}

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Instructions whose last operand is only read. */
static bool only_reads(const char *m)
{
	static const char *const all[] = {
		"cmp", "test", "push",	  "nop",     "call",   "jmp",	 "out",	   "mul",
		"div", "idiv", "ptwrite", "wr",	     "inv",    "verr",	 "verw",   "lldt",
		"ltr", "lmsw", "monitor", "mwait",   "scas",   "umwait", "tpause", "incssp",
		"enq", "ret",  "movdir",  "vmwrite", "xabort", "bt",	 "stos",   "ud"};

	if (starts(m, "cmpxchg") || starts(m, "mulx") || starts(m, "bts") || starts(m, "btr") ||
	    starts(m, "btc"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (starts(m, all[i]))
			return true;
	return false;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool goes_where_it_says(const struct text *t, const struct x86_insn *insn)
{
	const char *m = t->mnemonic;
	bool indirect = strchr(t->operands, '*');
	__u64 target = strtoull(t->operands, NULL, 16);

	switch (insn->kind) {
	case X86_CALL:
		return starts(m, "call") && target == insn->target;
	case X86_CALL_INDIRECT:
		return starts(m, "call") || starts(m, "lcall");
	case X86_JUMP:
		return starts(m, "jmp") && (target == insn->target || t->bytes[0] == 0x66);
	case X86_JUMP_TABLE:
	case X86_JUMP_SLOT:
		return indirect && (starts(m, "jmp") || starts(m, "ljmp"));
	case X86_BRANCH:
		return (m[0] == 'j' || starts(m, "loop") || starts(m, "xbegin")) &&
		       target == insn->target;
	case X86_RETURN:
		return starts(m, "ret") || starts(m, "lret") || starts(m, "iret");
	case X86_PUSH:
		return starts(m, "push");
	case X86_POP:
		return starts(m, "pop");
	case X86_TRAP:
		return starts(m, "ud") || starts(m, "hlt") || starts(m, "int");
	case X86_NOP:
		return starts(m, "nop") || starts(m, "endbr") || starts(m, "xchg");
	case X86_LEAVE:
		return starts(m, "leave");
	case X86_ENTER:
		return starts(m, "enter");
	case X86_SYSCALL:
		return starts(m, "syscall");
	default:
		return !(m[0] == 'j' || starts(m, "call") || starts(m, "ret") ||
			 starts(m, "loop") || starts(m, "leave") || starts(m, "hlt") ||
			 (starts(m, "pop") && !starts(m, "popcnt") && t->bytes[0] != 0x66));
	}
}

/* The register that the text ends with is written, or else that one is not. */
static bool writes_what_it_says(const struct text *t, const struct x86_insn *insn)
{
	__u8 last = last_register(t->operands);
	bool one_operand = !strchr(t->operands, ',');

	if (last == X86_NO_REG)
		return true;
	if (only_reads(t->mnemonic) || (one_operand && starts(t->mnemonic, "imul")))
		return insn->kind == X86_POP || t->bytes[0] == 0x66 ||
		       !(insn->writes >> last & 1) || last == X86_RAX || last == X86_RDX ||
		       last == X86_RDI || last == X86_RCX;
	if (starts(t->mnemonic, "xchg") && t->n <= 3 && insn->kind == X86_NOP)
		return true;
	return insn->writes >> last & 1;
}

/* Bytes that are no code: objdump says so, or shows a REX prefix alone or before VEX, which no
 * processor takes. It also joins fwait with the next instruction, which is two of them. */
static bool is_data(const struct text *t)
{
	bool rex = t->bytes[0] >> 4 == 4;

	return starts(t->mnemonic, "(bad)") || strstr(t->operands, "(bad)") ||
	       starts(t->mnemonic, "rex") || starts(t->mnemonic, ".byte") ||
	       (rex && (t->bytes[1] == 0xc4 || t->bytes[1] == 0xc5 || t->bytes[1] == 0x62)) ||
	       (t->bytes[0] == 0x9b && t->n > 1);
}

static void compare(const char *line, const struct text *t)
{
	struct cursor c = cursor_of(t->bytes, t->n);
	struct x86_insn insn;

	if (is_data(t))
		return;
	n_insns++;
	if (!x86_insn_read(&c, t->vaddr, &insn))
		differ("unread", t->mnemonic, line);
	else if (insn.len != t->n)
		differ("length", t->mnemonic, line);
	else if (!goes_where_it_says(t, &insn))
		differ("flow", t->mnemonic, line);
	else if (!writes_what_it_says(t, &insn))
		differ("write", t->mnemonic, line);
}

static int check_file(const char *path)
{
	char command[4400], *line = NULL;
	unsigned long before = n_insns;
	size_t cap = 0;
	FILE *in;

	snprintf(command, sizeof(command), "objdump -d -w --insn-width=16 -- '%s' 2>/dev/null",
		 path);
	in = popen(command, "r");
	if (!in)
		return -errno;
	while (getline(&line, &cap, in) > 0) {
		struct text t;

		if (parse_line(line, &t))
			compare(line, &t);
	}
	free(line);
	printf("%-56s %10lu instructions\n", path, n_insns - before);
	return pclose(in) ? -EIO : 0;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? argc - 1 : (int)ARRAY_SIZE(defaults);
	int skipped = 0;

	for (int i = 0; i < n; i++) {
		const char *path = argc > 1 ? argv[i + 1] : defaults[i];

		if (access(path, R_OK)) {
			printf("%-56s skipped: %s\n", path, strerror(errno));
			skipped++;
		} else if (check_file(path)) {
			fprintf(stderr, "objdump_insns: '%s': objdump failed\n", path);
			return 1;
		}
	}
	for (unsigned i = 0; i < n_differences; i++)
		printf("%-7s %-14s %8lu  %s", differences[i].what, differences[i].mnemonic,
		       differences[i].count, differences[i].example);
	printf("%lu instructions, %u kinds of differences, %d files skipped\n", n_insns,
	       n_differences, skipped);
	return n_differences || skipped == n;
}
