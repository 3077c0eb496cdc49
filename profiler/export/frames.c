// SPDX-License-Identifier: Apache-2.0
/* Frames, their ranks, and the ordered walk of frames.h. */
#include "profiler/export/frames.h"

#include <stdio.h>

#include "profiler/base/cleanup.h"

/* ---- frames ---------------------------------------------------------------------------------- */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static bool same_frame(const struct frame *a, const struct frame *b)
{
	return a->name == b->name && a->module == b->module && a->kind == b->kind &&
	       a->inlined == b->inlined;
}

static int find_or_add(struct frames *f, struct hmap *index, const struct frame *frame,
		       __u32 *ret_id)
{
	__u64 hash = hash_mix(hash_mix((uintptr_t)frame->name, (uintptr_t)frame->module),
			      frame->kind * 2u + frame->inlined);
	__u32 id;
	int err;

	hmap_for_each_match (index, hash, id) {
		if (same_frame(&f->list.data[id], frame)) {
			*ret_id = id;
			return 0;
		}
	}
	id = (__u32)f->list.len;
	err = vec_push(&f->list, *frame);
	if (!err)
		err = hmap_add(index, hash, id);
	*ret_id = id;
	return err;
}

static const char *intern(struct frames *f, const char *s)
{
	return strtab_get(&f->strings, strtab_id(&f->strings, s, strlen(s)));
}

static int add_location(struct frames *f, struct hmap *index, const struct profile_location *l,
			bool modules)
{
	const struct profile *p = f->profile;
	const char *module = "";
	int err = 0;

	if (modules && l->mapping)
		module = intern(f, base_name(profile_str(p, p->mappings.data[l->mapping].file)));
	for (__u32 i = 0; !err && i < l->n_lines; i++) {
		const struct profile_line *line = &p->lines.data[l->first_line + i];
		const struct profile_function *fn = &p->functions.data[line->function];
		struct frame frame = {
			.name = profile_str(p, fn->name),
			.module = module,
			.file = profile_str(p, fn->file),
			.line = fn->start_line ? fn->start_line : line->line,
			.kind = l->kind,
			.inlined = i + 1 < l->n_lines,
			.named = l->named,
		};

		err = find_or_add(f, index, &frame, &f->of_line[l->first_line + i]);
	}
	return err;
}

/* ---- groups ---------------------------------------------------------------------------------- */
static const char *group_name(struct frames *f, __u32 labels, enum export_group group)
{
	const struct profile *p = f->profile;
	const struct profile_label *name = NULL, *id;
	char text[320];
	__u32 str;

	if (group == EXPORT_GROUP_TID)
		name = profile_label_find(p, labels, PROFILE_STR_THREAD);
	if (!name || !name->str)
		name = profile_label_find(p, labels, PROFILE_STR_COMM);
	str = name && name->str ? name->str : PROFILE_STR_UNKNOWN;
	if (group == EXPORT_GROUP_COMM)
		return profile_str(p, str);
	id = profile_label_find(p, labels,
				group == EXPORT_GROUP_PID ? PROFILE_STR_PID : PROFILE_STR_TID);
	if (!id || id->str)
		return profile_str(p, str);
	snprintf(text, sizeof(text), "%.255s (%lld)", profile_str(p, str), (long long)id->num);
	return intern(f, text);
}

static const struct profile_label *pid_of(const struct profile *p, __u32 labels)
{
	return profile_label_find(p, labels, PROFILE_STR_PID);
}

/* A process has one name, whatever its threads are called: its busiest thread's. For each label
 * set the one that names it. 0 or -ENOMEM. */
static int choose_names(const struct frames *f, __u32 *chosen)
{
	const struct profile *p = f->profile;
	__u64 *totals = calloc(p->label_sets.len + 1, sizeof(*totals));
	struct hmap by_pid = {0};
	int err = totals ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < p->samples.len; i++)
		totals[p->samples.data[i].labels] += (__u64)p->samples.data[i].values[f->type];
	for (__u32 i = 0; !err && i < p->label_sets.len; i++) {
		const struct profile_label *pid = pid_of(p, i);
		__u64 hash = pid ? hash_u64((__u64)pid->num) : 0;
		__u32 first = HMAP_NONE; /* whose `chosen` holds what all of them get */

		chosen[i] = i;
		if (!pid)
			continue;
		hmap_for_each_match (&by_pid, hash, first)
			if (pid_of(p, first)->num == pid->num)
				break;
		if (first == HMAP_NONE)
			err = hmap_add(&by_pid, hash, i);
		else if (totals[i] > totals[chosen[first]])
			chosen[first] = i;
	}
	for (__u32 i = 0; !err && i < p->label_sets.len; i++) {
		const struct profile_label *pid = pid_of(p, i);
		__u32 first;

		if (!pid)
			continue;
		hmap_for_each_match (&by_pid, hash_u64((__u64)pid->num), first)
			if (pid_of(p, first)->num == pid->num)
				break;
		chosen[i] = chosen[first];
	}
	hmap_fini(&by_pid);
	free(totals);
	return err;
}

static int add_groups(struct frames *f, struct hmap *index, enum export_group group)
{
	const struct profile *p = f->profile;
	_free_ __u32 *chosen = NULL;
	int err = 0;

	if (group == EXPORT_GROUP_NONE)
		return 0;
	f->of_labels = calloc(p->label_sets.len, sizeof(*f->of_labels));
	if (!f->of_labels)
		return -ENOMEM;
	if (group == EXPORT_GROUP_PID) {
		chosen = calloc(p->label_sets.len + 1, sizeof(*chosen));
		err = chosen ? choose_names(f, chosen) : -ENOMEM;
	}
	for (__u32 i = 0; !err && i < p->label_sets.len; i++) {
		struct frame frame = {.name = group_name(f, chosen ? chosen[i] : i, group),
				      .module = "",
				      .file = "",
				      .kind = FRAME_GROUP,
				      .named = true};

		err = find_or_add(f, index, &frame, &f->of_labels[i]);
	}
	return err;
}

/* ---- ranks ----------------------------------------------------------------------------------- */
static int compare_frames(const struct frame *a, const struct frame *b)
{
	int order = a->name == b->name ? 0 : strcmp(a->name, b->name);

	if (!order && a->module != b->module)
		order = strcmp(a->module, b->module);
	if (!order)
		order = (int)a->kind - (int)b->kind;
	return order ? order : (int)a->inlined - (int)b->inlined;
}

static int compare_ids(const void *a, const void *b, void *arg)
{
	const struct frames *f = arg;

	return compare_frames(&f->list.data[*(const __u32 *)a], &f->list.data[*(const __u32 *)b]);
}

/* Sort the list, so that an id is a rank, and rewrite the ids that point into it. */
static int rank_frames(struct frames *f)
{
	const struct profile *p = f->profile;
	size_t n = f->list.len;
	_free_ __u32 *order = calloc(n + 1, sizeof(*order));
	_free_ __u32 *rank = calloc(n + 1, sizeof(*rank));
	struct frame *sorted = calloc(n + 1, sizeof(*sorted));

	if (!order || !rank || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (__u32 i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), compare_ids, f);
	for (__u32 i = 0; i < n; i++) {
		sorted[i] = f->list.data[order[i]];
		rank[order[i]] = i;
	}
	vec_free(&f->list);
	f->list.data = sorted;
	f->list.len = n;
	f->list.cap = n + 1;
	for (size_t i = 0; i < p->lines.len; i++)
		f->of_line[i] = rank[f->of_line[i]];
	for (size_t i = 0; f->of_labels && i < p->label_sets.len; i++)
		f->of_labels[i] = rank[f->of_labels[i]];
	return 0;
}

int frames_open(struct frames *f, const struct profile *p, int type, enum export_group group,
		bool modules)
{
	struct hmap index = {0};
	int err;

	*f = (struct frames){.profile = p};
	f->type = type >= 0 && (unsigned)type < p->n_types ? (unsigned)type : p->default_type;
	f->base_type = p->base_types ? (int)(f->type + p->base_types) : -1;
	if (f->base_type >= (int)p->n_types)
		f->base_type = -1; /* a value of the baseline itself is shown */
	f->of_line = calloc(p->lines.len, sizeof(*f->of_line));
	err = f->of_line ? strtab_init(&f->strings, 0) : -ENOMEM;
	for (size_t i = 0; !err && i < p->locations.len; i++)
		err = add_location(f, &index, &p->locations.data[i], modules);
	if (!err)
		err = add_groups(f, &index, group);
	hmap_fini(&index);
	return err ? err : rank_frames(f);
}

void frames_close(struct frames *f)
{
	vec_free(&f->list);
	free(f->of_line);
	free(f->of_labels);
	free(f->samples);
	strtab_fini(&f->strings);
	*f = (struct frames){0};
}

/* ---- stacks in order ------------------------------------------------------------------------- */
struct frame_iter frame_iter_of(const struct frames *f, __u32 sample)
{
	const struct profile_sample *s = &f->profile->samples.data[sample];
	const struct profile_stack *stack = &f->profile->stacks.data[s->stack];

	return (struct frame_iter){.frames = f,
				   .stack = stack,
				   .i = stack->n_frames,
				   .group = f->of_labels ? f->of_labels[s->labels] + 1 : 0};
}

__u32 frame_iter_next(struct frame_iter *it)
{
	const struct profile *p = it->frames->profile;

	if (it->group) {
		__u32 frame = it->group - 1;

		it->group = 0;
		return frame;
	}
	if (!it->n_lines) {
		const struct profile_location *l;

		if (!it->i)
			return UINT32_MAX;
		l = &p->locations.data[it->stack->frames[--it->i]];
		it->line = l->first_line;
		it->n_lines = l->n_lines;
	}
	return it->frames->of_line[it->line + --it->n_lines];
}

/* By frames from the root; of two, the one that is the beginning of the other comes first. */
static int compare_samples(const void *a, const void *b, void *arg)
{
	const struct frames *f = arg;
	struct frame_iter x = frame_iter_of(f, *(const __u32 *)a);
	struct frame_iter y = frame_iter_of(f, *(const __u32 *)b);

	for (;;) {
		__u32 i, j;

		/* Equal locations are equal frames: step over them whole. */
		while (!x.group && !y.group && !x.n_lines && !y.n_lines && x.i && y.i &&
		       x.stack->frames[x.i - 1] == y.stack->frames[y.i - 1]) {
			x.i--;
			y.i--;
		}
		i = frame_iter_next(&x) + 1; /* the end sorts first: it is 0 now */
		j = frame_iter_next(&y) + 1;
		if (i != j)
			return i < j ? -1 : 1;
		if (!i)
			return 0;
	}
}

int frames_sort(struct frames *f)
{
	const struct profile *p = f->profile;

	free(f->samples);
	f->n_samples = 0;
	f->samples = calloc(p->samples.len + 1, sizeof(*f->samples));
	if (!f->samples)
		return -ENOMEM;
	for (__u32 i = 0; i < p->samples.len; i++)
		if (p->samples.data[i].values[f->type] > 0 ||
		    (f->base_type >= 0 && p->samples.data[i].values[f->base_type] > 0))
			f->samples[f->n_samples++] = i;
	qsort_r(f->samples, f->n_samples, sizeof(*f->samples), compare_samples, f);
	return 0;
}

/* ---- the walk -------------------------------------------------------------------------------- */
struct step {
	__u32 frame;
	struct frame_weight weight;
};

struct path {
	VEC(struct step) steps;
};

/* Leave all steps below `depth`. */
static void leave_to(struct path *path, size_t depth, struct frames_visitor *v)
{
	while (path->steps.len > depth) {
		size_t at = --path->steps.len;
		struct step *step = &path->steps.data[at];
		struct frame_weight *w = &step->weight;

		w->total += w->self;
		w->base_total += w->base_self;
		if (at) {
			step[-1].weight.total += w->total;
			step[-1].weight.base_total += w->base_total;
		}
		if (v->leave)
			v->leave(v, step->frame, at, w);
	}
}

static void add_weight(const struct frames *f, struct frame_weight *w, __u32 sample)
{
	const __s64 *values = f->profile->samples.data[sample].values;

	w->self += (__u64)values[f->type];
	if (f->base_type >= 0)
		w->base_self += (__u64)values[f->base_type];
}

static int walk_sample(const struct frames *f, struct path *path, __u32 sample,
		       struct frames_visitor *v)
{
	struct frame_iter it = frame_iter_of(f, sample);
	__u32 frame = frame_iter_next(&it);
	size_t depth = 0;

	while (frame != UINT32_MAX && depth < path->steps.len &&
	       path->steps.data[depth].frame == frame) {
		depth++;
		frame = frame_iter_next(&it);
	}
	leave_to(path, depth, v);
	for (; frame != UINT32_MAX; frame = frame_iter_next(&it)) {
		int err = vec_push(&path->steps, (struct step){.frame = frame});

		if (err)
			return err;
		if (v->enter)
			v->enter(v, frame, path->steps.len - 1);
	}
	add_weight(f, &path->steps.data[path->steps.len - 1].weight, sample);
	return 0;
}

int frames_walk(const struct frames *f, struct frames_visitor *v)
{
	struct path path = {0};
	int err = 0;

	for (size_t i = 0; !err && i < f->n_samples; i++)
		err = walk_sample(f, &path, f->samples[i], v);
	leave_to(&path, 0, v);
	vec_free(&path.steps);
	return err;
}
