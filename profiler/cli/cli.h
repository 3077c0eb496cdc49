/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: each command is one file that registers itself with its options, from which
 * parsing and --help are made. Exit status: 0 ok, 1 failed, 2 bad usage.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"
#include "profiler/base/registry.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cli_option {
	char letter;	  /* 0: long only */
	const char *name; /* without dashes */
	const char *arg;  /* placeholder of its argument; NULL: a flag */
	const char *help;
};

struct cli {
	const struct command *command;
	int argc;
	char **argv;	 /* argv[0] is the command's name */
	int index;	 /* of the first argument that is not an option, once cli_next ended */
	const char *arg; /* of the option just read */
	bool stopped;	 /* at `--` */
};

struct command {
	const char *name;
	const char *args;    /* what follows the options in the usage line; "" for nothing */
	const char *summary; /* one line, no full stop */
	const char *details; /* paragraphs for --help; may be NULL */
	const struct cli_option *options; /* ends with an empty row; may be NULL */
	bool mixed;			  /* options may stand behind arguments, too */
	int order;			  /* in the list of commands */
	int (*run)(struct cli *cli);	  /* the exit status */
};

#define COMMAND(name_, ...)                                                                        \
	static const struct command name_##_command = {.name = #name_, __VA_ARGS__};               \
	REGISTER(commands, const struct command, name_##_command)

enum { CLI_END = 0, CLI_BAD = -1, CLI_HELP = -2 };

/* The next option: its letter, or 256 + its row for a long-only one; CLI_END when arguments follow
 * (cli->index); CLI_BAD after an error was printed (return EXIT_USAGE); CLI_HELP after --help was
 * answered (return EXIT_OK). */
int cli_next(struct cli *cli);
#define CLI_LONG(row) (256 + (row))

/* Print "bianque COMMAND: text" and a pointer to --help; returns EXIT_USAGE. */
int cli_bad_usage(const struct cli *cli, const char *fmt, ...) PRINTF(2, 3);
/* Print "bianque: text" on stderr; returns EXIT_FAILED. */
int cli_fail(const char *fmt, ...) PRINTF(1, 2);

int cli_main(int argc, char **argv);
