// SPDX-License-Identifier: Apache-2.0
/* The builder thread, see builder.h. */
#include "profiler/builder.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/base/thread.h"
#include "profiler/loop.h"
#include "profiler/packages.h"

#define BUILDER_NICE  10	      /* of work that nobody waits for */
#define BURST_NS      (20 * NS_PER_S) /* CPU time that may be used at once after a rest */
#define PAUSE_NS      (20 * NS_PER_MS)
#define DEFAULT_SHARE 1.0
#define MAX_LACKING   256

struct queue {
	struct builder_job *first, **last;
	__u32 n;
};

struct builder {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct queue urgent, normal, finished;
	bool stopping;
	struct loop *loop;
	__u64 watch;
	int fd;
	struct naming *naming;	 /* the thread's; NULL: it has none */
	struct builder_job *job; /* in work */
	__u64 job_began_ns;	 /* the thread's CPU time then */
	_Atomic double share;
	atomic_bool hurried;
	atomic_int tid; /* 0: not running yet */
	/* the thread's own */
	__u64 credit_ns, credit_at_ns, used_ns;
	int nice;
	/* under the lock */
	struct builder_stats stats;
	struct builder_object *lacking;
	struct packages *packages; /* the thread's own */
};

static void push(struct queue *q, struct builder_job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
	q->n++;
}

static struct builder_job *pop(struct queue *q)
{
	struct builder_job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->last = &q->first;
	q->n--;
	return job;
}

static void init_queue(struct queue *q)
{
	*q = (struct queue){.last = &q->first};
}

/* ---- pacing ---------------------------------------------------------------------------------- */

static void add_credit(struct builder *b)
{
	__u64 now_ns = clock_monotonic_ns(), cpu_ns = clock_thread_cpu_ns();
	double earned = (double)(now_ns - b->credit_at_ns) * atomic_load(&b->share);

	b->credit_at_ns = now_ns;
	b->credit_ns = MIN(b->credit_ns + (__u64)earned, (__u64)BURST_NS);
	b->credit_ns -= MIN(b->credit_ns, cpu_ns - b->used_ns);
	b->used_ns = cpu_ns;
}

/* Asked by the naming now and then: the place to pause. True ends the work. */
static bool pause_or_cancel(void *arg)
{
	struct builder *b = arg;
	struct builder_job *job = b->job;
	struct timespec pause = {.tv_nsec = (long)PAUSE_NS};

	if (!job || atomic_load(&job->cancelled))
		return job != NULL;
	add_credit(b);
	while (!job->urgent && !atomic_load(&b->hurried) && !b->credit_ns &&
	       !atomic_load(&job->cancelled)) {
		bool stopping, waiting;

		pthread_mutex_lock(&b->lock);
		stopping = b->stopping;
		waiting = b->urgent.n > 0;
		b->stats.paused_ns += stopping || waiting ? 0 : PAUSE_NS;
		pthread_mutex_unlock(&b->lock);
		if (stopping)
			return true;
		if (waiting)
			break; /* the sooner this one ends, the sooner the urgent one begins */
		nanosleep(&pause, NULL);
		add_credit(b);
	}
	return false;
}

void builder_set_share(struct builder *b, double share)
{
	atomic_store(&b->share, share);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static struct builder_job *next_job(struct builder *b)
{
	struct builder_job *job = NULL;

	pthread_mutex_lock(&b->lock);
	while (!b->stopping && !job) {
		job = pop(&b->urgent);
		if (!job)
			job = pop(&b->normal);
		if (!job)
			pthread_cond_wait(&b->wake, &b->lock);
	}
	b->job = job;
	b->job_began_ns = clock_thread_cpu_ns();
	pthread_mutex_unlock(&b->lock);
	return job;
}

static void note_lacking(void *arg, const struct naming_object *object)
{
	struct builder *b = arg;
	struct builder_object *o;
	const char *package = NULL;

	if (b->stats.n_lacking >= MAX_LACKING)
		return;
	o = &b->lacking[b->stats.n_lacking++];
	if (object->on_host)
		package = packages_symbols_of(b->packages, object->path);
	snprintf(o->path, sizeof(o->path), "%s", object->path);
	snprintf(o->build_id, sizeof(o->build_id), "%s", object->build_id);
	snprintf(o->note, sizeof(o->note), "%s", object->note);
	snprintf(o->package, sizeof(o->package), "%s", package ? package : "");
}

static void finish(struct builder *b, struct builder_job *job)
{
	__u64 one = 1;

	pthread_mutex_lock(&b->lock);
	b->job = NULL;
	b->stats.jobs_total++;
	b->stats.cpu_ns = clock_thread_cpu_ns();
	if (job->urgent)
		b->stats.urgent_cpu_ns += b->stats.cpu_ns - b->job_began_ns;
	if (b->naming)
		b->stats.naming = naming_stats(b->naming);
	push(&b->finished, job);
	pthread_mutex_unlock(&b->lock);
	if (write(b->fd, &one, sizeof(one)) < 0) {
		/* the counter is full: the loop is awake */
	}
}

static void list_lacking(struct builder *b)
{
	pthread_mutex_lock(&b->lock);
	b->stats.n_lacking = 0;
	naming_each_object(b->naming, note_lacking, b);
	pthread_mutex_unlock(&b->lock);
}

/* Behind a job's answer, which does not wait for it. */
static void say_lacking(struct builder *b)
{
	list_lacking(b); /* asks for the packages, too */
	if (packages_look(b->packages, clock_monotonic_ns()))
		list_lacking(b);
}

/* Somebody who waits is not kept waiting by every other program of a busy host. Without
 * CAP_SYS_NICE there is no way back up: then all work is low. */
static void set_nice(struct builder *b, int nice)
{
	if (nice != b->nice && !setpriority(PRIO_PROCESS, (id_t)gettid(), nice))
		b->nice = nice;
}

static void *run(void *arg)
{
	struct builder *b = arg;
	struct builder_job *job;

	atomic_store(&b->tid, gettid());
	b->credit_ns = BURST_NS;
	b->credit_at_ns = clock_monotonic_ns();
	while ((job = next_job(b))) {
		bool urgent = job->urgent;

		set_nice(b, urgent || atomic_load(&b->hurried) ? 0 : BUILDER_NICE);
		if (job->run && !atomic_load(&job->cancelled))
			job->run(job, b->naming);
		if (b->naming)
			naming_sweep(b->naming);
		finish(b, job);
		if (b->naming)
			say_lacking(b);
		/* Behind each window: what answers left between blocks that stay goes back. */
		if (b->naming && !urgent)
			malloc_trim(0);
	}
	return NULL;
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static void take_finished(void *arg, __u32 events UNUSED)
{
	struct builder *b = arg;
	struct builder_job *job;
	__u64 count;

	if (read(b->fd, &count, sizeof(count)) < 0) {
		/* nothing new */
	}
	for (;;) {
		pthread_mutex_lock(&b->lock);
		job = pop(&b->finished);
		pthread_mutex_unlock(&b->lock);
		if (!job)
			return;
		job->done(job);
	}
}

void builder_submit(struct builder *b, struct builder_job *job)
{
	job->submitted_ns = clock_monotonic_ns();
	pthread_mutex_lock(&b->lock);
	push(job->urgent ? &b->urgent : &b->normal, job);
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

static int open_naming(struct builder *b, const struct naming_options *naming)
{
	struct naming_options own = *naming;

	own.cancelled = pause_or_cancel;
	own.arg = b;
	b->naming = naming_new(&own);
	b->lacking = calloc(MAX_LACKING, sizeof(*b->lacking));
	b->packages = packages_new(NULL);
	return b->naming && b->lacking && b->packages ? 0 : -ENOMEM;
}

int builder_start(struct loop *loop, const char *name, const struct naming_options *naming,
		  struct builder **ret_builder)
{
	struct builder *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	init_queue(&b->urgent);
	init_queue(&b->normal);
	init_queue(&b->finished);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->wake, NULL);
	atomic_init(&b->share, DEFAULT_SHARE);
	b->loop = loop;
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = b->fd < 0 ? -errno : 0;
	if (!err && naming)
		err = open_naming(b, naming);
	if (!err)
		err = loop_add(loop, b->fd, EPOLLIN, take_finished, b, &b->watch);
	if (!err)
		err = thread_start(&b->thread, name, run, b);
	if (!err) {
		*ret_builder = b;
		return 0;
	}
	loop_del(loop, b->watch);
	if (b->fd >= 0)
		close(b->fd);
	naming_free(b->naming);
	free(b->lacking);
	packages_free(b->packages);
	free(b);
	return err;
}

void builder_hurry(struct builder *b)
{
	int tid = atomic_load(&b->tid);

	atomic_store(&b->hurried, true);
	if (tid && setpriority(PRIO_PROCESS, (id_t)tid, 0)) {
		/* without CAP_SYS_NICE it goes on at low priority */
	}
}

void builder_stop(struct builder *b)
{
	struct builder_job *job;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->stopping = true;
	if (b->job) /* the symbols of a large program may take many seconds */
		atomic_store(&b->job->cancelled, true);
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	while ((job = pop(&b->urgent)) || (job = pop(&b->normal)))
		push(&b->finished, job);
	take_finished(b, 0);
	loop_del(b->loop, b->watch);
	close(b->fd);
	naming_free(b->naming);
	free(b->lacking);
	packages_free(b->packages);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->wake);
	free(b);
}

struct builder_stats builder_stats(struct builder *b)
{
	struct builder_stats stats;
	clockid_t clock;

	pthread_mutex_lock(&b->lock);
	stats = b->stats;
	if (b->job && b->job->urgent && !pthread_getcpuclockid(b->thread, &clock))
		stats.urgent_cpu_ns += clock_ns(clock) - b->job_began_ns;
	stats.queued = b->urgent.n + b->normal.n;
	pthread_mutex_unlock(&b->lock);
	return stats;
}

size_t builder_lacking(struct builder *b, struct builder_object *out, size_t max)
{
	size_t n;

	pthread_mutex_lock(&b->lock);
	n = MIN(max, b->stats.n_lacking);
	memcpy(out, b->lacking, n * sizeof(*out));
	pthread_mutex_unlock(&b->lock);
	return n;
}
