// SPDX-License-Identifier: Apache-2.0
/* bianque version: this build and the libraries it runs with. */
#include <stdio.h>
#include <bpf/libbpf.h>
#include <curl/curl.h>
#include <elfutils/version.h>
#include <microhttpd.h>
#include <sqlite3.h>
#include <zlib.h>

#include "profiler/cli/cli.h"

static int run_version(struct cli *cli)
{
	int opt = cli_next(cli);

	if (opt != CLI_END)
		return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
	if (cli->index != cli->argc)
		return cli_bad_usage(cli, "unexpected argument '%s'", cli->argv[cli->index]);
	printf("bianque %s\n", BIANQUE_VERSION);
	printf("libbpf %s, elfutils %d.%d, libcurl %s, libmicrohttpd %s, sqlite %s, zlib %s\n",
	       libbpf_version_string(), _ELFUTILS_VERSION / 1000, _ELFUTILS_VERSION % 1000,
	       curl_version_info(CURLVERSION_NOW)->version, MHD_get_version(), sqlite3_libversion(),
	       zlibVersion());
	return EXIT_OK;
}

COMMAND(version, .args = "", .order = 80, .summary = "print the version and those of its libraries",
	.run = run_version);
