/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content negotiation (RFC 9110 section 12.5): how much a client wants what we could send. Pure
 * functions over header values of anybody's making; fuzzed. Header NULL = not sent.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

/* Weight 0-1000 that Accept gives to type/subtype; a range with `version` other than `version` does
 * not match. The most specific matching range decides (of equal ones the heaviest). *ret_exact: it
 * was named, not reached by a wildcard. */
unsigned http_accept_weight(const char *accept, const char *type, const char *version,
			    bool *ret_exact);
/* Whether Accept-Encoding takes gzip. */
bool http_accepts_gzip(const char *accept_encoding);
/* Whether a /metrics client wants OpenMetrics 1.0.0 rather than text 0.0.4. */
bool http_wants_openmetrics(const char *accept);
/* Whether an If-None-Match list holds the tag (given with its quotes; W/ is ignored) or is *. */
bool http_etag_matches(const char *if_none_match, const char *etag);
