// SPDX-License-Identifier: Apache-2.0
/* bianque agent: the command line of the agent; agent.c is its life. */
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/log.h"
#include "profiler/cli/cli.h"

#define MAX_SETS 256

static const struct cli_option options[] = {
	{'c', "config", "FILE",
	 "configuration (default " CONFIG_DEFAULT_PATH ", which may be missing)"},
	{0, "set", "SECTION.KEY=VALUE", "set one key over the file; may be given several times"},
	{0},
};
enum { ROW_SET = 1 };

static int run_agent(struct cli *cli)
{
	static const char *sets[MAX_SETS];
	struct config_source source = {
		.path = CONFIG_DEFAULT_PATH,
		.may_be_missing = true,
		.sets = sets,
	};
	int opt;

	while ((opt = cli_next(cli)) != CLI_END) {
		if (opt < 0)
			return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
		if (opt == 'c') {
			source.path = cli->arg;
			source.may_be_missing = false;
		} else if (source.n_sets == MAX_SETS) {
			return cli_bad_usage(cli, "--set can be given %d times at most", MAX_SETS);
		} else {
			sets[source.n_sets++] = cli->arg;
		}
	}
	if (cli->index != cli->argc)
		return cli_bad_usage(cli, "unexpected argument '%s'", cli->argv[cli->index]);
	log_set_style(LOG_STYLE_AGENT);
	return agent_run(&source);
}

COMMAND(agent, .args = "", .order = 10, .summary = "run the agent in the foreground",
	.details =
		"Samples every CPU all the time, keeps and pushes profiles, serves HTTP (default\n"
		"http://127.0.0.1:19704/). SIGHUP reloads the configuration, SIGTERM and SIGINT "
		"end\n"
		"it within a second. `bianque config` explains every key, `bianque check` what "
		"this\n"
		"host supports.\n",
	.options = options, .run = run_agent);
