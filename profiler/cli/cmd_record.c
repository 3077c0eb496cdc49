// SPDX-License-Identifier: Apache-2.0
/* bianque record: the command line; record.c does the work. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/cgroup.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/record.h"
#include "profiler/export/export.h"

#define DEFAULT_SECONDS 10
#define DEFAULT_HZ	99
#define MAX_HZ		997
#define DEFAULT_FILE	"bianque.pb.gz"
#define CACHE_DIR	"/var/cache/bianque"
#define MIN_CONTAINER	4 /* characters of an id that is given in part */

enum { ROW_CGROUP = 5, ROW_CONTAINER };

static const struct cli_option options[] = {
	{'d', "duration", "TIME",
	 "how long: seconds, or with ms, s, m, h, d (default 10s;\nwith a COMMAND: until it "
	 "exits)"},
	{'F', "hz", "HZ", "samples a second on each CPU, 1 to 997 (default 99)"},
	{'k', "kind", "KIND", "what to record: cpu (default)"},
	{'a', "all", NULL, "the whole host (default)"},
	{'p', "pid", "PID,...", "these processes, all their threads"},
	{0, "cgroup", "PATH",
	 "the processes of a cgroup and those below it\n(a folder under /sys/fs/cgroup)"},
	{0, "container", "ID", "the processes of a container, by its id or the start of it"},
	{'o', "output", "FILE",
	 "write to FILE (- is standard output); its ending gives the format\n"
	 "(default: standard output, or " DEFAULT_FILE " for pprof)"},
	{'f', "format", "FORMAT", "pprof, folded, html, svg, speedscope, json or text"},
	{'q', "quiet", NULL, "no progress, no summary"},
	{0},
};

static int parse_pids(struct cli *cli, const char *list, struct record_request *q)
{
	char *copy = strdup(list);
	int status = copy ? EXIT_OK : EXIT_FAILED;

	for (char *rest, *s = copy ? strtok_r(copy, ",", &rest) : NULL; s;
	     s = strtok_r(NULL, ",", &rest)) {
		__u64 pid;

		if (units_parse_u64(s, &pid) || !pid || pid > INT32_MAX)
			status = cli_bad_usage(cli, "'%s' is not a process id", s);
		else if (q->n_keys == RECORD_MAX_PIDS)
			status = cli_bad_usage(cli, "at most %d processes", RECORD_MAX_PIDS);
		else if (kill((pid_t)pid, 0) && errno == ESRCH)
			status = cli_fail("there is no process %llu", (unsigned long long)pid);
		if (status)
			break;
		q->keys[q->n_keys++] = pid;
	}
	if (!status && !q->n_keys)
		status = cli_bad_usage(cli, "-p needs a process id");
	free(copy);
	return status;
}

static int set_cgroup(struct record_request *q, const char *path)
{
	__u64 id;
	int err = cgroup_find(path, &q->hierarchy, &id), n;

	if (err)
		return cli_fail(
			"'%s' is not a cgroup: %s; give a folder under /sys/fs/cgroup", path,
			err == -EINVAL ? "no cgroup hierarchy is mounted there" : strerror(-err));
	n = cgroup_tree_ids(path, q->keys, RECORD_MAX_PIDS);
	if (n < 0)
		return cli_fail("'%s': %s", path, strerror(-n));
	q->hierarchy_given = true;
	q->n_keys = (size_t)MIN(n, RECORD_MAX_PIDS); /* the rest follows while it records */
	q->cgroup = path;
	return EXIT_OK;
}

static int set_container(struct record_request *q, const char *id)
{
	static char path[4096];
	int n;

	if (strlen(id) < MIN_CONTAINER)
		return cli_fail("'%s': give at least %d characters of the container's id", id,
				MIN_CONTAINER);
	n = cgroup_of_container("/proc", id, path, sizeof(path));
	if (n == 0)
		return cli_fail("there is no running container '%s'", id);
	if (n > 1)
		return cli_fail("'%s' fits %d containers: give more of the id", id, n);
	return set_cgroup(q, path);
}

static int parse_number(struct cli *cli, int opt, struct record_request *q, bool *ret_duration)
{
	__u64 value;

	if (opt == 'F') {
		if (units_parse_u64(cli->arg, &value) || value < 1 || value > MAX_HZ)
			return cli_bad_usage(cli, "-F needs a number from 1 to %d, not '%s'",
					     MAX_HZ, cli->arg);
		q->hz = (unsigned)value;
		return EXIT_OK;
	}
	if (units_parse_duration(cli->arg, &value) || !value)
		return cli_bad_usage(cli, "-d needs a time such as 10, 500ms or 2m, not '%s'",
				     cli->arg);
	q->duration_ns = value;
	*ret_duration = true;
	return EXIT_OK;
}

struct parsed {
	struct record_request q;
	const char *pids, *cgroup, *container, *format;
	bool all, duration;
};

static int parse_option(struct cli *cli, int opt, struct parsed *p)
{
	switch (opt) {
	case 'd':
	case 'F':
		return parse_number(cli, opt, &p->q, &p->duration);
	case 'k':
		if (strcmp(cli->arg, "cpu") != 0)
			return cli_bad_usage(cli, "unknown kind '%s' (there is: cpu)", cli->arg);
		break;
	case 'a':
		p->all = true;
		break;
	case 'p':
		p->pids = cli->arg;
		break;
	case 'o':
		p->q.output = cli->arg;
		break;
	case 'f':
		p->format = cli->arg;
		break;
	case 'q':
		p->q.quiet = true;
		break;
	case CLI_LONG(ROW_CGROUP):
		p->cgroup = cli->arg;
		break;
	case CLI_LONG(ROW_CONTAINER):
		p->container = cli->arg;
		break;
	}
	return EXIT_OK;
}

static int unknown_ending(struct cli *cli, const char *path)
{
	char endings[128];
	size_t len = 0;

	for (const struct export_format *f = export_formats; f->name && len < sizeof(endings); f++)
		len += (size_t)snprintf(endings + len, sizeof(endings) - len, "%s%s",
					len ? ", " : "", f->ending);
	return cli_bad_usage(cli, "the ending of '%s' gives no format (%s): give -f FORMAT", path,
			     endings);
}

static int choose_format(struct cli *cli, struct parsed *p)
{
	struct record_request *q = &p->q;

	if (!p->format && (!q->output || !strcmp(q->output, "-")))
		p->format = "pprof";
	q->format = p->format ? export_format_find(p->format) : export_format_of_path(q->output);
	if (!q->format && p->format)
		return cli_bad_usage(cli, "unknown format '%s'", p->format);
	if (!q->format)
		return unknown_ending(cli, q->output);
	if (!q->output)
		q->output = q->format->text ? "-" : DEFAULT_FILE;
	if (!strcmp(q->output, "-") && !q->format->text && isatty(STDOUT_FILENO))
		return cli_bad_usage(cli, "%s is not for a terminal: give -o FILE",
				     q->format->name);
	return EXIT_OK;
}

static int choose_target(struct cli *cli, struct parsed *p)
{
	struct record_request *q = &p->q;
	bool command = cli->index < cli->argc;
	int n = p->all + !!p->pids + !!p->cgroup + !!p->container + command;

	if (command && !cli->stopped)
		return cli_bad_usage(cli, "unexpected argument '%s' (a command goes behind --)",
				     cli->argv[cli->index]);
	if (cli->stopped && !command)
		return cli_bad_usage(cli, "a command is missing behind --");
	if (n > 1)
		return cli_bad_usage(cli,
				     "only one of -a, -p, --cgroup, --container and a COMMAND");
	if (!p->duration && !command)
		q->duration_ns = DEFAULT_SECONDS * NS_PER_S;
	if (command) {
		q->target = TARGET_TREE;
		q->command = cli->argv + cli->index;
	} else if (p->pids) {
		q->target = TARGET_PIDS;
		return parse_pids(cli, p->pids, q);
	} else if (p->cgroup || p->container) {
		q->target = TARGET_CGROUP;
		return p->cgroup ? set_cgroup(q, p->cgroup) : set_container(q, p->container);
	}
	return EXIT_OK;
}

static int run_record(struct cli *cli)
{
	static struct parsed p = {.q = {.hz = DEFAULT_HZ, .cache_dir = CACHE_DIR}};
	int opt, status;

	while ((opt = cli_next(cli)) != CLI_END) {
		if (opt < 0)
			return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
		status = parse_option(cli, opt, &p);
		if (status)
			return status;
	}
	status = choose_format(cli, &p);
	if (!status)
		status = choose_target(cli, &p);
	return status ? status : record_run(&p.q);
}

COMMAND(record, .args = "[-- COMMAND ARG...]", .order = 20,
	.summary = "record a profile and write it to a file",
	.details = "Needs no running agent. Samples every CPU, unwinds kernel and user stacks "
		   "without frame\n"
		   "pointers, and names functions with inlined ones and lines. With a COMMAND: its "
		   "whole\n"
		   "process tree, from its first instruction to its exit. Ctrl-C, or closing the "
		   "terminal,\n"
		   "ends the recording and writes what there is. The exit status is that of the "
		   "recording;\n"
		   "how the COMMAND ended is said behind the summary.\n\n"
		   "  bianque record                        the host for 10 s, into bianque.pb.gz\n"
		   "  bianque record -o cpu.html -- ./prog  a flame graph of one program\n"
		   "  bianque record -p 1234 -f folded      stacks as lines on standard output\n",
	.options = options, .run = run_record);
