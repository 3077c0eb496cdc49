// SPDX-License-Identifier: Apache-2.0
/*
 * Pyroscope's query API, POST /querier.v1.QuerierService/METHOD, over what the recorder and the store
 * have (query/query.h, query/listing.h), so that Grafana's Pyroscope data source and profilecli can
 * use an agent as their server. Agent thread.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/querier/querier_internal.h"

#define MAX_MS 9000000000000ll /* the year 2255: its nanoseconds fit */

/* ---- the end of a call ----------------------------------------------------------------------- */

static void call_free(struct call *call)
{
	protobuf_c_message_free_unpacked(call->message, NULL);
	free(call);
}

void call_reply_packed(struct call *call, struct buf *body)
{
	connect_reply_packed(call->req, call->json, body);
	call_free(call);
}

void call_reply(struct call *call, const ProtobufCMessage *message)
{
	struct buf body = {.limit = QUERY_BODY_BYTES};

	connect_encode(message, call->json, &body);
	connect_reply(call->req, call->json, &body);
	call_free(call);
}

void call_error(struct call *call, enum connect_code code, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	connect_error(call->req, code, "%s", text);
	call_free(call);
}

void call_failed(struct call *call, int err, const char *what, const char *why)
{
	if (err == -EBUSY)
		call_error(call, CONNECT_RESOURCE_EXHAUSTED,
			   "as many %s are being made as can be at a time; try again when one is",
			   what);
	else if (err == -EFBIG)
		call_error(call, CONNECT_RESOURCE_EXHAUSTED,
			   "the answer is too large: ask for a shorter range or fewer series");
	else if (err == -ETIMEDOUT)
		call_error(call, CONNECT_DEADLINE_EXCEEDED, "%s", why);
	else if (err == -EINVAL)
		call_error(call, CONNECT_INVALID_ARGUMENT, "%s", why);
	else if (err == -ENOMEM)
		call_error(call, CONNECT_UNAVAILABLE, "no memory for the %s; try again later",
			   what);
	else
		call_error(call, CONNECT_INTERNAL, "the %s cannot be made: %s", what,
			   *why ? why : strerror(-err));
}

static void client_gone(void *arg)
{
	struct call *call = arg;

	if (call->query)
		query_cancel(call->query);
	if (call->listing)
		listing_cancel(call->listing);
	call_free(call);
}

void call_suspend(struct call *call)
{
	http_suspend(call->req, NULL, client_gone, call);
}

/* ---- what requests have in common ------------------------------------------------------------ */

bool call_range(struct call *call, __s64 start_ms, __s64 end_ms, struct query_range *ret_range)
{
	if (start_ms <= 0 || end_ms <= 0 || start_ms > end_ms) {
		call_error(call, CONNECT_INVALID_ARGUMENT,
			   start_ms > 0 && end_ms > 0
				   ? "start (%lld) is after end (%lld)"
				   : "start (%lld) and end (%lld) are needed: milliseconds of unix "
				     "time",
			   (long long)start_ms, (long long)end_ms);
		return false;
	}
	start_ms = MIN(start_ms, (__s64)MAX_MS - 1);
	end_ms = MAX(MIN(end_ms, (__s64)MAX_MS), start_ms + 1);
	*ret_range = (struct query_range){.from_ns = (__u64)start_ms * NS_PER_MS,
					  .to_ns = (__u64)end_ms * NS_PER_MS};
	return true;
}

static const char *label_of_type(void *arg, const char *name)
{
	return profile_type_label(arg, name);
}

/* what: how the request calls it. */
static bool parse_selector(struct call *call, const char *what, const char *text,
			   struct selector **ret_selector)
{
	char error[300];
	int err = selector_parse(text, ret_selector, error, sizeof(error), NULL);

	if (err == -EINVAL)
		call_error(call, CONNECT_INVALID_ARGUMENT, "%s '%.100s': %s", what, text, error);
	else if (err)
		call_failed(call, err, "selectors", "");
	return !err;
}

void selection_clear(struct selection *selection)
{
	selector_free(selection->range.selector);
	selection->range = (struct query_range){.from_ns = 1, .to_ns = 2};
}

bool call_select(struct call *call, const char *type_id, const char *selector, __s64 start_ms,
		 __s64 end_ms, struct selection *ret_selection)
{
	struct selection s = {.type = profile_type_find(type_id)};
	struct selector *parsed;

	if (!profile_type_is_id(type_id)) {
		call_error(
			call, CONNECT_INVALID_ARGUMENT,
			"profile type '%.100s' has not the five parts "
			"name:type:unit:period_type:period_unit; ProfileTypes lists what there is",
			type_id);
		return false;
	}
	if (!call_range(call, start_ms, end_ms, &s.range) ||
	    !parse_selector(call, "label selector", selector, &parsed))
		return false;
	s.range.selector = parsed;
	if (!s.type || !selector_decide(parsed, label_of_type, (void *)(uintptr_t)s.type))
		selection_clear(&s);
	if (!s.type)
		s.type = &profile_type_ids[0];
	*ret_selection = s;
	return true;
}

/* All of them as one selector. */
static bool parse_matchers(struct call *call, char *const *matchers, size_t n,
			   struct selector **ret_selector)
{
	struct selector *all, *one;

	if (!parse_selector(call, "matcher", "{}", &all))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!parse_selector(call, "matcher", matchers[i], &one)) {
			selector_free(all);
			return false;
		}
		if (selector_and(all, one)) {
			selector_free(one);
			selector_free(all);
			call_error(call, CONNECT_INVALID_ARGUMENT,
				   "the matchers have more than %d parts together",
				   SELECTOR_MAX_MATCHERS);
			return false;
		}
	}
	*ret_selector = all;
	return true;
}

bool call_match(struct call *call, char *const *matchers, size_t n, struct selector **ret_selector)
{
	struct selector *selector = NULL;

	call->types = 0;
	for (size_t i = 0; i < n_profile_type_ids; i++) {
		selector_free(selector); /* what it leaves is the same for every type */
		if (!parse_matchers(call, matchers, n, &selector))
			return false;
		if (selector_decide(selector, label_of_type,
				    (void *)(uintptr_t)&profile_type_ids[i]))
			call->types |= 1u << i;
	}
	*ret_selector = selector;
	return true;
}

/* ---- methods --------------------------------------------------------------------------------- */

static const struct method *method_find(const char *name)
{
	static const struct method *const tables[] = {querier_profile_methods,
						      querier_list_methods};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct method *m = tables[i]; m->name; m++)
			if (!strcmp(m->name, name))
				return m;
	return NULL;
}

static void handle_call(struct http_request *req)
{
	const struct method *method = method_find(req->rest);
	ProtobufCMessage *message;
	struct call *call;
	bool json;

	if (!method) {
		http_reply_text(req, 404, "404 page not found\n");
		return;
	}
	if (!connect_read(req, method->request, &message, &json))
		return;
	call = calloc(1, sizeof(*call));
	if (!call) {
		protobuf_c_message_free_unpacked(message, NULL);
		connect_error(req, CONNECT_UNAVAILABLE, "no memory for the call; try again later");
		return;
	}
	*call = (struct call){.req = req, .json = json, .message = message};
	method->handle(call);
}
HTTP_ROUTE(querier, .method = "POST", .path = "/querier.v1.QuerierService/*",
	   .help = "Pyroscope's query API, for Grafana and profilecli",
	   .max_body = CONNECT_MAX_REQUEST, .handle = handle_call);
