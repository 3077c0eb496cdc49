// SPDX-License-Identifier: Apache-2.0
/* Judging answers, see push_verdict.h. */
#include "profiler/push/push_verdict.h"

#include <ctype.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"

#define MAX_WAIT_NS	(600 * NS_PER_S)
#define MAX_QUOTA_NS	(600 * NS_PER_S) /* then ask again: limits are changed by hand too */
#define MAX_BODY_PARSED 65536		 /* the server quotes the whole label set in its messages */

/* The server's burst when nobody changed it: more than it in one profile never passes. */
#define DEFAULT_BURST_BYTES (2u << 20)

const char *push_reason_text(enum push_reason reason)
{
	static const char *const texts[] = {
#define X(name, text) text,
		PUSH_REASONS(X)
#undef X
	};

	return texts[reason];
}

/* ---- Connect codes ----------------------------------------------------------------------- */

/* code, what to do, why, whether it may have been stored */
static const struct connect_code {
	const char *name;
	enum push_action action;
	enum push_reason reason;
	bool uncertain;
} connect_codes[] = {
	{"invalid_argument", PUSH_DROP, PUSH_REASON_BAD_REQUEST, false},
	{"failed_precondition", PUSH_DROP, PUSH_REASON_BAD_REQUEST, false},
	{"out_of_range", PUSH_DROP, PUSH_REASON_BAD_REQUEST, false},
	{"unauthenticated", PUSH_REFUSED, PUSH_REASON_UNAUTHENTICATED, false},
	{"permission_denied", PUSH_REFUSED, PUSH_REASON_PERMISSION, false},
	{"not_found", PUSH_REFUSED, PUSH_REASON_NOT_FOUND, false},
	{"unimplemented", PUSH_REFUSED, PUSH_REASON_NOT_FOUND, false},
	{"already_exists", PUSH_DROP, PUSH_REASON_CONFLICT, false},
	{"aborted", PUSH_RETRY, PUSH_REASON_CONFLICT, false},
	{"resource_exhausted", PUSH_WAIT, PUSH_REASON_RATE_LIMIT, false},
	{"unknown", PUSH_RETRY, PUSH_REASON_INTERNAL, true},
	{"internal", PUSH_RETRY, PUSH_REASON_INTERNAL, true},
	{"data_loss", PUSH_RETRY, PUSH_REASON_INTERNAL, true},
	{"unavailable", PUSH_BACK_OFF, PUSH_REASON_UNAVAILABLE, false},
	{"deadline_exceeded", PUSH_BACK_OFF, PUSH_REASON_TIMEOUT, true},
	{"canceled", PUSH_BACK_OFF, PUSH_REASON_TIMEOUT, true},
};

/* The meaning of a status without a code of Connect: a proxy's, or the router's before the handler.
 */
static struct connect_code of_status(unsigned status)
{
	switch (status) {
	case 401:
	case 407:
		return (struct connect_code){.action = PUSH_REFUSED,
					     .reason = PUSH_REASON_UNAUTHENTICATED};
	case 403:
		return (struct connect_code){.action = PUSH_REFUSED,
					     .reason = PUSH_REASON_PERMISSION};
	case 404:
	case 405:
	case 415:
	case 501:
		return (struct connect_code){.action = PUSH_REFUSED,
					     .reason = PUSH_REASON_NOT_FOUND};
	case 408:
	case 425:
		return (struct connect_code){.action = PUSH_BACK_OFF,
					     .reason = PUSH_REASON_TIMEOUT};
	case 409:
		return (struct connect_code){.action = PUSH_DROP, .reason = PUSH_REASON_CONFLICT};
	case 413:
		return (struct connect_code){.action = PUSH_SPLIT, .reason = PUSH_REASON_TOO_LARGE};
	case 429:
	case 503:
		return (struct connect_code){.action = PUSH_BACK_OFF,
					     .reason = PUSH_REASON_UNAVAILABLE};
	case 499:
	case 504:
		return (struct connect_code){
			.action = PUSH_BACK_OFF, .reason = PUSH_REASON_TIMEOUT, .uncertain = true};
	case 502:
		return (struct connect_code){.action = PUSH_BACK_OFF,
					     .reason = PUSH_REASON_UNAVAILABLE,
					     .uncertain = true};
	default:
		break;
	}
	if (status >= 300 && status < 400)
		return (struct connect_code){.action = PUSH_REFUSED,
					     .reason = PUSH_REASON_REDIRECT};
	if (status >= 400 && status < 500)
		return (struct connect_code){.action = PUSH_DROP,
					     .reason = PUSH_REASON_BAD_REQUEST};
	if (status >= 500 && status < 600)
		return (struct connect_code){
			.action = PUSH_RETRY, .reason = PUSH_REASON_INTERNAL, .uncertain = true};
	/* 1xx, or another 2xx: somebody else answers there; it may have been taken, so not again.
	 */
	return (struct connect_code){.action = PUSH_DROP, .reason = PUSH_REASON_UNEXPECTED};
}

/* ---- messages ---------------------------------------------------------------------------- */

/* What an answer's body says: {"code","message"} of Connect, or any text. */
struct said {
	const struct connect_code *code; /* NULL: none that we know */
	char *text;			 /* the message; owned; "" or NULL for none */
};

static void read_body(const char *body, size_t len, struct said *said)
{
	json_t *root = len && len <= MAX_BODY_PARSED ? json_loadb(body, len, 0, NULL) : NULL;
	const char *code = json_string_value(json_object_get(root, "code"));
	const char *text = json_string_value(json_object_get(root, "message"));

	*said = (struct said){0};
	for (size_t i = 0; code && i < ARRAY_SIZE(connect_codes); i++)
		if (!strcmp(connect_codes[i].name, code))
			said->code = &connect_codes[i];
	if (text)
		said->text = strdup(text);
	else if (!root && len)
		said->text = strndup(body, MIN(len, (size_t)MAX_BODY_PARSED));
	json_decref(root);
}

static void copy_printable(const char *s, char *out, size_t size)
{
	size_t n = MIN(strlen(s), size - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? ' ' : s[i];
	out[n] = 0;
}

/* "2.1 MiB", "512 kB", "100 B" -> bytes; 0 for what is none. */
static double parse_bytes(const char *s)
{
	static const char units[] = "BKMGT";
	char *end;
	double value = strtod(s, &end);
	const char *unit;
	double base;

	if (end == s || !(value >= 0) || value > 1e15)
		return 0;
	end += *end == ' ';
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (!unit)
		return 0;
	base = unit != units && end[1] == 'i' ? 1024 : 1000;
	for (; unit > units; unit--)
		value *= base;
	return value;
}

static void split_for(struct push_verdict *v, enum push_too_large what)
{
	v->action = PUSH_SPLIT;
	v->reason = PUSH_REASON_TOO_LARGE;
	v->too_large = what;
}

/* "push rate limit (4.0 MiB) exceeded while adding 2.1 MiB": more than the burst never passes, less
 * passes after as long as the limit takes to let so much through. */
static void judge_rate(const char *rate_text, __u64 raw_bytes, struct push_verdict *v)
{
	const char *adding = strstr(rate_text, "while adding ");
	double rate = parse_bytes(rate_text), bytes = adding ? parse_bytes(adding + 13) : 0;

	if (bytes < (double)raw_bytes)
		bytes = (double)raw_bytes;
	if (bytes > DEFAULT_BURST_BYTES) {
		split_for(v, PUSH_LARGE_RAW);
		return;
	}
	v->action = PUSH_WAIT;
	v->reason = PUSH_REASON_RATE_LIMIT;
	if (rate >= 1)
		v->wait_ns =
			MAX(v->wait_ns, (__u64)MIN(bytes / rate * NS_PER_S, (double)MAX_WAIT_NS));
}

/* "limit of X/PERIOD reached, next reset at 2026-01-02T03:04:05Z" */
static void judge_quota(const char *reset_text, __u64 now_ns, struct push_verdict *v)
{
	struct tm tm = {0};
	__u64 reset_ns = 0;

	v->action = PUSH_WAIT;
	v->reason = PUSH_REASON_QUOTA;
	if (strptime(reset_text, "%Y-%m-%dT%H:%M:%SZ", &tm) && tm.tm_year >= 70 && tm.tm_year < 400)
		reset_ns = (__u64)timegm(&tm) * NS_PER_S;
	v->wait_ns = MAX(v->wait_ns,
			 reset_ns > now_ns ? MIN(reset_ns - now_ns, MAX_QUOTA_NS) : 60 * NS_PER_S);
}

/* resource_exhausted has several causes, told apart by their words. */
static void judge_exhausted(const char *text, __u64 raw_bytes, __u64 now_ns, struct push_verdict *v)
{
	const char *at;

	if ((at = strstr(text, "push rate limit ("))) {
		judge_rate(at + 17, raw_bytes, v);
	} else if (strstr(text, "active series limit")) {
		v->action = PUSH_NEW_SERIES;
		v->reason = PUSH_REASON_SERIES_LIMIT;
	} else if (strstr(text, "larger than configured max")) {
		split_for(v, PUSH_LARGE_BODY);
	} else if ((at = strstr(text, "next reset at "))) {
		judge_quota(at + 14, now_ns, v);
	} else {
		v->action = PUSH_BACK_OFF;
		v->reason = PUSH_REASON_RATE_LIMIT;
	}
}

/* invalid_argument is the profile's fault, but two of its causes go away in smaller pieces. */
static void judge_invalid(const char *text, struct push_verdict *v)
{
	if (strstr(text, "exceeds the size limit"))
		split_for(v, PUSH_LARGE_RAW);
	else if (strstr(text, "exceeds the samples count limit"))
		split_for(v, PUSH_LARGE_OTHER);
	else if (strstr(text, "outside of ingestion window"))
		v->reason = PUSH_REASON_TOO_OLD;
}

/* Seconds or a date (RFC 9110 section 10.2.3), at most MAX_WAIT_NS; 0 for nothing usable. */
static __u64 parse_retry_after(const char *text, __u64 now_ns)
{
	__u64 seconds;
	time_t when;

	if (!text)
		return 0;
	if (*text >= '0' && *text <= '9' && strspn(text, "0123456789") == strlen(text))
		return units_parse_u64(text, &seconds) ? MAX_WAIT_NS
						       : MIN(seconds, 600ULL) * NS_PER_S;
	when = curl_getdate(text, NULL);
	if (when < 0 || (__u64)when > UINT64_MAX / NS_PER_S || (__u64)when * NS_PER_S <= now_ns)
		return 0;
	return MIN((__u64)when * NS_PER_S - now_ns, MAX_WAIT_NS);
}

void push_judge_answer(unsigned status, const char *retry_after, const char *body, size_t body_len,
		       __u64 raw_bytes, __u64 now_ns, struct push_verdict *ret_verdict)
{
	struct push_verdict *v = ret_verdict;
	struct connect_code code;
	const char *text;
	struct said said;

	*v = (struct push_verdict){0};
	if (status == 200) {
		v->action = PUSH_SENT; /* whatever the body is */
		return;
	}
	read_body(body, body_len, &said);
	text = said.text ? said.text : "";
	copy_printable(text, v->message, sizeof(v->message));
	/* A code under a status that says "done" or "elsewhere" is nobody's that we know. */
	code = said.code && status >= 400 ? *said.code : of_status(status);
	v->action = code.action;
	v->reason = code.reason;
	v->uncertain = code.uncertain;
	v->wait_ns = parse_retry_after(retry_after, now_ns);
	if (v->action == PUSH_SPLIT)
		v->too_large = PUSH_LARGE_BODY; /* 413 */
	if (code.name && !strcmp(code.name, "resource_exhausted"))
		judge_exhausted(text, raw_bytes, now_ns, v);
	else if (code.name && v->reason == PUSH_REASON_BAD_REQUEST)
		judge_invalid(text, v);
	free(said.text);
}

void push_judge_failure(int code, bool uploaded, struct push_verdict *ret_verdict)
{
	struct push_verdict *v = ret_verdict;

	*v = (struct push_verdict){.action = PUSH_BACK_OFF, .uncertain = uploaded};
	snprintf(v->message, sizeof(v->message), "%s", curl_easy_strerror((CURLcode)code));
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		v->reason = PUSH_REASON_RESOLVE;
		v->uncertain = false;
		break;
	case CURLE_COULDNT_CONNECT:
		v->reason = PUSH_REASON_CONNECT;
		v->uncertain = false;
		break;
	case CURLE_OPERATION_TIMEDOUT:
		v->reason = PUSH_REASON_TIMEOUT;
		break;
	case CURLE_SSL_CONNECT_ERROR:
		v->reason = PUSH_REASON_TLS; /* may pass: a server that is just starting */
		v->uncertain = false;
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		v->action = PUSH_REFUSED;
		v->reason = PUSH_REASON_TLS;
		v->uncertain = false;
		v->item_is_fine = true;
		break;
	case CURLE_OUT_OF_MEMORY:
		v->reason = PUSH_REASON_MEMORY;
		break;
	default:
		v->reason = PUSH_REASON_BROKEN;
	}
}
