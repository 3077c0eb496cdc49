// SPDX-License-Identifier: Apache-2.0
/*
 * The querier's methods that answer profiles: SelectMergeStacktraces (as a flame graph, or pprof),
 * SelectMergeProfile, SelectMergeSpanProfile, Diff. Requests are checked in the agent's thread;
 * the answer is made, encoded included, in the reader's.
 *
 * There are no ids of profiles, traces and spans here: what selects by one finds nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/export/export.h"
#include "profiler/export/pprof.pb-c.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"
#include "profiler/querier/flame.h"
#include "profiler/querier/querier_internal.h"

#define DEFAULT_NODES 8192
#define MAX_NODES     1048576
#define KEPT_NODES    131072 /* of any request: about 16 MiB while the answer is made */
/* pprof as JSON is unpacked as a whole: so much of it, in protobuf, can be asked for. */
#define MAX_PPROF_JSON ((size_t)4 << 20)

enum answer { FLAME, SPAN_FLAME, FLAME_DIFF, PPROF, BARE_PPROF };

/* What the reader's thread needs, which may outlive the call. */
struct encoder {
	enum answer answer;
	bool json;
	const struct profile_type_id *type;
	struct flame_options flame;
	ProtobufCMessage *message; /* that call sites are borrowed from */
};

static void encoder_free(void *arg)
{
	struct encoder *encoder = arg;

	protobuf_c_message_free_unpacked(encoder->message, NULL);
	free(encoder);
}

/* ---- flame graphs: the reader's thread ------------------------------------------------------- */

static int encode_graph(const struct encoder *e, const struct profile *profile, struct arena *arena,
			struct buf *out)
{
	Querier__SelectMergeStacktracesResponse response =
		QUERIER__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	Querier__SelectMergeSpanProfileResponse span =
		QUERIER__SELECT_MERGE_SPAN_PROFILE_RESPONSE__INIT;
	int err = flame_graph(profile, &e->flame, arena, &response.flamegraph);

	span.flamegraph = response.flamegraph;
	if (!err)
		connect_encode(e->answer == FLAME ? &response.base : &span.base, e->json, out);
	return err;
}

static int encode_diff(const struct encoder *e, const struct profile *profile, struct arena *arena,
		       struct buf *out)
{
	Querier__DiffResponse response = QUERIER__DIFF_RESPONSE__INIT;
	int err = flame_graph_diff(profile, &e->flame, arena, &response.flamegraph);

	if (!err)
		connect_encode(&response.base, e->json, out);
	return err;
}

/* ---- pprof: the reader's thread -------------------------------------------------------------- */

/* Keep one value of each sample. */
static void keep_type(struct profile *p, unsigned type)
{
	for (size_t i = 0; i < p->samples.len; i++)
		p->samples.data[i].values[0] = p->samples.data[i].values[type];
	p->types[0] = p->types[type];
	p->totals[0] = p->totals[type];
	p->n_types = 1;
	p->default_type = 0;
}

/* A message field around what is in out already. */
static void wrap(struct buf *out, unsigned field)
{
	struct buf whole = {.limit = out->limit};
	size_t len = out->len;

	buf_char(&whole, (char)(field << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED));
	for (; len >= 0x80; len >>= 7)
		buf_char(&whole, (char)(len | 0x80));
	buf_char(&whole, (char)len);
	buf_add(&whole, out->data ? out->data : "", out->len);
	buf_fini(out);
	*out = whole;
}

/* From protobuf to JSON. */
static int encode_pprof_json(const struct encoder *e, struct buf *out)
{
	Querier__SelectMergeStacktracesResponse response =
		QUERIER__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	Querier__PprofResult result = QUERIER__PPROF_RESULT__INIT;

	if (out->len > MAX_PPROF_JSON)
		return -EFBIG;
	result.profile = pprof__profile__unpack(NULL, out->len, (const uint8_t *)out->data);
	if (!result.profile)
		return -ENOMEM;
	response.pprof = &result;
	buf_reset(out);
	connect_encode(e->answer == PPROF ? &response.base : &result.profile->base, true, out);
	pprof__profile__free_unpacked(result.profile, NULL);
	return 0;
}

static int encode_pprof(const struct encoder *e, struct profile *profile, struct buf *out)
{
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	struct sink_buf sink;
	int err = 0;

	keep_type(profile, (unsigned)e->flame.type);
	options.gzip_level = -1;
	options.group = EXPORT_GROUP_NONE;
	sink_buf_init(&sink, out);
	if (profile->totals[0]) { /* else an empty message */
		err = pprof_write(profile, &options, &sink.sink);
		if (!err)
			err = sink_finish(&sink.sink);
	}
	if (err)
		return err;
	if (e->json)
		return encode_pprof_json(e, out);
	if (e->answer == PPROF) { /* SelectMergeStacktracesResponse.pprof.profile */
		wrap(out, 1);
		wrap(out, 5);
	}
	return 0;
}

static int encode(void *arg, struct profile *profile, struct buf *out)
{
	struct encoder *e = arg;
	struct arena arena = {0};
	int err;

	e->flame.type = profile_find_type(profile, e->type->type);
	if (e->flame.type < 0)
		return -ENODATA; /* the table of types and what is sampled do not agree */
	if (e->answer == PPROF || e->answer == BARE_PPROF)
		return encode_pprof(e, profile, out);
	err = e->answer == FLAME_DIFF ? encode_diff(e, profile, &arena, out)
				      : encode_graph(e, profile, &arena, out);
	arena_fini(&arena);
	return err;
}

/* ---- the agent's thread ---------------------------------------------------------------------- */

static void answer(void *arg, int err, const char *why, struct buf *body)
{
	struct call *call = arg;

	if (err)
		call_failed(call, err, "profiles", why);
	else
		call_reply_packed(call, body);
}

/* The selections are taken. right NULL: no comparison. */
static void start(struct call *call, enum answer what, __s64 max_nodes,
		  Querier__StackTraceSelector *sites, const struct selection *left,
		  const struct selection *right)
{
	struct encoder *e = calloc(1, sizeof(*e));
	struct query_request request = {.kind = left->type->kind,
					.range = left->range,
					.gzip = connect_takes_gzip(call->req, call->json),
					.encode = encode,
					.encode_arg = e,
					.encode_free = encoder_free};
	int err;

	if (right)
		request.base = right->range;
	if (!e) {
		selector_free(request.range.selector);
		selector_free(request.base.selector);
		call_failed(call, -ENOMEM, "profiles", "");
		return;
	}
	*e = (struct encoder){.answer = what, .json = call->json, .type = left->type};
	e->flame.max_nodes = max_nodes ? (__u32)MIN(max_nodes, (__s64)KEPT_NODES) : DEFAULT_NODES;
	if (sites) {
		e->flame.call_sites = sites->call_site;
		e->flame.n_call_sites = sites->n_call_site;
	}
	e->message = call->message;
	call->message = NULL;
	err = query_start(agent_queries(call->req->agent), &request, answer, call, &call->query);
	if (err)
		call_failed(call, err, "profiles", "");
	else
		call_suspend(call);
}

/* False when an error was answered. */
static bool check_nodes(struct call *call, __s64 max_nodes)
{
	if (max_nodes >= 0 && max_nodes <= MAX_NODES)
		return true;
	call_error(call, CONNECT_INVALID_ARGUMENT,
		   "max_nodes is %lld: from 1 to %d, 0 for the default of %d", (long long)max_nodes,
		   MAX_NODES, DEFAULT_NODES);
	return false;
}

static bool check_format(struct call *call, Querier__ProfileFormat format, bool pprof)
{
	if (format == QUERIER__PROFILE_FORMAT__PROFILE_FORMAT_UNSPECIFIED ||
	    format == QUERIER__PROFILE_FORMAT__PROFILE_FORMAT_FLAMEGRAPH ||
	    (pprof && format == QUERIER__PROFILE_FORMAT__PROFILE_FORMAT_PPROF))
		return true;
	call_error(call, CONNECT_UNIMPLEMENTED,
		   "format %d is not made here: ask for a flame graph%s", (int)format,
		   pprof ? " or pprof" : "");
	return false;
}

/* Stacks are chosen by call sites in flame graphs only. */
static bool check_sites(struct call *call, const Querier__StackTraceSelector *sites)
{
	if (!sites || !sites->n_call_site)
		return true;
	call_error(call, CONNECT_UNIMPLEMENTED,
		   "call sites choose stacks in flame graphs only; ask without");
	return false;
}

/* One side of a request that both SelectMergeStacktraces and Diff have. */
static bool select_stacktraces(struct call *call, const Querier__SelectMergeStacktracesRequest *q,
			       struct selection *ret_selection)
{
	if (!check_nodes(call, q->max_nodes) ||
	    !call_select(call, q->profile_typeid, q->label_selector, q->start, q->end,
			 ret_selection))
		return false;
	if (q->n_profile_id_selector || q->n_trace_id_selector || q->n_span_selector)
		selection_clear(ret_selection);
	return true;
}

static void merge_stacktraces(struct call *call)
{
	const Querier__SelectMergeStacktracesRequest *q = (void *)call->message;
	bool pprof = q->format == QUERIER__PROFILE_FORMAT__PROFILE_FORMAT_PPROF;
	struct selection s;

	if (!check_format(call, q->format, true) ||
	    (pprof && !check_sites(call, q->stack_trace_selector)) ||
	    !select_stacktraces(call, q, &s))
		return;
	start(call, pprof ? PPROF : FLAME, q->max_nodes, q->stack_trace_selector, &s, NULL);
}

static void merge_profile(struct call *call)
{
	const Querier__SelectMergeProfileRequest *q = (void *)call->message;
	struct selection s;

	if (!check_nodes(call, q->max_nodes) || !check_sites(call, q->stack_trace_selector) ||
	    !call_select(call, q->profile_typeid, q->label_selector, q->start, q->end, &s))
		return;
	if (q->n_profile_id_selector || q->n_trace_id_selector)
		selection_clear(&s);
	start(call, BARE_PPROF, q->max_nodes, NULL, &s, NULL);
}

static void merge_span_profile(struct call *call)
{
	const Querier__SelectMergeSpanProfileRequest *q = (void *)call->message;
	struct selection s;

	if (!check_format(call, q->format, false) || !check_nodes(call, q->max_nodes) ||
	    !call_select(call, q->profile_typeid, q->label_selector, q->start, q->end, &s))
		return;
	selection_clear(&s);
	start(call, SPAN_FLAME, q->max_nodes, NULL, &s, NULL);
}

static void diff(struct call *call)
{
	const Querier__DiffRequest *q = (void *)call->message;
	struct selection left, right;

	if (!q->left || !q->right) {
		call_error(call, CONNECT_INVALID_ARGUMENT, "left and right are both needed");
		return;
	}
	if (strcmp(q->left->profile_typeid, q->right->profile_typeid) != 0) {
		call_error(call, CONNECT_INVALID_ARGUMENT,
			   "left and right have different profile types: '%.80s' and '%.80s'",
			   q->left->profile_typeid, q->right->profile_typeid);
		return;
	}
	if (!check_sites(call, q->right->stack_trace_selector) ||
	    !check_sites(call, q->left->stack_trace_selector) ||
	    !select_stacktraces(call, q->left, &left))
		return;
	if (!select_stacktraces(call, q->right, &right)) {
		selector_free(left.range.selector);
		return;
	}
	start(call, FLAME_DIFF, MAX(q->left->max_nodes, q->right->max_nodes), NULL, &left, &right);
}

const struct method querier_profile_methods[] = {
	{"SelectMergeStacktraces", &querier__select_merge_stacktraces_request__descriptor,
	 merge_stacktraces},
	{"SelectMergeProfile", &querier__select_merge_profile_request__descriptor, merge_profile},
	{"SelectMergeSpanProfile", &querier__select_merge_span_profile_request__descriptor,
	 merge_span_profile},
	{"Diff", &querier__diff_request__descriptor, diff},
	{0},
};
