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

#define GZIP_LEVEL 1 /* the fast one: somebody waits */

struct query {
	struct query_task task;
	struct builder_job name; /* before the task's reading */
	struct query_request q;
	query_done *done; /* NULL: cancelled */
	void *arg;

	struct query_labels common;
	struct side {
		struct query *query;
		struct query_range *range; /* of q */
		struct query_plan plan;
		struct profile *profile;
		struct store_result result;
	} sides[2]; /* what is asked for, and what it is compared with */
	unsigned n_sides;
	int err;
	char why[256];
	struct buf body;
};

/* 0, or why the work ends. */
static int check(const struct side *side)
{
	return query_task_check(&side->query->task, side->range->selector);
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
	struct side *side = arg;
	struct label_source from = {.query = side->query, .stored = labels};

	return !check(side) && selector_has_series(side->range->selector, label_of, &from);
}

static bool stored_thread(void *arg, __u32 pid, __u32 tid, const char *comm)
{
	struct side *side = arg;

	return !check(side) && selector_has_thread(side->range->selector, pid, tid, comm);
}

static bool is_over(void *arg)
{
	return check(arg) != 0;
}

/* ---- the recorder's part: the builder -------------------------------------------------------- */

static int name_capture(struct side *side, struct naming *naming, struct capture *capture)
{
	enum store_group group = side->query->q.group;
	struct series_options split = {.max = SERIES_MAX};
	struct naming_labels labels = {
		.pid = group == STORE_GROUP_PID || group == STORE_GROUP_TID,
		.tid = group == STORE_GROUP_TID,
		.comm = group != STORE_GROUP_NONE,
	};
	struct series *series;
	size_t n;
	int err = 0;

	series = series_split(capture, &split, &n);
	for (size_t i = 0; i < n && !err; i++) {
		struct label_source from = {.query = side->query, .series = &series[i]};

		if (selector_has_series(side->range->selector, label_of, &from))
			naming_add(naming, capture, series[i].first, series[i].end, &labels,
				   side->profile);
		/* No deadline: symbols that are opened for the first time take what they take. */
		err = atomic_load(&side->query->task.read.cancelled)
			      ? -ECANCELED
			      : selector_error(side->range->selector);
	}
	free(series);
	return err;
}

static int name_side(struct side *side, struct naming *naming)
{
	const struct query_plan *plan = &side->plan;
	struct recording *recording;
	struct capture *capture = NULL;
	int err;

	if (plan->recorder_from_ns >= plan->recorder_to_ns)
		return 0;
	query_task_begin(&side->query->task);
	recording = recorder_copy(plan->recorder, plan->recorder_from_ns, plan->recorder_to_ns);
	if (recording)
		capture = query_capture(&side->query->task, recording, side->range->selector,
					plan->recorder_from_ns, plan->recorder_to_ns);
	recording_free(recording);
	if (!capture)
		return check(side) ?: -ENOMEM;
	err = name_capture(side, naming, capture);
	capture_free(capture);
	return err;
}

static void run_naming(struct builder_job *job, struct naming *naming)
{
	struct query *query = container_of(job, struct query, name);

	for (unsigned i = 0; i < query->n_sides && !query->err; i++)
		query->err = name_side(&query->sides[i], naming);
}

/* ---- the store's part, and the answer: the reader -------------------------------------------- */

static int read_side(struct side *side)
{
	struct query *query = side->query;
	struct store_choice choice = {
		.kind = query->q.kind,
		.from_ns = side->range->from_ns,
		.to_ns = side->plan.store_to_ns,
		.series = stored_series,
		.thread = selector_wants_thread(side->range->selector) ? stored_thread : NULL,
		.cancelled = is_over,
		.arg = side,
		.group = query->q.group,
	};
	struct store_reader *reader = query->task.queries->reader;
	int err;

	if (!reader || choice.to_ns <= choice.from_ns)
		return 0;
	err = store_read_profile(reader, &choice, side->profile, &side->result);
	if (err == -ENOENT) /* nothing was ever stored */
		return 0;
	if (check(side)) /* what it was asked for may have gone unanswered */
		return check(side);
	if (err)
		snprintf(query->why, sizeof(query->why), "%s", store_reader_error(reader));
	return err;
}

/* What there is of the range, from the first window or recorded moment to the last: the range may
 * begin before anything was kept, and windows at its edges reach beyond it. */
static void set_time(struct side *side)
{
	const struct facts *facts = &side->result.facts;
	const struct query_plan *plan = &side->plan;
	bool recorded = plan->recorder_from_ns < plan->recorder_to_ns;
	__u64 start_ns = side->range->from_ns, end_ns = side->range->to_ns;

	if (facts->windows)
		start_ns = facts->start_ns;
	else if (recorded)
		start_ns = plan->recorder_from_ns + plan->boot_ns;
	if (recorded)
		end_ns = plan->recorder_to_ns + plan->boot_ns;
	else if (facts->windows)
		end_ns = facts->end_ns;
	end_ns = MAX(end_ns, start_ns + 1); /* a clock that was set between them */
	side->profile->time_ns = start_ns;
	side->profile->duration_ns = end_ns - start_ns;
}

/* What readers of the profile need to know. */
static void describe(struct side *side)
{
	struct profile *p = side->profile;
	char text[200];

	if (!p->n_types) {
		profile_add_type(p, "samples", "count");
		p->default_type = profile_add_type(p, "cpu", "nanoseconds");
		profile_set_period(p, "cpu", "nanoseconds", NS_PER_S / side->plan.hz);
	}
	p->name = profile_cstring(p, side->query->q.kind);
	set_time(side);
	p->lost_total = side->result.facts.lost;
	if (side->result.skipped_blocks) {
		snprintf(text, sizeof(text),
			 "%llu stored blocks are damaged or gone: parts of the "
			 "range are missing",
			 (unsigned long long)side->result.skipped_blocks);
		profile_add_comment(p, text);
	}
	if (p->folded_below) {
		snprintf(text, sizeof(text),
			 "more distinct stacks than %zu MiB hold: parts below %.2g %% of this may "
			 "be "
			 "[other] under their callers; a shorter range or fewer series show them",
			 QUERY_PROFILE_BYTES >> 20,
			 100.0 * (double)p->folded_below /
				 (double)MAX(profile_total(p, p->default_type), 1ull));
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

static int write_profile(struct query *query, struct sink *to)
{
	static const enum export_group groups[] = {
		[STORE_GROUP_NONE] = EXPORT_GROUP_NONE,
		[STORE_GROUP_COMM] = EXPORT_GROUP_COMM,
		[STORE_GROUP_PID] = EXPORT_GROUP_PID,
		[STORE_GROUP_TID] = EXPORT_GROUP_TID,
	};
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	struct buf whole = {.limit = QUERY_BODY_BYTES};
	int err;

	if (!query->q.encode) {
		options.host = agent_host(query->task.queries->agent);
		options.string_labels = true;
		options.group = groups[query->q.group];
		options.max_nodes = query->q.max_nodes;
		return query->q.format->write(query->sides[0].profile, &options, to);
	}
	err = query->q.encode(query->q.encode_arg, query->sides[0].profile, &whole) ?: whole.err;
	if (!err)
		sink_add(to, whole.data, whole.len);
	buf_fini(&whole);
	return err;
}

/* Compressed here if it is to be, since the agent's thread has others to serve meanwhile. */
static int encode(struct query *query)
{
	struct sink_gzip gzip;
	struct sink_buf body;
	int err = 0;

	query->body.limit = QUERY_BODY_BYTES;
	sink_buf_init(&body, &query->body);
	if (!query->q.gzip) {
		err = write_profile(query, &body.sink);
		return err ? err : sink_finish(&body.sink);
	}
	err = sink_gzip_init(&gzip, &body.sink, GZIP_LEVEL);
	if (err)
		return err;
	err = write_profile(query, &gzip.sink);
	if (!err)
		err = sink_finish(&gzip.sink);
	if (!err)
		err = sink_finish(&body.sink);
	sink_gzip_fini(&gzip);
	return err;
}

/* The baseline's stacks need a place beside the profile's own. */
static int join_base(struct profile *profile, struct profile *base)
{
	int err = 0;

	if (profile_bytes(profile) + profile_bytes(base) > QUERY_PROFILE_BYTES / 2) {
		err = profile_fold(profile);
		if (!err)
			err = profile_fold(base);
	}
	return err ? err : profile_set_base(profile, base);
}

static void run_reading(struct builder_job *job, struct naming *naming UNUSED)
{
	struct query *query = container_of(job, struct query, task.read);

	query_task_begin(&query->task);
	for (unsigned i = 0; i < query->n_sides && !query->err; i++) {
		query->err = read_side(&query->sides[i]);
		describe(&query->sides[i]);
	}
	if (!query->err && query->n_sides > 1)
		query->err = join_base(query->sides[0].profile, query->sides[1].profile);
	if (!query->err && !atomic_load(&query->task.read.cancelled))
		query->err = encode(query);
}

/* ---- the agent's thread ---------------------------------------------------------------------- */

/* What a request gives is taken. */
static void free_request(const struct query_request *request)
{
	selector_free(request->range.selector);
	selector_free(request->base.selector);
	if (request->encode_free)
		request->encode_free(request->encode_arg);
}

static void free_query(struct query *query)
{
	for (unsigned i = 0; i < query->n_sides; i++)
		profile_free(query->sides[i].profile);
	query_labels_fini(&query->common);
	buf_fini(&query->body);
	free_request(&query->q);
	free(query);
}

static void finished(struct builder_job *job)
{
	struct query *query = container_of(job, struct query, task.read);

	query_task_remove(&query->task);
	if (query->done)
		query->done(query->arg, query->err,
			    *query->why ? query->why : query_error_text(query->err), &query->body);
	free_query(query);
}

static void named(struct builder_job *job)
{
	struct query *query = container_of(job, struct query, name);

	if (query->task.queries->reader_thread) {
		builder_submit(query->task.queries->reader_thread, &query->task.read);
		return;
	}
	query->err = -ECANCELED; /* the agent ends */
	finished(&query->task.read);
}

static int add_side(struct query *query, struct query_range *range)
{
	struct profile_limits limits = {.max_bytes = QUERY_PROFILE_BYTES};
	struct side *side = &query->sides[query->n_sides++];

	side->query = query;
	side->range = range;
	side->plan = query_plan(query->task.queries, range, true);
	query_plan_exact_end(&side->plan, query->task.queries);
	side->profile = profile_new(&limits);
	return side->profile ? 0 : -ENOMEM;
}

static void cancel(struct query_task *task)
{
	query_cancel(container_of(task, struct query, task));
}

static int set_up(struct query *query)
{
	int err = query_labels_init(&query->common, query->task.queries->agent);

	if (!err)
		err = add_side(query, &query->q.range);
	if (!err && query->q.base.to_ns)
		err = add_side(query, &query->q.base);
	return err;
}

int query_start(struct queries *queries, const struct query_request *request, query_done *done,
		void *arg, struct query **ret_query)
{
	bool recorded = false;
	int err;
	struct query *query = query_task_new(queries, QUERY_TASK_PROFILE, sizeof(*query), &err);

	if (!query) {
		free_request(request);
		return err;
	}
	query->task.cancel = cancel;
	query->task.read =
		(struct builder_job){.run = run_reading, .done = finished, .urgent = true};
	query->name = (struct builder_job){.run = run_naming, .done = named, .urgent = true};
	query->q = *request;
	query->done = done;
	query->arg = arg;
	err = set_up(query);
	if (err) {
		free_query(query);
		return err;
	}
	query_task_add(&query->task);
	*ret_query = query;
	for (unsigned i = 0; i < query->n_sides; i++)
		recorded |=
			query->sides[i].plan.recorder_from_ns < query->sides[i].plan.recorder_to_ns;
	if (recorded)
		builder_submit(agent_builder(queries->agent), &query->name);
	else
		builder_submit(queries->reader_thread, &query->task.read);
	return 0;
}

void query_cancel(struct query *query)
{
	query->done = NULL;
	atomic_store(&query->name.cancelled, true);
	atomic_store(&query->task.read.cancelled, true);
}
