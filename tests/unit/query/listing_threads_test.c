// SPDX-License-Identifier: Apache-2.0
/* Sums by process and by thread say whose each is, also of one that ended long ago. */
#include <stdio.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/query/listing_internal.h"
#include "tests/support/stores.h"
#include "tests/unit/test.h"

#define WINDOW_NS (15 * NS_PER_S)

static __u64 end_ns;

/* The next window, of one series. */
static void put(struct store *store, const char *container, const char *service, struct profile *p)
{
	struct dict_label_text labels[] = {{"container", container}, {"service_name", service}};
	struct facts facts = {.start_ns = end_ns, .end_ns = end_ns + WINDOW_NS};

	ASSERT_INT(store_begin(store, &facts), 0);
	ASSERT_INT(store_add(store, *container ? labels : labels + 1, *container ? 2 : 1, p), 0);
	ASSERT_INT(store_end(store), 0);
	profile_free(p);
	end_ns += WINDOW_NS;
}

static struct profile *add(struct profile *p, const char *comm, __u32 pid, __u32 tid, __s64 samples)
{
	__u32 frame = profile_named_location(p, FRAME_NATIVE, "f");

	profile_add(p, profile_stack(p, &frame, 1), profile_thread_labels(p, comm, NULL, pid, tid),
		    (__s64[]){samples, samples});
	return p;
}

/* Ask the store; the job is the caller's to free. */
static struct listing_job *ask(const char *dir, const char *group)
{
	struct listing_job *job = calloc(1, sizeof(*job));
	struct queries *queries = calloc(1, sizeof(*queries));

	CU_ASSERT_FATAL(job && queries);
	queries->reader = store_reader_new(dir);
	job->task.queries = queries;
	job->q = (struct listing_request){
		.kind = "cpu",
		.range = {.from_ns = STORES_T0, .to_ns = end_ns},
		.step_ns = 3600 * NS_PER_S,
		.group = group,
	};
	job->plan.store_to_ns = end_ns;
	job->task.deadline_ns = UINT64_MAX;
	query_task_begin(&job->task);
	ASSERT_INT(sums_init(&job->sums, &job->out, &job->q), 0);
	ASSERT_INT(listing_init_threads(job), 0);
	ASSERT_INT(listing_store_threads(job), 0);
	ASSERT_INT(listing_end_threads(job), 0);
	return job;
}

static void forget(struct listing_job *job)
{
	store_reader_free(job->task.queries->reader);
	free(job->task.queries);
	vec_free(&job->out.series);
	vec_free(&job->out.groups);
	sums_fini(&job->sums);
	listing_free_threads(job);
	arena_fini(&job->out.arena);
	free(job);
}

struct want {
	const char *name, *process, *service, *container, *comm;
	__u32 pid;
};

static void compare(const struct listing_job *job, const struct want *want, size_t n)
{
	ASSERT_INT(job->out.groups.len, n);
	for (size_t i = 0; i < n; i++) {
		const struct listed_group *found = NULL;

		vec_for_each (g, &job->out.groups)
			if (!strcmp(g->name, want[i].name))
				found = g;
		CU_ASSERT_PTR_NOT_NULL_FATAL(found);
		ASSERT_STR(found->process, want[i].process);
		ASSERT_STR(found->service, want[i].service);
		ASSERT_STR(found->container, want[i].container);
		ASSERT_STR(found->comm, want[i].comm);
		ASSERT_INT(found->pid, want[i].pid);
	}
}

/* What most of the value came from decides: not what a process was for a moment before its exec, nor
 * what a thread was called before it had a name of its own. */
static void whose_it_was(void)
{
	static const struct want by_pid[] = {{"100", "nginx", "web", "c1", "", 0},
					     {"200", "kworker/0", "kernel", "", "", 0}};
	static const struct want by_tid[] = {{"100", "nginx", "web", "c1", "nginx", 100},
					     {"101", "nginx", "web", "c1", "worker", 100},
					     {"201", "kworker/0", "kernel", "", "kworker/0", 200}};
	struct listing_job *job;
	struct store *store;
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/whose", test_dir());
	store = stores_open(dir, NULL, NULL);
	end_ns = STORES_T0;
	put(store, "", "bash", add(stores_profile(1), "bash", 100, 100, 2));
	put(store, "", "kernel", add(stores_profile(1), "kworker/0", 200, 201, 1));
	for (int i = 0; i < 2; i++) {
		struct profile *p = add(stores_profile(1), "nginx", 100, 100, 5);

		add(p, i ? "worker" : "nginx", 100, 101, 4 + i);
		put(store, "c1", "web", p);
		end_ns += 3600 * NS_PER_S; /* another segment */
	}
	store_close(store);
	job = ask(dir, "pid");
	compare(job, by_pid, ARRAY_SIZE(by_pid));
	forget(job);
	job = ask(dir, "tid");
	compare(job, by_tid, ARRAY_SIZE(by_tid));
	forget(job);
	job = ask(dir, "comm"); /* of nobody in particular */
	CU_ASSERT_PTR_NULL(job->out.groups.data[0].service);
	forget(job);
}

/* What is beyond the bound is of many, so of nobody. */
static void the_rest_is_of_nobody(void)
{
	struct profile *p = stores_profile(1);
	struct listing_job *job;
	struct store *store;
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/rest", test_dir());
	store = stores_open(dir, NULL, NULL);
	end_ns = STORES_T0;
	for (__u32 i = 1; i <= LISTING_MAX_GROUPS + 50; i++)
		add(p, "thread", i, i, 1);
	put(store, "c1", "web", p);
	store_close(store);
	job = ask(dir, "tid");
	ASSERT_INT(job->out.groups.len, LISTING_MAX_GROUPS);
	vec_for_each (g, &job->out.groups) {
		ASSERT_STR(g->service, g->rest ? "" : "web");
		ASSERT_STR(g->comm, g->rest ? "" : "thread");
	}
	forget(job);
}

SUITE(listing_threads, {"whose it was", whose_it_was},
      {"the rest is of nobody", the_rest_is_of_nobody});
