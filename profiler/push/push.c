// SPDX-License-Identifier: Apache-2.0
/* The public side of pushing: life cycle, settings, submitting, metrics; see push.h. */
#include "profiler/push/push.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/base/thread.h"
#include "profiler/push/push_config.h"
#include "profiler/push/push_internal.h"

#define METHOD_PATH "/push.v1.PusherService/Push"

METRIC(profiles, COUNTER, "bianque_push_profiles_total", NULL,
       "Profiles handed to pushing, by what became of them");
METRIC(retries, COUNTER, "bianque_push_retries_total", NULL,
       "Requests that did not settle their profile, by cause");
METRIC(requests, COUNTER, "bianque_push_requests_total", NULL,
       "Requests that ended, by how (ok or the cause)");
METRIC(duration, HISTOGRAM, "bianque_push_request_duration_seconds", "seconds",
       "Time from a request's start to its end");
METRIC(request_bytes, COUNTER, "bianque_push_request_bytes_total", "bytes",
       "Bytes of request bodies uploaded");
METRIC(uncertain, COUNTER, "bianque_push_uncertain_resends_total", NULL,
       "Profiles sent again although the server may have stored them");
METRIC(splits, COUNTER, "bianque_push_splits_total", NULL,
       "Profiles halved because the server found them too large");
METRIC(spooled, COUNTER, "bianque_push_spooled_total", NULL, "Profiles written to the spool");
METRIC(spool_errors, COUNTER, "bianque_push_spool_errors_total", NULL,
       "Writes and acknowledgements that the spool's disk refused");
METRIC(label_changes, COUNTER, "bianque_push_label_changes_total", NULL,
       "Labels that had to be changed or dropped to pass the server");
METRIC(last_success, GAUGE, "bianque_push_last_success_timestamp_seconds", "seconds",
       "Time of the last profile that the server took; 0: none yet");

/* ---- lists and items --------------------------------------------------------------------- */

void push_list_add(struct push_list *list, struct push_item *item)
{
	item->next = NULL;
	if (list->tail)
		list->tail->next = item;
	else
		list->head = item;
	list->tail = item;
}

void push_list_add_front(struct push_list *list, struct push_item *item)
{
	item->next = list->head;
	list->head = item;
	if (!list->tail)
		list->tail = item;
}

struct push_item *push_list_take(struct push_list *list)
{
	struct push_item *item = list->head;

	if (item) {
		list->head = item->next;
		if (!list->head)
			list->tail = NULL;
	}
	return item;
}

void push_item_free(struct push *push, struct push_item *item)
{
	if (!item)
		return;
	pthread_mutex_lock(&push->lock);
	push->bytes -= push_item_bytes(item);
	pthread_mutex_unlock(&push->lock);
	free(item);
}

void push_item_drop(struct push *push, struct push_item *item, enum push_reason why)
{
	push_count(&push->n.dropped[why], 1);
	push_item_free(push, item);
}

/* ---- labels of every profile -------------------------------------------------------------- */

static char *put_string(char **at, const char *s)
{
	char *start = *at;

	*at = stpcpy(start, s) + 1;
	return start;
}

static struct push_common *common_new(const struct push_values *values)
{
	size_t n = values->n_common, bytes = sizeof(struct push_common);
	struct push_common *common;
	char *at;

	for (size_t i = 0; i < n; i++)
		bytes += sizeof(struct push_label) + strlen(values->common[i].name) +
			 strlen(values->common[i].value) + 2;
	common = malloc(bytes);
	if (!common)
		return NULL;
	*common = (struct push_common){.refs = 1, .n = n};
	at = (char *)&common->labels[n];
	for (size_t i = 0; i < n; i++) {
		common->labels[i].name = put_string(&at, values->common[i].name);
		common->labels[i].value = put_string(&at, values->common[i].value);
	}
	return common;
}

static struct push_common *common_get(struct push *push)
{
	struct push_common *common;

	pthread_mutex_lock(&push->lock);
	common = push->common;
	__atomic_fetch_add(&common->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&push->lock);
	return common;
}

static void common_put(struct push_common *common)
{
	if (common && __atomic_sub_fetch(&common->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(common);
}

/* ---- submitting -------------------------------------------------------------------------- */

static int refuse(struct push *push, enum push_reason why, int err)
{
	push_count(&push->n.dropped[why], 1);
	return err;
}

/* Queue an item; the oldest waiting ones go when there is no room. False: there is none at all. */
static bool enqueue(struct push *push, struct push_item *item)
{
	size_t bytes = push_item_bytes(item);
	struct push_list gone = {0};
	bool fits;

	pthread_mutex_lock(&push->lock);
	while (push->bytes + bytes > push->max_bytes && push->queue.head) {
		struct push_item *oldest = push_list_take(&push->queue);

		push->bytes -= push_item_bytes(oldest);
		push_list_add(&gone, oldest);
	}
	fits = push->bytes + bytes <= push->max_bytes;
	if (fits) {
		push_list_add(&push->queue, item);
		push->bytes += bytes;
	}
	pthread_mutex_unlock(&push->lock);
	for (struct push_item *oldest; (oldest = push_list_take(&gone));) {
		push_count(&push->n.dropped[PUSH_REASON_QUEUE_FULL], 1);
		free(oldest);
	}
	return fits;
}

/* The encoded request; NULL with *ret_err. */
static struct push_item *make_item(struct push *push, const struct push_profile *profile,
				   int *ret_err)
{
	struct push_common *common = common_get(push);
	struct arena arena = {.limit = 1 << 20};
	struct push_label_set labels;
	struct push_item *item = NULL;

	*ret_err = push_labels_make(profile->name, profile->labels, profile->n_labels,
				    common->labels, common->n, &arena, &labels);
	if (!*ret_err) {
		for (int i = 0; i < PUSH_LABEL_N_CHANGES; i++)
			push_count(&push->n.label_changes[i], labels.changes[i]);
		item = push_item_new(&labels, profile->pprof, profile->len, profile->raw_bytes,
				     profile->time_ns);
		*ret_err = item ? 0 : -ENOMEM;
	}
	arena_fini(&arena);
	common_put(common);
	return item;
}

int push_submit(struct push *push, const struct push_profile *profile)
{
	struct push_item *item;
	int err;

	if (!__atomic_load_n(&push->enabled, __ATOMIC_RELAXED))
		return 0;
	if (profile->len > SPOOL_MAX_RECORD - (256u << 10))
		return refuse(push, PUSH_REASON_TOO_LARGE, -ENOBUFS);
	item = make_item(push, profile, &err);
	if (!item)
		return refuse(push, err == -EINVAL ? PUSH_REASON_LABELS : PUSH_REASON_MEMORY, err);
	if (!enqueue(push, item)) {
		free(item);
		return refuse(push, PUSH_REASON_QUEUE_FULL, -ENOBUFS);
	}
	curl_multi_wakeup(push->multi);
	return 0;
}

size_t push_refused_bytes(const struct push *push)
{
	return __atomic_load_n(&push->refused_bytes, __ATOMIC_RELAXED);
}

/* ---- metrics ----------------------------------------------------------------------------- */

static void reason_metrics(const struct push *push, struct metric_out *out)
{
	metric_out_u64(out, &profiles, METRIC_LABELS({"outcome", "sent"}, {"reason", "none"}),
		       push_counted(&push->n.sent));
	for (int i = PUSH_REASON_NONE + 1; i < PUSH_N_REASONS; i++) {
		const char *reason = push_reason_text(i);
		__u64 answers = push_counted(&push->n.answers[i]);
		__u64 again = push_counted(&push->n.retried[i]);

		metric_out_u64(out, &profiles,
			       METRIC_LABELS({"outcome", "dropped"}, {"reason", reason}),
			       push_counted(&push->n.dropped[i]));
		if (answers)
			metric_out_u64(out, &requests, METRIC_LABELS({"result", reason}), answers);
		if (again)
			metric_out_u64(out, &retries, METRIC_LABELS({"reason", reason}), again);
	}
	metric_out_u64(out, &requests, METRIC_LABELS({"result", "ok"}),
		       push_counted(&push->n.answers[PUSH_N_REASONS]));
}

static int push_metrics(void *self, struct metric_out *out)
{
	static const double bounds[PUSH_N_DURATION_BOUNDS] = {0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};
	static const char *const changes[] = {
#define X(name, text) text,
		PUSH_LABEL_CHANGES(X)
#undef X
	};
	struct push *push = self;
	__u64 durations[PUSH_N_DURATION_BOUNDS + 1];

	reason_metrics(push, out);
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++)
		durations[i] = push_counted(&push->n.durations[i]);
	metric_out_histogram(out, &duration, NULL, bounds, durations, PUSH_N_DURATION_BOUNDS,
			     (double)push_counted(&push->n.duration_ns) / NS_PER_S);
	metric_out_u64(out, &request_bytes, NULL, push_counted(&push->n.sent_bytes));
	metric_out_u64(out, &uncertain, NULL, push_counted(&push->n.uncertain_resends));
	metric_out_u64(out, &splits, NULL, push_counted(&push->n.splits));
	metric_out_u64(out, &spooled, NULL, push_counted(&push->n.spooled));
	metric_out_u64(out, &spool_errors, NULL, push_counted(&push->n.spool_errors));
	for (int i = 0; i < PUSH_LABEL_N_CHANGES; i++)
		metric_out_u64(out, &label_changes, METRIC_LABELS({"change", changes[i]}),
			       push_counted(&push->n.label_changes[i]));
	metric_out_u64(out, &last_success, NULL, push_counted(&push->n.last_success_s));
	return 0;
}

static void push_tables(void *self, struct table_out *out)
{
	struct push *push = self;
	size_t bytes, max_bytes, series;
	struct spool_stats spool;

	pthread_mutex_lock(&push->lock);
	bytes = push->bytes;
	max_bytes = push->max_bytes;
	series = push->n_series_copy;
	spool = push->spool_stats;
	pthread_mutex_unlock(&push->lock);
	table_out_add(out, "queue", bytes, max_bytes, "bytes");
	table_out_add(out, "spool", spool.bytes,
		      __atomic_load_n(&push->spool_max_bytes, __ATOMIC_RELAXED), "bytes");
	table_out_add(out, "series", series, PUSH_MAX_SERIES, "entries");
}

/* ---- settings ---------------------------------------------------------------------------- */

void push_settings_free(struct push_settings *settings)
{
	if (!settings)
		return;
	secret_close(&settings->password);
	secret_close(&settings->token);
	free(settings->url);
	free(settings->shown_url);
	free(settings->tenant);
	free(settings->user);
	free(settings->ca_file);
	free(settings);
}

/* A copy of a string, NULL for ""; false when memory ends. */
static bool copy(const char *s, char **ret)
{
	*ret = *s ? strdup(s) : NULL;
	return !*s || *ret;
}

static bool copy_url(const char *url, struct push_settings *s)
{
	size_t len = strlen(url);

	while (len && url[len - 1] == '/')
		len--;
	if (!copy(url, &s->shown_url))
		return false;
	if (*url && asprintf(&s->url, "%.*s%s", (int)len, url, METHOD_PATH) < 0)
		s->url = NULL;
	return !*url || s->url;
}

/* A password in clear text over somebody's network. */
static void warn_plain(const struct push_settings *s)
{
	if (s->url && (s->user || s->token.path) && !strncmp(s->url, "http://", 7) &&
	    strncmp(s->url, "http://127.", 11) && strncmp(s->url, "http://localhost", 16) &&
	    strncmp(s->url, "http://[::1]", 12))
		log_warn(push, "'%s' gets its secret unencrypted; use https://", s->shown_url);
}

static int read_secret(struct secret *secret, const char *path, bool may_wait, char *error,
		       size_t size)
{
	int err = *path ? secret_open(secret, path, error, size) : 0;

	return err && may_wait ? secret_await(secret, path) : err;
}

/* may_wait: a secret that cannot be read is no error but a sentence in `error`. */
static int make_settings(const struct push_config *c, bool may_wait, struct push_settings **ret,
			 char *error, size_t size)
{
	struct push_settings *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s || !copy_url(c->url, s) || !copy(c->tenant, &s->tenant) ||
	    !copy(c->user, &s->user) || !copy(c->ca_file, &s->ca_file)) {
		snprintf(error, size, "out of memory");
		push_settings_free(s);
		return -ENOMEM;
	}
	s->timeout_ns = c->timeout_ns;
	s->concurrency = (unsigned)MIN(c->concurrency, (__u64)PUSH_MAX_SLOTS);
	s->queue_bytes = c->queue_bytes;
	s->spool =
		(struct spool_limits){.max_bytes = c->spool_bytes, .max_age_ns = c->spool_age_ns};
	if (s->url)
		err = read_secret(&s->password, c->password_file, may_wait, error, size);
	if (!err && s->url)
		err = read_secret(&s->token, c->token_file, may_wait, error, size);
	if (err) {
		push_settings_free(s);
		return err;
	}
	warn_plain(s);
	*ret = s;
	return 0;
}

/* What submitting and metrics need of the settings. */
static void publish(struct push *push, const struct push_settings *s)
{
	pthread_mutex_lock(&push->lock);
	push->max_bytes = s->queue_bytes;
	pthread_mutex_unlock(&push->lock);
	__atomic_store_n(&push->spool_max_bytes, s->spool.max_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&push->enabled, s->url != NULL, __ATOMIC_RELAXED);
}

static int start_thread(struct push *push, char *error, size_t size)
{
	int err;

	if (push->manual || push->running || !push->enabled)
		return 0;
	err = thread_start(&push->thread, "push", push_run, push);
	if (err)
		snprintf(error, size, "cannot start a thread for pushing: %s", strerror(-err));
	push->running = !err;
	return err;
}

int push_reload(struct push *push, const struct push_values *values, char *error, size_t size)
{
	struct push_common *common = common_new(values), *stale_common;
	struct push_settings *fresh, *stale;
	int err = common ? 0 : -ENOMEM;

	if (err)
		snprintf(error, size, "out of memory");
	else
		err = make_settings(values->config, false, &fresh, error, size);
	if (err) {
		common_put(common);
		return err;
	}
	publish(push, fresh);
	pthread_mutex_lock(&push->lock);
	stale = push->pending;
	push->pending = fresh;
	stale_common = push->common;
	push->common = common;
	pthread_mutex_unlock(&push->lock);
	push_settings_free(stale);
	common_put(stale_common);
	curl_multi_wakeup(push->multi);
	return start_thread(push, error, size);
}

/* ---- life cycle -------------------------------------------------------------------------- */

static __u64 system_monotonic(void *arg UNUSED)
{
	return clock_monotonic_ns();
}

static __u64 system_realtime(void *arg UNUSED)
{
	return clock_realtime_ns();
}

static void init_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		log_warn(push, "libcurl cannot be initialised");
}

static void destroy(struct push *push)
{
	push_slots_fini(push);
	if (push->multi)
		curl_multi_cleanup(push->multi);
	parts_del(&push->part);
	push_settings_free(push->settings);
	push_settings_free(push->pending);
	common_put(push->common);
	hmap_fini(&push->series_index);
	vec_free(&push->series);
	buf_fini(&push->scratch);
	pthread_mutex_destroy(&push->lock);
	free(push->spool_dir);
	free(push);
}

/* At the beginning: on, off, or waiting for a secret, which `why` is about. */
static void show_state(struct push *push, const char *why)
{
	const struct push_settings *s = push->settings;

	if (!s->url) {
		part_set_state(&push->part, PART_OFF, "pyroscope.url is not set");
	} else if (push_lacks_secret(s)) {
		log_warn(push, "%s; profiles wait for it", why);
		part_set_state(&push->part, PART_DEGRADED, "%s; profiles wait for it", why);
		push->hold = PUSH_HOLD_REFUSED;
		push->hold_until_ns = UINT64_MAX; /* secret_refresh ends it */
	} else {
		part_set_state(&push->part, PART_OK, NULL);
	}
}

int push_open(const struct push_args *args, struct push **ret_push, char *error, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct push *push = calloc(1, sizeof(*push));
	int err = push ? 0 : -ENOMEM;

	snprintf(error, size, "out of memory");
	if (err)
		return err;
	pthread_once(&once, init_curl);
	pthread_mutex_init(&push->lock, NULL);
	push->clock = args->clock;
	if (!push->clock.monotonic_ns)
		push->clock = (struct push_clock){system_monotonic, system_realtime, NULL};
	push->manual = args->manual;
	push->multi = curl_multi_init();
	push->part = (struct part){
		.name = "pyroscope", .self = push, .metrics = push_metrics, .tables = push_tables};
	if (getrandom(&push->random, sizeof(push->random), GRND_NONBLOCK) < 0)
		push->random = push_now(push);
	if (asprintf(&push->spool_dir, "%s/spool/pyroscope", args->state_dir) < 0)
		push->spool_dir = NULL;
	push->common = common_new(&args->values);
	if (!push->multi || !push->common || !push->spool_dir)
		err = -ENOMEM;
	if (!err)
		err = make_settings(args->values.config, true, &push->settings, error, size);
	if (!err)
		err = parts_add(args->parts, &push->part);
	if (!err) {
		publish(push, push->settings);
		show_state(push, error);
		err = start_thread(push, error, size);
	}
	if (err) {
		destroy(push);
		return err;
	}
	*ret_push = push;
	return 0;
}

void push_close(struct push *push, __u64 flush_ns)
{
	if (!push)
		return;
	__atomic_store_n(&push->enabled, false, __ATOMIC_RELAXED);
	pthread_mutex_lock(&push->lock);
	push->stop_at_ns = push_now(push) + flush_ns;
	push->stopping = true;
	pthread_mutex_unlock(&push->lock);
	curl_multi_wakeup(push->multi);
	if (push->running)
		pthread_join(push->thread, NULL);
	else
		push_finish(push); /* never started, or driven by hand */
	destroy(push);
}
