/* SPDX-License-Identifier: Apache-2.0 */
/* The http section of the configuration. */
#pragma once

#include "profiler/config.h"

struct http_config {
	const char *listen;
	const char *token_file; /* "": none */
	bool insecure;
	struct option_list allowed_hosts;
};

extern const struct config_section http_section;
