// SPDX-License-Identifier: Apache-2.0
/* Rows of the http section; what may be heard from outside needs a token, see http_config.h. */
#include "profiler/http/http_config.h"

#include <errno.h>
#include <stdio.h>

#include "profiler/http/http_listen.h"

static int check_listen(const char *text, char *error, size_t size)
{
	struct http_address address;

	return http_address_parse(text, &address, error, size);
}

static const struct option_row rows[] = {
	OPTION_ROW(STRING, struct http_config, listen, .def = "127.0.0.1:19704",
		   .check = check_listen, .help = "address and port of the HTTP server"),
	OPTION_ROW(PATH, struct http_config, token_file, .may_be_empty = true, .is_secret = true,
		   .help = "file with the bearer token that clients must send"),
	OPTION_ROW(BOOL, struct http_config, insecure,
		   .help = "serve other hosts without a token: whoever reaches the port sees all"),
	OPTION_ROW(LIST, struct http_config, allowed_hosts,
		   .help = "names in the Host header to accept besides addresses and localhost"),
	{0},
};

static int check(const void *values, char *error, size_t size)
{
	const struct http_config *config = values;
	struct http_address address;
	int err = http_address_parse(config->listen, &address, error, size);

	if (err || address.loopback || *config->token_file || config->insecure)
		return err;
	snprintf(
		error, size,
		"listen '%s' can be reached from other hosts: set token_file, or insecure: true to "
		"serve everybody",
		config->listen);
	return -EINVAL;
}

CONFIG_SECTION(http, struct http_config, rows, .order = 20, .check = check,
	       .help = "the page, the API and /metrics");
