// SPDX-License-Identifier: Apache-2.0
/* Continuous windows, see window.h. */
#include "profiler/window.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/buf.h"
#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/builder.h"
#include "profiler/engine.h"
#include "profiler/export/pprof.h"
#include "profiler/export/sink.h"
#include "profiler/loop.h"
#include "profiler/profile.h"

#define MAX_BEHIND_NS  (120 * NS_PER_S) /* of windows being named; then whole ones are dropped */
#define PROFILE_NAME   "process_cpu"
#define PART_MAX_BYTES ((size_t)16 << 20)

struct window_job {
	struct builder_job job;
	struct windows *windows;
	struct capture *capture;
	struct windows_options o;
};

struct windows {
	struct agent *agent;
	struct windows_options o;
	struct loop_timer timer;
	struct window_job *open; /* its capture runs */
	pthread_mutex_t lock;
	struct windows_stats stats;
	unsigned under_way;
};

/* ---- naming and encoding: the builder -------------------------------------------------------- */

/* RFC 1952: the last four bytes are the size before compression. */
static size_t gzip_size(const struct buf *gzip)
{
	__u32 size = 0;

	if (gzip->len >= sizeof(size))
		memcpy(&size, gzip->data + gzip->len - sizeof(size), sizeof(size));
	return size;
}

static void encode(struct window_job *w, const struct series *series, const struct profile *profile)
{
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	struct pprof_limits limits = PPROF_PUSH_LIMITS;
	struct pprof_split split = {0};
	struct buf out = {.limit = PART_MAX_BYTES};
	__u64 profiles = 0;

	options.max_frames = PPROF_PUSH_FRAMES;
	while (!split.done) {
		struct window_part part = {.series = series, .profile_name = PROFILE_NAME};
		struct sink_buf sink;

		part.time_ns = profile->time_ns + split.n_parts * NS_PER_MS;
		buf_reset(&out);
		sink_buf_init(&sink, &out);
		if (pprof_write_part(profile, &options, &limits, &split, &sink.sink) ||
		    sink_finish(&sink.sink)) {
			log_limited(profile, LOG_LEVEL_ERROR, "a profile of '%s' cannot be encoded",
				    series->labels[0].value);
			break;
		}
		part.pprof = out.data;
		part.len = out.len;
		part.raw_bytes = gzip_size(&out);
		w->o.sink.part(w->o.sink.arg, &part);
		profiles++;
	}
	buf_fini(&out);
	pthread_mutex_lock(&w->windows->lock);
	w->windows->stats.profiles_total += profiles;
	pthread_mutex_unlock(&w->windows->lock);
}

/* One series, named. False when it was cancelled before all of it had names. */
static bool do_series(struct window_job *w, struct naming *naming, const struct series *series)
{
	struct naming_labels labels = {.comm = w->o.by_thread, .pid = true, .tid = w->o.by_thread};
	const struct window_sink *sink = &w->o.sink;
	struct profile *profile = profile_new(NULL);
	bool named;

	if (!profile)
		return false;
	naming_add(naming, w->capture, series->first, series->end, &labels, profile);
	named = !atomic_load(&w->job.cancelled);
	if (named && sink->profile)
		sink->profile(sink->arg, series, profile);
	if (named && sink->part)
		encode(w, series, profile);
	profile_free(profile);
	return named;
}

static void run_window(struct builder_job *job, struct naming *naming)
{
	struct window_job *w = container_of(job, struct window_job, job);
	struct series_options split = {
		.by_pid = w->o.by_pid, .by_comm = w->o.by_comm, .max = SERIES_MAX};
	const struct window_sink *sink = &w->o.sink;
	struct series *series;
	bool complete = true;
	size_t n;

	if (!sink->part && !sink->profile)
		return;
	if (sink->begin)
		sink->begin(sink->arg, w->capture);
	series = series_split(w->capture, &split, &n);
	for (size_t i = 0; i < n && complete; i++)
		complete = do_series(w, naming, &series[i]);
	if (sink->end)
		sink->end(sink->arg, complete);
	free(series);
	pthread_mutex_lock(&w->windows->lock);
	w->windows->stats.series_total += n;
	pthread_mutex_unlock(&w->windows->lock);
}

static void window_done(struct builder_job *job)
{
	struct window_job *w = container_of(job, struct window_job, job);

	w->windows->under_way--;
	capture_free(w->capture);
	free(w);
}

/* ---- captures -------------------------------------------------------------------------------- */

/* Router thread. */
static void capture_done(void *arg, struct capture *capture)
{
	struct window_job *w = arg;
	struct windows *windows = w->windows;

	w->capture = capture;
	pthread_mutex_lock(&windows->lock);
	windows->stats.windows_total++;
	windows->stats.last_end_ns = capture ? capture->end_ns : 0;
	if (capture) {
		windows->stats.samples_total += capture->counts.samples_total;
		windows->stats.whole_total += capture->counts.whole_total;
		windows->stats.overflow_total += capture->overflow_total;
	}
	pthread_mutex_unlock(&windows->lock);
	if (!capture)
		atomic_store(&w->job.cancelled, true);
	builder_submit(agent_builder(windows->agent), &w->job);
}

static int begin(struct windows *windows)
{
	struct engine *engine = agent_engine(windows->agent);
	struct capture_options all = {
		.source = SOURCE_CPU, .patient = true, .by_thread = windows->o.by_thread};
	struct window_job *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	if (!w)
		return err;
	w->windows = windows;
	w->o = windows->o;
	w->job.run = run_window;
	w->job.done = window_done;
	w->capture = capture_new(&all, sampler_hz(engine_sampler(engine)));
	if (w->capture)
		err = router_add_capture(engine_router(engine), w->capture, capture_done, w);
	if (err) {
		capture_free(w->capture);
		free(w);
		return err;
	}
	windows->under_way++;
	windows->open = w;
	return 0;
}

static void end(struct windows *windows, bool discard)
{
	struct window_job *w = windows->open;

	windows->open = NULL;
	if (w)
		router_end_capture(engine_router(agent_engine(windows->agent)), w->capture,
				   discard);
}

static void turn(void *arg)
{
	struct windows *windows = arg;
	__u64 next_ns = windows->timer.at_ns + windows->o.window_ns, now_ns = clock_monotonic_ns();
	unsigned max_under_way = (unsigned)MAX(MAX_BEHIND_NS / windows->o.window_ns, 2ull);
	int err = 0;

	end(windows, false);
	if (windows->under_way >= max_under_way) {
		pthread_mutex_lock(&windows->lock);
		windows->stats.dropped_total++;
		pthread_mutex_unlock(&windows->lock);
		log_limited(profile, LOG_LEVEL_WARN,
			    "naming is %u windows behind: this one is not taken",
			    windows->under_way);
	} else {
		err = begin(windows);
	}
	if (err)
		log_limited(profile, LOG_LEVEL_ERROR, "no window can begin: %s", strerror(-err));
	/* On the grid of the first one, unless we slept over it. */
	loop_timer_set(agent_loop(windows->agent), &windows->timer,
		       next_ns > now_ns ? next_ns : now_ns + windows->o.window_ns);
}

int windows_start(struct agent *agent, const struct windows_options *options,
		  struct windows **ret_windows)
{
	struct windows *windows = calloc(1, sizeof(*windows));
	int err;

	if (!windows)
		return -ENOMEM;
	windows->agent = agent;
	windows->o = *options;
	windows->timer.fn = turn;
	windows->timer.arg = windows;
	pthread_mutex_init(&windows->lock, NULL);
	err = begin(windows);
	if (err) {
		pthread_mutex_destroy(&windows->lock);
		free(windows);
		return err;
	}
	loop_timer_set(agent_loop(agent), &windows->timer,
		       clock_monotonic_ns() + options->window_ns);
	*ret_windows = windows;
	return 0;
}

void windows_turn(struct windows *windows)
{
	turn(windows);
}

void windows_reload(struct windows *windows, const struct windows_options *options)
{
	windows->o = *options;
}

void windows_stop(struct windows *windows, __u64 wait_ns)
{
	__u64 until_ns = clock_monotonic_ns() + wait_ns;

	if (!windows)
		return;
	loop_timer_stop(agent_loop(windows->agent), &windows->timer);
	end(windows, false);
	while (windows->under_way && clock_monotonic_ns() < until_ns)
		if (loop_once(agent_loop(windows->agent), 20))
			break;
	if (windows->under_way) {
		/* Their jobs end with the builder; the block must outlive them. */
		log_warn(profile, "%u windows were not named in time and are lost",
			 windows->under_way);
		return;
	}
	pthread_mutex_destroy(&windows->lock);
	free(windows);
}

struct windows_stats windows_stats(struct windows *windows)
{
	struct windows_stats stats;

	pthread_mutex_lock(&windows->lock);
	stats = windows->stats;
	pthread_mutex_unlock(&windows->lock);
	return stats;
}
