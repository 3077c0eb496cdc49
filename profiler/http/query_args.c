// SPDX-License-Identifier: Apache-2.0
/* What all routes about the past take, see query_args.h. */
#include "profiler/http/query_args.h"

#include <errno.h>
#include <string.h>

#include "profiler/base/clock.h"

static const char *const kinds[] = {"cpu"};

static bool parse_time(struct http_request *req, const char *name, const char *text, __u64 now_ns,
		       __u64 *ret_ns)
{
	int err = query_parse_time(text, now_ns, ret_ns);

	if (err)
		http_error(req, err == -ERANGE ? 422 : 400, "bad_time",
			   "%s: '%s' is %s; write 2026-11-21T22:00:00Z, unix seconds, now or "
			   "now-15m",
			   name, text, err == -ERANGE ? "out of range" : "no time");
	return !err;
}

bool query_args_range(struct http_request *req, const struct range_args *args,
		      const char **ret_kind, struct query_range *ret_range)
{
	__u64 now_ns = clock_realtime_ns();
	struct query_range range = {0};
	char error[256];
	int err;

	*ret_kind = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(args->kind, kinds[i]))
			*ret_kind = kinds[i];
	if (!*ret_kind) {
		http_error(req, 404, "unknown_kind",
			   "there is no kind '%s'; /api/v1/kinds lists "
			   "what there is",
			   args->kind);
		return false;
	}
	if (!parse_time(req, "from", args->from, now_ns, &range.from_ns) ||
	    !parse_time(req, "to", args->to, now_ns, &range.to_ns))
		return false;
	if (range.from_ns >= range.to_ns) {
		http_error(req, 400, "empty_range", "from (%s) is not before to (%s)", args->from,
			   args->to);
		return false;
	}
	err = selector_parse(args->match, &range.selector, error, sizeof(error), NULL);
	if (err == -EINVAL)
		http_error(req, 400, "bad_match", "match: %s", error);
	else if (err)
		http_error(req, 500, "no_memory", "no memory for the query; try again later");
	*ret_range = range;
	return !err;
}

void query_args_refuse(struct http_request *req, int err, const char *what, unsigned max)
{
	if (err == -EBUSY)
		http_error(req, 429, "too_many",
			   "%u %s are being made already; try again when one is", max, what);
	else
		http_error(req, 500, "no_memory", "no memory for %s; try again later", what);
}

void query_args_fail(struct http_request *req, int err, const char *what, const char *why)
{
	if (err == -ETIMEDOUT)
		http_error(req, 503, "too_slow", "%s", why);
	else if (err == -EINVAL)
		http_error(req, 422, "too_complex", "%s", why);
	else if (err == -EFBIG || err == -E2BIG)
		http_error(req, 413, "too_large", "%s", why);
	else
		http_error(req, 500, "failed", "the %s cannot be made: %s", what, why);
}
