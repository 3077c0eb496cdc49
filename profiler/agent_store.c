// SPDX-License-Identifier: Apache-2.0
/* The agent's local store, see agent_store.h. */
#include "profiler/agent_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/base/strtab.h"
#include "profiler/capture.h"
#include "profiler/series.h"

#define RETRY_NS    (10 * NS_PER_S)
#define ERROR_BYTES 512
#define MAX_ENDS    512 /* windows are of a second at least */

METRIC(store_bytes, GAUGE, "bianque_store_bytes", "bytes", "Size of the local store on disk");
METRIC(store_max_bytes, GAUGE, "bianque_store_max_bytes", "bytes",
       "Size at which its oldest hour is dropped");
METRIC(store_segments, GAUGE, "bianque_store_segments", NULL, "Files of the store, an hour each");
METRIC(store_windows, COUNTER, "bianque_store_windows_total", NULL, "Windows stored");
METRIC(store_failed, COUNTER, "bianque_store_failed_windows_total", NULL,
       "Windows not kept: the store was not open, or refused them");
METRIC(store_dropped, COUNTER, "bianque_store_dropped_segments_total", NULL,
       "Files dropped, by age or by size");
METRIC(store_damaged, COUNTER, "bianque_store_damaged_blocks_total", NULL,
       "Blocks that were damaged or not complete when the store was opened, and are dropped");
METRIC(store_foreign, GAUGE, "bianque_store_foreign_files", NULL,
       "Files of another version, or no segments, when the store was opened: not read, dropped in "
       "their turn");
METRIC(store_seconds, COUNTER, "bianque_store_cpu_seconds_total", "seconds",
       "CPU time spent on storing");

struct common_label {
	char *name, *value;
};

struct agent_store {
	struct part part;
	char *dir;
	pthread_mutex_t lock; /* of limits, stats, ends_ns, cpu_ns */
	struct store_limits limits;
	struct agent_store_stats stats;
	__u64 ends_ns[MAX_ENDS]; /* CLOCK_MONOTONIC, of the last windows stored: a ring */
	size_t n_ends;
	__u64 cpu_ns;
	pthread_mutex_t common_lock; /* held over the disk: only a reload waits for it */
	VEC(struct common_label) common;

	/* the builder's */
	struct store *store;
	__u64 retry_ns; /* CLOCK_MONOTONIC; 0: now */
	bool failed;	/* said already */
	/* What the last opening had to drop or set aside: the part's reason while it is well. */
	char found[PART_REASON_MAX];
	bool in_window;
	__u64 end_mono_ns, used_ns;	    /* CPU of the window so far */
	VEC(struct dict_label_text) labels; /* of the series at hand */
};

/* ---- opening --------------------------------------------------------------------------------- */

static void say_report(const struct agent_store *s, const struct store_report *r)
{
	if (r->index_made)
		log_warn(store,
			 "the index in '%s' was damaged: it is kept as " STORE_DAMAGED_INDEX
			 ", a new one was made from the segments",
			 s->dir);
	if (r->dropped_blocks)
		log_warn(store,
			 "'%s': %llu blocks (%llu bytes) were damaged or not complete and "
			 "are dropped",
			 s->dir, (unsigned long long)r->dropped_blocks,
			 (unsigned long long)r->dropped_bytes);
	if (r->foreign_segments)
		log_warn(store,
			 "'%s': %u files are of another version, or no segments; they are not "
			 "read, and dropped in their turn",
			 s->dir, r->foreign_segments);
	log_info(store, "profiles are kept in '%s' (%u segments found)", s->dir, r->n_segments);
}

/* The same for /api/v1/status, in short. */
static void keep_report(struct agent_store *s, const struct store_report *r)
{
	char *out = s->found;
	size_t size = sizeof(s->found);
	int n = 0;

	out[0] = 0;
	if (r->index_made)
		n += snprintf(out, size, "; the index was damaged and is made anew");
	if (r->dropped_blocks)
		n += snprintf(out + n, size - (size_t)n,
			      "; %llu blocks (%llu bytes) were damaged or not complete: dropped",
			      (unsigned long long)r->dropped_blocks,
			      (unsigned long long)r->dropped_bytes);
	if (r->foreign_segments)
		snprintf(out + n, size - (size_t)n,
			 "; %u files are of another version, or no segments: not read",
			 r->foreign_segments);
	pthread_mutex_lock(&s->lock);
	s->stats.damaged_total += r->dropped_blocks;
	s->stats.n_foreign = r->foreign_segments;
	pthread_mutex_unlock(&s->lock);
}

static void set_well(struct agent_store *s)
{
	if (s->found[0])
		part_set_state(&s->part, PART_OK, "when the store was opened:%s", s->found + 1);
	else
		part_set_state(&s->part, PART_OK, NULL);
}

static void refuse(struct agent_store *s, const char *why)
{
	if (!s->failed)
		log_error(store, "%s; windows are not kept meanwhile, tried again every %llu s",
			  why, RETRY_NS / NS_PER_S);
	s->failed = true;
	s->retry_ns = clock_monotonic_ns() + RETRY_NS;
	part_set_state(&s->part, PART_DEGRADED, "windows are not kept: %s", why);
}

static bool is_open(struct agent_store *s)
{
	struct store_limits limits;
	struct store_report report;
	char error[ERROR_BYTES];

	if (s->store)
		return true;
	if (clock_monotonic_ns() < s->retry_ns)
		return false;
	pthread_mutex_lock(&s->lock);
	limits = s->limits;
	pthread_mutex_unlock(&s->lock);
	if (store_open(s->dir, &limits, &s->store, &report, error, sizeof(error))) {
		refuse(s, error);
		return false;
	}
	s->failed = false;
	say_report(s, &report);
	keep_report(s, &report);
	set_well(s);
	return true;
}

/* last_mono_ns 0: the window is lost. */
static void publish(struct agent_store *s, __u64 last_mono_ns)
{
	pthread_mutex_lock(&s->lock);
	s->stats.open = s->store != NULL;
	if (s->store)
		s->stats.store = store_stats(s->store);
	if (last_mono_ns) {
		s->stats.last_mono_ns = last_mono_ns;
		s->ends_ns[s->n_ends++ % MAX_ENDS] = last_mono_ns;
	} else {
		s->stats.failed_total++;
	}
	s->cpu_ns += s->used_ns;
	pthread_mutex_unlock(&s->lock);
	s->used_ns = 0;
}

/* A window could not be kept. Damage and a failing disk want the store to be opened anew. */
static void lose_window(struct agent_store *s, int err)
{
	s->in_window = false;
	store_abandon(s->store);
	part_set_state(&s->part, PART_DEGRADED, "%s", store_error(s->store));
	log_limited(store, LOG_LEVEL_ERROR, "a window is lost: %s", store_error(s->store));
	if (err == -EBADMSG || err == -EIO || err == -ENOENT) {
		store_close(s->store);
		s->store = NULL;
		s->retry_ns = 0;
	}
}

/* ---- windows --------------------------------------------------------------------------------- */

static void begin(struct agent_store *s, const struct capture *capture)
{
	struct facts facts = {
		.start_ns = capture->start_wall_ns,
		.end_ns = MAX(capture->end_wall_ns, capture->start_wall_ns + 1),
		.start_mono_ns = capture->start_ns,
		.samples = capture->counts.samples_total,
		.whole = capture->counts.whole_total,
		.lost = capture->counts.lost_total + capture->counts.not_run_total,
	};
	struct store_limits limits;
	int err;

	s->in_window = false;
	if (!is_open(s))
		return;
	pthread_mutex_lock(&s->lock);
	limits = s->limits;
	pthread_mutex_unlock(&s->lock);
	store_set_limits(s->store, &limits);
	err = store_begin(s->store, &facts);
	s->in_window = !err;
	s->end_mono_ns = capture->end_ns;
	if (err)
		lose_window(s, err);
}

void agent_store_begin(struct agent_store *store, const struct capture *capture)
{
	__u64 start_ns = clock_thread_cpu_ns();

	begin(store, capture);
	store->used_ns += clock_thread_cpu_ns() - start_ns;
}

static int by_name(const void *pa, const void *pb)
{
	const struct dict_label_text *a = pa, *b = pb;

	return strcmp(a->name, b->name);
}

/* The series' own labels and the common ones; of two with one name the common one gives way. */
static int take_labels(struct agent_store *s, const struct series *series)
{
	int err = 0;

	s->labels.len = 0;
	for (size_t i = 0; i < series->n_labels && !err; i++)
		err = vec_push(&s->labels, (struct dict_label_text){series->labels[i].name,
								    series->labels[i].value});
	vec_for_each (c, &s->common) {
		bool there = false;

		vec_for_each (label, &s->labels)
			there |= !strcmp(label->name, c->name);
		if (!err && !there)
			err = vec_push(&s->labels, (struct dict_label_text){c->name, c->value});
	}
	if (!err && s->labels.len)
		qsort(s->labels.data, s->labels.len, sizeof(*s->labels.data), by_name);
	return err;
}

void agent_store_add(struct agent_store *store, const struct series *series,
		     const struct profile *profile)
{
	__u64 start_ns = clock_thread_cpu_ns();
	int err;

	if (!store->in_window)
		return;
	pthread_mutex_lock(&store->common_lock);
	err = take_labels(store, series);
	if (!err)
		err = store_add(store->store, store->labels.data, store->labels.len, profile);
	pthread_mutex_unlock(&store->common_lock);
	if (err)
		lose_window(store, err);
	store->used_ns += clock_thread_cpu_ns() - start_ns;
}

/* Whether the window is kept. */
static bool end(struct agent_store *s, bool complete)
{
	int err;

	if (!s->in_window)
		return false;
	s->in_window = false;
	if (!complete) {
		store_abandon(s->store);
		return false;
	}
	err = store_end(s->store);
	if (err)
		lose_window(s, err);
	else
		set_well(s);
	return !err;
}

void agent_store_end(struct agent_store *store, bool complete)
{
	__u64 start_ns = clock_thread_cpu_ns();
	bool kept = end(store, complete);

	store->used_ns += clock_thread_cpu_ns() - start_ns;
	publish(store, kept ? store->end_mono_ns : 0);
}

/* ---- the agent's side ------------------------------------------------------------------------ */

struct agent_store_stats agent_store_stats(struct agent_store *store)
{
	struct agent_store_stats stats;

	pthread_mutex_lock(&store->lock);
	stats = store->stats;
	stats.limits = store->limits;
	pthread_mutex_unlock(&store->lock);
	return stats;
}

bool agent_store_ok(struct agent_store *store, char reason[PART_REASON_MAX])
{
	return part_state(&store->part, reason) != PART_DEGRADED;
}

__u64 agent_store_edge(struct agent_store *store, __u64 at_ns)
{
	__u64 edge_ns = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < MIN(store->n_ends, (size_t)MAX_ENDS); i++)
		if (store->ends_ns[i] <= at_ns)
			edge_ns = MAX(edge_ns, store->ends_ns[i]);
	pthread_mutex_unlock(&store->lock);
	return edge_ns;
}

const char *agent_store_dir(const struct agent_store *store)
{
	return store->dir;
}

static int put_metrics(void *self, struct metric_out *out)
{
	struct agent_store *s = self;
	struct agent_store_stats stats = agent_store_stats(s);
	__u64 cpu_ns;

	pthread_mutex_lock(&s->lock);
	cpu_ns = s->cpu_ns;
	pthread_mutex_unlock(&s->lock);
	metric_out_u64(out, &store_bytes, NULL, stats.store.bytes);
	metric_out_u64(out, &store_max_bytes, NULL, stats.store.max_bytes);
	metric_out_u64(out, &store_segments, NULL, stats.store.n_segments);
	metric_out_u64(out, &store_windows, NULL, stats.store.windows_total);
	metric_out_u64(out, &store_failed, NULL, stats.failed_total);
	metric_out_u64(out, &store_dropped, METRIC_LABELS({"reason", "age"}),
		       stats.store.expired_total);
	metric_out_u64(out, &store_dropped, METRIC_LABELS({"reason", "size"}),
		       stats.store.evicted_total);
	metric_out_u64(out, &store_damaged, NULL, stats.damaged_total);
	metric_out_u64(out, &store_foreign, NULL, stats.n_foreign);
	metric_out_f64(out, &store_seconds, NULL, (double)cpu_ns / NS_PER_S);
	return 0;
}

static void put_tables(void *self, struct table_out *out)
{
	struct agent_store_stats stats = agent_store_stats(self);

	table_out_add(out, "store", stats.store.bytes, stats.store.max_bytes, "bytes");
	table_out_add(out, "store_dictionary", stats.store.dict_bytes, STORE_DICT_BYTES, "bytes");
}

static void free_common(struct agent_store *s)
{
	vec_for_each (c, &s->common) {
		free(c->name);
		free(c->value);
	}
	vec_free(&s->common);
}

static int copy_common(struct agent_store *s, const struct agent_store_options *options)
{
	int err = 0;

	free_common(s);
	for (size_t i = 0; i < options->n_common && !err; i++) {
		struct common_label c = {strdup(options->common[i].name),
					 strdup(options->common[i].value)};

		err = c.name && c.value ? vec_push(&s->common, c) : -ENOMEM;
		if (err) {
			free(c.name);
			free(c.value);
		}
	}
	return err;
}

struct agent_store *agent_store_new(struct parts *parts, const struct agent_store_options *options)
{
	struct agent_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->common_lock, NULL);
	s->limits = options->limits;
	s->dir = strdup(options->dir);
	s->part = (struct part){
		.name = "store", .self = s, .metrics = put_metrics, .tables = put_tables};
	if (!s->dir || copy_common(s, options) || parts_add(parts, &s->part)) {
		agent_store_free(s);
		return NULL;
	}
	return s;
}

void agent_store_reload(struct agent_store *store, const struct agent_store_options *options)
{
	pthread_mutex_lock(&store->lock);
	store->limits = options->limits;
	pthread_mutex_unlock(&store->lock);
	pthread_mutex_lock(&store->common_lock);
	if (copy_common(store, options))
		log_warn(store, "no memory for labels: some are missing");
	pthread_mutex_unlock(&store->common_lock);
}

void agent_store_free(struct agent_store *store)
{
	if (!store)
		return;
	store_close(store->store);
	parts_del(&store->part);
	free_common(store);
	vec_free(&store->labels);
	pthread_mutex_destroy(&store->lock);
	pthread_mutex_destroy(&store->common_lock);
	free(store->dir);
	free(store);
}
