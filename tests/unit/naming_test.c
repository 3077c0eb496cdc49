// SPDX-License-Identifier: Apache-2.0
/* The bound on the memory of JITs' maps: it holds while a job runs, and what is in use stays. */
#include "profiler/naming.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profiler/process.h"
#include "profiler/profile.h"
#include "profiler/stack_table.h"
#include "tests/unit/test.h"

#define MAX_BYTES (4u << 20)
#define CODE	  0x100000u

/* A process with a perf map of so many functions, 32 bytes each. */
struct jit {
	struct image image;
	struct stack *stack;
	unsigned n;
};

static void jit_init(struct jit *jit, unsigned n)
{
	int fd = memfd_create("perf-map", MFD_CLOEXEC);
	FILE *file = fdopen(dup(fd), "we");

	*jit = (struct jit){.image = {.refs = 1, .pid = (__u32)getpid()}, .n = n};
	jit->stack = calloc(1, sizeof(*jit->stack) + sizeof(__u64));
	CU_ASSERT_FATAL(file && jit->stack);
	jit->stack->objects = calloc(1, sizeof(struct object *));
	jit->stack->n_user = 1;
	for (unsigned i = 0; i < n; i++)
		fprintf(file, "%x 20 function_with_a_name_of_usual_length_%u\n", CODE + i * 32, i);
	fclose(file);
	CU_ASSERT(image_put_jit(&jit->image, fd));
}

static void jit_fini(struct jit *jit)
{
	free(jit->stack->objects);
	free(jit->stack);
}

/* Whether the i-th function of the map has a name, in the job that runs. */
static bool is_named(struct naming *naming, struct jit *jit, unsigned i)
{
	struct capture capture = {.hz = 99};
	struct capture_entry entry = {
		.image = &jit->image, .stack = jit->stack, .samples = 1, .weight = 1};
	__u64 unknown = naming_stats(naming).unknown_total;

	jit->stack->frames[0] = CODE + i * 32;
	CU_ASSERT_FATAL(!vec_push(&capture.entries, entry));
	profile_free(naming_profile(naming, &capture, &(struct naming_labels){0}));
	vec_free(&capture.entries);
	return naming_stats(naming).unknown_total == unknown;
}

static void jits_share_the_bound(void)
{
	struct naming_options options = {.max_bytes = MAX_BYTES};
	struct naming *naming = naming_new(&options);
	struct jit large, second, third;
	struct naming_stats stats;

	jit_init(&large, 100000); /* more than the bound by itself */
	jit_init(&second, 18000);
	jit_init(&third, 18000);
	for (int round = 0; round < 3; round++) {
		CU_ASSERT(is_named(naming, &large, large.n - 1));
		CU_ASSERT(is_named(naming, &second, second.n - 1));
		CU_ASSERT(is_named(naming, &third, 0));
		CU_ASSERT(!is_named(naming, &third, third.n - 1)); /* no room for all */
		naming_sweep(naming);
		stats = naming_stats(naming);
		CU_ASSERT(stats.bytes > 2 * MAX_BYTES);
		CU_ASSERT(stats.bytes < 4 * MAX_BYTES);
		ASSERT_INT(stats.evicted_total, 0); /* nothing is parsed anew */
		ASSERT_INT(stats.jits.deferred_total, round + 1);
	}
	for (int round = 0; round < 3; round++) { /* the large one rests: the third is read on */
		is_named(naming, &third, 0);
		naming_sweep(naming);
	}
	CU_ASSERT(is_named(naming, &third, third.n - 1));
	ASSERT_INT(naming_stats(naming).jits.restarts_total, 0);
	naming_free(naming);
	jit_fini(&large);
	jit_fini(&second);
	jit_fini(&third);
}

static bool answer(void *arg)
{
	return *(bool *)arg;
}

/* A map is not read for a job that was cancelled, and read for the next. */
static void cancelling_ends_reading(void)
{
	bool cancelled = true;
	struct naming_options options = {.cancelled = answer, .arg = &cancelled};
	struct naming *naming = naming_new(&options);
	struct jit jit;

	jit_init(&jit, 10);
	CU_ASSERT(!is_named(naming, &jit, 0));
	naming_sweep(naming);
	cancelled = false;
	CU_ASSERT(is_named(naming, &jit, 0));
	naming_free(naming);
	jit_fini(&jit);
}

SUITE(naming, {"jits share the bound", jits_share_the_bound},
      {"cancelling ends reading", cancelling_ends_reading});
