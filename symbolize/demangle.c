// SPDX-License-Identifier: Apache-2.0
/* Demangling, see demangle.h. About 2 us a C++ name. */
#include "symbolize/demangle.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

#define MAX_NAME 8192

/* What may follow the last dot of a piece's name, with a number behind it or not. */
static const char *const suffixes[] = {
	"cold", "part", "isra", "constprop", "llvm", "lto_priv", "warm", "localalias", "__uniq",
};

static bool is_suffix(const char *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (strlen(suffixes[i]) == len && !memcmp(suffixes[i], s, len))
			return true;
	return false;
}

static size_t without_digits(const char *name, size_t len)
{
	size_t n = len;

	while (n && isdigit((unsigned char)name[n - 1]))
		n--;
	return n < len && n && name[n - 1] == '.' ? n - 1 : len;
}

static size_t last_dot(const char *name, size_t len)
{
	while (len && name[len - 1] != '.')
		len--;
	return len; /* behind the dot; 0: none */
}

size_t demangle_parent_len(const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t len = strlen(name);

	/* BOLT tells local functions of one name apart by "/N" or "/N(*M)" */
	if (slash && slash > name && isdigit((unsigned char)slash[1]) &&
	    slash[1 + strspn(slash + 1, "0123456789(*)")] == 0)
		len = (size_t)(slash - name);
	for (;;) {
		size_t n = without_digits(name, len), dot = last_dot(name, n);

		if (dot < 2 || !is_suffix(name + dot, n - dot))
			return len;
		len = dot - 1;
	}
}

struct sink {
	struct buf *out;
	size_t start;
	jmp_buf full;
};

static void take(const char *s, size_t len, void *arg)
{
	struct sink *sink = arg;

	if (sink->out->len - sink->start + len > DEMANGLE_MAX_BYTES || sink->out->err)
		longjmp(sink->full, 1); /* both demanglers keep their state on the stack */
	buf_add(sink->out, s, len);
}

/* Only names that can be mangled are worth the call. */
static bool run(const char *name, struct buf *out)
{
	struct sink sink = {.out = out, .start = out->len};

	if (setjmp(sink.full))
		return true; /* cut */
	if (rust_demangle_callback(name, 0, take, &sink))
		return true;
	out->len = sink.start;
	if (name[1] == 'Z' &&
	    cplus_demangle_v3_callback(name, DMGL_PARAMS | DMGL_ANSI, take, &sink))
		return true;
	out->len = sink.start;
	return false;
}

void demangle_name(const char *name, struct buf *out)
{
	size_t len = demangle_parent_len(name);
	char copy[MAX_NAME];

	/* "_Z...", "_R...", and with one more underscore as some linkers leave them */
	if (len < sizeof(copy) && name[0] == '_' && (name[1] == 'Z' || name[1] == 'R')) {
		memcpy(copy, name, len);
		copy[len] = 0;
		if (run(copy, out) && out->len)
			return;
	}
	buf_add(out, name, len);
}
