// SPDX-License-Identifier: Apache-2.0
/* The rows of the core's sections, see config_core.h. */
#include "profiler/config_core.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int config_check_label(const char *name, char *error, size_t size)
{
	size_t len = strlen(name);

	if (!isalpha((unsigned char)name[0]) && name[0] != '_') {
		snprintf(error, size, "label name '%.60s' must begin with a letter", name);
		return -EINVAL;
	}
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
			snprintf(error, size,
				 "label name '%.60s' may hold letters, digits and _ only", name);
			return -EINVAL;
		}
	}
	if (!strncmp(name, "__", 2) || len > 128) {
		snprintf(error, size, "label name '%.60s' is %s", name,
			 len > 128 ? "longer than 128 bytes" : "reserved (it begins with __)");
		return -EINVAL;
	}
	return 0;
}

int config_check_url(const char *url, char *error, size_t size)
{
	const char *host = strstr(url, "://");
	size_t host_len;

	if (!*url)
		return 0;
	if (!host || (strncmp(url, "http://", 7) && strncmp(url, "https://", 8))) {
		snprintf(error, size, "'%.60s' is no URL; it begins with http:// or https://", url);
		return -EINVAL;
	}
	host += 3;
	host_len = strcspn(host, "/?#");
	if (memchr(host, '@', host_len)) {
		/* Not repeated: it holds a password. */
		snprintf(error, size,
			 "a user and password do not belong into a URL, which is shown and logged; "
			 "use 'user' and 'password_file' where the section has them");
		return -EINVAL;
	}
	if (!host_len || strpbrk(url, " ?#")) {
		snprintf(error, size, "'%.60s' is no URL of a server: %s", url,
			 host_len ? "spaces, ? and # are not allowed" : "the host is missing");
		return -EINVAL;
	}
	return 0;
}

static const struct option_row agent_rows[] = {
	OPTION_ROW(PATH, struct agent_config, state_dir, .def = "/var/lib/bianque",
		   .help = "folder of what must survive a restart: store and spools"),
	OPTION_ROW(PATH, struct agent_config, cache_dir, .def = "/var/cache/bianque",
		   .help = "folder of what can be made again: unwind rows and symbol indexes"),
	OPTION_ROW(MAP, struct agent_config, labels, .check_name = config_check_label,
		   .help = "labels put on every profile, like {env: prod}"),
	OPTION_ROW(FLOAT, struct agent_config, cpu_budget_pct, .def = "2", .min = "0.1",
		   .max = "1000", .unit = "% of one core",
		   .help = "the agent samples less and names less to stay below it"),
	OPTION_ROW(
		SIZE, struct agent_config, memory_budget_bytes, .def = "192MiB", .min = "32MiB",
		.help = "memory of the agent and its kernel maps; it drops caches to stay below"),
	{0},
};
CONFIG_SECTION(agent, struct agent_config, agent_rows, .order = 10, .help = "the agent itself");

/* What there is; a kind or label that is only planned is an error. */
static const char *const kinds[] = {"cpu", NULL};
static const char *const optional_labels[] = {"pid", "comm", NULL};

static const struct option_row profile_rows[] = {
	OPTION_ROW(U64, struct profile_config, hz, .def = "19", .min = "1", .max = "997",
		   .unit = "Hz", .help = "CPU samples a second on each CPU"),
	OPTION_ROW_NAMED(DURATION, struct profile_config, window_ns, "window", .def = "15s",
			 .min = "1s", .max = "5m",
			 .help = "time that one stored or pushed profile covers"),
	OPTION_ROW(LIST, struct profile_config, kinds, .choices = kinds, .def = "cpu",
		   .needs_item = true, .help = "kinds of profiles taken all the time"),
	OPTION_ROW(U64, struct profile_config, max_frames, .def = "1024", .min = "16",
		   .max = "1024", .unit = "frames",
		   .help = "deeper stacks are cut at the root side and marked [truncated]"),
	OPTION_ROW(LIST, struct profile_config, labels, .choices = optional_labels,
		   .help = "further labels; each value makes a series of its own on the server"),
	{0},
};
CONFIG_SECTION(profile, struct profile_config, profile_rows, .order = 30,
	       .help = "sampling and the windows it is cut into");

static const struct option_row symbols_rows[] = {
	OPTION_ROW(BOOL, struct symbols_config, inlines, .def = "true",
		   .help = "show functions that the compiler inlined, where debug info tells"),
	OPTION_ROW(LIST, struct symbols_config, debug_dirs, .def = "/usr/lib/debug",
		   .help = "folders with separate debug files"),
	OPTION_ROW(LIST, struct symbols_config, debuginfod_urls, .check = config_check_url,
		   .help = "debuginfod servers to fetch debug files from; empty: never"),
	OPTION_ROW(SIZE, struct symbols_config, cache_bytes, .def = "1GiB", .min = "16MiB",
		   .help = "size of the symbol cache on disk; the oldest files go first"),
	{0},
};
CONFIG_SECTION(symbols, struct symbols_config, symbols_rows, .order = 40,
	       .help = "names, files and lines of addresses; read at the start");

static const struct option_row store_rows[] = {
	OPTION_ROW(BOOL, struct store_config, enabled, .def = "true",
		   .help = "keep profiles on this host; read at the start"),
	OPTION_ROW_NAMED(DURATION, struct store_config, retention_ns, "retention", .def = "24h",
			 .min = "1h", .max = "90d",
			 .help = "recorded time after which profiles on this host are dropped: "
				 "setting the clock drops none"),
	OPTION_ROW(SIZE, struct store_config, max_bytes, .def = "2GiB", .min = "64MiB",
		   .help = "size at which the oldest profiles on this host are dropped"),
	{0},
};
CONFIG_SECTION(store, struct store_config, store_rows, .order = 60,
	       .help = "profiles kept on this host, under agent.state_dir");
