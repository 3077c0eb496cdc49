// SPDX-License-Identifier: Apache-2.0
/*
 * A profile that is too large for its limits, made smaller where it hurts least, see profile_fold in
 * profile.h. Samples sorted by their frames from the root are the tree in the order of a walk: a node
 * is a stretch of them that shares its first frames. So the walk needs no tree in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/profile_internal.h"

#define SAMPLE_BYTES  96  /* of a sample and its stack, indexes included; beside its frames */
#define MAX_BRANCHES  512 /* below each other; a tree that forks more often is cut there */
#define FIRST_PARTS   (1u << 20)
#define TARGET_PARTS  8 /* parts of the limit ... */
#define TARGET_STACKS 3 /* ... that stacks and samples may take afterwards */

/* A sample on its way through the tree. */
struct walker {
	const __u32 *frames;  /* leaf first */
	__u32 n_frames, kept; /* frames from the root that stay */
	__u32 sample, labels;
	__u64 value;
};

struct folding {
	struct walker *walkers;
	size_t n;
	__u64 floor;  /* smaller subtrees fold */
	size_t bytes; /* of what stays */
};

static __u32 frame_at(const struct walker *w, __u32 depth)
{
	return w->frames[w->n_frames - 1 - depth];
}

static int by_path(const void *pa, const void *pb)
{
	const struct walker *a = pa, *b = pb;
	__u32 n = MIN(a->n_frames, b->n_frames);

	if (a->labels != b->labels)
		return a->labels < b->labels ? -1 : 1;
	for (__u32 i = 0; i < n; i++)
		if (frame_at(a, i) != frame_at(b, i))
			return frame_at(a, i) < frame_at(b, i) ? -1 : 1;
	return a->n_frames < b->n_frames ? -1 : a->n_frames > b->n_frames;
}

static void count_stack(struct folding *f, __u32 n_frames)
{
	f->bytes += SAMPLE_BYTES + n_frames * sizeof(__u32);
}

/* The end of the stretch from `first` on that goes on with the same frame, and its value. */
static size_t child_of(const struct folding *f, size_t first, size_t end, __u32 depth,
		       __u64 *ret_total)
{
	__u32 frame = frame_at(&f->walkers[first], depth);
	size_t i = first;

	for (*ret_total = 0; i < end && frame_at(&f->walkers[i], depth) == frame; i++)
		*ret_total += f->walkers[i].value;
	return i;
}

/* The node of [first, end), which share `depth` frames, stays. */
static void walk(struct folding *f, size_t first, size_t end, __u32 depth, unsigned branches)
{
	bool rest = false;
	__u64 total;

	for (;; depth++) { /* down to where it ends or forks */
		for (; first < end && f->walkers[first].n_frames == depth; first++) {
			f->walkers[first].kept = depth;
			count_stack(f, depth);
		}
		if (first == end || child_of(f, first, end, depth, &total) != end ||
		    total < f->floor)
			break;
	}
	for (size_t i = first, next; i < end; i = next) {
		next = child_of(f, i, end, depth, &total);
		if (total >= f->floor && branches < MAX_BRANCHES) {
			walk(f, i, next, depth + 1, branches + 1);
			continue;
		}
		for (size_t k = i; k < next; k++)
			f->walkers[k].kept = depth;
		rest = true;
	}
	if (rest)
		count_stack(f, depth + 1);
}

static void walk_all(struct folding *f)
{
	f->bytes = 0;
	for (size_t i = 0, next; i < f->n; i = next) {
		for (next = i; next < f->n && f->walkers[next].labels == f->walkers[i].labels;)
			next++;
		walk(f, i, next, 0, 0);
	}
}

/* The smallest floor, to a factor of two, that lets stacks fit into max_bytes. */
static void find_floor(struct folding *f, __u64 total, size_t max_bytes)
{
	for (f->floor = MAX(total / FIRST_PARTS, 1ull);; f->floor *= 2) {
		walk_all(f);
		if (f->bytes <= max_bytes || f->floor > INT64_MAX)
			return;
	}
}

static int start(struct folding *f, const struct profile *p)
{
	f->walkers = malloc((p->samples.len + 1) * sizeof(*f->walkers));
	if (!f->walkers)
		return -ENOMEM;
	vec_for_each (s, &p->samples) {
		const struct profile_stack *stack = &p->stacks.data[s->stack];

		if (s->values[p->default_type] || s->values[0])
			f->walkers[f->n++] = (struct walker){
				.frames = stack->frames,
				.n_frames = stack->n_frames,
				.sample = (__u32)(s - p->samples.data),
				.labels = s->labels,
				.value = (__u64)s->values[p->default_type],
			};
	}
	qsort(f->walkers, f->n, sizeof(*f->walkers), by_path);
	return 0;
}

/* ---- into a new one -------------------------------------------------------------------------- */

static struct profile *like(const struct profile *p)
{
	struct profile *n = profile_new(&p->limits);

	if (!n)
		return NULL;
	for (unsigned t = 0; t < p->n_types; t++)
		profile_add_type(n, profile_str(p, p->types[t].type),
				 profile_str(p, p->types[t].unit));
	profile_set_period(n, profile_str(p, p->period_type.type),
			   profile_str(p, p->period_type.unit), p->period);
	for (unsigned i = 0; i < p->n_comments; i++)
		profile_add_comment(n, profile_str(p, p->comments[i]));
	n->name = profile_cstring(n, profile_str(p, p->name));
	n->default_type = p->default_type;
	n->time_ns = p->time_ns;
	n->duration_ns = p->duration_ns;
	n->lost_total = p->lost_total;
	n->base_types = p->base_types;
	n->base_time_ns = p->base_time_ns;
	n->base_duration_ns = p->base_duration_ns;
	memcpy(n->refused_total, p->refused_total, sizeof(n->refused_total));
	return n;
}

static int add_walkers(struct merge *m, const struct folding *f)
{
	__u32 other = profile_named_location(m->to, FRAME_MARK, PROFILE_OTHER);

	for (size_t i = 0; i < f->n; i++) {
		const struct walker *w = &f->walkers[i];

		m->frames.len = 0;
		if (w->kept < w->n_frames && vec_push(&m->frames, other))
			return -ENOMEM;
		if (merge_frames(m, w->frames + (w->n_frames - w->kept), w->kept))
			return -ENOMEM;
		profile_add(m->to, profile_stack(m->to, m->frames.data, m->frames.len),
			    merge_labels(m, w->labels), m->from->samples.data[w->sample].values);
	}
	return 0;
}

/* The folded profile in place of the whole one. */
static int rebuild(struct profile *p, const struct folding *f)
{
	struct profile *folded = like(p), whole = *p;
	struct merge m = {0};
	int err = -ENOMEM;

	if (folded)
		err = merge_init(&m, folded, p);
	if (!err)
		err = add_walkers(&m, f);
	if (!err)
		folded->main_mapping = merge_mapping(&m, p->main_mapping);
	merge_fini(&m);
	if (err) {
		profile_free(folded);
		return err;
	}
	folded->folded_below = p->folded_below + f->floor;
	*p = *folded;
	*folded = whole;
	profile_free(folded);
	return 0;
}

int profile_fold(struct profile *p)
{
	struct folding f = {0};
	int err = start(&f, p);

	if (!err) {
		find_floor(&f, p->totals[p->default_type],
			   p->limits.max_bytes / 2 / TARGET_PARTS * TARGET_STACKS);
		err = rebuild(p, &f);
	}
	free(f.walkers);
	return err;
}
