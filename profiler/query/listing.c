// SPDX-License-Identifier: Apache-2.0
/* Series, labels and sums by time, see listing.h. */
#include "profiler/query/listing.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/config_core.h"
#include "profiler/profile.h"
#include "profiler/query/listing_internal.h"
#include "profiler/query/selector.h"
#include "profiler/store/index.h"

#define EXACT_NS (15 * NS_PER_S)

/* ---- series ---------------------------------------------------------------------------------- */

static const char *listed_label(void *arg, const char *name)
{
	const struct listed_series *s = arg;

	for (size_t i = 0; i < s->n_labels; i++)
		if (!strcmp(s->labels[i].name, name))
			return s->labels[i].value;
	return NULL;
}

static const char *copy(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

static int by_name(const void *pa, const void *pb)
{
	const struct agent_label *a = pa, *b = pb;

	return strcmp(a->name, b->name);
}

/* The labels of a series as the index has them: a JSON object. */
static int parse_labels(struct arena *arena, const char *text, struct listed_series *s)
{
	json_t *root = json_loads(text, 0, NULL), *value;
	const char *name;
	int err = 0;

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	s->labels = arena_alloc(arena, (json_object_size(root) + 1) * sizeof(*s->labels));
	if (!s->labels)
		err = -ENOMEM;
	json_object_foreach(root, name, value)
	{
		struct agent_label *label;

		if (err || !json_is_string(value))
			continue;
		label = &s->labels[s->n_labels++];
		label->name = copy(arena, name);
		label->value = copy(arena, json_string_value(value));
		err = label->name && label->value ? 0 : -ENOMEM;
	}
	json_decref(root);
	return err;
}

/* Into the list. */
static int add_series(struct listing *out, const struct listed_series *from)
{
	struct arena *arena = &out->arena;
	struct listed_series s = *from;

	s.kind = copy(arena, from->kind);
	s.type = copy(arena, from->type);
	s.unit = copy(arena, from->unit);
	s.labels = arena_alloc(arena, (from->n_labels + 1) * sizeof(*s.labels));
	if (!s.kind || !s.type || !s.unit || !s.labels)
		return -ENOMEM;
	for (size_t i = 0; i < s.n_labels; i++) {
		s.labels[i].name = copy(arena, from->labels[i].name);
		s.labels[i].value = copy(arena, from->labels[i].value);
		if (!s.labels[i].name || !s.labels[i].value)
			return -ENOMEM;
	}
	return vec_push(&out->series, s);
}

/* The group of a series; series: where in the list it is. */
static __s64 group_of(struct listing_job *job, struct listed_series *s, size_t series)
{
	bool is_new;

	return sums_group(&job->sums, listed_label, s, series, &is_new);
}

/* Keep a series of the scratch arena if it is wanted. A list that is full ends a listing; sums go on
 * without its name. *ret_group: what its values add to, -1 for nothing. 0 or -errno. */
static int keep_series(struct listing_job *job, struct listed_series *s, __s64 *ret_group)
{
	bool full = job->out.series.len >= LISTING_MAX_SERIES;
	__s64 group = -1;

	if ((!job->q.kind || !strcmp(job->q.kind, s->kind)) &&
	    selector_has_series(job->q.range.selector, listed_label, s)) {
		if (full && !job->q.step_ns)
			return -EFBIG;
		if (!full && add_series(&job->out, s))
			return -ENOMEM;
		if (job->q.step_ns)
			group = group_of(job, s, full ? SUMS_UNLISTED : job->out.series.len - 1);
	}
	*ret_group = group;
	return group < -1 ? -ENOMEM : 0;
}

static int stored_series(void *arg, const struct index_series *series)
{
	struct listing_job *job = arg;
	struct listed_series s = {
		.id = series->id, .kind = series->kind, .type = series->type, .unit = series->unit};
	__s64 group;
	int err;

	arena_reset(&job->scratch);
	err = parse_labels(&job->scratch, series->labels, &s);
	if (err == -EBADMSG)
		return 0;
	if (!err)
		err = keep_series(job, &s, &group);
	if (err)
		return err;
	if (vec_push(&job->group_of, (struct series_group){series->id, group}))
		return -ENOMEM;
	return listing_check(job);
}

static int by_id(const void *pa, const void *pb)
{
	const struct series_group *a = pa, *b = pb;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* What the index says of ids is no reason for a table as long as the largest of them. */
static __s64 group_of_id(const struct listing_job *job, __s64 id)
{
	struct series_group key = {.id = id}, *found = NULL;

	if (job->group_of.len)
		found = bsearch(&key, job->group_of.data, job->group_of.len, sizeof(key), by_id);
	return found ? found->group : -1;
}

/* ---- sums by time ---------------------------------------------------------------------------- */

static int stored_point(void *arg, const struct index_point *point)
{
	struct listing_job *job = arg;
	__s64 group = group_of_id(job, point->series);
	__u64 end_ns = MIN(point->end_ns, job->plan.store_to_ns);

	/* What the recorder takes over at the edge is counted there. */
	if (group >= 0 && point->start_ns < end_ns)
		sums_add(&job->sums, group, point->start_ns,
			 MAX(point->end_ns, point->start_ns + 1),
			 (double)(job->q.samples ? point->samples : point->value));
	return listing_check(job);
}

static int stored_time(void *arg, __u64 start_ns, __u64 end_ns)
{
	struct listing_job *job = arg;

	return gaps_cover(&job->out.gaps, start_ns, end_ns) ?: listing_check(job);
}

static int read_times(struct listing_job *job, struct store_index *index)
{
	const struct query_range *range = &job->q.range;

	job->out.gaps.at_ns = MAX(range->from_ns, job->out.since_ns);
	return store_index_times(index, range->from_ns, range->to_ns, stored_time, job);
}

static int read_store(struct listing_job *job)
{
	struct store_reader *reader = job->task.queries->reader;
	const struct query_range *range = &job->q.range;
	struct store_index *index;
	int err;

	if (!reader || job->plan.store_to_ns <= range->from_ns)
		return 0;
	err = store_reader_begin(reader, &index);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (!job->by_thread)
		err = store_index_each_series(index, range->from_ns, range->to_ns, stored_series,
					      job);
	if (!err)
		err = store_index_facts(index, range->from_ns, range->to_ns, &job->out.facts);
	if (!err)
		err = store_index_since(index, &job->out.since_ns);
	if (!err && job->q.gaps && job->out.since_ns)
		err = read_times(job, index);
	if (!err && job->q.step_ns && !job->by_thread)
		err = store_index_points(
			index, job->q.step_ns >= 60 * NS_PER_S ? BLOCK_MINUTE : BLOCK_WINDOW,
			range->from_ns, job->plan.store_to_ns, stored_point, job);
	if (err && err != -EFBIG)
		snprintf(job->why, sizeof(job->why), "%s", store_index_error(index));
	store_reader_end(reader);
	if (!err && job->by_thread) {
		err = listing_store_threads(job);
		if (err)
			snprintf(job->why, sizeof(job->why), "%s", store_reader_error(reader));
	}
	return err;
}

/* ---- what is not stored yet ------------------------------------------------------------------ */

static bool same_labels(const struct listed_series *a, const struct listed_series *b)
{
	if (a->n_labels != b->n_labels || strcmp(a->kind, b->kind))
		return false;
	for (size_t i = 0; i < a->n_labels; i++)
		if (strcmp(a->labels[i].name, b->labels[i].name) ||
		    strcmp(a->labels[i].value, b->labels[i].value))
			return false;
	return true;
}

static int label_series(struct listing_job *job, const struct series *from, struct listed_series *s)
{
	struct arena *arena = &job->scratch;

	arena_reset(arena);
	*s = (struct listed_series){.id = -1, .kind = "cpu", .type = "cpu", .unit = "nanoseconds"};
	s->labels = arena_alloc(arena, (from->n_labels + job->common.n) * sizeof(*s->labels));
	if (!s->labels)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_labels; i++)
		s->labels[s->n_labels++] = (struct agent_label){
			copy(arena, from->labels[i].name), sums_text(arena, from->labels[i].value)};
	for (size_t i = 0; i < job->common.n; i++) {
		const struct agent_label *c = &job->common.labels[i];

		if (!listed_label(s, c->name))
			s->labels[s->n_labels++] = (struct agent_label){copy(arena, c->name),
									sums_text(arena, c->value)};
	}
	for (size_t i = 0; i < s->n_labels; i++)
		if (!s->labels[i].name || !s->labels[i].value)
			return -ENOMEM;
	qsort(s->labels, s->n_labels, sizeof(*s->labels), by_name);
	return 0;
}

/* One series of a stretch: known already or not, its samples count. */
static int add_recorded(struct listing_job *job, const struct capture *capture,
			const struct series *from)
{
	double value = 0;
	struct listed_series s;
	__s64 group = -1;
	int err = label_series(job, from, &s);
	size_t i = 0, n = job->out.series.len;

	if (err)
		return err;
	while (i < n && !same_labels(&job->out.series.data[i], &s))
		i++;
	if (i == n)
		err = keep_series(job, &s, &group);
	else if (job->q.step_ns)
		group = group_of(job, &s, i);
	if (err || group < 0)
		return group < -1 ? -ENOMEM : err;
	for (i = from->first; i < from->end; i++)
		value += listing_value(job, &capture->entries.data[i]);
	sums_add(&job->sums, group, capture->start_ns + job->plan.boot_ns,
		 capture->end_ns + job->plan.boot_ns, value);
	return 0;
}

static int add_stretch(struct listing_job *job, const struct recording *recording, __u64 from_ns,
		       __u64 to_ns)
{
	struct series_options split = {.max = SERIES_MAX};
	struct capture *capture =
		query_capture(&job->task, recording, job->q.range.selector, from_ns, to_ns);
	struct series *series;
	int err = 0;
	size_t n;

	if (!capture)
		return listing_check(job) ?: -ENOMEM;
	job->out.facts.samples += capture->counts.samples_total;
	job->out.facts.whole += capture->counts.whole_total;
	series = series_split(capture, &split, &n);
	for (size_t i = 0; i < n && !err; i++)
		err = job->by_thread ? listing_add_threads(job, capture, &series[i])
				     : add_recorded(job, capture, &series[i]);
	free(series);
	capture_free(capture);
	return err;
}

static int read_recorder(struct listing_job *job)
{
	const struct query_plan *plan = &job->plan;
	__u64 step_ns = job->q.step_ns ?: UINT64_MAX / 2, at = plan->recorder_from_ns;
	struct recording *recording;
	int err = 0;

	if (plan->recorder && !job->out.since_ns) /* nothing is stored yet */
		job->out.since_ns = recorder_stats(plan->recorder).since_ns + plan->boot_ns;
	if (at >= plan->recorder_to_ns || (job->q.kind && strcmp(job->q.kind, "cpu")))
		return 0;
	recording = recorder_copy(plan->recorder, at, plan->recorder_to_ns);
	if (!recording)
		return -ENOMEM;
	while (at < plan->recorder_to_ns && !err) { /* a step at a time, on the steps' grid */
		__u64 into = (at + plan->boot_ns - job->q.range.from_ns) % step_ns;
		__u64 next = MIN(plan->recorder_to_ns, at + (step_ns - into));

		err = add_stretch(job, recording, at, next);
		at = next;
	}
	recording_free(recording);
	return err;
}

/* The recorder has the end of the range, or nothing has. */
static int end_gaps(struct listing_job *job)
{
	const struct query_plan *plan = &job->plan;
	struct gaps *gaps = &job->out.gaps;
	__u64 end_ns = MIN(job->q.range.to_ns, clock_realtime_ns());
	__u64 since_ns = plan->recorder ? recorder_stats(plan->recorder).since_ns + plan->boot_ns
					: UINT64_MAX;
	int err = 0;

	if (gaps->at_ns) /* else nothing is stored */
		err = gaps_cover(gaps, MIN(since_ns, end_ns), end_ns);
	gaps_end(gaps);
	return err;
}

static int by_total(const void *pa, const void *pb)
{
	const struct listed_group *a = pa, *b = pb;

	return a->total > b->total ? -1 : a->total < b->total ? 1 : strcmp(a->name, b->name);
}

static void run(struct builder_job *builder_job, struct naming *naming UNUSED)
{
	struct listing_job *job = container_of(builder_job, struct listing_job, task.read);
	struct listing *out = &job->out;

	query_task_begin(&job->task);
	job->err = read_store(job);
	if (!job->err)
		job->err = read_recorder(job);
	if (!job->err)
		job->err = listing_end_threads(job);
	if (!job->err)
		job->err = end_gaps(job);
	if (listing_check(job)) { /* what was asked for may have gone unanswered */
		job->err = listing_check(job);
		*job->why = 0;
	}
	if (!job->err && out->groups.len)
		qsort(out->groups.data, out->groups.len, sizeof(*out->groups.data), by_total);
}

/* ---- the agent's thread ---------------------------------------------------------------------- */

static void free_job(struct listing_job *job)
{
	selector_free(job->q.range.selector);
	query_labels_fini(&job->common);
	vec_free(&job->out.series);
	vec_free(&job->out.groups);
	gaps_fini(&job->out.gaps);
	vec_free(&job->group_of);
	sums_fini(&job->sums);
	listing_free_threads(job);
	arena_fini(&job->out.arena);
	arena_fini(&job->scratch);
	free(job);
}

static void finished(struct builder_job *builder_job)
{
	struct listing_job *job = container_of(builder_job, struct listing_job, task.read);

	query_task_remove(&job->task);
	if (job->done)
		job->done(job->arg, job->err, *job->why ? job->why : query_error_text(job->err),
			  job->err ? NULL : &job->out);
	free_job(job);
}

void listing_cancel(struct listing_job *job)
{
	job->done = NULL;
	atomic_store(&job->task.read.cancelled, true);
}

static void cancel(struct query_task *task)
{
	listing_cancel(container_of(task, struct listing_job, task));
}

int listing_start(struct queries *queries, const struct listing_request *request,
		  listing_done *done, void *arg, struct listing_job **ret_job)
{
	const struct query_range *range = &request->range;
	const struct profile_config *profile =
		config_get(agent_config(queries->agent), &profile_section);
	int err;
	struct listing_job *job = query_task_new(queries, QUERY_TASK_LISTING, sizeof(*job), &err);

	if (!job) {
		selector_free(range->selector);
		return err;
	}
	job->task.cancel = cancel;
	job->task.read = (struct builder_job){.run = run, .done = finished, .urgent = true};
	job->q = *request;
	job->done = done;
	job->arg = arg;
	if (sums_init(&job->sums, &job->out, request) ||
	    query_labels_init(&job->common, queries->agent) || listing_init_threads(job)) {
		free_job(job);
		return -ENOMEM;
	}
	job->by_thread = request->step_ns &&
			 (sums_by_thread(&job->sums) || selector_wants_thread(range->selector));
	/* Steps shorter than what a window spreads its samples over want their times. */
	job->plan = query_plan(queries, range, request->step_ns && request->step_ns < EXACT_NS);
	job->out.gaps.min_ns = 2 * profile->window_ns;
	query_task_add(&job->task);
	*ret_job = job;
	builder_submit(queries->reader_thread, &job->task.read);
	return 0;
}
