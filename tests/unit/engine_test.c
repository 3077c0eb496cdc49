// SPDX-License-Identifier: Apache-2.0
/*
 * engine.h on the running kernel, with everybody at it at once: what the agent's thread, HTTP's
 * visitors and the builder do to a running router. Mostly for ThreadSanitizer.
 */
#include "profiler/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/stack_table.h"
#include "tests/unit/test.h"

#define RUN_NS	   (1500 * NS_PER_MS)
#define MAX_RUN_NS (20 * NS_PER_S)

static struct engine *engine;
static atomic_bool over;
static atomic_int under_way, finished, discarded;
static atomic_ullong samples;

/* Router thread: as the builder will, reads what a capture refers to, and lets go. */
static void captured(void *arg UNUSED, struct capture *capture)
{
	if (capture) {
		vec_for_each (e, &capture->entries) {
			const struct stack *stack = e->stack;

			samples += e->samples;
			CU_ASSERT(!stack || stack->n_user <= USER_FRAMES_MAX);
			for (struct object **o = stack ? stack->objects : NULL; o && *o; o++)
				CU_ASSERT((*o)->path[0]);
		}
		finished++;
		capture_free(capture);
	} else {
		discarded++;
	}
	under_way--;
}

static void *take_captures(void *arg)
{
	struct capture_options all = {.source = SOURCE_CPU, .by_thread = true};
	bool discard = false;

	for (unsigned n = 0; !over; n++, discard = arg && n % 3 == 0) {
		struct capture *capture = capture_new(&all, 19);

		CU_ASSERT_FATAL(capture != NULL);
		under_way++;
		CU_ASSERT_FATAL(
			!router_add_capture(engine_router(engine), capture, captured, NULL));
		usleep(20000);
		router_end_capture(engine_router(engine), capture, discard);
	}
	return NULL;
}

static bool look(void *arg, struct process *process)
{
	struct identity *identity = atomic_load(&process->image->identity);

	*(size_t *)arg += process->pid > 0 && (!identity || *identity->service);
	return true;
}

static void look_at_all(void *arg, struct resolver *resolver)
{
	process_each(resolver_processes(resolver), look, arg);
}

static void *visit(void *arg)
{
	size_t *n = arg;

	while (!over) {
		struct router_stats stats = router_stats(engine_router(engine));

		router_visit(engine_router(engine), look_at_all, n);
		router_set_limits(engine_router(engine), 1u << 20, 1u << (20 + *n % 4));
		CU_ASSERT(stats.resolver.processes.n <= stats.resolver.processes.max);
		usleep(1000);
	}
	return NULL;
}

static bool start(void)
{
	struct engine_options o = {.sampler = {.hz = 499}, .cache_dir = test_dir(), .scan = true};
	char *why;

	if (geteuid() || engine_start(&o, &engine, &why))
		return false;
	over = false;
	under_way = finished = discarded = 0;
	samples = 0;
	return true;
}

static bool is_enough(void)
{
	return finished > 10 && discarded > 3 && samples > 0;
}

static void run_children(__u64 now)
{
	while (clock_monotonic_ns() < now + RUN_NS ||
	       (!is_enough() && clock_monotonic_ns() < now + MAX_RUN_NS)) {
		pid_t pid = fork();

		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
		if (sampler_set_hz(engine_sampler(engine), 97 + (unsigned)pid % 400))
			CU_FAIL("the rate cannot be set");
		sampler_set_copies(engine_sampler(engine), pid % 2 ? 1 : 0.5);
	}
}

static void everybody_at_once(void)
{
	pthread_t threads[4];
	size_t seen[2] = {0};
	struct router_stats stats;
	int err = 0;

	if (!start())
		SKIP("needs root, and a kernel that takes the BPF programs");
	err |= pthread_create(&threads[0], NULL, take_captures, NULL);
	err |= pthread_create(&threads[1], NULL, take_captures, &over);
	err |= pthread_create(&threads[2], NULL, visit, &seen[0]);
	err |= pthread_create(&threads[3], NULL, visit, &seen[1]);
	CU_ASSERT_FATAL(!err);
	run_children(clock_monotonic_ns());
	over = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	engine_halt(engine); /* captures that run are finished */
	ASSERT_INT(under_way, 0);
	CU_ASSERT(is_enough());
	CU_ASSERT(seen[0] > 0 && seen[1] > 0);
	stats = router_stats(engine_router(engine));
	ASSERT_INT(stats.lost[LOSS_BAD_RECORD], 0);
	/* A CPU that the hypervisor held back for longer than MERGE_SLACK_NS may cost one. */
	CU_ASSERT(stats.lost[LOSS_STACK_UNKNOWN] * 100 <= samples);
	engine_stop(engine);
}

SUITE(engine, {"everybody at once", everybody_at_once});
