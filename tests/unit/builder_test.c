// SPDX-License-Identifier: Apache-2.0
#include "profiler/builder.h"

#include <semaphore.h>

#include "profiler/base/clock.h"
#include "profiler/loop.h"
#include "tests/unit/test.h"

struct step {
	struct builder_job job;
	sem_t *go;    /* waited for in the thread; NULL: not */
	__u64 ran_ns; /* 0: it never did */
	bool done;
};

static void run_step(struct builder_job *job, struct naming *naming UNUSED)
{
	struct step *step = container_of(job, struct step, job);

	if (step->go)
		sem_wait(step->go);
	step->ran_ns = clock_monotonic_ns();
}

static void step_done(struct builder_job *job)
{
	container_of(job, struct step, job)->done = true;
}

static struct step step_of(sem_t *go)
{
	return (struct step){.job = {.run = run_step, .done = step_done}, .go = go};
}

/* Who waits behind another has waited since it came: deadlines count from there. */
static void waiting_counts(void)
{
	struct loop *loop = loop_new();
	struct builder *builder;
	struct step first, second;
	__u64 before_ns, after_ns;
	sem_t go;

	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	sem_init(&go, 0, 0);
	first = step_of(&go);
	second = step_of(NULL);
	ASSERT_INT(builder_start(loop, "lister", NULL, &builder), 0);
	builder_submit(builder, &first.job);
	before_ns = clock_monotonic_ns();
	builder_submit(builder, &second.job);
	after_ns = clock_monotonic_ns();
	sem_post(&go);
	for (int i = 0; i < 200 && !second.done; i++)
		ASSERT_INT(loop_once(loop, 50), 0);
	CU_ASSERT(first.done && second.done);
	CU_ASSERT(second.job.submitted_ns >= before_ns && second.job.submitted_ns <= after_ns);
	CU_ASSERT(second.ran_ns >= first.ran_ns && first.ran_ns >= after_ns);
	builder_stop(builder);
	loop_free(loop);
	sem_destroy(&go);
}

/* What was cancelled before its turn goes straight to its end; so does what the stop meets. */
static void cancelled_and_stopped(void)
{
	struct loop *loop = loop_new();
	struct builder *builder;
	struct step first, cancelled, left;
	sem_t go;

	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	sem_init(&go, 0, 0);
	first = step_of(&go);
	cancelled = step_of(NULL);
	left = step_of(NULL);
	ASSERT_INT(builder_start(loop, "lister", NULL, &builder), 0);
	builder_submit(builder, &first.job);
	builder_submit(builder, &cancelled.job);
	atomic_store(&cancelled.job.cancelled, true);
	sem_post(&go);
	for (int i = 0; i < 200 && !cancelled.done; i++)
		ASSERT_INT(loop_once(loop, 50), 0);
	CU_ASSERT(first.ran_ns && cancelled.done && !cancelled.ran_ns);
	builder_submit(builder, &left.job);
	builder_stop(builder);
	CU_ASSERT(left.done);
	loop_free(loop);
	sem_destroy(&go);
}

static void burn(struct builder_job *job, struct naming *naming UNUSED)
{
	struct step *step = container_of(job, struct step, job);
	__u64 until_ns = clock_thread_cpu_ns() + 30 * NS_PER_MS;

	while (clock_thread_cpu_ns() < until_ns)
		;
	step->ran_ns = clock_monotonic_ns();
	if (step->go)
		sem_wait(step->go);
}

/* CPU time for somebody who waits is told apart, that of the job in work included. */
static void urgent_time(void)
{
	struct loop *loop = loop_new();
	struct builder *builder;
	struct step normal, urgent;
	struct builder_stats s;
	__u64 at_work_ns = 0;
	sem_t go;

	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	sem_init(&go, 0, 0);
	normal = step_of(NULL);
	urgent = step_of(&go);
	normal.job.run = urgent.job.run = burn;
	urgent.job.urgent = true;
	ASSERT_INT(builder_start(loop, "lister", NULL, &builder), 0);
	builder_submit(builder, &normal.job);
	for (int i = 0; i < 200 && !normal.done; i++)
		ASSERT_INT(loop_once(loop, 50), 0);
	s = builder_stats(builder);
	ASSERT_INT(s.urgent_cpu_ns, 0);
	CU_ASSERT(s.cpu_ns >= 30 * NS_PER_MS);
	builder_submit(builder, &urgent.job);
	for (int i = 0; i < 2000 && at_work_ns < 30 * NS_PER_MS; i++) {
		ASSERT_INT(loop_once(loop, 5), 0);
		at_work_ns = builder_stats(builder).urgent_cpu_ns;
	}
	CU_ASSERT(at_work_ns >= 30 * NS_PER_MS && !urgent.done);
	sem_post(&go);
	for (int i = 0; i < 200 && !urgent.done; i++)
		ASSERT_INT(loop_once(loop, 50), 0);
	s = builder_stats(builder);
	CU_ASSERT(s.urgent_cpu_ns >= at_work_ns && s.urgent_cpu_ns + 30 * NS_PER_MS <= s.cpu_ns);
	builder_stop(builder);
	loop_free(loop);
	sem_destroy(&go);
}

SUITE(builder, {"waiting counts", waiting_counts}, {"cancelled and stopped", cancelled_and_stopped},
      {"urgent time", urgent_time});
