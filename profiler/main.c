// SPDX-License-Identifier: Apache-2.0
/* bianque: the entry point. Commands live in profiler/cli/cmd_*.c and register themselves. */
#include <signal.h>

#include "profiler/cli/cli.h"

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error code, not our end */
	return cli_main(argc, argv);
}
