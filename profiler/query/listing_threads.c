// SPDX-License-Identifier: Apache-2.0
/* Sums by time that are about threads: what a process, a thread or a name of threads had. The index
 * knows series only, so the windows are read (store_read.h), without their stacks. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/process.h"
#include "profiler/query/listing_internal.h"
#include "profiler/query/selector.h"

#define MAX_TEXT_BYTES ((size_t)1 << 20) /* of comms and services */

/* The group that a thread of a series adds to. */
struct thread_group {
	__u32 series, thread;
	__s64 group;
	struct holder holder;
};

/* ---- whose value it is ----------------------------------------------------------------------- */

struct owner {
	const struct listing_job *job;
	const struct store_point *point; /* of the store, or */
	const struct series *series;	 /* of the recorder */
	__u32 pid, tid;
	char comm[COMM_BYTES + 1], pid_text[12], tid_text[12];
};

static void set_thread(struct owner *o, __u32 pid, __u32 tid, const char *comm, size_t max)
{
	o->pid = pid;
	o->tid = tid;
	snprintf(o->comm, sizeof(o->comm), "%.*s", (int)max, comm);
	snprintf(o->pid_text, sizeof(o->pid_text), "%u", pid);
	snprintf(o->tid_text, sizeof(o->tid_text), "%u", tid);
}

static const char *owner_label(void *arg, const char *name)
{
	const struct owner *o = arg;

	if (!strcmp(name, "pid"))
		return o->pid_text;
	if (!strcmp(name, "tid"))
		return o->tid_text;
	if (!strcmp(name, "comm"))
		return o->comm;
	return o->point ? dict_series_label(o->point->dict, o->point->series, name)
			: query_label(&o->job->common, o->series, name);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* The labels that are summed by, as a series of the list. */
static int add_series(struct listing_job *job, struct owner *owner)
{
	struct listing *out = &job->out;
	struct listed_series s = {.id = -1, .kind = "cpu", .type = "cpu", .unit = "nanoseconds"};

	if (owner->point) {
		const struct dict *dict = owner->point->dict;
		const struct dict_kind *kind =
			&dict->kinds.data[dict->series.data[owner->point->series].kind];
		const struct profile_type *type = &kind->types[kind->default_type];

		s.kind = sums_text(&out->arena, strtab_get(&dict->strings, kind->name));
		s.type = sums_text(&out->arena, strtab_get(&dict->strings, type->type));
		s.unit = sums_text(&out->arena, strtab_get(&dict->strings, type->unit));
	}
	s.labels = arena_alloc(&out->arena, (job->sums.n_by + 1) * sizeof(*s.labels));
	if (!s.labels || !s.kind || !s.type || !s.unit)
		return -ENOMEM;
	for (size_t i = 0; i < job->sums.n_by; i++) {
		const char *value = owner_label(owner, job->sums.by[i]);
		struct agent_label *label = &s.labels[s.n_labels];

		if (!value)
			continue;
		label->name = job->sums.by[i];
		label->value = sums_text(&out->arena, value);
		if (!label->value)
			return -ENOMEM;
		s.n_labels++;
	}
	return vec_push(&out->series, s);
}

static __s64 group_of(struct listing_job *job, struct owner *owner)
{
	bool is_new;
	__s64 group = sums_group(&job->sums, owner_label, owner, job->out.series.len, &is_new);

	if (group < 0)
		return group;
	if (is_new && add_series(job, owner))
		return -ENOMEM;
	return group;
}

static __u32 text_id(struct listing_job *job, const char *text)
{
	return text ? strtab_id(&job->threads.texts, text, strlen(text)) : 0;
}

/* Note that a thread is of the group, and whose it is. 0 or -ENOMEM. */
static int set_holder(struct listing_job *job, struct owner *owner, __s64 group,
		      struct holder *ret_holder)
{
	struct thread_groups *t = &job->threads;
	struct group_holder *h;
	__u32 comm;

	*ret_holder = (struct holder){0};
	if (!t->whose || job->out.groups.data[group].rest)
		return 0;
	while (t->holders.len <= (size_t)group)
		if (vec_push(&t->holders, (struct group_holder){0}))
			return -ENOMEM;
	h = &t->holders.data[group];
	comm = text_id(job, owner->comm);
	h->tid = owner->tid;
	if (!h->process || owner->pid == owner->tid)
		h->process = comm;
	ret_holder->service = text_id(job, owner_label(owner, "service_name"));
	ret_holder->container = text_id(job, owner_label(owner, "container"));
	if (!strcmp(job->sums.by[0], "tid")) {
		ret_holder->comm = comm;
		ret_holder->pid = owner->pid;
	}
	return 0;
}

/* A group's holder is found by weighing it against all others (Boyer and Moore): who has more than
 * half stays. */
static void add_value(struct listing_job *job, __s64 group, const struct holder *holder,
		      __u64 start_ns, __u64 end_ns, double value)
{
	struct group_holder *h;

	sums_add(&job->sums, group, start_ns, end_ns, value);
	if ((size_t)group >= job->threads.holders.len)
		return;
	h = &job->threads.holders.data[group];
	if (!memcmp(&h->holder, holder, sizeof(*holder))) {
		h->lead += value;
	} else if (h->lead >= value) {
		h->lead -= value;
	} else {
		h->holder = *holder;
		h->lead = value - h->lead;
	}
}

/* ---- the store ------------------------------------------------------------------------------- */

static const char *dict_label(void *arg, const char *name)
{
	const struct store_labels *labels = arg;

	return dict_series_label(labels->dict, labels->series, name);
}

static bool wants_series(void *arg, const struct store_labels *labels)
{
	struct listing_job *job = arg;
	struct store_labels of = *labels;

	return !listing_check(job) && selector_has_series(job->q.range.selector, dict_label, &of);
}

static bool wants_thread(void *arg, __u32 pid, __u32 tid, const char *comm)
{
	struct listing_job *job = arg;

	return !listing_check(job) && selector_has_thread(job->q.range.selector, pid, tid, comm);
}

static bool is_over(void *arg)
{
	return listing_check(arg) != 0;
}

/* The group of a point's thread, asked once a segment; NULL when memory ends. */
static const struct thread_group *known_group(struct listing_job *job,
					      const struct store_point *point)
{
	struct thread_groups *t = &job->threads;
	const struct dict_thread *thread = &point->dict->threads.data[point->thread];
	struct thread_group group = {.series = point->series, .thread = point->thread};
	struct owner owner = {.job = job, .point = point};
	__u64 hash = hash_u64((__u64)point->series << 32 | point->thread);
	__u32 i;

	if (t->segment != point->segment) {
		t->segment = point->segment;
		t->known.len = 0;
		hmap_clear(&t->index);
	}
	hmap_for_each_match (&t->index, hash, i)
		if (t->known.data[i].series == group.series &&
		    t->known.data[i].thread == group.thread)
			return &t->known.data[i];
	set_thread(&owner, thread->pid, thread->tid,
		   strtab_get(&point->dict->strings, thread->comm), COMM_BYTES);
	group.group = group_of(job, &owner);
	if (group.group < 0 || set_holder(job, &owner, group.group, &group.holder) ||
	    vec_push(&t->known, group) || hmap_add(&t->index, hash, (__u32)t->known.len - 1))
		return NULL;
	return &t->known.data[t->known.len - 1];
}

static int add_point(void *arg, const struct store_point *point)
{
	struct listing_job *job = arg;
	const struct thread_group *known = known_group(job, point);

	if (!known)
		return -ENOMEM;
	/* What the recorder takes over at the edge is counted there. */
	add_value(job, known->group, &known->holder, point->start_ns, point->end_ns,
		  (double)(job->q.samples ? point->samples : point->value));
	return 0;
}

int listing_store_threads(struct listing_job *job)
{
	struct store_choice choice = {
		.kind = job->q.kind,
		.from_ns = job->q.range.from_ns,
		.to_ns = job->plan.store_to_ns,
		.series = wants_series,
		.thread = wants_thread,
		.cancelled = is_over,
		.arg = job,
	};
	enum block_kind coarsest = job->q.step_ns >= 60 * NS_PER_S ? BLOCK_MINUTE : BLOCK_WINDOW;
	struct store_result result;

	return store_read_points(job->task.queries->reader, &choice, coarsest, add_point, &result);
}

/* ---- the recorder ---------------------------------------------------------------------------- */

int listing_add_threads(struct listing_job *job, const struct capture *capture,
			const struct series *series)
{
	struct owner owner = {.job = job, .series = series};

	if (!selector_has_series(job->q.range.selector, owner_label, &owner))
		return 0;
	for (size_t i = series->first; i < series->end; i++) {
		const struct capture_entry *e = &capture->entries.data[i];
		struct holder holder;
		__s64 group;

		set_thread(&owner, e->image->pid, e->tid, e->comm, sizeof(e->comm));
		group = group_of(job, &owner);
		if (group < 0 || set_holder(job, &owner, group, &holder))
			return -ENOMEM;
		add_value(job, group, &holder, capture->start_ns + job->plan.boot_ns,
			  capture->end_ns + job->plan.boot_ns, listing_value(job, e));
	}
	return 0;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

int listing_init_threads(struct listing_job *job)
{
	struct thread_groups *t = &job->threads;

	t->whose = job->sums.n_by == 1 &&
		   (!strcmp(job->sums.by[0], "pid") || !strcmp(job->sums.by[0], "tid"));
	return t->whose ? strtab_init(&t->texts, MAX_TEXT_BYTES) : 0;
}

/* A group's process, by its main thread where that has a group, too. */
static __u32 process_of(const struct thread_groups *t, const struct group_holder *h)
{
	if (h->holder.pid)
		vec_for_each (other, &t->holders)
			if (other->tid == h->holder.pid)
				return other->holder.comm;
	return h->process;
}

int listing_end_threads(struct listing_job *job)
{
	static const struct group_holder nobody;
	struct thread_groups *t = &job->threads;
	struct arena *arena = &job->out.arena;

	for (size_t i = 0; t->whose && i < job->out.groups.len; i++) {
		struct listed_group *g = &job->out.groups.data[i];
		const struct group_holder *h = i < t->holders.len ? &t->holders.data[i] : &nobody;

		g->service = sums_text(arena, strtab_get(&t->texts, h->holder.service));
		g->container = sums_text(arena, strtab_get(&t->texts, h->holder.container));
		g->process = sums_text(arena, strtab_get(&t->texts, process_of(t, h)));
		g->comm = sums_text(arena, strtab_get(&t->texts, h->holder.comm));
		g->pid = h->holder.pid;
		if (!g->service || !g->container || !g->process || !g->comm)
			return -ENOMEM;
	}
	return 0;
}

void listing_free_threads(struct listing_job *job)
{
	vec_free(&job->threads.known);
	vec_free(&job->threads.holders);
	hmap_fini(&job->threads.index);
	strtab_fini(&job->threads.texts);
}
