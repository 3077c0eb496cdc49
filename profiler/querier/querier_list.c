// SPDX-License-Identifier: Apache-2.0
/*
 * The querier's methods that answer without stacks: ProfileTypes, LabelNames, LabelValues, Series,
 * SelectSeries. Each starts one listing (query/listing.h) and makes its answer of that.
 *
 * A series here is as many there as its kind has profile types: with the labels of the type
 * (profile_type.h) beside its own.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/arena.h"
#include "profiler/base/clock.h"
#include "profiler/config_core.h"
#include "profiler/querier/querier_internal.h"

/* Texts of an answer, sorted and distinct. */
struct texts {
	VEC(char *) list;
};

static int by_text(const void *pa, const void *pb)
{
	return strcmp(*(char *const *)pa, *(char *const *)pb);
}

static void texts_sort(struct texts *texts)
{
	size_t n = 0;

	if (texts->list.len)
		qsort(texts->list.data, texts->list.len, sizeof(char *), by_text);
	vec_for_each (text, &texts->list)
		if (!n || strcmp(texts->list.data[n - 1], *text) != 0)
			texts->list.data[n++] = *text;
	texts->list.len = n;
}

static int texts_add(struct texts *texts, const char *text)
{
	return vec_push(&texts->list, (char *)(uintptr_t)text);
}

/* ---- series with their types ----------------------------------------------------------------- */

/* What each type of each listed series is: visit's result, when it is not 0, ends it. */
static int each_typed(const struct call *call, const struct listing *listing,
		      int (*visit)(void *arg, const struct listed_series *series,
				   const struct profile_type_id *type),
		      void *arg)
{
	int err = 0;

	vec_for_each (s, &listing->series)
		for (size_t i = 0; i < n_profile_type_ids && !err; i++)
			if ((call->types & 1u << i) && !strcmp(profile_type_ids[i].kind, s->kind))
				err = visit(arg, s, &profile_type_ids[i]);
	return err;
}

static const char *label_value(const struct listed_series *series,
			       const struct profile_type_id *type, const char *name)
{
	for (size_t i = 0; i < series->n_labels; i++)
		if (!strcmp(series->labels[i].name, name))
			return series->labels[i].value;
	return profile_type_label(type, name);
}

static void start(struct call *call, listing_done *done, const struct listing_request *request)
{
	int err =
		listing_start(agent_queries(call->req->agent), request, done, call, &call->listing);

	if (err)
		call_failed(call, err, "lists", "");
	else
		call_suspend(call);
}

/* All series of a range that the matchers want; answered by done. */
static void start_series(struct call *call, char *const *matchers, size_t n_matchers,
			 __s64 start_ms, __s64 end_ms, listing_done *done)
{
	struct listing_request request = {0};

	if (call_range(call, start_ms, end_ms, &request.range) &&
	    call_match(call, matchers, n_matchers, &request.range.selector))
		start(call, done, &request);
}

/* ---- ProfileTypes ---------------------------------------------------------------------------- */

static void answer_types(void *arg, int err, const char *why, const struct listing *listing)
{
	Querier__ProfileTypesResponse response = QUERIER__PROFILE_TYPES_RESPONSE__INIT;
	Querier__ProfileType types[32], *list[ARRAY_SIZE(types)];
	struct call *call = arg;

	if (err) {
		call_failed(call, err, "lists", why);
		return;
	}
	BUG_ON(n_profile_type_ids > ARRAY_SIZE(types));
	response.profile_types = list;
	for (size_t i = 0; i < n_profile_type_ids; i++) {
		const struct profile_type_id *from = &profile_type_ids[i];
		Querier__ProfileType *to = &types[response.n_profile_types];
		bool there = false;

		vec_for_each (s, &listing->series)
			there |= !strcmp(s->kind, from->kind);
		if (!there)
			continue;
		querier__profile_type__init(to);
		to->id = (char *)(uintptr_t)from->id;
		to->name = (char *)(uintptr_t)from->name;
		to->sample_type = (char *)(uintptr_t)from->type;
		to->sample_unit = (char *)(uintptr_t)from->unit;
		to->period_type = (char *)(uintptr_t)from->period_type;
		to->period_unit = (char *)(uintptr_t)from->period_unit;
		list[response.n_profile_types++] = to;
	}
	call_reply(call, &response.base);
}

static void list_types(struct call *call)
{
	const Querier__ProfileTypesRequest *q = (void *)call->message;
	struct listing_request request = {0};
	__s64 start_ms = q->start, end_ms = q->end;

	if (!start_ms) /* any time */
		start_ms = 1;
	if (!end_ms)
		end_ms = (__s64)(clock_realtime_ns() / NS_PER_MS);
	if (call_range(call, start_ms, end_ms, &request.range))
		start(call, answer_types, &request);
}

/* ---- LabelNames, LabelValues ----------------------------------------------------------------- */

static int add_names(void *arg, const struct listed_series *series,
		     const struct profile_type_id *type UNUSED)
{
	struct texts *texts = arg;
	int err = 0;

	for (size_t i = 0; i < series->n_labels && !err; i++)
		err = texts_add(texts, series->labels[i].name);
	return err;
}

static void answer_names(void *arg, int err, const char *why, const struct listing *listing)
{
	Querier__LabelNamesResponse response = QUERIER__LABEL_NAMES_RESPONSE__INIT;
	struct call *call = arg;
	struct texts texts = {0};

	if (!err)
		err = each_typed(call, listing, add_names, &texts);
	if (texts.list.len) /* every series has those of its types */
		for (size_t i = 0; i < PROFILE_TYPE_N_LABELS && !err; i++)
			err = texts_add(&texts, profile_type_label_names[i]);
	if (err) {
		call_failed(call, err, "lists", why);
	} else {
		texts_sort(&texts);
		response.names = texts.list.data;
		response.n_names = texts.list.len;
		call_reply(call, &response.base);
	}
	vec_free(&texts.list);
}

static void list_names(struct call *call)
{
	const Querier__LabelNamesRequest *q = (void *)call->message;

	start_series(call, q->matchers, q->n_matchers, q->start, q->end, answer_names);
}

struct values {
	const char *name;
	struct texts texts;
};

static int add_value(void *arg, const struct listed_series *series,
		     const struct profile_type_id *type)
{
	struct values *values = arg;
	const char *value = label_value(series, type, values->name);

	return value ? texts_add(&values->texts, value) : 0;
}

static void answer_values(void *arg, int err, const char *why, const struct listing *listing)
{
	Querier__LabelValuesResponse response = QUERIER__LABEL_VALUES_RESPONSE__INIT;
	struct call *call = arg;
	struct values values = {.name = ((Querier__LabelValuesRequest *)call->message)->name};

	if (!err)
		err = each_typed(call, listing, add_value, &values);
	if (err) {
		call_failed(call, err, "lists", why);
	} else {
		texts_sort(&values.texts);
		response.names = values.texts.list.data;
		response.n_names = values.texts.list.len;
		call_reply(call, &response.base);
	}
	vec_free(&values.texts.list);
}

static void list_values(struct call *call)
{
	const Querier__LabelValuesRequest *q = (void *)call->message;

	if (!*q->name)
		call_error(call, CONNECT_INVALID_ARGUMENT,
			   "name is missing: of the label whose values are wanted");
	else
		start_series(call, q->matchers, q->n_matchers, q->start, q->end, answer_values);
}

/* ---- label sets ------------------------------------------------------------------------------ */

static int by_label(const void *pa, const void *pb)
{
	return strcmp((*(Querier__LabelPair *const *)pa)->name,
		      (*(Querier__LabelPair *const *)pb)->name);
}

static int add_pair(struct arena *arena, Querier__LabelPair **pairs, size_t *n, const char *name,
		    const char *value)
{
	Querier__LabelPair *pair = arena_alloc(arena, sizeof(*pair));

	if (!pair)
		return -ENOMEM;
	querier__label_pair__init(pair);
	pair->name = (char *)(uintptr_t)name;
	pair->value = (char *)(uintptr_t)value;
	pairs[(*n)++] = pair;
	return 0;
}

/* The labels of a series, those in names or all of them, by name, in the arena; texts are borrowed. 0
 * or -ENOMEM. */
static int make_labels(struct arena *arena, const struct listed_series *series,
		       const struct profile_type_id *type, char *const *names, size_t n_names,
		       Querier__LabelPair ***ret_pairs, size_t *ret_n)
{
	size_t max = n_names ? n_names : series->n_labels + PROFILE_TYPE_N_LABELS, n = 0;
	Querier__LabelPair **pairs = arena_alloc(arena, max * sizeof(*pairs));
	int err = pairs ? 0 : -ENOMEM;

	for (size_t i = 0; i < n_names && !err; i++) {
		const char *value = label_value(series, type, names[i]);

		for (size_t j = 0; j < n; j++)
			if (!strcmp(pairs[j]->name, names[i])) /* asked for twice */
				value = NULL;
		if (value)
			err = add_pair(arena, pairs, &n, names[i], value);
	}
	for (size_t i = 0; !n_names && i < series->n_labels && !err; i++)
		err = add_pair(arena, pairs, &n, series->labels[i].name, series->labels[i].value);
	for (size_t i = 0; !n_names && i < PROFILE_TYPE_N_LABELS && !err; i++)
		err = add_pair(arena, pairs, &n, profile_type_label_names[i],
			       profile_type_label(type, profile_type_label_names[i]));
	if (err)
		return err;
	qsort(pairs, n, sizeof(*pairs), by_label);
	*ret_pairs = pairs;
	*ret_n = n;
	return 0;
}

/* ---- Series ---------------------------------------------------------------------------------- */

struct sets {
	struct arena arena;
	VEC(Querier__Labels *) list;
	struct texts names; /* wanted; none: all */
};

static int compare_sets(const void *pa, const void *pb)
{
	const Querier__Labels *a = *(Querier__Labels *const *)pa;
	const Querier__Labels *b = *(Querier__Labels *const *)pb;
	int order = 0;

	for (size_t i = 0; i < a->n_labels && i < b->n_labels && !order; i++) {
		order = strcmp(a->labels[i]->name, b->labels[i]->name);
		if (!order)
			order = strcmp(a->labels[i]->value, b->labels[i]->value);
	}
	return order ? order : (a->n_labels > b->n_labels) - (a->n_labels < b->n_labels);
}

static int add_set(void *arg, const struct listed_series *series,
		   const struct profile_type_id *type)
{
	struct sets *sets = arg;
	Querier__Labels *set = arena_alloc(&sets->arena, sizeof(*set));
	int err;

	if (!set)
		return -ENOMEM;
	querier__labels__init(set);
	err = make_labels(&sets->arena, series, type, sets->names.list.data, sets->names.list.len,
			  &set->labels, &set->n_labels);
	return err ? err : vec_push(&sets->list, set);
}

static void reply_sets(struct call *call, struct sets *sets)
{
	Querier__SeriesResponse response = QUERIER__SERIES_RESPONSE__INIT;
	size_t n = 0;

	if (sets->list.len)
		qsort(sets->list.data, sets->list.len, sizeof(*sets->list.data), compare_sets);
	vec_for_each (set, &sets->list)
		if (!n || compare_sets(&sets->list.data[n - 1], set) != 0)
			sets->list.data[n++] = *set;
	response.labels_set = sets->list.data;
	response.n_labels_set = n;
	call_reply(call, &response.base);
}

static void answer_series(void *arg, int err, const char *why, const struct listing *listing)
{
	struct call *call = arg;
	const Querier__SeriesRequest *q = (void *)call->message;
	struct sets sets = {0};

	for (size_t i = 0; i < q->n_label_names && !err; i++)
		err = texts_add(&sets.names, q->label_names[i]);
	texts_sort(&sets.names);
	if (!err)
		err = each_typed(call, listing, add_set, &sets);
	if (err)
		call_failed(call, err, "lists", why);
	else
		reply_sets(call, &sets);
	arena_fini(&sets.arena);
	vec_free(&sets.list);
	vec_free(&sets.names.list);
}

static void list_series(struct call *call)
{
	const Querier__SeriesRequest *q = (void *)call->message;

	if (q->n_label_names > LISTING_MAX_BY)
		call_error(call, CONNECT_INVALID_ARGUMENT, "%zu label names; at most %d can be",
			   q->n_label_names, LISTING_MAX_BY);
	else
		start_series(call, q->matchers, q->n_matchers, q->start, q->end, answer_series);
}

/* ---- SelectSeries ---------------------------------------------------------------------------- */

/* The average of profiles is asked for: of one window of one series each. */
static bool wants_average(const Querier__SelectSeriesRequest *q)
{
	return q->aggregation ==
	       QUERIER__TIME_SERIES_AGGREGATION_TYPE__TIME_SERIES_AGGREGATION_TYPE_AVERAGE;
}

/* A bucket is stamped with its end; empty ones are left out. */
static int add_points(struct call *call, struct arena *arena, const struct listing *listing,
		      const struct listed_group *group, Querier__Series *out)
{
	const struct profile_config *profile =
		config_get(agent_config(call->req->agent), &profile_section);
	__u64 start_ms = call->range.from_ns / NS_PER_MS, step_ms = call->step_ns / NS_PER_MS;
	double window_s = (double)profile->window_ns / NS_PER_S;

	out->points = arena_alloc(arena, (listing->n_steps + 1) * sizeof(*out->points));
	if (!out->points)
		return -ENOMEM;
	for (size_t i = 0; i < listing->n_steps; i++) {
		Querier__Point *point;
		double value = round(group->values[i]);

		if (value <= 0)
			continue;
		if (group->held_s)
			value = group->values[i] * window_s / group->held_s[i];
		point = arena_alloc(arena, sizeof(*point));
		if (!point)
			return -ENOMEM;
		querier__point__init(point);
		point->timestamp = (int64_t)(start_ms + (i + 1) * step_ms);
		point->value = value;
		out->points[out->n_points++] = point;
	}
	return 0;
}

/* The labels that a group has in common. */
static int add_group_labels(struct call *call, struct arena *arena, const struct listing *listing,
			    const struct listed_group *group, Querier__Series *out)
{
	const Querier__SelectSeriesRequest *q = (void *)call->message;

	if (!q->n_group_by)
		return 0;
	if (!group->rest)
		return make_labels(arena, &listing->series.data[group->series], call->type,
				   q->group_by, q->n_group_by, &out->labels, &out->n_labels);
	out->labels = arena_alloc(arena, sizeof(*out->labels));
	return out->labels ? add_pair(arena, out->labels, &out->n_labels, q->group_by[0], "other")
			   : -ENOMEM;
}

static int fill_groups(struct call *call, struct arena *arena, const struct listing *listing,
		       Querier__SelectSeriesResponse *response)
{
	const Querier__SelectSeriesRequest *q = (void *)call->message;
	size_t n = listing->groups.len;
	int err = 0;

	if (q->limit > 0 && (__u64)q->limit < n)
		n = (size_t)q->limit; /* the largest come first */
	response->series = arena_alloc(arena, (n + 1) * sizeof(*response->series));
	if (!response->series)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		const struct listed_group *group = &listing->groups.data[i];
		Querier__Series *series = arena_alloc(arena, sizeof(*series));

		if (!series)
			return -ENOMEM;
		querier__series__init(series);
		err = add_points(call, arena, listing, group, series);
		if (!err && series->n_points)
			err = add_group_labels(call, arena, listing, group, series);
		if (series->n_points)
			response->series[response->n_series++] = series;
	}
	return err;
}

static void answer_sums(void *arg, int err, const char *why, const struct listing *listing)
{
	Querier__SelectSeriesResponse response = QUERIER__SELECT_SERIES_RESPONSE__INIT;
	struct call *call = arg;
	struct arena arena = {0};

	if (!err)
		err = fill_groups(call, &arena, listing, &response);
	if (err)
		call_failed(call, err, "sums", why);
	else
		call_reply(call, &response.base);
	arena_fini(&arena);
}

/* False when an error was answered. */
static bool check_sums(struct call *call, const Querier__SelectSeriesRequest *q)
{
	const char *why = NULL;

	if (!(q->step >= 0.001 && q->step <= 1e9)) /* NaN, too */
		why = "step is needed: seconds, at least 0.001";
	else if (q->limit < 0)
		why = "limit is negative";
	else if (q->n_group_by > LISTING_MAX_BY)
		why = "too many labels to group by";
	else if (q->aggregation !=
			 QUERIER__TIME_SERIES_AGGREGATION_TYPE__TIME_SERIES_AGGREGATION_TYPE_SUM &&
		 !wants_average(q))
		why = "aggregation is neither sum nor average";
	if (why)
		call_error(call, CONNECT_INVALID_ARGUMENT, "%s", why);
	else if (q->stack_trace_selector && q->stack_trace_selector->n_call_site)
		call_error(call, CONNECT_UNIMPLEMENTED,
			   "sums by time are kept without stacks: call sites cannot choose here");
	else
		return true;
	return false;
}

/* The range in whole steps: what is beyond the last one has no bucket. False when an error was
 * answered. */
static bool fit_steps(struct call *call, double step_s, struct selection *s)
{
	__u64 n;

	call->step_ns = (__u64)(step_s * 1000) * NS_PER_MS;
	n = (s->range.to_ns - s->range.from_ns) / call->step_ns;
	if (n > LISTING_MAX_STEPS) {
		call_error(call, CONNECT_INVALID_ARGUMENT,
			   "the range has more than %d steps: ask for a longer step",
			   LISTING_MAX_STEPS);
		return false;
	}
	if (!n)
		selection_clear(s);
	else
		s->range.to_ns = s->range.from_ns + n * call->step_ns;
	return true;
}

static void sum_series(struct call *call)
{
	const Querier__SelectSeriesRequest *q = (void *)call->message;
	const char *by[LISTING_MAX_BY];
	struct listing_request request = {.by = by};
	struct selection s;

	if (!check_sums(call, q) ||
	    !call_select(call, q->profile_typeid, q->label_selector, q->start, q->end, &s))
		return;
	if (!fit_steps(call, q->step, &s)) {
		selector_free(s.range.selector);
		return;
	}
	for (size_t i = 0; i < q->n_group_by; i++)
		if (!profile_type_label(s.type, q->group_by[i])) /* those are all the same */
			by[request.n_by++] = q->group_by[i];
	call->type = s.type;
	call->range = s.range;
	request.kind = s.type->kind;
	request.range = s.range;
	request.step_ns = call->step_ns;
	request.samples = s.type->samples;
	request.held = wants_average(q);
	start(call, answer_sums, &request);
}

const struct method querier_list_methods[] = {
	{"ProfileTypes", &querier__profile_types_request__descriptor, list_types},
	{"LabelNames", &querier__label_names_request__descriptor, list_names},
	{"LabelValues", &querier__label_values_request__descriptor, list_values},
	{"Series", &querier__series_request__descriptor, list_series},
	{"SelectSeries", &querier__select_series_request__descriptor, sum_series},
	{0},
};
