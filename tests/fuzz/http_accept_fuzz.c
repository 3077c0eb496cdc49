// SPDX-License-Identifier: Apache-2.0
/* Accept, Accept-Encoding and If-None-Match of anybody's making. */
#include <stdlib.h>
#include <string.h>

#include "profiler/http/http_accept.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	bool exact;

	if (http_accept_weight(text, "text/plain", "0.0.4", &exact) > 1000)
		abort();
	if (http_wants_openmetrics(text) && !strcasestr(text, "application/openmetrics-text"))
		abort();
	if (http_accepts_gzip(text) && !strcasestr(text, "gzip") && !strchr(text, '*'))
		abort();
	if (http_etag_matches(text, "\"0123\"") && !strstr(text, "\"0123\"") && !strchr(text, '*'))
		abort();
	free(text);
	return 0;
}
