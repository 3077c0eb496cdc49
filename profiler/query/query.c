// SPDX-License-Identifier: Apache-2.0
/* Profiles of the past, see query.h. */
#include "profiler/query/query.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/engine.h"
#include "profiler/export/sink.h"
#include "profiler/loop.h"
#include "profiler/naming.h"
#include "profiler/process.h"
#include "profiler/profile.h"
#include "profiler/query/query_internal.h"
#include "profiler/query/selector.h"

#define MAX_SERIES 2000

struct query {
	struct queries *queries;
	struct query *next;
	struct builder_job name, read; /* one after the other */
	struct query_request q;
	query_done *done; /* NULL: cancelled */
	void *arg;
	atomic_bool cancelled;

	struct query_plan plan;
	struct query_labels common;
	struct profile *profile;
	struct store_result result;
	int err;
	char why[256];
	struct buf body;
};

/* ---- what query_internal.h shares ------------------------------------------------------------ */

int query_labels_init(struct query_labels *labels, const struct agent *agent)
{
	*labels = (struct query_labels){0};
	labels->n = agent_labels(agent, labels->labels, ARRAY_SIZE(labels->labels));
	for (size_t i = 0; i < labels->n; i++) {
		struct agent_label *l = &labels->labels[i];

		l->name = arena_strndup(&labels->texts, l->name, strlen(l->name));
		l->value = arena_strndup(&labels->texts, l->value, strlen(l->value));
		if (!l->name || !l->value)
			return -ENOMEM;
	}
	return 0;
}

void query_labels_fini(struct query_labels *labels)
{
	arena_fini(&labels->texts);
}

const char *query_label(const struct query_labels *common, const struct series *series,
			const char *name)
{
	for (size_t i = 0; i < series->n_labels; i++)
		if (!strcmp(series->labels[i].name, name))
			return series->labels[i].value;
	for (size_t i = 0; i < common->n; i++)
		if (!strcmp(common->labels[i].name, name))
			return common->labels[i].value;
	return NULL;
}

struct capture *query_capture(const struct recording *recording, struct selector *selector,
			      unsigned hz, __u64 from_ns, __u64 to_ns)
{
	struct capture_options options = {.source = SOURCE_CPU, .by_thread = true};
	struct capture *capture = capture_new(&options, hz);

	if (!capture)
		return NULL;
	capture->start_ns = from_ns;
	vec_for_each (r, &recording->samples) {
		struct sample sample = {
			.time_ns = r->time_ns,
			.weight = 1,
			.pid = r->image->pid,
			.tid = r->tid,
			.cpu = r->cpu,
			.source = r->source,
			.stack = r->stack,
			.image = r->image,
		};

		memcpy(sample.comm, r->comm, sizeof(sample.comm));
		if (r->time_ns >= from_ns && r->time_ns < to_ns &&
		    selector_has_thread(selector, sample.pid, sample.tid, sample.comm))
			capture_add(capture, &sample);
	}
	capture_finish(capture, to_ns);
	return capture;
}

struct query_plan query_plan(struct queries *queries, const struct query_range *range, bool exact)
{
	struct agent *agent = queries->agent;
	struct agent_store *store = agent_store(agent);
	__u64 mono_ns = clock_monotonic_ns();
	__u64 last_ns = store ? agent_store_stats(store).last_mono_ns : 0;
	struct query_plan plan = {
		.recorder = agent_recorder(agent),
		.hz = agent_engine(agent) ? sampler_hz(engine_sampler(agent_engine(agent))) : 1,
		.store_to_ns = range->to_ns,
		.boot_ns = clock_realtime_ns() - mono_ns, /* on today's clock */
	};
	__u64 since_ns;

	if (!plan.recorder || range->to_ns <= plan.boot_ns)
		return plan;
	since_ns = recorder_stats(plan.recorder).since_ns;
	plan.recorder_to_ns = MIN(range->to_ns - plan.boot_ns, mono_ns);
	if (exact && range->from_ns >= plan.boot_ns + since_ns) {
		plan.recorder_from_ns = range->from_ns - plan.boot_ns;
		plan.store_to_ns = 0;
	} else {
		plan.recorder_from_ns = MAX(since_ns, last_ns);
		if (range->from_ns > plan.boot_ns)
			plan.recorder_from_ns =
				MAX(plan.recorder_from_ns, range->from_ns - plan.boot_ns);
		plan.store_to_ns = MIN(range->to_ns, plan.recorder_from_ns + plan.boot_ns);
	}
	plan.recorder_from_ns = MIN(plan.recorder_from_ns, plan.recorder_to_ns);
	return plan;
}

/* ---- which series ---------------------------------------------------------------------------- */

struct label_source {
	const struct query *query;
	const struct series *series; /* of a capture, or */
	const struct store_labels *stored;
};

static const char *label_of(void *arg, const char *name)
{
	const struct label_source *from = arg;

	return from->stored ? dict_series_label(from->stored->dict, from->stored->series, name)
			    : query_label(&from->query->common, from->series, name);
}

static bool stored_series(void *arg, const struct store_labels *labels)
{
	struct query *query = arg;
	struct label_source from = {.query = query, .stored = labels};

	return selector_has_series(query->q.range.selector, label_of, &from);
}

static bool stored_thread(void *arg, __u32 pid, __u32 tid, const char *comm)
{
	struct query *query = arg;

	return selector_has_thread(query->q.range.selector, pid, tid, comm);
}

static bool is_cancelled(void *arg)
{
	struct query *query = arg;

	return atomic_load(&query->cancelled);
}

/* ---- the recorder's part: the builder -------------------------------------------------------- */

static void name_capture(struct query *query, struct naming *naming, struct capture *capture)
{
	struct series_options split = {.max = MAX_SERIES};
	struct naming_labels labels = {
		.pid = query->q.group == STORE_GROUP_PID || query->q.group == STORE_GROUP_TID,
		.tid = query->q.group == STORE_GROUP_TID,
		.comm = query->q.group == STORE_GROUP_COMM || query->q.group == STORE_GROUP_TID,
	};
	struct series *series;
	size_t n;

	series = series_split(capture, &split, &n);
	for (size_t i = 0; i < n && !is_cancelled(query); i++) {
		struct label_source from = {.query = query, .series = &series[i]};

		if (selector_has_series(query->q.range.selector, label_of, &from))
			naming_add(naming, capture, series[i].first, series[i].end, &labels,
				   query->profile);
	}
	free(series);
}

static void run_naming(struct builder_job *job, struct naming *naming)
{
	struct query *query = container_of(job, struct query, name);
	const struct query_plan *plan = &query->plan;
	struct recording *recording;
	struct capture *capture = NULL;

	recording = recorder_copy(plan->recorder, plan->recorder_from_ns, plan->recorder_to_ns);
	if (recording)
		capture = query_capture(recording, query->q.range.selector, plan->hz,
					plan->recorder_from_ns, plan->recorder_to_ns);
	if (capture)
		name_capture(query, naming, capture);
	else
		query->err = -ENOMEM;
	capture_free(capture);
	recording_free(recording);
}

/* ---- the store's part, and the answer: the reader -------------------------------------------- */

static void read_store(struct query *query)
{
	struct store_choice choice = {
		.kind = query->q.kind,
		.from_ns = query->q.range.from_ns,
		.to_ns = query->plan.store_to_ns,
		.series = stored_series,
		.thread = selector_wants_thread(query->q.range.selector) ? stored_thread : NULL,
		.cancelled = is_cancelled,
		.arg = query,
		.group = query->q.group,
	};
	struct store_reader *reader = query->queries->reader;

	if (!reader || query->plan.store_to_ns <= query->q.range.from_ns)
		return;
	query->err = store_read_profile(reader, &choice, query->profile, &query->result);
	if (query->err == -ENOENT) /* nothing was ever stored */
		query->err = 0;
	if (query->err)
		snprintf(query->why, sizeof(query->why), "%s", store_reader_error(reader));
}

/* What readers of the profile need to know. */
static void describe(struct query *query)
{
	struct profile *p = query->profile;
	char text[160];

	if (!p->n_types) {
		profile_add_type(p, "samples", "count");
		p->default_type = profile_add_type(p, "cpu", "nanoseconds");
		profile_set_period(p, "cpu", "nanoseconds", NS_PER_S / query->plan.hz);
	}
	p->name = profile_cstring(p, query->q.kind);
	p->time_ns = query->q.range.from_ns;
	p->duration_ns = query->q.range.to_ns - query->q.range.from_ns;
	p->lost_total = query->result.facts.lost;
	if (query->result.skipped_blocks) {
		snprintf(text, sizeof(text),
			 "%llu stored blocks are damaged or gone: parts of the "
			 "range are missing",
			 (unsigned long long)query->result.skipped_blocks);
		profile_add_comment(p, text);
	}
	if (p->refused_total[PROFILE_TABLE_stacks] || p->refused_total[PROFILE_TABLE_locations]) {
		snprintf(text, sizeof(text),
			 "more distinct stacks than %zu MiB hold: the rest "
			 "counts as [profile full]; choose a shorter range or "
			 "fewer series",
			 QUERY_PROFILE_BYTES >> 20);
		profile_add_comment(p, text);
	}
}

static void encode(struct query *query)
{
	static const enum export_group groups[] = {
		[STORE_GROUP_NONE] = EXPORT_GROUP_NONE,
		[STORE_GROUP_COMM] = EXPORT_GROUP_COMM,
		[STORE_GROUP_PID] = EXPORT_GROUP_PID,
		[STORE_GROUP_TID] = EXPORT_GROUP_TID,
	};
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	struct sink_buf sink;

	options.host = agent_host(query->queries->agent);
	options.string_labels = true;
	options.group = groups[query->q.group];
	options.max_nodes = query->q.max_nodes;
	query->body.limit = QUERY_BODY_BYTES;
	sink_buf_init(&sink, &query->body);
	query->err = query->q.format->write(query->profile, &options, &sink.sink);
	if (!query->err)
		query->err = sink_finish(&sink.sink);
}

static void run_reading(struct builder_job *job, struct naming *naming UNUSED)
{
	struct query *query = container_of(job, struct query, read);

	if (!query->err)
		read_store(query);
	if (query->err || is_cancelled(query))
		return;
	describe(query);
	encode(query);
}

/* ---- the agent's thread ---------------------------------------------------------------------- */

static void free_query(struct query *query)
{
	selector_free(query->q.range.selector);
	profile_free(query->profile);
	query_labels_fini(&query->common);
	buf_fini(&query->body);
	free(query);
}

static void finished(struct builder_job *job)
{
	struct query *query = container_of(job, struct query, read);
	struct query **at = &query->queries->first;

	while (*at != query)
		at = &(*at)->next;
	*at = query->next;
	query->queries->n--;
	if (query->done)
		query->done(query->arg, query->err, query->why, &query->body);
	free_query(query);
}

static void named(struct builder_job *job)
{
	struct query *query = container_of(job, struct query, name);

	if (query->queries->reader_thread) {
		builder_submit(query->queries->reader_thread, &query->read);
		return;
	}
	query->err = -ECANCELED; /* the agent ends */
	finished(&query->read);
}

int query_start(struct queries *queries, const struct query_request *request, query_done *done,
		void *arg, struct query **ret_query)
{
	struct profile_limits limits = {.max_bytes = QUERY_PROFILE_BYTES};
	struct query *query = queries->n < QUERY_MAX ? calloc(1, sizeof(*query)) : NULL;

	if (!query) {
		selector_free(request->range.selector);
		return queries->n < QUERY_MAX ? -ENOMEM : -EBUSY;
	}
	query->queries = queries;
	query->q = *request;
	query->done = done;
	query->arg = arg;
	query->name = (struct builder_job){.run = run_naming, .done = named, .urgent = true};
	query->read = (struct builder_job){.run = run_reading, .done = finished, .urgent = true};
	query->profile = profile_new(&limits);
	if (!query->profile || query_labels_init(&query->common, queries->agent)) {
		free_query(query);
		return -ENOMEM;
	}
	query->plan = query_plan(queries, &query->q.range, true);
	query->next = queries->first;
	queries->first = query;
	queries->n++;
	*ret_query = query;
	if (query->plan.recorder_from_ns < query->plan.recorder_to_ns)
		builder_submit(agent_builder(queries->agent), &query->name);
	else
		builder_submit(queries->reader_thread, &query->read);
	return 0;
}

void query_cancel(struct query *query)
{
	query->done = NULL;
	atomic_store(&query->cancelled, true);
	atomic_store(&query->name.cancelled, true);
	atomic_store(&query->read.cancelled, true);
}

struct queries *queries_new(struct agent *agent)
{
	struct queries *queries = calloc(1, sizeof(*queries));

	if (!queries)
		return NULL;
	queries->agent = agent;
	if (agent_store(agent)) {
		queries->reader = store_reader_new(agent_store_dir(agent_store(agent)));
		if (!queries->reader) {
			free(queries);
			return NULL;
		}
	}
	if (builder_start(agent_loop(agent), "reader", NULL, &queries->reader_thread)) {
		store_reader_free(queries->reader);
		free(queries);
		return NULL;
	}
	return queries;
}

void queries_stop(struct queries *queries)
{
	struct builder *thread = queries ? queries->reader_thread : NULL;

	if (!queries)
		return;
	for (struct query *q = queries->first; q; q = q->next)
		query_cancel(q);
	listings_cancel(queries);
	queries->reader_thread = NULL;
	builder_stop(thread);
}

void queries_free(struct queries *queries)
{
	if (!queries)
		return;
	store_reader_free(queries->reader);
	free(queries);
}
