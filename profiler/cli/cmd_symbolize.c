// SPDX-License-Identifier: Apache-2.0
/*
 * bianque symbolize: addresses on stdin to functions, lines and inline chains, in the shape of
 * DESIGN's interface chapter. Answers leave when stdin has nothing more to read at once, so a
 * program at the other end of a pipe gets each answer, and a bulk run is written in blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/base/json.h"
#include "profiler/base/plain.h"
#include "profiler/cli/cli.h"
#include "symbolize/debug_file.h"
#include "symbolize/kernel_symbols.h"
#include "symbolize/process_symbols.h"

#define CACHE_DIR    "/var/cache/bianque/symbols"
#define INPUT_BYTES  ((size_t)64 << 10)
#define OUTPUT_BYTES ((size_t)64 << 10)
#define MAX_LINE     256u

enum option_row {
	ROW_FILE,
	ROW_PID,
	ROW_KERNEL,
	ROW_INLINES,
	ROW_JSON,
	ROW_RAW,
	ROW_STATUS,
	ROW_DEBUGINFOD,
	ROW_CACHE,
	ROW_NO_CACHE,
};

static const struct cli_option option_rows[] = {
	[ROW_FILE] = {'e', "exe", "FILE", "addresses are ELF virtual addresses of FILE"},
	[ROW_PID] = {'p', "pid", "PID", "addresses are run-time addresses of a process"},
	[ROW_KERNEL] = {'k', "kernel", NULL, "addresses are the kernel's"},
	[ROW_INLINES] = {'i', "inlines", NULL, "the inlined functions too, innermost first"},
	[ROW_JSON] = {0, "json", NULL, "one JSON object a line"},
	[ROW_RAW] = {0, "raw", NULL, "names as they stand in the file, not demangled"},
	[ROW_STATUS] = {0, "status", NULL, "say on stderr what each object has and lacks, and why"},
	[ROW_DEBUGINFOD] = {0, "debuginfod", NULL,
			    "ask the servers of $DEBUGINFOD_URLS for missing debug files"},
	[ROW_CACHE] = {0, "cache", "DIR", "keep indexes in DIR (default: " CACHE_DIR ")"},
	[ROW_NO_CACHE] = {0, "no-cache", NULL, "keep nothing on disk"},
	{0},
};

struct options {
	const char *file, *cache_dir;
	pid_t pid;
	bool kernel, inlines, json, raw, status, debuginfod, no_cache;
};

struct session {
	struct options options;
	struct index_cache cache;
	struct symbol_cache objects;
	struct symbol_object *object; /* -e, -k */
	struct process_symbols *process;
	char build_id[2 * ELF_BUILD_ID_MAX + 1];
	const char *path;
	struct buf out;
	bool bad;
	/* the answer at hand */
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	size_t n;
	const char *found_object, *found_id;
};

static void print_json(struct session *s, __u64 addr)
{
	struct json j = json_into(&s->out);
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)addr);
	json_object(&j, NULL);
	json_str(&j, "address", text);
	json_array(&j, "frames");
	for (size_t i = s->options.inlines || !s->n ? 0 : s->n - 1; i < s->n; i++) {
		const struct symbol_frame *f = &s->frames[i];

		json_object(&j, NULL);
		json_str(&j, "function", f->function);
		json_str(&j, "file", f->file);
		json_u64(&j, "line", f->line);
		json_u64(&j, "column", f->column);
		json_bool(&j, "inlined", f->inlined);
		json_end(&j);
	}
	json_end(&j);
	json_str(&j, "object", s->found_object);
	json_str(&j, "build_id", s->found_id);
	json_end(&j);
	buf_char(&s->out, '\n');
}

static void print_text(struct session *s)
{
	size_t first = s->options.inlines || !s->n ? 0 : s->n - 1;

	if (!s->n)
		buf_str(&s->out, "[unknown] at ??:0\n");
	for (size_t i = first; i < s->n; i++) {
		const struct symbol_frame *f = &s->frames[i];

		buf_str(&s->out, i > first ? " (inlined by) " : "");
		put_plain(&s->out, f->function);
		buf_str(&s->out, " at ");
		put_plain(&s->out, *f->file ? f->file : "??");
		buf_printf(&s->out, ":%u\n", f->line);
	}
}

static void print_error(struct session *s, const char *line, const char *why)
{
	struct json j = json_into(&s->out);

	s->bad = true;
	if (!s->options.json) {
		buf_str(&s->out, "error: '");
		put_plain(&s->out, line);
		buf_printf(&s->out, "' %s\n", why);
		return;
	}
	json_object(&j, NULL);
	json_str(&j, "address", line);
	json_str(&j, "error", why);
	json_end(&j);
	buf_char(&s->out, '\n');
}

static void answer(struct session *s, const char *line)
{
	__u64 addr;
	int err = units_parse_hex(line, &addr);

	if (err) {
		print_error(s, line,
			    err == -ERANGE ? "is more than 64 bits"
					   : "is not a hexadecimal address");
		return;
	}
	s->found_object = s->path;
	s->found_id = s->build_id;
	if (s->process) {
		s->n = process_symbols_find(s->process, addr, s->frames, &s->found_object,
					    &s->found_id);
	} else {
		s->n = symbol_object_find(s->object, addr, s->frames);
		if (s->options.kernel && *symbol_object_owner(s->object, addr))
			s->found_object = symbol_object_owner(s->object, addr);
	}
	if (s->options.json)
		print_json(s, addr);
	else
		print_text(s);
}

/* ---- input ----------------------------------------------------------------------------------- */

static int flush(struct session *s)
{
	int err = s->out.err ? s->out.err : fs_write_all(STDOUT_FILENO, s->out.data, s->out.len);

	buf_reset(&s->out);
	return err;
}

static bool input_waits(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static void take_line(struct session *s, char *line, size_t len)
{
	while (len && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	line[len] = 0;
	line += strspn(line, " \t");
	if (strlen(line) > MAX_LINE)
		line[MAX_LINE] = 0;
	answer(s, line);
}

/* Lines out of the block; what is left of an unfinished one moves to its front. */
static int take_block(struct session *s, char *block, size_t *len, bool last)
{
	char *at = block, *end = block + *len;
	int err = 0;

	while (at < end && !err) {
		char *newline = memchr(at, '\n', (size_t)(end - at));

		if (!newline && !last && (at > block || *len < INPUT_BYTES))
			break;
		if (!newline)
			newline = end;
		take_line(s, at, (size_t)(newline - at));
		at = newline + 1;
		if (s->out.len > OUTPUT_BYTES)
			err = flush(s);
	}
	*len = at < end ? (size_t)(end - at) : 0;
	memmove(block, at, *len);
	return err;
}

static int run_input(struct session *s)
{
	_free_ char *block = malloc(INPUT_BYTES + 1);
	size_t len = 0;
	int err = block ? 0 : -ENOMEM;

	while (!err) {
		ssize_t n;

		if (s->out.len && input_waits()) {
			err = flush(s);
			if (err)
				break;
		}
		n = read(STDIN_FILENO, block + len, INPUT_BYTES - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cli_fail("cannot read standard input: %s", strerror(errno));
		len += (size_t)n;
		err = take_block(s, block, &len, n == 0);
		if (n == 0)
			break;
	}
	if (!err)
		err = flush(s);
	if (err == -EPIPE)
		return EXIT_FAILED;
	if (err)
		return cli_fail("cannot write the answers: %s", strerror(-err));
	return s->bad ? EXIT_FAILED : EXIT_OK;
}

/* ---- what the addresses belong to ------------------------------------------------------------ */

static void print_status(const struct symbol_object *object)
{
	struct buf line = {0};
	struct symbol_info i;

	symbol_object_info(object, &i);
	buf_printf(&line,
		   "%s: %u symbols, %u functions, %u units (%u unreadable)%s%s%s%s, index %llu "
		   "bytes%s%s%s%s%s",
		   i.path, i.n_symbols, i.n_functions, i.n_units, i.n_bad_units,
		   i.flags & INDEX_HAS_LINES ? ", lines" : "",
		   i.flags & INDEX_HAS_INLINES ? ", inlines" : "",
		   i.flags & INDEX_HAS_GO ? ", Go tables" : "",
		   i.flags & INDEX_HAS_MINI ? ", MiniDebugInfo" : "",
		   (unsigned long long)i.index_bytes,
		   i.from_cache ? " (from the cache)"
		   : i.stored	? " (stored)"
				: " (not kept)",
		   *i.debug_file ? ", debug file " : "", i.debug_file, *i.note ? "; " : "", i.note);
	if (!line.err)
		fprintf(stderr, "%.*s\n", (int)plain_text(line.data, line.data, line.len),
			line.data);
	buf_fini(&line);
}

static int open_file(struct session *s)
{
	_close_ int fd = open(s->options.file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_free_ char *full = realpath(s->options.file, NULL);
	enum elf_refusal why = ELF_REFUSAL_NONE;
	struct symbol_info info;
	int err;

	if (fd < 0)
		return cli_fail("cannot open '%s': %s", s->options.file, strerror(errno));
	err = symbol_object_open(fd, full ? full : s->options.file, DEBUG_ROOT_HOST,
				 &s->objects.options, &s->object, &why);
	if (err == -ENODATA)
		return cli_fail("'%s' has no code to symbolize", s->options.file);
	if (err)
		return cli_fail("'%s': %s", s->options.file,
				why ? elf_refusal_text(why) : strerror(-err));
	symbol_object_info(s->object, &info);
	snprintf(s->build_id, sizeof(s->build_id), "%s", info.build_id);
	s->path = s->options.file;
	return EXIT_OK;
}

static int open_source(struct session *s)
{
	int err;

	if (s->options.file)
		return open_file(s);
	if (s->options.kernel) {
		err = kernel_symbols_open(NULL, &s->objects.options, &s->object);
		s->path = "[kernel]";
		return err ? cli_fail("no kernel symbols: %s", kernel_symbols_error(err)) : EXIT_OK;
	}
	err = process_symbols_open(s->options.pid, &s->objects, &s->process);
	if (err == -ESRCH)
		return cli_fail("there is no process %d", s->options.pid);
	if (err)
		return cli_fail("cannot read the mappings of process %d: %s; run as root or as its "
				"owner",
				s->options.pid, strerror(-err));
	s->path = "";
	return EXIT_OK;
}

static int parse_options(struct cli *cli, struct options *o)
{
	__u64 pid;
	int opt;

	while ((opt = cli_next(cli)) != CLI_END) {
		switch (opt) {
		case CLI_HELP:
			return CLI_HELP;
		case 'e':
			o->file = cli->arg;
			break;
		case 'p':
			if (units_parse_u64(cli->arg, &pid) || !pid || pid > INT32_MAX)
				return cli_bad_usage(cli, "'%s' is not a process number", cli->arg);
			o->pid = (pid_t)pid;
			break;
		case 'k':
			o->kernel = true;
			break;
		case 'i':
			o->inlines = true;
			break;
		case CLI_LONG(ROW_JSON):
			o->json = true;
			break;
		case CLI_LONG(ROW_RAW):
			o->raw = true;
			break;
		case CLI_LONG(ROW_STATUS):
			o->status = true;
			break;
		case CLI_LONG(ROW_DEBUGINFOD):
			o->debuginfod = true;
			break;
		case CLI_LONG(ROW_CACHE):
			o->cache_dir = cli->arg;
			break;
		case CLI_LONG(ROW_NO_CACHE):
			o->no_cache = true;
			break;
		default:
			return EXIT_USAGE;
		}
	}
	if (cli->index != cli->argc)
		return cli_bad_usage(cli,
				     "unexpected argument '%s'; addresses come on standard input",
				     cli->argv[cli->index]);
	if (!!o->file + !!o->pid + o->kernel != 1)
		return cli_bad_usage(cli, "one of -e FILE, -p PID and -k is needed");
	return EXIT_OK;
}

static int run_session(struct session *s)
{
	const char *dir = s->options.cache_dir ? s->options.cache_dir : CACHE_DIR;
	struct symbol_options symbols = {
		.debuginfod = s->options.debuginfod,
		.raw_names = s->options.raw,
	};
	int err = 0, status;

	/* The default folder is root's; anybody else does without unless a folder is given. */
	if (!s->options.no_cache && (s->options.cache_dir || geteuid() == 0)) {
		err = index_cache_open(&s->cache, dir, 0);
		if (err && s->options.cache_dir)
			return cli_fail("cannot use the cache folder '%s': %s", dir,
					fs_own_dir_error(err));
		if (err == -EPERM)
			log_warn(symbol, "cache folder '%s' cannot be used (%s); going on without",
				 dir, fs_own_dir_error(err));
		if (!err) {
			symbols.cache = &s->cache;
			symbols.scratch_dir = s->cache.dir;
		}
	}
	symbol_cache_init(&s->objects, &symbols, 0, 0);
	status = open_source(s);
	if (status == EXIT_OK)
		status = run_input(s);
	if (s->object && s->options.status)
		print_status(s->object);
	if (s->options.status)
		symbol_cache_each(&s->objects, print_status);
	process_symbols_free(s->process);
	symbol_object_free(s->object);
	symbol_cache_fini(&s->objects);
	index_cache_close(&s->cache);
	buf_fini(&s->out);
	return status;
}

static int run_symbolize(struct cli *cli)
{
	struct session *s = calloc(1, sizeof(*s));
	int status;

	if (!s)
		return cli_fail("out of memory");
	status = parse_options(cli, &s->options);
	if (status == EXIT_OK)
		status = run_session(s);
	else if (status == CLI_HELP)
		status = EXIT_OK;
	free(s);
	return status;
}

COMMAND(symbolize, .args = "(-e FILE | -p PID | -k) < ADDRESSES", .order = 40,
	.summary = "turn addresses into functions, lines and inline chains",
	.details =
		"Reads hexadecimal addresses, one a line, with or without 0x, and answers in their "
		"order:\n"
		"  FUNCTION at FILE:LINE\n"
		"and with -i ` (inlined by) FUNCTION at FILE:LINE` for each caller it was inlined "
		"into.\n"
		"Without -i only the physical function is named, with the line in it where the "
		"address\n"
		"is or where the inlined call stands. An unknown file is ??, an unknown line 0.\n"
		"A line that is no address gives an error in its place and exit status 1 at the "
		"end.\n",
	.options = option_rows, .run = run_symbolize);
