// SPDX-License-Identifier: Apache-2.0
/* capture.h and series.h: what is let through, how it adds up, what happens when it is too much. */
#include "profiler/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/reason.h"
#include "profiler/process.h"
#include "profiler/series.h"
#include "profiler/stack_table.h"
#include "tests/unit/test.h"

#define N_IMAGES 40
#define N_STACKS 40

static struct segments *segments;
static struct object_table *objects;
static struct stack_table *stacks;
static const struct stack *stack_of[N_STACKS];
static struct image *image_of[N_IMAGES];

static void setup(void)
{
	segments = segments_new(-1, 1u << 20);
	objects = object_table_new(segments, 64);
	stacks = stack_table_new(objects, NULL, 0, 1u << 20);
	for (__u64 i = 0; i < N_STACKS; i++)
		stack_of[i] = stack_table_add(stacks, i, &i, 0, i % 2, STOP_ROOT + i % 4, 1, 1, 1);
	for (__u32 i = 0; i < N_IMAGES; i++) {
		image_of[i] = calloc(1, sizeof(**image_of));
		atomic_init(&image_of[i]->refs, 1);
		image_of[i]->pid = 1000 + i;
		snprintf(image_of[i]->comm, COMM_BYTES, "prog%u", i);
	}
}

static void teardown(void)
{
	for (int i = 0; i < N_IMAGES; i++) {
		ASSERT_INT(atomic_load(&image_of[i]->refs), 1); /* captures gave theirs back */
		image_unref(image_of[i]);
	}
	stack_table_free(stacks);
	object_table_free(objects);
	segments_free(segments);
}

static void take(struct capture *c, __u32 image, __u32 stack, __u32 tid, const char *comm)
{
	struct sample s = {.time_ns = UINT64_MAX / 2,
			   .weight = 3,
			   .pid = 1000 + image,
			   .tid = tid,
			   .cgroup_id = 10 + image,
			   .stack = stack_of[stack],
			   .image = image_of[image]};

	snprintf(s.comm, sizeof(s.comm), "%s", comm);
	capture_add(c, &s);
}

static struct capture *fresh(const struct capture_options *o)
{
	struct capture *c = capture_new(o, 19);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	return c;
}

static void adds_up(void)
{
	struct capture_options o = {.source = SOURCE_CPU};
	struct capture *c;

	setup();
	c = fresh(&o);
	for (__u32 i = 0; i < 4000; i++)
		take(c, i % 4, i / 4 % 10, i % 3, "x");
	ASSERT_INT(c->entries.len, 40); /* threads are not told apart */
	vec_for_each (e, &c->entries) {
		ASSERT_INT(e->samples, 100);
		ASSERT_INT(e->weight, 300);
		ASSERT_INT(e->tid, 0);
	}
	ASSERT_INT(c->counts.samples_total, 4000);
	ASSERT_INT(c->counts.whole_total, 3200); /* stacks 0-9, of which 3 and 7 are cut */
	ASSERT_INT(c->counts.kernel_total, 2000);
	capture_finish(c, c->start_ns + 15);
	ASSERT_INT(c->end_wall_ns - c->start_wall_ns, 15);
	capture_free(c);
	teardown();
}

static void keeps_apart(void)
{
	struct capture_options o = {.source = SOURCE_CPU, .by_thread = true};
	struct capture *c;

	setup();
	c = fresh(&o);
	take(c, 0, 0, 1, "a");
	take(c, 0, 0, 2, "a");
	take(c, 0, 0, 1, "b");
	take(c, 0, 1, 1, "a");
	take(c, 1, 0, 1, "a");
	take(c, 0, 0, 1, "a");
	ASSERT_INT(c->entries.len, 5);
	ASSERT_INT(c->entries.data[0].samples, 2);
	capture_free(c); /* unfinished */
	teardown();
}

static void filters(void)
{
	static const __u64 groups[] = {30, 11, 20};
	struct capture_options pid = {.source = SOURCE_CPU, .pid = 1002};
	struct capture_options cgroup = {
		.source = SOURCE_CPU, .cgroup_ids = groups, .n_cgroup_ids = 3};
	struct capture_options other = {.source = SOURCE_ON_DEMAND};
	struct capture *c[3];
	struct sample old = {.time_ns = 1};

	setup();
	c[0] = fresh(&pid);
	c[1] = fresh(&cgroup);
	c[2] = fresh(&other);
	old.stack = stack_of[0];
	old.image = image_of[2];
	old.pid = 1002;
	for (int i = 0; i < 3; i++) {
		for (__u32 image = 0; image < N_IMAGES; image++)
			take(c[i], image, 0, 1, "x");
		capture_add(c[i], &old); /* taken before it began */
	}
	ASSERT_INT(c[0]->counts.samples_total, 1);
	ASSERT_INT(c[1]->counts.samples_total, 3);
	ASSERT_INT(c[2]->counts.samples_total, 0);
	for (int i = 0; i < 3; i++)
		capture_free(c[i]);
	teardown();
}

/* More than it may hold: totals stay right as long as there is an entry per program. */
static void overflow(void)
{
	struct capture_options o = {.source = SOURCE_CPU, .max_entries = 16};
	struct capture *c;
	__u64 samples = 0;

	setup();
	c = fresh(&o);
	for (__u32 i = 0; i < 30; i++)
		take(c, 0, i, 1, "x");
	ASSERT_INT(c->entries.len, 17);
	ASSERT_INT(c->overflow_total, 14);
	CU_ASSERT_PTR_NULL(c->entries.data[16].stack);
	ASSERT_INT(c->entries.data[16].samples, 14);
	for (__u32 i = 0; i < N_IMAGES; i++)
		take(c, i, 30, 1, "x");
	ASSERT_INT(c->entries.len, 18); /* an eighth more, then no more */
	vec_for_each (e, &c->entries)
		samples += e->samples;
	ASSERT_INT(samples + c->refused_total, c->counts.samples_total);
	ASSERT_INT(c->refused_total, N_IMAGES - 2);
	capture_free(c);
	teardown();
}

/* ---- series ---------------------------------------------------------------------------------- */

static const char *label(const struct series *s, const char *name)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (!strcmp(s->labels[i].name, name))
			return s->labels[i].value;
	return "";
}

/* Each entry in exactly one series, and the services in order. */
static size_t split(struct capture *c, size_t max, const char *names)
{
	struct series_options o = {.max = max};
	size_t n, at = 0;
	struct series *s = series_split(c, &o, &n);
	char got[512] = "";

	for (size_t i = 0; i < n; i++) {
		ASSERT_INT(s[i].first, at);
		CU_ASSERT(s[i].end > at);
		at = s[i].end;
		ASSERT_STR(s[i].labels[0].name, "service_name");
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", s[i].labels[0].value);
	}
	ASSERT_INT(at, c->entries.len);
	ASSERT_STR(got, names);
	free(s);
	return n;
}

static struct identity *identity_of(const char *service, const char *container)
{
	struct identity *i = calloc(1, sizeof(*i));

	atomic_init(&i->refs, 1);
	i->service = strdup(service);
	i->container = strdup(container);
	return i;
}

static void services(void)
{
	struct capture_options o = {.source = SOURCE_CPU};
	struct object_key key = {.major = 8, .inode = 1};
	struct series_options by = {.max = 10, .by_pid = true, .by_comm = true};
	struct capture *c;
	struct series *s;
	size_t n;

	setup();
	c = fresh(&o);
	CU_ASSERT_PTR_NULL(series_split(c, &by, &n));
	ASSERT_INT(n, 0);
	image_set_identity(image_of[0], identity_of("web", "0123"));
	image_set_identity(image_of[1], identity_of("web", "0123"));
	image_set_identity(image_of[2], identity_of("web", ""));
	image_of[3]->kernel_thread = true;
	image_of[4]->exe = object_get(objects, &key, "/usr/bin/exe name");
	image_of[6]->comm[0] = 0;
	for (__u32 i = 0; i < 21; i++)
		take(c, i % 7, i % 3, 1, "x");
	ASSERT_INT(split(c, 100, "exe name kernel prog5 unknown web web "), 6);
	ASSERT_INT(split(c, 6, "exe name kernel prog5 unknown web web "), 6); /* all fit */
	ASSERT_INT(split(c, 3, "exe name kernel other "), 3);
	ASSERT_INT(split(c, 1, "other "), 1);
	s = series_split(c, &by, &n);
	ASSERT_INT(n, 7);
	ASSERT_STR(label(&s[6], "container"), "0123");
	ASSERT_STR(label(&s[6], "comm"), "x");
	CU_ASSERT(strcmp(label(&s[5], "pid"), label(&s[6], "pid")));
	free(s);
	capture_free(c);
	teardown();
}

SUITE(capture, {"adds up", adds_up}, {"keeps apart", keeps_apart}, {"filters", filters},
      {"overflow", overflow}, {"services", services});
