// SPDX-License-Identifier: Apache-2.0
/* Label sets, see push_labels.h. */
#include "profiler/push/push_labels.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "profiler/base/utf8.h"

/* The name itself when it is fit, else a rewritten copy; NULL when memory ends. */
static const char *fit_name(const char *name, struct arena *arena, __u32 *changes)
{
	size_t len = strnlen(name, PUSH_MAX_LABEL_NAME);
	bool digit = isdigit((unsigned char)name[0]);
	bool fit = !digit && !name[len];
	char *out;

	for (size_t i = 0; fit && i < len; i++)
		fit = isalnum((unsigned char)name[i]) || name[i] == '_';
	if (fit)
		return name;
	changes[PUSH_LABEL_NAME]++;
	out = arena_alloc(arena, len + 2);
	if (!out)
		return NULL;
	out[0] = '_';
	for (size_t i = 0; i < len; i++)
		out[digit + i] = isalnum((unsigned char)name[i]) ? name[i] : '_';
	out[MIN(digit + len, (size_t)PUSH_MAX_LABEL_NAME)] = 0;
	return out;
}

/* The value itself when it is short UTF-8, else a copy made so. */
static const char *fit_value(const char *value, struct arena *arena, __u32 *changes)
{
	size_t len = strlen(value), used = 0;
	bool fit = len <= PUSH_MAX_LABEL_VALUE;
	char *out;

	for (size_t i = 0; fit && i < len;) {
		size_t n = utf8_len(value + i, len - i);

		fit = n > 0;
		i += n;
	}
	if (fit)
		return value;
	changes[PUSH_LABEL_VALUE]++;
	out = arena_alloc(arena, PUSH_MAX_LABEL_VALUE + 1);
	for (size_t i = 0; out && i < len;) {
		size_t n = utf8_len(value + i, len - i), add = n ? n : 3;

		if (used + add > PUSH_MAX_LABEL_VALUE)
			break;
		memcpy(out + used, n ? value + i : "\xef\xbf\xbd", add);
		used += add;
		i += n ? n : 1;
	}
	if (out)
		out[used] = 0;
	return out;
}

static bool has(const struct push_label_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (!strcmp(set->labels[i].name, name))
			return true;
	return false;
}

/* reserve: labels that must still fit in afterwards. */
static int add(struct push_label_set *set, const char *name, const char *value, size_t reserve,
	       struct arena *arena)
{
	if (!*name || !*value)
		return 0; /* the server would drop it too */
	name = fit_name(name, arena, set->changes);
	value = name ? fit_value(value, arena, set->changes) : NULL;
	if (!value)
		return -ENOMEM;
	if (has(set, name)) {
		set->changes[PUSH_LABEL_DUPLICATE]++;
		return 0;
	}
	if (set->n + reserve >= PUSH_MAX_LABELS) {
		set->changes[PUSH_LABEL_LIMIT]++;
		return 0;
	}
	set->labels[set->n++] = (struct push_label){name, value};
	return 0;
}

static int add_all(struct push_label_set *set, const struct push_label *labels, size_t n,
		   struct arena *arena)
{
	for (size_t i = 0; i < n; i++) {
		int err;

		if (!strncmp(labels[i].name, "__", 2)) {
			set->changes[PUSH_LABEL_RESERVED]++;
			continue;
		}
		err = add(set, labels[i].name, labels[i].value, !has(set, "service_name"), arena);
		if (err)
			return err;
	}
	return 0;
}

static int by_name(const void *pa, const void *pb)
{
	const struct push_label *a = pa, *b = pb;

	return strcmp(a->name, b->name);
}

int push_labels_make(const char *name, const struct push_label *own, size_t n_own,
		     const struct push_label *common, size_t n_common, struct arena *arena,
		     struct push_label_set *ret_set)
{
	struct push_label_set set = {0};
	int err;

	if (!*name)
		return -EINVAL;
	err = add(&set, "__name__", name, 0, arena);
	if (!err && !strcmp(name, "memory"))
		err = add(&set, "__delta__", "false", 0, arena);
	if (!err)
		err = add_all(&set, own, n_own, arena);
	if (!err)
		err = add_all(&set, common, n_common, arena);
	if (!err && !has(&set, "service_name"))
		err = add(&set, "service_name", "unknown_service", 0, arena);
	if (err)
		return err;
	qsort(set.labels, set.n, sizeof(*set.labels), by_name);
	for (size_t i = 0; i < set.n; i++) {
		const struct push_label *l = &set.labels[i];

		set.hash = XXH3_64bits_withSeed(l->name, strlen(l->name) + 1, set.hash);
		set.hash = XXH3_64bits_withSeed(l->value, strlen(l->value) + 1, set.hash);
	}
	*ret_set = set;
	return 0;
}
