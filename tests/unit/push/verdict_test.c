// SPDX-License-Identifier: Apache-2.0
#include "profiler/push/push_verdict.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/base/clock.h"
#include "tests/unit/test.h"

#define NOW		(1700000000ULL * NS_PER_S) /* 2023-11-14T22:13:20Z */
#define MSG(code, text) "{\"code\":\"" code "\",\"message\":\"" text "\"}"

static const struct {
	unsigned status;
	const char *retry_after, *body;
	__u64 raw_bytes;
	enum push_action action;
	enum push_reason reason;
	__u64 wait_ms;
	bool uncertain;
} rows[] = {
	{200, NULL, "", 0, PUSH_SENT, PUSH_REASON_NONE, 0, false},
	{200, NULL, "<html>anything</html>", 0, PUSH_SENT, PUSH_REASON_NONE, 0, false},
	/* Connect's codes. */
	{400, NULL, MSG("invalid_argument", "no profiles received"), 0, PUSH_DROP,
	 PUSH_REASON_BAD_REQUEST, 0, false},
	{400, NULL,
	 MSG("invalid_argument", "profile with labels '{}' is outside of ingestion window (..."), 0,
	 PUSH_DROP, PUSH_REASON_TOO_OLD, 0, false},
	{400, NULL,
	 MSG("invalid_argument", "the profile with labels '{}' exceeds the size limit ("), 0,
	 PUSH_SPLIT, PUSH_REASON_TOO_LARGE, 0, false},
	{400, NULL, MSG("invalid_argument", "... exceeds the samples count limit (max"), 0,
	 PUSH_SPLIT, PUSH_REASON_TOO_LARGE, 0, false},
	{401, NULL, MSG("unauthenticated", "no org id"), 0, PUSH_REFUSED,
	 PUSH_REASON_UNAUTHENTICATED, 0, false},
	{403, NULL, MSG("permission_denied", ""), 0, PUSH_REFUSED, PUSH_REASON_PERMISSION, 0,
	 false},
	{404, NULL, MSG("unimplemented", ""), 0, PUSH_REFUSED, PUSH_REASON_NOT_FOUND, 0, false},
	{404, NULL, MSG("not_found", ""), 0, PUSH_REFUSED, PUSH_REASON_NOT_FOUND, 0, false},
	{501, NULL, MSG("unimplemented", "unknown compression"), 0, PUSH_REFUSED,
	 PUSH_REASON_NOT_FOUND, 0, false},
	{400, NULL, MSG("failed_precondition", ""), 0, PUSH_DROP, PUSH_REASON_BAD_REQUEST, 0,
	 false},
	{400, NULL, MSG("out_of_range", ""), 0, PUSH_DROP, PUSH_REASON_BAD_REQUEST, 0, false},
	{500, NULL, MSG("internal", ""), 0, PUSH_RETRY, PUSH_REASON_INTERNAL, 0, true},
	{500, NULL, MSG("data_loss", ""), 0, PUSH_RETRY, PUSH_REASON_INTERNAL, 0, true},
	{409, NULL, MSG("aborted", ""), 0, PUSH_RETRY, PUSH_REASON_CONFLICT, 0, false},
	{409, NULL, MSG("already_exists", ""), 0, PUSH_DROP, PUSH_REASON_CONFLICT, 0, false},
	{500, NULL, MSG("unknown", "failed to decode"), 0, PUSH_RETRY, PUSH_REASON_INTERNAL, 0,
	 true},
	{503, NULL, MSG("unavailable", ""), 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0, false},
	{504, NULL, MSG("deadline_exceeded", ""), 0, PUSH_BACK_OFF, PUSH_REASON_TIMEOUT, 0, true},
	{499, NULL, MSG("canceled", ""), 0, PUSH_BACK_OFF, PUSH_REASON_TIMEOUT, 0, true},
	/* The causes of 429. */
	{429, NULL,
	 MSG("resource_exhausted", "push rate limit (4.0 MiB) exceeded while adding 1.0 MiB"),
	 1000000, PUSH_WAIT, PUSH_REASON_RATE_LIMIT, 250, false},
	{429, NULL,
	 MSG("resource_exhausted", "push rate limit (512 KiB) exceeded while adding 1.0 MiB"), 0,
	 PUSH_WAIT, PUSH_REASON_RATE_LIMIT, 2000, false},
	{429, "5",
	 MSG("resource_exhausted", "push rate limit (4.0 MiB) exceeded while adding 1.0 MiB"), 0,
	 PUSH_WAIT, PUSH_REASON_RATE_LIMIT, 5000, false},
	{429, NULL,
	 MSG("resource_exhausted", "push rate limit (4.0 MiB) exceeded while adding 2.1 MiB"), 0,
	 PUSH_SPLIT, PUSH_REASON_TOO_LARGE, 0, false},
	{429, NULL, MSG("resource_exhausted", "push rate limit (garbage) exceeded"), 3 << 20,
	 PUSH_SPLIT, PUSH_REASON_TOO_LARGE, 0, false},
	{429, NULL, MSG("resource_exhausted", "push rate limit (0 B) exceeded while adding 5 B"), 5,
	 PUSH_WAIT, PUSH_REASON_RATE_LIMIT, 0, false},
	{429, NULL,
	 MSG("resource_exhausted", "Maximum active series limit exceeded (5000/5000), reduce"), 0,
	 PUSH_NEW_SERIES, PUSH_REASON_SERIES_LIMIT, 0, false},
	{429, NULL,
	 MSG("resource_exhausted",
	     "message size 300000000 is larger than configured max 268435456"),
	 0, PUSH_SPLIT, PUSH_REASON_TOO_LARGE, 0, false},
	{429, NULL,
	 MSG("resource_exhausted", "limit of 1.0 GiB/hour reached, next reset at "
				   "2023-11-14T22:15:00Z"),
	 0, PUSH_WAIT, PUSH_REASON_QUOTA, 100000, false},
	{429, NULL,
	 MSG("resource_exhausted",
	     "limit of 1 MiB/day reached, next reset at 9999-12-31T00:00:00Z"),
	 0, PUSH_WAIT, PUSH_REASON_QUOTA, 60000, false},
	{429, NULL,
	 MSG("resource_exhausted",
	     "limit of 1 MiB/day reached, next reset at 2023-11-15T22:13:20Z"),
	 0, PUSH_WAIT, PUSH_REASON_QUOTA, 600000, false},
	{429, NULL, MSG("resource_exhausted", "something new"), 0, PUSH_BACK_OFF,
	 PUSH_REASON_RATE_LIMIT, 0, false},
	/* Proxies: no JSON, dates, dirt. */
	{429, "7", "<html>slow down</html>", 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 7000,
	 false},
	{503, "Tue, 14 Nov 2023 22:13:50 GMT", NULL, 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE,
	 30000, false},
	{503, "Tue, 14 Nov 2023 22:13:00 GMT", NULL, 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0,
	 false},
	{503, "99999999999999999999", NULL, 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 600000,
	 false},
	{503, "-1", NULL, 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0, false},
	{503, "soon", NULL, 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0, false},
	{502, NULL, "", 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0, true},
	{504, NULL, "", 0, PUSH_BACK_OFF, PUSH_REASON_TIMEOUT, 0, true},
	{500, NULL, "oops", 0, PUSH_RETRY, PUSH_REASON_INTERNAL, 0, true},
	{400, NULL, "<html>", 0, PUSH_DROP, PUSH_REASON_BAD_REQUEST, 0, false},
	{401, NULL, "<html>", 0, PUSH_REFUSED, PUSH_REASON_UNAUTHENTICATED, 0, false},
	{404, NULL, "404 page not found\n", 0, PUSH_REFUSED, PUSH_REASON_NOT_FOUND, 0, false},
	{405, NULL, "", 0, PUSH_REFUSED, PUSH_REASON_NOT_FOUND, 0, false},
	{408, NULL, "", 0, PUSH_BACK_OFF, PUSH_REASON_TIMEOUT, 0, false},
	{413, NULL, "<html>", 0, PUSH_SPLIT, PUSH_REASON_TOO_LARGE, 0, false},
	{415, NULL, "", 0, PUSH_REFUSED, PUSH_REASON_NOT_FOUND, 0, false},
	{418, NULL, "", 0, PUSH_DROP, PUSH_REASON_BAD_REQUEST, 0, false},
	{301, NULL, "", 0, PUSH_REFUSED, PUSH_REASON_REDIRECT, 0, false},
	{204, NULL, "", 0, PUSH_DROP, PUSH_REASON_UNEXPECTED, 0, false},
	{202, NULL, MSG("unavailable", ""), 0, PUSH_DROP, PUSH_REASON_UNEXPECTED, 0, false},
	{599, NULL, "", 0, PUSH_RETRY, PUSH_REASON_INTERNAL, 0, true},
	/* A code of another kind, an unknown one, JSON of another shape. */
	{503, NULL, MSG("no_such_code", "x"), 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0, false},
	{400, NULL, "{\"code\":3}", 0, PUSH_DROP, PUSH_REASON_BAD_REQUEST, 0, false},
	{400, NULL, "[\"code\"]", 0, PUSH_DROP, PUSH_REASON_BAD_REQUEST, 0, false},
	{500, NULL, MSG("unavailable", "by its code"), 0, PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, 0,
	 false},
};

static void answers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct push_verdict v;

		push_judge_answer(rows[i].status, rows[i].retry_after, rows[i].body,
				  rows[i].body ? strlen(rows[i].body) : 0, rows[i].raw_bytes, NOW,
				  &v);
		if (v.action != rows[i].action || v.reason != rows[i].reason ||
		    v.wait_ns / NS_PER_MS != rows[i].wait_ms || v.uncertain != rows[i].uncertain) {
			printf("  row %zu: %u '%s'\n", i, rows[i].status,
			       rows[i].body ? rows[i].body : "");
			ASSERT_INT(v.action, rows[i].action);
			ASSERT_STR(push_reason_text(v.reason), push_reason_text(rows[i].reason));
			ASSERT_INT(v.wait_ns / NS_PER_MS, rows[i].wait_ms);
			ASSERT_INT(v.uncertain, rows[i].uncertain);
		}
	}
}

/* The server quotes the label set before it says what is wrong. */
static void long_messages(void)
{
	struct push_verdict v;
	struct buf body = {0};

	buf_str(&body, "{\"code\":\"invalid_argument\",\"message\":\"the profile with labels '");
	for (int i = 0; i < 5000; i++)
		buf_str(&body, "label_x=y,");
	buf_str(&body, "' exceeds the samples count limit (max...\"}");
	push_judge_answer(400, NULL, body.data, body.len, 0, NOW, &v);
	ASSERT_INT(v.action, PUSH_SPLIT);
	CU_ASSERT(strlen(v.message) == sizeof(v.message) - 1);
	push_judge_answer(400, NULL, "a\x1b[31m\nb", 8, 0, NOW, &v);
	ASSERT_STR(v.message, "a [31m b");
	buf_fini(&body);
}

static void failures(void)
{
	struct push_verdict v;

	push_judge_failure(CURLE_COULDNT_CONNECT, false, &v);
	CU_ASSERT(v.action == PUSH_BACK_OFF && v.reason == PUSH_REASON_CONNECT && !v.uncertain);
	push_judge_failure(CURLE_OPERATION_TIMEDOUT, true, &v);
	CU_ASSERT(v.action == PUSH_BACK_OFF && v.reason == PUSH_REASON_TIMEOUT && v.uncertain);
	push_judge_failure(CURLE_OPERATION_TIMEDOUT, false, &v);
	CU_ASSERT(!v.uncertain);
	push_judge_failure(CURLE_GOT_NOTHING, true, &v);
	CU_ASSERT(v.reason == PUSH_REASON_BROKEN && v.uncertain);
	push_judge_failure(CURLE_PEER_FAILED_VERIFICATION, false, &v);
	CU_ASSERT(v.action == PUSH_REFUSED && v.reason == PUSH_REASON_TLS && v.item_is_fine);
	push_judge_failure(CURLE_COULDNT_RESOLVE_HOST, false, &v);
	CU_ASSERT(v.reason == PUSH_REASON_RESOLVE && *v.message);
}

SUITE(push_verdict, {"answers", answers}, {"long messages", long_messages}, {"failures", failures});
