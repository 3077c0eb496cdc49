// SPDX-License-Identifier: Apache-2.0
/* Captures, see capture.h. About 60 ns a sample whose entry exists. */
#include "profiler/capture.h"

#include <stdlib.h>
#include <string.h>

#include "bpf/reason.h"
#include "profiler/base/clock.h"
#include "profiler/process.h"
#include "profiler/stack_table.h"

static int by_value(const void *pa, const void *pb)
{
	__u64 a = *(const __u64 *)pa, b = *(const __u64 *)pb;

	return a < b ? -1 : a > b;
}

struct capture *capture_new(const struct capture_options *options, unsigned hz)
{
	struct capture *capture = calloc(1, sizeof(*capture));

	if (!capture)
		return NULL;
	capture->o = *options;
	if (options->n_cgroup_ids) {
		size_t bytes = options->n_cgroup_ids * sizeof(*capture->cgroup_ids);

		capture->cgroup_ids = malloc(bytes);
		if (!capture->cgroup_ids) {
			free(capture);
			return NULL;
		}
		memcpy(capture->cgroup_ids, options->cgroup_ids, bytes);
		qsort(capture->cgroup_ids, options->n_cgroup_ids, sizeof(*capture->cgroup_ids),
		      by_value);
	}
	if (!capture->o.max_entries)
		capture->o.max_entries = CAPTURE_DEFAULT_ENTRIES;
	capture->hz = hz;
	capture->unit_ns = NS_PER_S / hz;
	capture->start_ns = capture->end_ns = clock_monotonic_ns();
	capture->start_wall_ns = clock_realtime_ns();
	return capture;
}

static bool wanted(const struct capture *capture, const struct sample *sample)
{
	const struct capture_options *o = &capture->o;

	return sample->source == o->source && sample->time_ns >= capture->start_ns &&
	       (!o->pid || o->pid == sample->pid) &&
	       (!capture->cgroup_ids ||
		bsearch(&sample->cgroup_id, capture->cgroup_ids, o->n_cgroup_ids,
			sizeof(*capture->cgroup_ids), by_value));
}

static __u64 entry_hash(const struct capture_entry *key)
{
	__u64 comm[COMM_BYTES / 8], hash = hash_u64((__u64)(uintptr_t)key->image);

	memcpy(comm, key->comm, sizeof(comm));
	hash = hash_mix(hash, (__u64)(uintptr_t)key->stack);
	return hash_mix(hash_mix(hash_mix(hash, key->tid), comm[0]), comm[1]);
}

static struct capture_entry *find(struct capture *capture, const struct capture_entry *key,
				  __u64 hash)
{
	__u32 i;

	hmap_for_each_match (&capture->index, hash, i) {
		struct capture_entry *e = &capture->entries.data[i];

		if (e->image == key->image && e->stack == key->stack && e->tid == key->tid &&
		    !memcmp(e->comm, key->comm, COMM_BYTES))
			return e;
	}
	return NULL;
}

static struct capture_entry *add(struct capture *capture, const struct capture_entry *key,
				 __u64 hash)
{
	__u32 i = (__u32)capture->entries.len;

	if (vec_push(&capture->entries, *key))
		return NULL;
	if (hmap_add(&capture->index, hash, i)) {
		capture->entries.len--;
		return NULL;
	}
	image_ref(key->image);
	if (key->stack)
		stack_ref(key->stack);
	return &capture->entries.data[i];
}

static void count(struct capture *capture, const struct sample *sample)
{
	static const bool whole[STOP_COUNT] = {
#define X(name, label, is_whole) is_whole,
		STOP_LIST(X)
#undef X
	};

	capture->counts.samples_total++;
	capture->counts.whole_total += whole[sample->stack->stop];
	capture->counts.kernel_total += sample->stack->n_kernel > 0;
}

void capture_add(struct capture *capture, const struct sample *sample)
{
	struct capture_entry key = {.image = sample->image, .stack = sample->stack}, *e;
	__u64 hash;

	if (!wanted(capture, sample))
		return;
	count(capture, sample);
	/* strncpy's padding makes equal names equal bytes */
	strncpy(key.comm, sample->comm, COMM_BYTES);
	if (capture->o.by_thread)
		key.tid = sample->tid;
	hash = entry_hash(&key);
	e = find(capture, &key, hash);
	if (!e && capture->entries.len >= capture->o.max_entries) {
		capture->overflow_total++;
		key = (struct capture_entry){.image = sample->image};
		hash = entry_hash(&key);
		e = find(capture, &key, hash);
	}
	if (!e && capture->entries.len < capture->o.max_entries + capture->o.max_entries / 8)
		e = add(capture, &key, hash);
	if (!e) {
		capture->refused_total++;
		return;
	}
	e->samples++;
	e->weight += sample->weight;
}

void capture_finish(struct capture *capture, __u64 end_ns)
{
	capture->end_ns = end_ns;
	capture->end_wall_ns = capture->start_wall_ns + (end_ns - capture->start_ns);
	hmap_fini(&capture->index);
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	vec_for_each (e, &capture->entries) {
		image_unref(e->image);
		stack_unref(e->stack);
	}
	vec_free(&capture->entries);
	hmap_fini(&capture->index);
	free(capture->cgroup_ids);
	free(capture);
}
