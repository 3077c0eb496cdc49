/* SPDX-License-Identifier: Apache-2.0 */
/* What all routes about the past take: kind, from, to, match. */
#pragma once

#include "profiler/http/http.h"
#include "profiler/query/query.h"
#include "profiler/query/selector.h"

struct range_args {
	const char *kind, *from, *to, *match;
};

#define RANGE_ROWS(struct_)                                                                        \
	OPTION_ROW_NAMED(STRING, struct_, range.kind, "kind", .def = "cpu",                        \
			 .help = "of profile; /api/v1/kinds lists them"),                          \
		OPTION_ROW_NAMED(STRING, struct_, range.from, "from", .def = "now-15m",            \
				 .help = "RFC 3339, unix seconds, now or now-15m"),                \
		OPTION_ROW_NAMED(STRING, struct_, range.to, "to", .def = "now",                    \
				 .help = "the same; not in it"),                                   \
		OPTION_ROW_NAMED(STRING, struct_, range.match, "match", .def = "{}",               \
				 .help = "which series, e.g. {service_name=\"nginx\",pid=\"7\"}")

/* False when an error was answered. The selector is the caller's. */
bool query_args_range(struct http_request *req, const struct range_args *args,
		      const char **ret_kind, struct query_range *ret_range);

/* Answer a *_start that failed: 429 when max `what` (profiles) are being made, else 500. */
void query_args_refuse(struct http_request *req, int err, const char *what, unsigned max);
/* Answer one that was begun and failed; what: "profile". */
void query_args_fail(struct http_request *req, int err, const char *what, const char *why);
