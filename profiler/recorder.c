// SPDX-License-Identifier: Apache-2.0
/* The flight recorder, see recorder.h. */
#include "profiler/recorder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/process.h"
#include "profiler/stack_table.h"

#define FIRST_SLOTS 1024u
#define AT_A_TIME   4096u    /* samples copied under the lock */
#define ASLEEP_NS   NS_PER_S /* the host was suspended; less is two clocks read one after the other */

struct recorder {
	pthread_mutex_t lock;
	struct recorded *ring;
	size_t n_slots;	  /* a power of two */
	__u64 head, tail; /* counts: [tail, head) are there */
	size_t stack_bytes;
	__u64 max_age_ns, since_ns, dropped_total;
	size_t max_bytes;
	__u64 asleep_ns; /* of the host since it booted, at the last sweep */
	unsigned hz, hz_before;
	__u64 hz_from_ns;
};

struct recorder *recorder_new(__u64 max_age_ns, size_t max_bytes)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->ring = calloc(FIRST_SLOTS, sizeof(*r->ring));
	if (!r->ring) {
		free(r);
		return NULL;
	}
	r->n_slots = FIRST_SLOTS;
	r->max_age_ns = max_age_ns;
	r->max_bytes = max_bytes;
	r->since_ns = clock_monotonic_ns();
	r->asleep_ns = clock_asleep_ns();
	r->hz = r->hz_before = 1;
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static struct recorded *slot(const struct recorder *r, __u64 i)
{
	return &r->ring[i & (r->n_slots - 1)];
}

/* Count the samples of a stack; how many there are now. */
static __u32 count(const struct stack *stack, __s32 by)
{
	return ((struct stack *)(uintptr_t)stack)->recorded += (__u32)by;
}

static size_t bytes_of(const struct stack *stack)
{
	return sizeof(*stack) + (stack->n_user + stack->n_kernel) * sizeof(stack->frames[0]);
}

static size_t bytes_used(const struct recorder *r)
{
	return (r->head - r->tail) * sizeof(*r->ring) + r->stack_bytes;
}

static void drop_oldest(struct recorder *r)
{
	struct recorded *s = slot(r, r->tail++);

	r->since_ns = MAX(r->since_ns, s->time_ns + 1);
	if (!count(s->stack, -1))
		r->stack_bytes -= bytes_of(s->stack);
	stack_unref(s->stack);
	image_unref(s->image);
}

void recorder_free(struct recorder *recorder)
{
	if (!recorder)
		return;
	while (recorder->tail < recorder->head)
		drop_oldest(recorder);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder->ring);
	free(recorder);
}

void recorder_set_hz(struct recorder *recorder, __u64 from_ns, unsigned hz)
{
	BUG_ON(!hz || hz > RECORDER_MAX_HZ);
	pthread_mutex_lock(&recorder->lock);
	recorder->hz_before = recorder->hz;
	recorder->hz = hz;
	recorder->hz_from_ns = from_ns;
	pthread_mutex_unlock(&recorder->lock);
}

/* Room for one more: a larger ring, or the oldest goes. */
static void make_room(struct recorder *r)
{
	size_t n = r->n_slots * 2;
	struct recorded *ring;

	if (r->head - r->tail < r->n_slots)
		return;
	ring = n * sizeof(*ring) <= r->max_bytes ? malloc(n * sizeof(*ring)) : NULL;
	if (!ring) {
		r->dropped_total++;
		drop_oldest(r);
		return;
	}
	for (__u64 i = r->tail; i < r->head; i++)
		ring[i & (n - 1)] = *slot(r, i);
	free(r->ring);
	r->ring = ring;
	r->n_slots = n;
}

void recorder_add(struct recorder *recorder, const struct sample *sample)
{
	struct recorder *r = recorder;
	struct recorded *s;

	if (!sample->stack || !sample->image)
		return;
	pthread_mutex_lock(&r->lock);
	make_room(r);
	s = slot(r, r->head++);
	*s = (struct recorded){
		.time_ns = sample->time_ns,
		.stack = stack_ref(sample->stack),
		.image = image_ref(sample->image),
		.tid = sample->tid,
		.cpu = sample->cpu,
		.source = sample->source & 0xf,
		.hz = (sample->time_ns < r->hz_from_ns ? r->hz_before : r->hz) & RECORDER_MAX_HZ,
	};
	memcpy(s->comm, sample->comm, sizeof(s->comm));
	if (count(s->stack, 1) == 1)
		r->stack_bytes += bytes_of(s->stack);
	while (bytes_used(r) > r->max_bytes && r->tail + 1 < r->head) {
		r->dropped_total++;
		drop_oldest(r);
	}
	pthread_mutex_unlock(&r->lock);
}

void recorder_sweep(struct recorder *recorder, __u64 now_ns, __u64 asleep_ns)
{
	struct recorder *r = recorder;
	__u64 max_age_ns;

	pthread_mutex_lock(&r->lock);
	max_age_ns = asleep_ns > r->asleep_ns + ASLEEP_NS ? 0 : r->max_age_ns;
	r->asleep_ns = MAX(r->asleep_ns, asleep_ns);
	while (r->tail < r->head && slot(r, r->tail)->time_ns + max_age_ns < now_ns)
		drop_oldest(r);
	if (now_ns > max_age_ns)
		r->since_ns = MAX(r->since_ns, now_ns - max_age_ns);
	pthread_mutex_unlock(&r->lock);
}

static int by_time(const void *pa, const void *pb)
{
	const struct recorded *a = pa, *b = pb;

	return a->time_ns < b->time_ns ? -1 : a->time_ns > b->time_ns;
}

/* The next of them from *next on; false at the end, or when memory ends (*ok). */
static bool copy_some(struct recorder *r, struct recording *to, __u64 from_ns, __u64 to_ns,
		      __u64 *next, bool *ok)
{
	__u64 end;
	bool more;

	if (vec_reserve(&to->samples, to->samples.len + AT_A_TIME)) {
		*ok = false;
		return false;
	}
	pthread_mutex_lock(&r->lock);
	*next = MAX(*next, r->tail);
	end = MIN(r->head, *next + AT_A_TIME);
	to->since_ns = r->since_ns;
	for (; *next < end; ++*next) {
		const struct recorded *s = slot(r, *next);

		if (s->time_ns < from_ns || s->time_ns >= to_ns)
			continue;
		to->samples.data[to->samples.len++] = *s;
		stack_ref(s->stack);
		image_ref(s->image);
	}
	more = *next < r->head;
	pthread_mutex_unlock(&r->lock);
	return more;
}

struct recording *recorder_copy(struct recorder *recorder, __u64 from_ns, __u64 to_ns)
{
	struct recording *to = calloc(1, sizeof(*to));
	__u64 next = 0;
	bool ok = true;

	if (!to)
		return NULL;
	while (copy_some(recorder, to, from_ns, to_ns, &next, &ok))
		;
	if (!ok) {
		recording_free(to);
		return NULL;
	}
	if (to->samples.len)
		qsort(to->samples.data, to->samples.len, sizeof(*to->samples.data), by_time);
	return to;
}

void recording_free(struct recording *recording)
{
	if (!recording)
		return;
	vec_for_each (s, &recording->samples) {
		stack_unref(s->stack);
		image_unref(s->image);
	}
	vec_free(&recording->samples);
	free(recording);
}

struct recorder_stats recorder_stats(struct recorder *recorder)
{
	struct recorder_stats stats;

	pthread_mutex_lock(&recorder->lock);
	stats = (struct recorder_stats){
		.since_ns = recorder->since_ns,
		.n = recorder->head - recorder->tail,
		.bytes = bytes_used(recorder),
		.max_bytes = recorder->max_bytes,
		.dropped_total = recorder->dropped_total,
	};
	pthread_mutex_unlock(&recorder->lock);
	return stats;
}
