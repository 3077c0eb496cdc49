// SPDX-License-Identifier: Apache-2.0
/* bianque stacks: every thread's stack now; stacks.c does the work. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/cli/cli.h"
#include "profiler/stacks.h"

#define CACHE_DIR    "/var/cache/bianque"
#define OUTPUT_BYTES ((size_t)64 << 10)

enum { ROW_JSON, ROW_STOP };

static const struct cli_option options[] = {
	[ROW_JSON] = {0, "json", NULL, "one JSON object a thread, each on a line"},
	[ROW_STOP] = {0, "stop", NULL, "stop the process by ptrace meanwhile: slow and exact"},
	{0},
};

static int print_threads(const struct stacks *s, bool as_json)
{
	struct buf out = {0};
	int err = 0;

	for (size_t i = 0; i < s->n && !err; i++) {
		if (as_json)
			stacks_json(s, &s->threads[i], &out);
		else
			stacks_text(s, &s->threads[i], &out);
		if (out.len < OUTPUT_BYTES && i + 1 < s->n)
			continue;
		err = out.err ? out.err : fs_write_all(STDOUT_FILENO, out.data, out.len);
		buf_reset(&out);
	}
	buf_fini(&out);
	if (err == -EPIPE)
		return EXIT_FAILED;
	return err ? cli_fail("the stacks cannot be written: %s", strerror(-err)) : EXIT_OK;
}

static void print_notes(const struct stacks *s)
{
	if (s->note)
		fprintf(stderr, "bianque: note: %s\n", s->note);
	if (s->no_kernel)
		fputs("bianque: note: kernel frames of blocked threads are left out: only root "
		      "with "
		      "CAP_SYS_ADMIN may read them\n",
		      stderr);
	if (s->n_ended)
		fprintf(stderr, "bianque: note: %zu threads ended meanwhile\n", s->n_ended);
	if (s->n_beyond)
		fprintf(stderr, "bianque: note: %zu threads beyond the first %u are left out\n",
			s->n_beyond, STACKS_MAX_THREADS);
	if (s->n_none)
		fprintf(stderr,
			"bianque: note: %zu threads ran all the time and could not be sampled; "
			"--stop "
			"shows them\n",
			s->n_none);
}

static int run_stacks(struct cli *cli)
{
	struct stacks_options o = {.cache_dir = geteuid() == 0 ? CACHE_DIR : NULL};
	struct stacks *stacks;
	bool as_json = false;
	char *why;
	int opt, status;
	__u64 pid;

	while ((opt = cli_next(cli)) != CLI_END) {
		if (opt < 0)
			return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
		if (opt == CLI_LONG(ROW_JSON))
			as_json = true;
		else
			o.stop = true;
	}
	if (cli->argc - cli->index != 1)
		return cli_bad_usage(cli, "one PID is needed");
	if (units_parse_u64(cli->argv[cli->index], &pid) || !pid || pid > INT32_MAX)
		return cli_bad_usage(cli, "'%s' is not a process id", cli->argv[cli->index]);
	o.pid = (pid_t)pid;
	if (stacks_take(&o, &stacks, &why)) {
		status = cli_fail("%s", why ? why : "out of memory");
		free(why);
		return status;
	}
	print_notes(stacks);
	status = print_threads(stacks, as_json);
	stacks_free(stacks);
	return status;
}

COMMAND(stacks, .args = "PID", .order = 30, .mixed = true,
	.summary = "print the stack of every thread of a process, now",
	.details = "A line `TID COMM` for each thread, then its frames, leaf first:\n"
		   "  FUNCTION (OBJECT) FILE:LINE\n"
		   "the kernel's first, inlined functions above the one that holds them. A stack "
		   "that is\n"
		   "not whole ends with [truncated] or [incomplete:REASON].\n\n"
		   "The process is never stopped: blocked threads are read from outside, one that "
		   "runs is\n"
		   "sampled once (frames beyond 60 KiB of its stack are read a moment later). With "
		   "--stop\n"
		   "every thread stands still meanwhile, and libunwind walks its stack.\n",
	.options = options, .run = run_stacks);
