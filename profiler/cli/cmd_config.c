// SPDX-License-Identifier: Apache-2.0
/* bianque config: the keys, the values in force, and whether a file is good; from the option rows.
 */
#include <stdio.h>
#include <string.h>

#include "profiler/cli/cli.h"
#include "profiler/config.h"

#define MAX_SETS 64

enum { OPT_DUMP, OPT_CHECK, OPT_CONFIG, OPT_SET };

static const struct cli_option options[] = {
	[OPT_DUMP] = {.name = "dump", .help = "print the values in force as a YAML file"},
	[OPT_CHECK] =
		{.name = "check",
		 .arg = "FILE",
		 .help = "load FILE as the agent does, with the files of secrets that it names;\n"
			 "errors go to stderr, exit 1 if there are any"},
	[OPT_CONFIG] = {.letter = 'c',
			.name = "config",
			.arg = "FILE",
			.help = "with --dump: this file instead of\n" CONFIG_DEFAULT_PATH},
	[OPT_SET] = {.name = "set",
		     .arg = "KEY=VALUE",
		     .help = "with --dump: override SECTION.KEY (may be repeated)"},
	{0},
};

static int print_loaded(const struct config_source *source, bool dump)
{
	struct buf errors = {0}, out = {0};
	struct config *config = config_load(source, &errors);
	int status = EXIT_OK;

	if (!config) {
		fputs(errors.data ? errors.data : "bianque: out of memory\n", stderr);
		status = EXIT_FAILED;
	} else if (dump) {
		config_dump(config, &out);
		fputs(out.err ? "" : out.data, stdout);
		if (out.err)
			status = cli_fail("cannot print the configuration: %s", strerror(-out.err));
	}
	config_free(config);
	buf_fini(&errors);
	buf_fini(&out);
	return status;
}

static int print_keys(void)
{
	struct buf out = {0};
	int status = EXIT_OK;

	config_describe(&out);
	if (out.err)
		status = cli_fail("cannot print the keys: %s", strerror(-out.err));
	else
		fputs(out.data, stdout);
	buf_fini(&out);
	return status;
}

static int run_config(struct cli *cli)
{
	const char *sets[MAX_SETS], *check = NULL;
	struct config_source source = {
		.path = CONFIG_DEFAULT_PATH, .may_be_missing = true, .sets = sets};
	bool dump = false, only_dump = false;
	int opt;

	while ((opt = cli_next(cli)) != CLI_END) {
		switch (opt) {
		case CLI_LONG(OPT_DUMP):
			dump = true;
			break;
		case CLI_LONG(OPT_CHECK):
			check = cli->arg;
			break;
		case 'c':
			source.path = cli->arg;
			source.may_be_missing = false;
			only_dump = true;
			break;
		case CLI_LONG(OPT_SET):
			if (source.n_sets == MAX_SETS)
				return cli_bad_usage(cli, "more than %d times --set", MAX_SETS);
			sets[source.n_sets++] = cli->arg;
			only_dump = true;
			break;
		default:
			return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
		}
	}
	if (cli->index != cli->argc)
		return cli_bad_usage(cli, "unexpected argument '%s'", cli->argv[cli->index]);
	if (check && (dump || only_dump))
		return cli_bad_usage(cli, "--check FILE takes no other option");
	if (only_dump && !dump)
		return cli_bad_usage(cli, "-c and --set need --dump");
	if (check)
		return print_loaded(&(struct config_source){.path = check, .check_secrets = true},
				    false);
	return dump ? print_loaded(&source, true) : print_keys();
}

COMMAND(config, .args = "", .order = 75, .options = options,
	.summary = "explain, print or check the configuration",
	.details = "Without options: every key with its type, range, unit, default and meaning.\n",
	.run = run_config);
