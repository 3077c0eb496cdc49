// SPDX-License-Identifier: Apache-2.0
/* Commands by registry, options and --help from their rows; see cli.h. */
#include "profiler/cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COMMANDS 32
#define MAX_OPTIONS  32

REGISTRY(commands, const struct command);

static int by_order(const void *pa, const void *pb)
{
	const struct command *a = *(const struct command *const *)pa;
	const struct command *b = *(const struct command *const *)pb;

	return a->order != b->order ? (a->order < b->order ? -1 : 1) : strcmp(a->name, b->name);
}

static size_t sorted_commands(const struct command *out[MAX_COMMANDS])
{
	size_t n = 0;

	registry_for_each (commands, it) {
		BUG_ON(n == MAX_COMMANDS);
		out[n++] = *it;
	}
	qsort(out, n, sizeof(*out), by_order);
	return n;
}

static void print_commands(FILE *to)
{
	const struct command *list[MAX_COMMANDS];
	size_t n = sorted_commands(list);

	fputs("Bianque: an always-on profiler and kernel observer for Linux.\n\n"
	      "usage: bianque COMMAND [OPTION]... [ARGUMENT]...\n\ncommands:\n",
	      to);
	for (size_t i = 0; i < n; i++)
		fprintf(to, "  %-10s %s\n", list[i]->name, list[i]->summary);
	fputs("\n`bianque help COMMAND` explains each.\n", to);
}

static size_t option_count(const struct command *command)
{
	size_t n = 0;

	while (command->options && (command->options[n].letter || command->options[n].name))
		n++;
	return n;
}

static void print_options(const struct command *command)
{
	size_t n = option_count(command);

	printf("\noptions:\n");
	for (size_t i = 0; i < n; i++) {
		const struct cli_option *o = &command->options[i];
		char left[64];
		const char *line = o->help;
		int len = 0;

		if (o->letter)
			len += snprintf(left, sizeof(left), "-%c%s", o->letter,
					o->name	 ? ", "
					: o->arg ? " "
						 : "");
		else
			len += snprintf(left, sizeof(left), "    ");
		if (o->name)
			len += snprintf(left + len, sizeof(left) - (size_t)len, "--%s%s", o->name,
					o->arg ? "=" : "");
		snprintf(left + len, sizeof(left) - (size_t)len, "%s", o->arg ? o->arg : "");
		for (bool first = true; line; first = false) {
			const char *end = strchr(line, '\n');

			printf("  %-28s %.*s\n", first ? left : "",
			       end ? (int)(end - line) : (int)strlen(line), line);
			line = end ? end + 1 : NULL;
		}
	}
	printf("  %-28s %s\n", "-h, --help", "show this and exit");
}

static void print_help(const struct command *command)
{
	printf("usage: bianque %s%s%s%s\n\n%c%s.\n", command->name,
	       option_count(command) ? " [OPTION]..." : "", *command->args ? " " : "",
	       command->args, toupper((unsigned char)command->summary[0]), command->summary + 1);
	if (command->details)
		printf("\n%s", command->details);
	print_options(command);
}

/* getopt's tables from the rows. Values: the letter, or CLI_LONG(row). */
static void make_getopt(const struct command *command, char *letters,
			struct option longs[MAX_OPTIONS + 2])
{
	size_t n = option_count(command), l = 0;

	BUG_ON(n > MAX_OPTIONS);
	if (!command->mixed)
		*letters++ = '+'; /* stop at the first argument */
	*letters++ = ':';
	*letters++ = 'h';
	for (size_t i = 0; i < n; i++) {
		const struct cli_option *o = &command->options[i];

		if (o->letter) {
			*letters++ = o->letter;
			if (o->arg)
				*letters++ = ':';
		}
		if (o->name)
			longs[l++] = (struct option){
				.name = o->name,
				.has_arg = o->arg ? required_argument : no_argument,
				.val = o->letter ? o->letter : CLI_LONG((int)i),
			};
	}
	*letters = 0;
	longs[l++] = (struct option){.name = "help", .val = 'h'};
	longs[l] = (struct option){0};
}

int cli_next(struct cli *cli)
{
	char letters[2 * MAX_OPTIONS + 4];
	struct option longs[MAX_OPTIONS + 2];
	int opt, at = optind ? optind : 1;

	make_getopt(cli->command, letters, longs);
	opterr = 0;
	opt = getopt_long(cli->argc, cli->argv, letters, longs, NULL);
	cli->arg = optarg;
	cli->index = optind;
	switch (opt) {
	case -1:
		cli->stopped = optind > 1 && optind <= cli->argc && at < optind &&
			       !strcmp(cli->argv[optind - 1], "--");
		return CLI_END;
	case 'h':
		print_help(cli->command);
		return CLI_HELP;
	case ':':
		cli_bad_usage(cli, "option '%s' needs an argument", cli->argv[optind - 1]);
		return CLI_BAD;
	case '?':
		if (optopt && optopt < 256)
			cli_bad_usage(cli, "unknown option '-%c'", optopt);
		else
			cli_bad_usage(cli, "unknown or ambiguous option '%s'",
				      cli->argv[optind - 1]);
		return CLI_BAD;
	default:
		return opt;
	}
}

int cli_bad_usage(const struct cli *cli, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "bianque %s: ", cli->command->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; see bianque %s --help\n", cli->command->name);
	return EXIT_USAGE;
}

int cli_fail(const char *fmt, ...)
{
	va_list args;

	fputs("bianque: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

/* A reader that went away or a full disk must not look like success. */
static int close_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		fprintf(stderr, "bianque: cannot write to standard output: %s\n", strerror(errno));
	return EXIT_FAILED;
}

int cli_main(int argc, char **argv)
{
	const struct command *list[MAX_COMMANDS];
	size_t n = sorted_commands(list);
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "help") && argc > 2) /* help COMMAND: COMMAND --help */
		return cli_main(3, (char *[]){argv[0], argv[2], (char[]){"--help"}, NULL});
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		print_commands(stdout);
		return close_stdout(EXIT_OK);
	}
	if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < n; i++) {
		struct cli cli = {.command = list[i], .argc = argc - 1, .argv = argv + 1};

		if (!strcmp(list[i]->name, name))
			return close_stdout(list[i]->run(&cli));
	}
	if (*name)
		fprintf(stderr, "bianque: unknown command '%s'; see bianque --help\n", name);
	else
		print_commands(stderr);
	return EXIT_USAGE;
}
