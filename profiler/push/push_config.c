// SPDX-License-Identifier: Apache-2.0
/* Rows of the pyroscope section, see push_config.h. */
#include "profiler/push/push_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profiler/config_core.h"

/* What Pyroscope (and Mimir, Loki) take as X-Scope-OrgID: at most 150 of these characters. */
static int check_tenant(const char *text, char *error, size_t size)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("!-_.*'()", text[i])) {
			snprintf(error, size,
				 "tenant '%.60s' may hold letters, digits and !-_.*'() only", text);
			return -EINVAL;
		}
	}
	if (len > 150 || !strcmp(text, ".") || !strcmp(text, "..")) {
		snprintf(error, size, "tenant '%.60s' is %s", text,
			 len > 150 ? "longer than 150 bytes" : "no name");
		return -EINVAL;
	}
	return 0;
}

static int check_user(const char *text, char *error, size_t size)
{
	if (!strchr(text, ':'))
		return 0;
	snprintf(error, size, "user '%.60s' may not hold a colon", text);
	return -EINVAL;
}

static const struct option_row rows[] = {
	OPTION_ROW(STRING, struct push_config, url, .check = config_check_url,
		   .help = "server, like http://pyroscope:4040; none: profiles stay on this host"),
	OPTION_ROW(STRING, struct push_config, tenant, .check = check_tenant,
		   .help = "tenant (X-Scope-OrgID), where the server has several"),
	OPTION_ROW(STRING, struct push_config, user, .check = check_user,
		   .help = "user of basic authentication"),
	OPTION_ROW(PATH, struct push_config, password_file, .may_be_empty = true, .is_secret = true,
		   .help = "file with the password of basic authentication"),
	OPTION_ROW(PATH, struct push_config, token_file, .may_be_empty = true, .is_secret = true,
		   .help = "file with a bearer token, instead of user and password"),
	OPTION_ROW(PATH, struct push_config, ca_file, .may_be_empty = true,
		   .help = "PEM file with the authorities to trust instead of the system's"),
	OPTION_ROW_NAMED(DURATION, struct push_config, timeout_ns, "timeout", .def = "10s",
			 .min = "100ms", .max = "5m",
			 .help = "longest time that one request may take"),
	OPTION_ROW(U64, struct push_config, concurrency, .def = "4", .min = "1", .max = "32",
		   .unit = "requests", .help = "requests under way at a time"),
	OPTION_ROW(SIZE, struct push_config, queue_bytes, .def = "16MiB", .min = "4MiB",
		   .max = "1GiB", .help = "memory for profiles that wait to be sent"),
	OPTION_ROW(SIZE, struct push_config, spool_bytes, .def = "256MiB", .max = "64GiB",
		   .help = "disk for profiles while the server is away; 0: none"),
	OPTION_ROW_NAMED(
		DURATION, struct push_config, spool_age_ns, "spool_age", .def = "1h", .min = "1m",
		.max = "7d",
		.help = "older profiles are dropped: the server refuses them (its limit is 1h)"),
	{0},
};

static int check(const void *values, char *error, size_t size)
{
	const struct push_config *c = values;
	const char *why = NULL;

	if (*c->token_file && (*c->user || *c->password_file))
		why = "token_file stands instead of user and password_file; keep one of them";
	else if (!*c->user != !*c->password_file)
		why = "user and password_file belong together; set both";
	else if (*c->ca_file && strncmp(c->url, "https://", 8))
		why = "ca_file needs an https:// url";
	else if (c->spool_bytes && c->spool_bytes < 4 << 20)
		why = "spool_bytes must be 0 or at least 4MiB";
	if (!why)
		return 0;
	snprintf(error, size, "%s", why);
	return -EINVAL;
}

CONFIG_SECTION(pyroscope, struct push_config, rows, .order = 50, .check = check,
	       .help = "pushing profiles to a Pyroscope server");
