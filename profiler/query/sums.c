// SPDX-License-Identifier: Apache-2.0
/* Values by group and step, see sums.h. */
#include "profiler/query/sums.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "profiler/base/clock.h"
#include "profiler/base/json.h"
#include "profiler/base/utf8.h"

int sums_init(struct sums *sums, struct listing *out, const struct listing_request *request)
{
	const char *const *by = request->by ? request->by : &request->group;
	size_t n = request->by ? request->n_by : request->group && *request->group;

	BUG_ON(n > LISTING_MAX_BY);
	*sums = (struct sums){
		.out = out,
		.from_ns = request->range.from_ns,
		.to_ns = request->range.to_ns,
		.step_ns = request->step_ns,
		.held = request->held,
		.rest = -1,
	};
	if (sums->step_ns)
		out->n_steps = (size_t)MIN((sums->to_ns - sums->from_ns - 1) / sums->step_ns + 1,
					   (__u64)LISTING_MAX_STEPS);
	for (; sums->n_by < n; sums->n_by++) {
		sums->by[sums->n_by] =
			arena_strndup(&out->arena, by[sums->n_by], strlen(by[sums->n_by]));
		if (!sums->by[sums->n_by])
			return -ENOMEM;
	}
	return 0;
}

void sums_fini(struct sums *sums)
{
	hmap_fini(&sums->index);
	buf_fini(&sums->name);
}

static bool is_thread_label(const char *name)
{
	return !strcmp(name, "pid") || !strcmp(name, "tid") || !strcmp(name, "comm");
}

bool sums_by_thread(const struct sums *sums)
{
	for (size_t i = 0; i < sums->n_by; i++)
		if (is_thread_label(sums->by[i]))
			return true;
	return false;
}

/* ---- groups ---------------------------------------------------------------------------------- */

const char *sums_text(struct arena *arena, const char *text)
{
	size_t len = strlen(text);
	char *fit = arena_alloc(arena, 3 * len + 1);

	if (fit)
		utf8_clean(fit, text, len);
	return fit;
}

/* The value of one label, a JSON array of several: into sums->name. */
static void set_name(struct sums *sums, const char *(*label)(void *arg, const char *name),
		     void *arg)
{
	struct json j = json_into(&sums->name);
	const char *value;

	buf_reset(&sums->name);
	if (sums->n_by == 1) {
		value = label(arg, sums->by[0]);
		buf_str(&sums->name, value ? value : "");
	} else if (sums->n_by) {
		json_array(&j, NULL);
		for (size_t i = 0; i < sums->n_by; i++) {
			value = label(arg, sums->by[i]);
			json_str(&j, NULL, value ? value : "");
		}
		json_end(&j);
	}
	buf_char(&sums->name, 0);
}

static __s64 new_group(struct sums *sums, const char *name, __u64 hash, size_t series, bool rest)
{
	struct listing *out = sums->out;
	size_t bytes = out->n_steps * sizeof(double);
	struct listed_group group = {.series = series, .rest = rest};
	int err;

	group.name = rest ? "other" : sums_text(&out->arena, name);
	group.key = group.name && !strcmp(group.name, name)
			    ? group.name
			    : arena_strndup(&out->arena, name, strlen(name));
	group.values = arena_zalloc(&out->arena, bytes);
	group.held_s = sums->held ? arena_zalloc(&out->arena, bytes) : NULL;
	if (!group.key || !group.name || !group.values || (sums->held && !group.held_s))
		return -ENOMEM;
	err = vec_push(&out->groups, group);
	if (!err && !rest)
		err = hmap_add(&sums->index, hash, (__u32)out->groups.len - 1);
	return err ? err : (__s64)out->groups.len - 1;
}

__s64 sums_group(struct sums *sums, const char *(*label)(void *arg, const char *name), void *arg,
		 size_t series, bool *ret_new)
{
	struct listing *out = sums->out;
	size_t max = MIN((size_t)LISTING_MAX_GROUPS, LISTING_MAX_SUMS / out->n_steps);
	const char *name;
	__u64 hash;
	__s64 group;
	__u32 i;

	*ret_new = false;
	set_name(sums, label, arg);
	if (sums->name.err)
		return -ENOMEM;
	name = sums->name.data;
	hash = XXH3_64bits(name, strlen(name));
	hmap_for_each_match (&sums->index, hash, i)
		if (!strcmp(out->groups.data[i].key, name))
			return i;
	if (series == SUMS_UNLISTED || out->groups.len + (sums->rest < 0) >= max) {
		if (sums->rest < 0)
			sums->rest = new_group(sums, name, hash, 0, true);
		return sums->rest;
	}
	group = new_group(sums, name, hash, series, false);
	*ret_new = group >= 0;
	return group;
}

/* ---- values ---------------------------------------------------------------------------------- */

void sums_add(struct sums *sums, __s64 group, __u64 start_ns, __u64 end_ns, double value)
{
	struct listed_group *g = &sums->out->groups.data[group];
	double whole = (double)(end_ns - start_ns);
	__u64 at = MAX(start_ns, sums->from_ns), stop = MIN(end_ns, sums->to_ns);

	while (at < stop) {
		size_t step = (at - sums->from_ns) / sums->step_ns;
		__u64 next = MIN(stop, sums->from_ns + (step + 1) * sums->step_ns);
		double part = value * (double)(next - at) / whole;

		if (step >= sums->out->n_steps)
			break;
		g->values[step] += part;
		if (g->held_s)
			g->held_s[step] += (double)(next - at) / NS_PER_S;
		g->total += part;
		at = next;
	}
}
