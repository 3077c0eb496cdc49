// SPDX-License-Identifier: Apache-2.0
/* /proc/kallsyms, see kernel_symbols.h. A line: ADDRESS TYPE NAME [TAB [MODULE]]. Types t, T, w and
 * W are code (nm(1)); per-CPU and data symbols are not. */
#include "symbolize/kernel_symbols.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "symbolize/index_build.h"

#define ASK_LINES    4096u /* until it is asked whether anybody still wants them */
#define MAX_KALLSYMS ((size_t)256 << 20)
#define STEP_BYTES   ((size_t)256 << 10)
#define LAST_BYTES   ((__u64)4 << 20) /* how far the last symbol may reach */

struct kallsym {
	__u64 addr;
	const char *name, *module; /* of name_len and module_len bytes */
	size_t name_len, module_len;
	char type;
};

/* One line. False: not one of kallsyms. */
static bool parse_line(const char *s, const char *end, struct kallsym *sym)
{
	const char *tab;
	int digits = 0;

	*sym = (struct kallsym){0};
	for (; s < end && isxdigit((unsigned char)*s); s++, digits++)
		sym->addr = sym->addr << 4 |
			    (__u64)(isdigit((unsigned char)*s) ? *s - '0' : (*s | 32) - 'a' + 10);
	if (!digits || digits > 16 || end - s < 4 || s[0] != ' ' || s[2] != ' ')
		return false;
	sym->type = s[1];
	sym->name = s + 3;
	tab = memchr(sym->name, '\t', (size_t)(end - sym->name));
	sym->name_len = (size_t)((tab ? tab : end) - sym->name);
	if (tab && end - tab > 3 && tab[1] == '[' && end[-1] == ']') {
		sym->module = tab + 1;
		sym->module_len = (size_t)(end - sym->module);
	}
	return sym->name_len > 0;
}

static bool is_code(const struct kallsym *sym)
{
	return (sym->type | 32) == 't' || (sym->type | 32) == 'w';
}

static bool is_cancelled(const struct symbol_options *options)
{
	return options->cancelled && options->cancelled(options->arg);
}

/* Calls `add` for each code symbol. */
static int each_symbol(const char *data, size_t len, const struct symbol_options *options,
		       int (*add)(void *arg, struct kallsym *sym), void *arg)
{
	const char *at = data, *end = data + len;
	size_t lines = 0;
	int err = 0;

	while (at < end && !err) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct kallsym sym;

		if (!newline)
			newline = end;
		if (parse_line(at, newline, &sym) && is_code(&sym))
			err = add(arg, &sym);
		at = newline + 1;
		if (++lines % ASK_LINES == 0 && is_cancelled(options))
			return -ECANCELED;
	}
	return err;
}

struct extent {
	__u64 low, high, zeros, seen;
};

static int take_extent(void *arg, struct kallsym *sym)
{
	struct extent *e = arg;

	e->seen++;
	if (!sym->addr) {
		e->zeros++;
		return 0;
	}
	/* Kernel addresses have the top bit: what else a line says is no kernel text. */
	if (sym->addr >> 63) {
		e->low = MIN(e->low, sym->addr);
		e->high = MAX(e->high, sym->addr);
	}
	return 0;
}

static int take_symbol(void *arg, struct kallsym *sym)
{
	struct index_builder *b = arg;
	__u32 owner = index_string(b, sym->module, sym->module_len);
	size_t underscores = 0;

	while (underscores < sym->name_len && sym->name[underscores] == '_')
		underscores++;
	return index_symbol(b, sym->addr, 0, index_string(b, sym->name, sym->name_len), owner,
			    INDEX_SYMBOL_FUNCTION + (sym->type == 'T' ? INDEX_SYMBOL_GLOBAL : 0) +
				    7 - (__u32)MIN(underscores, (size_t)7));
}

static int build(struct index_builder *b, const char *data, size_t len,
		 const struct symbol_options *options, struct index *ret_index)
{
	struct extent extent = {.low = UINT64_MAX};
	struct index_range text;
	_close_ int fd = -1;
	int err = each_symbol(data, len, options, take_extent, &extent);

	if (err)
		return err;
	if (!extent.high)
		return extent.zeros ? -EACCES : -ENODATA;
	text.start = extent.low;
	if (__builtin_add_overflow(extent.high, LAST_BYTES, &text.end))
		text.end = UINT64_MAX;
	/* Modules and kernel lie within 2 GiB of each other; more is not this machine's layout. */
	if (text.end - text.start > UINT32_MAX)
		text.end = text.start + UINT32_MAX;
	err = index_builder_text(b, &text, 1);
	b->facts.flags = INDEX_HAS_SYMTAB | INDEX_HAS_OWNERS;
	if (!err)
		err = each_symbol(data, len, options, take_symbol, b);
	fd = scratch_open(options->scratch_dir, NULL);
	if (!err && fd < 0)
		err = fd;
	if (!err)
		err = index_builder_finish(b, fd);
	return err ? err : index_open(fd, NULL, ret_index);
}

int kernel_symbols_parse(const char *data, size_t len, const struct symbol_options *options,
			 struct symbol_object **ret_object)
{
	struct index_builder b;
	struct index index = {0};
	int err = index_builder_init(&b, options->scratch_dir);

	if (err)
		return err;
	err = build(&b, data, len, options, &index);
	index_builder_fini(&b);
	if (!err)
		err = symbol_object_of_index(&index, "[kernel]", options, ret_object);
	index_close(&index);
	return err;
}

/* /proc files have no size: copy into a scratch block first, 6 MB on a usual host. */
static int slurp(int fd, const struct symbol_options *options, struct scratch *ret_block)
{
	struct spill spill;
	_free_ char *step = malloc(STEP_BYTES);
	int err = step ? spill_init(&spill, options->scratch_dir) : -ENOMEM;

	if (err)
		return err;
	for (;;) {
		ssize_t n = read(fd, step, STEP_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? -errno : spill.err;
			break;
		}
		spill_add(&spill, step, (size_t)n);
		if (spill.len > MAX_KALLSYMS) {
			err = -EFBIG;
			break;
		}
		if (is_cancelled(options)) {
			err = -ECANCELED;
			break;
		}
	}
	if (!err)
		return scratch_take(&spill, ret_block);
	spill_fini(&spill);
	return err;
}

int kernel_symbols_open(const char *kallsyms, const struct symbol_options *options,
			struct symbol_object **ret_object)
{
	_close_ int fd = open(kallsyms ? kallsyms : "/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	struct scratch block;
	int err;

	if (fd < 0)
		return errno == EPERM ? -EACCES : -errno;
	err = slurp(fd, options, &block);
	if (err)
		return err;
	err = kernel_symbols_parse(block.data, block.size, options, ret_object);
	scratch_free(&block);
	return err;
}

const char *kernel_symbols_error(int err)
{
	switch (err) {
	case -EACCES:
		return "kernel addresses are hidden from this user (kernel.kptr_restrict); run as "
		       "root "
		       "with CAP_SYSLOG, and if it is 2, set it to 1 with sysctl";
	case -ENODATA:
		return "/proc/kallsyms names no code (a kernel without CONFIG_KALLSYMS?)";
	case -ENOENT:
		return "there is no /proc/kallsyms (a kernel without CONFIG_KALLSYMS, or no /proc)";
	default:
		return strerror(-err);
	}
}
