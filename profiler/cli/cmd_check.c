// SPDX-License-Identifier: Apache-2.0
/* bianque check: what this host supports, what is off and why; check_host.c does the work. */
#include <stdio.h>
#include <string.h>

#include "profiler/check_host.h"
#include "profiler/cli/cli.h"
#include "profiler/config.h"

enum { ROW_JSON, ROW_CONFIG };

static const struct cli_option options[] = {
	[ROW_JSON] = {0, "json", NULL, "one JSON object"},
	[ROW_CONFIG] = {'c', "config", "FILE",
			"the agent's configuration (default " CONFIG_DEFAULT_PATH ",\n"
			"which may be missing)"},
	{0},
};

static int check(const struct config_source *source, bool as_json)
{
	struct buf out = {0}, errors = {0};
	struct config *config = config_load(source, &errors);
	struct host_report report;
	int status;

	if (!config) {
		fputs(errors.data ? errors.data : "bianque: out of memory\n", stderr);
		buf_fini(&errors);
		return EXIT_FAILED;
	}
	if (host_report_make(config, &report)) {
		config_free(config);
		return cli_fail("out of memory");
	}
	if (as_json)
		host_report_json(&report, &out);
	else
		host_report_text(&report, &out);
	status = report.works ? EXIT_OK : EXIT_FAILED;
	if (out.err)
		status = cli_fail("the report cannot be printed: %s", strerror(-out.err));
	else
		fputs(out.data, stdout);
	buf_fini(&out);
	buf_fini(&errors);
	host_report_free(&report);
	config_free(config);
	return status;
}

static int run_check(struct cli *cli)
{
	struct config_source source = {.path = CONFIG_DEFAULT_PATH, .may_be_missing = true};
	bool as_json = false;
	int opt;

	while ((opt = cli_next(cli)) != CLI_END) {
		if (opt < 0)
			return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
		if (opt == 'c') {
			source.path = cli->arg;
			source.may_be_missing = false;
		} else {
			as_json = true;
		}
	}
	if (cli->index != cli->argc)
		return cli_bad_usage(cli, "unexpected argument '%s'", cli->argv[cli->index]);
	return check(&source, as_json);
}

COMMAND(check, .args = "", .order = 70, .options = options,
	.summary = "show what this host supports, what is off and why",
	.details =
		"A line for each thing that decides what works: ok, degraded or off, and what was\n"
		"found; below it what is lost and what to do. Everything is probed now, as the "
		"user who\n"
		"asks: run it as the agent's user. Nothing is changed. Exit status 1 when "
		"profiling\n"
		"cannot work at all.\n",
	.run = run_check);
