// SPDX-License-Identifier: Apache-2.0
/* The reader's thread, what it has under way, and what all answers about the past share
 * (query_internal.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/engine.h"
#include "profiler/query/query_internal.h"
#include "profiler/query/selector.h"

#define TEXT_OF(number) #number
#define TEXT(number)	TEXT_OF(number)
#define CHECK_EVERY	64 /* samples: a clock is cheaper than a match, but not free */

/* ---- tasks ----------------------------------------------------------------------------------- */

static const unsigned max_tasks[] = {
	[QUERY_TASK_PROFILE] = QUERY_MAX,
	[QUERY_TASK_LISTING] = LISTING_MAX,
	[QUERY_TASK_HEATMAP] = HEATMAP_MAX,
};

void *query_task_new(struct queries *queries, enum query_task_kind kind, size_t size, int *ret_err)
{
	bool room = queries->n_tasks[kind] < max_tasks[kind];
	struct query_task *task = room ? calloc(1, size) : NULL;

	*ret_err = task ? 0 : room ? -ENOMEM : -EBUSY;
	if (task)
		*task = (struct query_task){
			.queries = queries,
			.kind = kind,
			.deadline_ns = clock_monotonic_ns() + QUERY_WALL_S * NS_PER_S,
		};
	return task;
}

void query_task_add(struct query_task *task)
{
	struct queries *queries = task->queries;

	task->next = queries->first_task;
	queries->first_task = task;
	queries->n_tasks[task->kind]++;
}

void query_task_remove(struct query_task *task)
{
	struct query_task **at = &task->queries->first_task;

	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	task->queries->n_tasks[task->kind]--;
}

void query_task_begin(struct query_task *task)
{
	task->soonest_ns = clock_monotonic_ns() + QUERY_MAX_S * NS_PER_S;
	task->cpu_end_ns = clock_thread_cpu_ns() + QUERY_MAX_S * NS_PER_S;
}

/* Without a system call as long as that time cannot have been worked. */
static bool is_over(const struct query_task *task)
{
	__u64 now_ns = clock_monotonic_ns();

	return now_ns > task->deadline_ns ||
	       (now_ns > task->soonest_ns && clock_thread_cpu_ns() > task->cpu_end_ns);
}

int query_task_check(const struct query_task *task, const struct selector *selector)
{
	if (atomic_load(&task->read.cancelled))
		return -ECANCELED;
	if (selector_error(selector))
		return selector_error(selector);
	return is_over(task) ? -ETIMEDOUT : 0;
}

const char *query_error_text(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return "it took longer than " TEXT(QUERY_MAX_S) " s of CPU time, or " TEXT(
			QUERY_WALL_S) " s in all: ask for a shorter range or a simpler match";
	case -EINVAL:
		return "a regular expression of the match is too complex: write it without "
		       "repeats within repeats";
	case -EFBIG:
	case -E2BIG:
		return "the answer is too large: ask for a shorter range, fewer series or another "
		       "format";
	default:
		return strerror(-err);
	}
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
	for (struct query_task *task = queries->first_task; task; task = task->next)
		task->cancel(task);
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

__u64 queries_cpu_ns(struct queries *queries)
{
	return queries->reader_thread ? builder_stats(queries->reader_thread).urgent_cpu_ns : 0;
}

/* ---- what all of them need ------------------------------------------------------------------- */

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

/* The first sample at from_ns or later. */
static size_t first_at(const struct recording *recording, __u64 from_ns)
{
	size_t first = 0, end = recording->samples.len;

	while (first < end) {
		size_t mid = (first + end) / 2;

		if (recording->samples.data[mid].time_ns < from_ns)
			first = mid + 1;
		else
			end = mid;
	}
	return first;
}

struct capture *query_capture(const struct query_task *task, const struct recording *recording,
			      struct selector *selector, __u64 from_ns, __u64 to_ns)
{
	struct capture_options options = {.source = SOURCE_CPU, .by_thread = true};
	struct capture *capture = capture_new(&options, 1);
	unsigned n = 0;
	int err = 0;

	if (!capture)
		return NULL;
	capture->start_ns = from_ns;
	capture->unit_ns = 1;
	for (size_t i = first_at(recording, from_ns); i < recording->samples.len; i++) {
		const struct recorded *r = &recording->samples.data[i];
		struct sample sample = {
			.time_ns = r->time_ns,
			.weight = NS_PER_S / r->hz,
			.pid = r->image->pid,
			.tid = r->tid,
			.cpu = r->cpu,
			.source = r->source,
			.stack = r->stack,
			.image = r->image,
		};

		memcpy(sample.comm, r->comm, sizeof(sample.comm));
		if (r->time_ns >= to_ns || err)
			break;
		if (++n % CHECK_EVERY == 0)
			err = query_task_check(task, selector);
		if (!selector_has_thread(selector, sample.pid, sample.tid, sample.comm))
			continue;
		capture->hz = r->hz;
		capture_add(capture, &sample);
	}
	capture_finish(capture, to_ns);
	if (err || query_task_check(task, selector)) {
		capture_free(capture);
		return NULL;
	}
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

void query_plan_exact_end(struct query_plan *plan, struct queries *queries)
{
	struct agent_store *store = agent_store(queries->agent);
	__u64 edge_ns = store ? agent_store_edge(store, plan->recorder_to_ns) : 0;

	if (!plan->recorder || plan->recorder_from_ns < plan->recorder_to_ns ||
	    edge_ns < recorder_stats(plan->recorder).since_ns ||
	    edge_ns + plan->boot_ns > plan->store_to_ns)
		return;
	plan->recorder_from_ns = edge_ns;
	plan->store_to_ns = edge_ns + plan->boot_ns;
}
