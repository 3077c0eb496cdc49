/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the halves of the querier share: querier.c (methods, and what requests have in common),
 * querier_profile.c (those that answer profiles), querier_list.c (those that answer series, labels
 * and sums by time). Nobody else includes this. All of it belongs to the agent's thread, except an
 * encoder (querier_profile.c).
 */
#pragma once

#include <stdbool.h>

#include "profiler/agent.h"
#include "profiler/http/http.h"
#include "profiler/querier/connect.h"
#include "profiler/querier/profile_type.h"
#include "profiler/querier/querier.pb-c.h"
#include "profiler/query/listing.h"
#include "profiler/query/query.h"
#include "profiler/query/selector.h"

/* A request under way. */
struct call {
	struct http_request *req;
	bool json;
	ProtobufCMessage *message; /* the request's; NULL when somebody took it */
	struct query *query;
	struct listing_job *listing;
	/* Which of profile_type_ids the matchers want, as bits, or the one that is asked for. */
	__u32 types;
	const struct profile_type_id *type;
	struct query_range range;
	__u64 step_ns;
};

struct method {
	const char *name;
	const ProtobufCMessageDescriptor *request;
	void (*handle)(struct call *call); /* answers and ends the call, or suspends it */
};
extern const struct method querier_profile_methods[], querier_list_methods[]; /* NULL name: end */

/* Answer and end. */
void call_reply(struct call *call, const ProtobufCMessage *message);
void call_reply_packed(struct call *call, struct buf *body);
void call_error(struct call *call, enum connect_code code, const char *fmt, ...) PRINTF(3, 4);
/* An error of query.h or listing.h: what could not be made, and why. */
void call_failed(struct call *call, int err, const char *what, const char *why);
/* Answered later: what runs is in query or listing. */
void call_suspend(struct call *call);

/* Milliseconds of a request as a range. False when an error was answered (so are those below). */
bool call_range(struct call *call, __s64 start_ms, __s64 end_ms, struct query_range *ret_range);

/* What a query of one profile type asks for. Where nothing can match (the type is not known here,
 * the selector asks for another one) the range is one that holds nothing. */
struct selection {
	const struct profile_type_id *type;
	struct query_range range;
};
bool call_select(struct call *call, const char *type_id, const char *selector, __s64 start_ms,
		 __s64 end_ms, struct selection *ret_selection);
/* Nothing, whatever the time. */
void selection_clear(struct selection *selection);

/* All matchers, over series of every type: which types they leave is put into call->types, what
 * they ask of the series' own labels into *ret_selector. */
bool call_match(struct call *call, char *const *matchers, size_t n, struct selector **ret_selector);
