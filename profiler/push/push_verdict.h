/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer of the server (or of a proxy before it) means for the request that got it. Pure
 * functions over status, Retry-After and body; fuzzed. Facts: Connect's codes and their HTTP
 * statuses, Pyroscope's messages, as checked against both of its storage layers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"

enum push_action {
	PUSH_SENT,
	PUSH_DROP,	 /* this request never can: count, go on */
	PUSH_RETRY,	 /* this request again, a bounded number of times; others go on */
	PUSH_BACK_OFF,	 /* nobody now: the server is away */
	PUSH_WAIT,	 /* nobody for wait_ns: a limit; then again */
	PUSH_SPLIT,	 /* too large in one piece */
	PUSH_NEW_SERIES, /* no new label sets for a while; known ones go on */
	PUSH_REFUSED,	 /* nobody before the configuration or the server changes: ask rarely */
};

/* The reasons of drops, retries and holds, as metrics and logs name them. */
#define PUSH_REASONS(X)                                                                            \
	X(NONE, "none")                                                                            \
	X(BAD_REQUEST, "bad_request")                                                              \
	X(TOO_OLD, "too_old")                                                                      \
	X(TOO_LARGE, "too_large")                                                                  \
	X(UNAUTHENTICATED, "unauthenticated")                                                      \
	X(PERMISSION, "permission_denied")                                                         \
	X(NOT_FOUND, "not_found")                                                                  \
	X(REDIRECT, "redirect")                                                                    \
	X(CONFLICT, "conflict")                                                                    \
	X(RATE_LIMIT, "rate_limit")                                                                \
	X(QUOTA, "quota")                                                                          \
	X(SERIES_LIMIT, "series_limit")                                                            \
	X(INTERNAL, "internal")                                                                    \
	X(UNAVAILABLE, "unavailable")                                                              \
	X(TIMEOUT, "timeout")                                                                      \
	X(CONNECT, "connect")                                                                      \
	X(RESOLVE, "resolve")                                                                      \
	X(TLS, "tls")                                                                              \
	X(BROKEN, "connection_broken")                                                             \
	X(UNEXPECTED, "unexpected_status")                                                         \
	X(QUEUE_FULL, "queue_full")                                                                \
	X(SPOOL_FULL, "spool_full")                                                                \
	X(SPOOL_DISK, "spool_disk")                                                                \
	X(SPOOL_DAMAGED, "spool_damaged")                                                          \
	X(LABELS, "labels")                                                                        \
	X(MEMORY, "memory")                                                                        \
	X(OFF, "off")                                                                              \
	X(STOPPED, "stopped")

enum push_reason {
#define X(name, text) PUSH_REASON_##name,
	PUSH_REASONS(X)
#undef X
		PUSH_N_REASONS
};
const char *push_reason_text(enum push_reason reason);

/* What of a request was too large: says which later ones need not be tried whole. */
enum push_too_large { PUSH_LARGE_OTHER, PUSH_LARGE_BODY, PUSH_LARGE_RAW };

struct push_verdict {
	enum push_action action;
	enum push_reason reason;
	__u64 wait_ns;		       /* at least so long; 0: nothing said */
	bool uncertain;		       /* it may have been stored all the same */
	enum push_too_large too_large; /* SPLIT only */
	bool item_is_fine;	       /* REFUSED only: the request can be sent again later */
	char message[160];	       /* for the log, printable; "" when nothing was said */
};

/* raw_bytes: size of the profile before compression, to tell a burst from a busy limit. retry_after
 * and body may be NULL. now_ns: real time, for dates. */
void push_judge_answer(unsigned status, const char *retry_after, const char *body, size_t body_len,
		       __u64 raw_bytes, __u64 now_ns, struct push_verdict *ret_verdict);
/* code: a CURLcode; uploaded: curl had taken the whole body, so the server may have got it. */
void push_judge_failure(int code, bool uploaded, struct push_verdict *ret_verdict);
