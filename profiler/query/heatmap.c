// SPDX-License-Identifier: Apache-2.0
/* Samples by second and fraction, see heatmap.h. */
#include "profiler/query/heatmap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "profiler/base/clock.h"
#include "profiler/base/hmap.h"
#include "profiler/capture.h"
#include "profiler/process.h"
#include "profiler/query/query_internal.h"
#include "profiler/query/selector.h"

struct heatmap_job {
	struct query_task task;
	struct query_range range;
	struct query_plan plan;
	struct query_labels common;
	heatmap_done *done; /* NULL: cancelled */
	void *arg;
	int err;
	struct heatmap map;
	VEC(struct image *) wanted; /* borrowed from the recording */
	struct hmap index;
};

/* ---- the reader's thread --------------------------------------------------------------------- */

struct label_source {
	const struct heatmap_job *job;
	const struct series *series;
};

static const char *label_of(void *arg, const char *name)
{
	const struct label_source *from = arg;

	return query_label(&from->job->common, from->series, name);
}

static __u64 hash_of(const struct image *image)
{
	return hash_u64((__u64)(uintptr_t)image);
}

static bool is_wanted(const struct heatmap_job *job, const struct image *image)
{
	__u32 i;

	hmap_for_each_match (&job->index, hash_of(image), i)
		if (job->wanted.data[i] == image)
			return true;
	return false;
}

static int want(struct heatmap_job *job, struct image *image)
{
	int err = is_wanted(job, image) ? 1 : vec_push(&job->wanted, image);

	if (!err)
		err = hmap_add(&job->index, hash_of(image), (__u32)job->wanted.len - 1);
	return err < 0 ? err : 0;
}

/* Series belong to programs: choose these once, not each sample. */
static int choose_images(struct heatmap_job *job, const struct recording *recording)
{
	struct series_options split = {.max = SERIES_MAX};
	struct capture *capture = query_capture(&job->task, recording, NULL, 0, UINT64_MAX);
	struct series *series;
	int err = 0;
	size_t n;

	if (!capture)
		return query_task_check(&job->task, NULL) ?: -ENOMEM;
	series = series_split(capture, &split, &n);
	for (size_t i = 0; i < n; i++) {
		struct label_source from = {job, &series[i]};

		if (!selector_has_series(job->range.selector, label_of, &from))
			continue;
		for (size_t k = series[i].first; k < series[i].end && !err; k++)
			err = want(job, capture->entries.data[k].image);
	}
	free(series);
	capture_free(capture);
	return err;
}

static void count(struct heatmap_job *job, const struct recorded *r)
{
	struct heatmap *map = &job->map;
	__u64 at = r->time_ns + job->plan.boot_ns - map->from_ns, column = at / NS_PER_S;
	__u32 row = (__u32)(at % NS_PER_S / map->step_ns), *cell;
	__u32 n = (map->hz + r->hz / 2u) / r->hz; /* of the highest rate */

	if (column >= map->columns || row >= map->rows || !is_wanted(job, r->image) ||
	    !selector_has_thread(job->range.selector, r->image->pid, r->tid, r->comm))
		return;
	cell = &map->cells[column * map->rows + row];
	*cell += n;
	map->max = MAX(map->max, *cell);
	map->samples += n;
}

static void run(struct builder_job *builder_job, struct naming *naming UNUSED)
{
	struct heatmap_job *job = container_of(builder_job, struct heatmap_job, task.read);
	const struct query_plan *plan = &job->plan;
	__u64 from_ns = job->map.from_ns > plan->boot_ns ? job->map.from_ns - plan->boot_ns : 0;
	struct recording *recording;
	unsigned highest = 0;

	if (!plan->recorder || plan->recorder_to_ns <= from_ns)
		return;
	query_task_begin(&job->task);
	recording = recorder_copy(plan->recorder, from_ns, plan->recorder_to_ns);
	if (!recording) {
		job->err = -ENOMEM;
		return;
	}
	job->map.since_ns = recording->since_ns + plan->boot_ns;
	vec_for_each (r, &recording->samples)
		highest = MAX(highest, (unsigned)r->hz);
	if (highest)
		job->map.hz = highest;
	job->err = choose_images(job, recording);
	for (size_t i = 0; i < recording->samples.len && !job->err; i++) {
		count(job, &recording->samples.data[i]);
		job->err = query_task_check(&job->task, job->range.selector);
	}
	recording_free(recording);
}

/* ---- the agent's thread ---------------------------------------------------------------------- */

static void free_job(struct heatmap_job *job)
{
	selector_free(job->range.selector);
	query_labels_fini(&job->common);
	vec_free(&job->wanted);
	hmap_fini(&job->index);
	free(job->map.cells);
	free(job);
}

static void finished(struct builder_job *builder_job)
{
	struct heatmap_job *job = container_of(builder_job, struct heatmap_job, task.read);

	query_task_remove(&job->task);
	if (job->done)
		job->done(job->arg, job->err, job->err ? NULL : &job->map);
	free_job(job);
}

/* From whole second to whole second. */
static int set_up(struct heatmap_job *job, __u64 step_ns)
{
	struct heatmap *map = &job->map;
	__u64 first = job->range.from_ns / NS_PER_S;
	__u64 end = (job->range.to_ns + NS_PER_S - 1) / NS_PER_S;

	if (end - first > HEATMAP_MAX_COLUMNS)
		return -EINVAL;
	map->from_ns = first * NS_PER_S;
	map->step_ns = step_ns;
	map->columns = (__u32)(end - first);
	map->rows = (__u32)(NS_PER_S / step_ns);
	map->hz = job->plan.hz;
	map->cells = calloc((size_t)map->columns * map->rows, sizeof(*map->cells));
	if (!map->cells)
		return -ENOMEM;
	return query_labels_init(&job->common, job->task.queries->agent);
}

void heatmap_cancel(struct heatmap_job *job)
{
	job->done = NULL;
	atomic_store(&job->task.read.cancelled, true);
}

static void cancel(struct query_task *task)
{
	heatmap_cancel(container_of(task, struct heatmap_job, task));
}

int heatmap_start(struct queries *queries, const struct query_range *range, __u64 step_ns,
		  heatmap_done *done, void *arg, struct heatmap_job **ret_job)
{
	int err;
	struct heatmap_job *job = query_task_new(queries, QUERY_TASK_HEATMAP, sizeof(*job), &err);

	if (!job) {
		selector_free(range->selector);
		return err;
	}
	job->task.cancel = cancel;
	job->task.read = (struct builder_job){.run = run, .done = finished, .urgent = true};
	job->range = *range;
	job->plan = query_plan(queries, range, false);
	job->done = done;
	job->arg = arg;
	err = set_up(job, step_ns);
	if (err) {
		free_job(job);
		return err;
	}
	query_task_add(&job->task);
	*ret_job = job;
	builder_submit(queries->reader_thread, &job->task.read);
	return 0;
}
