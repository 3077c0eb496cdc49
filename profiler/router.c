// SPDX-License-Identifier: Apache-2.0
/* The router, see router.h. Merging: a binary heap of the rings' oldest records. */
#include "profiler/router.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/base/thread.h"
#include "profiler/base/vec.h"
#include "profiler/not_run.h"
#include "profiler/recorder.h"
#include "profiler/ring.h"
#include "profiler/sideband.h"

#define TICK_NS		(1 * NS_PER_S)
#define LEFTOVER_MS	3		  /* until records younger than the slack are read, */
#define ALERT_NS	(20 * NS_PER_MS)  /* so long after a wake-up: it may have been for them */
#define END_PATIENCE_NS (300 * NS_PER_MS) /* a capture's end waits for held samples so long */
#define NOT_RUN_TICKS	5u
#define MAX_EVENTS	64
#define EARLY_PACE_NS	MERGE_SLACK_NS
#define EARLY_MAX	6u		  /* such rounds in a row */
#define EARLY_EVERY_NS	(100 * NS_PER_MS) /* and for ever */

/* A ring or a side-band, with its oldest unread record. */
struct feed {
	struct ring *ring; /* or */
	struct sideband *sideband;
	const struct rec *rec;
	struct sideband_event event;
	__u64 time_ns; /* of that record */
};

struct running {
	struct capture *capture;
	void (*done)(void *arg, struct capture *capture);
	void *arg;
	__u64 stop_ns; /* 0: runs */
	bool discard;
	struct capture_counts before;
};

struct visit {
	void (*visit)(void *arg, struct resolver *resolver);
	void *arg;
	bool finished;
};

struct router {
	struct router_options o;
	struct resolver *resolver;
	pthread_t thread;
	int epoll_fd, command_fd; /* the latter is watched for edges and never read */
	struct feed *feeds; /* room for a ring and a side-band per possible CPU, as the heap has */
	struct feed **heap;
	size_t n_feeds, n_heap;
	__u64 drained_ns, tick_ns, batch_ns;
	__u64 alert_ns;	  /* when something woke us last */
	bool quiet;	  /* the last round found nothing */
	__u64 early_ns;	  /* when the last early round was earned */
	unsigned n_early; /* earned and not used yet */
	__u64 records_total, batches_total, wakeups_total;
	struct cpu_counters *counters; /* per possible CPU */
	struct not_run not_run;
	unsigned n_ticks;
	VEC(struct running) running;

	pthread_mutex_t lock; /* of what follows */
	VEC(struct running) added;
	VEC(struct running) ended; /* capture, stop_ns and discard only */
	struct visit *visit;	   /* of a thread that waits for `visited`; NULL: none */
	pthread_cond_t
		visited; /* signalled when a visit is over: to its owner and to who is next */
	struct router_stats stats;
	bool stopping;
	size_t stacks_bytes, idle_rows_bytes; /* bounds of the resolver's tables */
};

/* ---- feeds ----------------------------------------------------------------------------------- */

static bool load_head(struct feed *s)
{
	if (s->ring) {
		s->rec = ring_peek(s->ring);
		s->time_ns = s->rec ? s->rec->time_ns : 0;
		return s->rec;
	}
	if (!sideband_peek(s->sideband, &s->event))
		return false;
	s->time_ns = s->event.time_ns;
	return true;
}

/* What wakes the thread, a bit each. Urgent: what it brings lets the kernel side unwind what is
 * copied until then. */
enum waker { WAKER_RING = 1, WAKER_COMMAND = 2, WAKER_URGENT = 4 };

static void watch(struct router *router, int fd, enum waker waker)
{
	/* Edges: a ring with young records left in it would else be ready for ever. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = waker};

	if (fd >= 0 && epoll_ctl(router->epoll_fd, EPOLL_CTL_ADD, fd, &event) && errno != EEXIST)
		log_warn(ring, "a ring cannot be watched (%s): it is read every %d ms only",
			 strerror(errno), ROUTER_PERIOD_MS);
}

/* The rings and side-bands of the CPUs that are online now. */
static void take_feeds(struct router *router)
{
	unsigned n_cpus = sampler_possible_cpus(router->o.sampler);
	struct feed *feeds = router->feeds;
	size_t n = 0;

	memset(feeds, 0, 2 * n_cpus * sizeof(*feeds));
	for (unsigned cpu = 0; cpu < n_cpus; cpu++) {
		struct ring *ring = sampler_ring(router->o.sampler, cpu);
		struct sideband *sideband = sampler_sideband(router->o.sampler, cpu);

		if (ring) {
			feeds[n++].ring = ring;
			watch(router, sampler_ring_fd(router->o.sampler, cpu), WAKER_RING);
		}
		if (sideband) {
			feeds[n++].sideband = sideband;
			watch(router, sideband_fd(sideband), WAKER_URGENT);
		}
	}
	router->n_feeds = n;
}

static void sift_down(struct router *router, size_t i)
{
	struct feed **h = router->heap, *moving = h[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= router->n_heap)
			break;
		if (child + 1 < router->n_heap && h[child + 1]->time_ns < h[child]->time_ns)
			child++;
		if (moving->time_ns <= h[child]->time_ns)
			break;
		h[i] = h[child];
		i = child;
	}
	h[i] = moving;
}

/* ---- draining -------------------------------------------------------------------------------- */

/* Records that were too young for a round. */
enum left { LEFT_NONE, LEFT_SOME, LEFT_URGENT };

static enum left left_of(const struct feed *s)
{
	return s->sideband ? LEFT_URGENT : LEFT_SOME;
}

/* Hand over all records up to the horizon, in order. */
static enum left drain(struct router *router, __u64 horizon_ns)
{
	enum left left = LEFT_NONE;
	__u64 records = 0;

	router->n_heap = 0;
	for (size_t i = 0; i < router->n_feeds; i++) {
		struct feed *s = &router->feeds[i];

		if (!load_head(s))
			continue;
		if (s->time_ns > horizon_ns)
			left = MAX(left, left_of(s));
		else
			router->heap[router->n_heap++] = s;
	}
	for (size_t i = router->n_heap; i-- > 0;)
		sift_down(router, i);
	while (router->n_heap) {
		struct feed *s = router->heap[0];

		if (s->ring) {
			resolver_record(router->resolver, s->rec);
			if (router->o.record_kinds & 1ull << (s->rec->kind & 63))
				router->o.on_record(router->o.record_arg, s->rec);
			ring_pop(s->ring);
		} else {
			resolver_sideband(router->resolver, &s->event);
			sideband_pop(s->sideband);
		}
		records++;
		if (!load_head(s) || s->time_ns > horizon_ns) {
			if (s->time_ns > horizon_ns)
				left = MAX(left, left_of(s));
			router->heap[0] = router->heap[--router->n_heap];
		}
		if (router->n_heap)
			sift_down(router, 0);
	}
	for (size_t i = 0; i < router->n_feeds; i++) {
		if (router->feeds[i].ring)
			ring_release(router->feeds[i].ring);
		else
			sideband_release(router->feeds[i].sideband);
	}
	router->drained_ns = MAX(router->drained_ns, horizon_ns);
	router->quiet = !records && left == LEFT_NONE;
	router->records_total += records;
	router->batches_total++;
	return left;
}

static void on_sample(void *arg, const struct sample *sample)
{
	struct router *router = arg;

	if (router->o.recorder && sample->source == SOURCE_CPU)
		recorder_add(router->o.recorder, sample);
	vec_for_each (r, &router->running) {
		if (!r->stop_ns || sample->time_ns <= r->stop_ns)
			capture_add(r->capture, sample);
	}
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void add_counters(struct cpu_counters *sum, const struct cpu_counters *one)
{
	const __u64 *from = (const __u64 *)one;
	__u64 *to = (__u64 *)sum;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(__u64); i++)
		to[i] += from[i];
}

/* not_run: estimated anew; it reads the host's and every CPU's counters, which wakes idle CPUs. */
static void update_stats(struct router *router, bool not_run)
{
	unsigned n_cpus = sampler_possible_cpus(router->o.sampler);
	struct router_stats *s = &router->stats;

	pthread_mutex_lock(&router->lock);
	s->resolver = resolver_stats(router->resolver);
	for (size_t i = 0; i < router->n_feeds; i++)
		if (router->feeds[i].ring)
			s->resolver.lost[LOSS_BAD_RECORD] += ring_bad_total(router->feeds[i].ring);
	memset(&s->kernel, 0, sizeof(s->kernel));
	if (!sampler_counters(router->o.sampler, router->counters))
		for (unsigned cpu = 0; cpu < n_cpus; cpu++)
			add_counters(&s->kernel, &router->counters[cpu]);
	if (not_run)
		s->not_run = MAX(s->not_run, not_run_estimate(&router->not_run, router->o.sampler,
							      router->counters));
	for (int i = 0; i < LOSS_COUNT; i++) {
		s->lost[i] = s->resolver.lost[i];
		for (int source = 0; source < SOURCE_COUNT; source++)
			s->lost[i] += s->kernel.lost[i][source];
	}
	s->lost[LOSS_NOT_RUN] = s->not_run;
	s->scanned = resolver_scanned(router->resolver);
	s->cpu_ns = clock_thread_cpu_ns();
	s->records_total = router->records_total;
	s->batches_total = router->batches_total;
	s->wakeups_total = router->wakeups_total;
	pthread_mutex_unlock(&router->lock);
}

static struct capture_counts counts_now(const struct router *router)
{
	struct capture_counts c = {0};

	for (int i = 0; i < LOSS_COUNT; i++)
		/* Neither is a sample that was taken and lost. */
		if (i != LOSS_NOT_RUN && i != LOSS_SIDEBAND)
			c.lost_total += router->stats.lost[i];
	c.not_run_total = router->stats.not_run;
	c.copied_total = router->stats.resolver.copies_total;
	return c;
}

/* ---- captures -------------------------------------------------------------------------------- */

static void finish(struct router *router, struct running *r, __u64 now_ns)
{
	struct capture_counts now;

	if (r->discard) {
		capture_free(r->capture);
		r->done(r->arg, NULL);
		return;
	}
	now = counts_now(router);
	r->capture->counts.lost_total = now.lost_total - r->before.lost_total;
	r->capture->counts.not_run_total = now.not_run_total - r->before.not_run_total;
	r->capture->counts.copied_total = now.copied_total - r->before.copied_total;
	capture_finish(r->capture, r->stop_ns ? r->stop_ns : now_ns);
	r->done(r->arg, r->capture);
}

static bool may_finish(const struct router *router, const struct running *r, __u64 now_ns)
{
	return r->discard || (r->stop_ns && router->drained_ns >= r->stop_ns &&
			      (now_ns > r->stop_ns + END_PATIENCE_NS ||
			       resolver_oldest_pending(router->resolver) > r->stop_ns));
}

static void finish_captures(struct router *router, bool all)
{
	__u64 now_ns = clock_monotonic_ns();
	bool fresh = false;
	size_t kept = 0;

	for (size_t i = 0; i < router->running.len; i++) {
		struct running r = router->running.data[i];

		if (!all && !may_finish(router, &r, now_ns)) {
			router->running.data[kept++] = r;
			continue;
		}
		if (!fresh)
			update_stats(router, true);
		fresh = true;
		finish(router, &r, now_ns);
	}
	router->running.len = kept;
}

static bool some_capture_ends(const struct router *router)
{
	vec_for_each (r, &router->running) {
		if (r->stop_ns)
			return true;
	}
	return false;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void wake(const struct router *router)
{
	__u64 one = 1;

	if (write(router->command_fd, &one, sizeof(one)) < 0) {
		/* the counter is full: it is awake */
	}
}

int router_add_capture(struct router *router, struct capture *capture,
		       void (*done)(void *arg, struct capture *capture), void *arg)
{
	struct running r = {.capture = capture, .done = done, .arg = arg};
	int err;

	pthread_mutex_lock(&router->lock);
	err = vec_push(&router->added, r);
	pthread_mutex_unlock(&router->lock);
	if (!err)
		wake(router);
	return err;
}

void router_end_capture(struct router *router, struct capture *capture, bool discard)
{
	struct running r = {
		.capture = capture, .stop_ns = clock_monotonic_ns(), .discard = discard};

	pthread_mutex_lock(&router->lock);
	if (vec_push(&router->ended, r))
		log_error(ring, "out of memory: a profile cannot be ended");
	pthread_mutex_unlock(&router->lock);
	wake(router);
}

void router_visit(struct router *router, void (*visit)(void *arg, struct resolver *resolver),
		  void *arg)
{
	struct visit v = {.visit = visit, .arg = arg};

	pthread_mutex_lock(&router->lock);
	while (router->visit && !router->stopping)
		pthread_cond_wait(&router->visited, &router->lock);
	if (!router->stopping) {
		router->visit = &v;
		wake(router);
		while (!v.finished)
			pthread_cond_wait(&router->visited, &router->lock);
	}
	pthread_mutex_unlock(&router->lock);
}

void router_set_limits(struct router *router, size_t stacks_bytes, size_t idle_rows_bytes)
{
	pthread_mutex_lock(&router->lock);
	router->stacks_bytes = stacks_bytes;
	router->idle_rows_bytes = idle_rows_bytes;
	pthread_mutex_unlock(&router->lock);
}

struct router_stats router_stats(struct router *router)
{
	struct router_stats stats;

	pthread_mutex_lock(&router->lock);
	stats = router->stats;
	pthread_mutex_unlock(&router->lock);
	return stats;
}

static void mark_ended(struct router *router, const struct running *end)
{
	vec_for_each (r, &router->running) {
		if (r->capture != end->capture)
			continue;
		r->discard = end->discard;
		if (!r->stop_ns)
			r->stop_ns = end->stop_ns;
	}
}

/* A capture begins: what was lost before is not its loss. */
static void begin_capture(struct router *router, struct running *r)
{
	update_stats(router, true);
	r->before = counts_now(router);
	if (vec_push(&router->running, *r)) {
		r->discard = true;
		finish(router, r, 0);
	}
}

/* True when the thread is to end. */
static bool take_commands(struct router *router)
{
	__typeof__(router->added) added, ended;
	struct visit *visit;
	bool stopping;

	pthread_mutex_lock(&router->lock);
	added = router->added;
	memcpy(&ended, &router->ended, sizeof(ended));
	memset(&router->added, 0, sizeof(router->added));
	memset(&router->ended, 0, sizeof(router->ended));
	visit = router->visit;
	stopping = router->stopping;
	pthread_mutex_unlock(&router->lock);
	vec_for_each (r, &added)
		begin_capture(router, r);
	vec_for_each (r, &ended)
		mark_ended(router, r);
	vec_free(&added);
	vec_free(&ended);
	if (visit) {
		visit->visit(visit->arg, router->resolver);
		pthread_mutex_lock(&router->lock);
		router->visit = NULL;
		visit->finished = true;
		pthread_cond_broadcast(&router->visited);
		pthread_mutex_unlock(&router->lock);
	}
	return stopping;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void tick(struct router *router, __u64 now_ns)
{
	size_t stacks_bytes, idle_rows_bytes;

	pthread_mutex_lock(&router->lock);
	stacks_bytes = router->stacks_bytes;
	idle_rows_bytes = router->idle_rows_bytes;
	pthread_mutex_unlock(&router->lock);
	resolver_set_limits(router->resolver, stacks_bytes, idle_rows_bytes);
	router->tick_ns = now_ns;
	if (sampler_update_cpus(router->o.sampler))
		take_feeds(router);
	resolver_tick(router->resolver, now_ns);
	if (router->o.recorder)
		recorder_sweep(router->o.recorder, now_ns, clock_asleep_ns());
	update_stats(router, router->n_ticks++ % NOT_RUN_TICKS == 0);
}

/* Let records gather when the last round was a moment ago. */
static void pace(struct router *router, bool urgent)
{
	__u64 now_ns = clock_monotonic_ns(), next_ns = router->batch_ns + ROUTER_PACE_NS;
	struct timespec wait = {0};

	if (now_ns >= router->early_ns + EARLY_EVERY_NS) {
		router->n_early = (unsigned)MIN(router->n_early + (now_ns - router->early_ns) /
									  EARLY_EVERY_NS,
						(__u64)EARLY_MAX);
		router->early_ns = now_ns;
	}
	if (urgent && router->n_early && now_ns < next_ns) {
		router->n_early--;
		next_ns = router->batch_ns + EARLY_PACE_NS;
	}
	wait.tv_nsec = (long)(next_ns - now_ns);
	if (now_ns < next_ns)
		nanosleep(&wait, NULL);
}

static enum left run_batch(struct router *router, bool urgent)
{
	enum left left;
	__u64 now_ns;

	pace(router, urgent);
	now_ns = router->batch_ns = clock_monotonic_ns();
	left = drain(router, now_ns - MERGE_SLACK_NS);
	if (router->o.loader)
		resolver_answers(router->resolver);
	resolver_batch_end(router->resolver, router->drained_ns);
	finish_captures(router, false);
	if (now_ns >= router->tick_ns + TICK_NS)
		tick(router, now_ns);
	return left;
}

/* The bits of what woke us; 0: the time is up. */
static unsigned wait_events(struct router *router, int timeout_ms)
{
	struct epoll_event events[MAX_EVENTS];
	int n = epoll_wait(router->epoll_fd, events, MAX_EVENTS, timeout_ms);
	unsigned woken = 0;

	for (int i = 0; i < n; i++)
		woken |= events[i].data.u32;
	if (n > 0) {
		router->wakeups_total++;
		router->alert_ns = clock_monotonic_ns();
	}
	return woken;
}

static bool rings_empty(const struct router *router)
{
	for (size_t i = 0; i < router->n_feeds; i++)
		if (router->feeds[i].ring && ring_fill(router->feeds[i].ring))
			return false;
	return true;
}

/* Nobody waits for a sample, and nothing but a record, a command or an answer brings work. */
static bool may_stop_timer(const struct router *router)
{
	vec_for_each (r, &router->running) {
		if (r->stop_ns || !r->capture->o.patient)
			return false;
	}
	return router->quiet && !resolver_waits(router->resolver);
}

/*
 * Without the timer until the next tick: the first record wakes us and starts it again, so that
 * none is read later than with it. (One whose program looked at the knob just before we set it may
 * wait for the tick.)
 */
static unsigned wait_for_first(struct router *router)
{
	__u64 until_ns = router->tick_ns + TICK_NS;
	int ms = until_ns > router->batch_ns ? (int)((until_ns - router->batch_ns) / NS_PER_MS) : 0;
	unsigned woken = WAKER_RING;

	sampler_set_first_wakes(router->o.sampler, true);
	if (rings_empty(router))
		woken = wait_events(router, ms + 1);
	sampler_set_first_wakes(router->o.sampler, false);
	return woken == WAKER_RING ? wait_events(router, ROUTER_PERIOD_MS) : woken;
}

/* Until something comes: at most until what was left is old enough, where it may be urgent. */
static bool wait_for_work(struct router *router, enum left left)
{
	bool alert = router->batch_ns < router->alert_ns + ALERT_NS;
	unsigned woken;

	if (left == LEFT_URGENT)
		woken = wait_events(router, 1);
	else if ((left == LEFT_SOME && alert) || some_capture_ends(router))
		woken = wait_events(router, LEFTOVER_MS);
	else if (may_stop_timer(router))
		woken = wait_for_first(router);
	else
		woken = wait_events(router, ROUTER_PERIOD_MS);
	return left == LEFT_URGENT || woken & WAKER_URGENT;
}

static void *run(void *arg)
{
	struct router *router = arg;
	enum left left = LEFT_NONE;

	thread_raise();
	while (!take_commands(router))
		left = run_batch(router, wait_for_work(router, left));
	drain(router, UINT64_MAX);
	resolver_answers(router->resolver);
	resolver_batch_end(router->resolver, clock_monotonic_ns());
	resolver_flush(router->resolver);
	finish_captures(router, true);
	return NULL;
}

void router_free(struct router *router)
{
	if (!router)
		return;
	resolver_free(router->resolver);
	not_run_fini(&router->not_run);
	if (router->epoll_fd >= 0)
		close(router->epoll_fd);
	if (router->command_fd >= 0)
		close(router->command_fd);
	vec_free(&router->running);
	vec_free(&router->added);
	vec_free(&router->ended);
	pthread_mutex_destroy(&router->lock);
	pthread_cond_destroy(&router->visited);
	free(router->counters);
	free(router->feeds);
	free(router->heap);
	free(router);
}

static int init(struct router *router)
{
	const struct router_options *o = &router->o;
	unsigned n_cpus = sampler_possible_cpus(o->sampler);
	struct resolver_options r = {
		.segments = o->segments,
		.loader = o->loader,
		.procs_fd = sampler_procs_fd(o->sampler),
		.max_processes = o->max_processes,
		.max_objects = o->max_objects,
		.max_frames = o->max_frames,
		.stacks_bytes = o->stacks_bytes,
		.idle_rows_bytes = o->idle_rows_bytes,
		.on_sample = on_sample,
		.arg = router,
	};
	int err;

	r.known = sampler_known(o->sampler, &r.n_known);
	router->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	router->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (router->epoll_fd < 0 || router->command_fd < 0)
		return -errno;
	router->counters = calloc(n_cpus, sizeof(*router->counters));
	router->feeds = calloc(2 * n_cpus, sizeof(*router->feeds));
	router->heap = calloc(2 * n_cpus, sizeof(*router->heap));
	router->resolver = resolver_new(&r);
	if (!router->counters || !router->feeds || !router->heap || !router->resolver)
		return -ENOMEM;
	err = not_run_init(&router->not_run, n_cpus);
	if (err)
		return err;
	watch(router, router->command_fd, WAKER_COMMAND);
	if (o->loader)
		watch(router, loader_fd(o->loader), WAKER_URGENT);
	take_feeds(router);
	for (size_t i = 0; i < o->n_pids; i++)
		if (!loader_read_maps(o->loader, (__u32)o->pids[i]))
			break; /* asked again at the first sample */
	if (o->scan)
		resolver_scan(router->resolver);
	return 0;
}

int router_start(const struct router_options *options, struct router **ret_router)
{
	struct router *router = calloc(1, sizeof(*router));
	int err;

	if (!router)
		return -ENOMEM;
	router->o = *options;
	router->stacks_bytes = options->stacks_bytes;
	router->idle_rows_bytes = options->idle_rows_bytes;
	router->epoll_fd = router->command_fd = -1;
	pthread_mutex_init(&router->lock, NULL);
	pthread_cond_init(&router->visited, NULL);
	err = init(router);
	if (!err)
		err = thread_start(&router->thread, "router", run, router);
	if (err) {
		router_free(router);
		return err;
	}
	*ret_router = router;
	return 0;
}

void router_stop(struct router *router)
{
	if (!router)
		return;
	pthread_mutex_lock(&router->lock);
	router->stopping = true;
	pthread_mutex_unlock(&router->lock);
	wake(router);
	pthread_join(router->thread, NULL);
}
