/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The label set of a pushed profile, made to pass the server: names [a-zA-Z_][a-zA-Z0-9_]* (others
 * are rewritten with _), values UTF-8 of at most 2,048 bytes (cut at a character), none empty, no
 * name twice, at most 30 of them, sorted by name; `__name__` and `service_name` always there; the
 * server's own `__x__` names are not let through, but `__delta__`, which tells v1 storage that
 * allocation profiles are deltas already. What had to be changed is counted.
 */
#pragma once

#include "profiler/base/arena.h"
#include "profiler/base/check.h"

#define PUSH_MAX_LABELS	     30
#define PUSH_MAX_LABEL_NAME  1024
#define PUSH_MAX_LABEL_VALUE 2048

struct push_label {
	const char *name, *value;
};

#define PUSH_LABEL_CHANGES(X)                                                                      \
	X(NAME, "name_rewritten")                                                                  \
	X(VALUE, "value_cut")                                                                      \
	X(DUPLICATE, "duplicate_dropped")                                                          \
	X(RESERVED, "reserved_dropped")                                                            \
	X(LIMIT, "over_limit_dropped")

enum push_label_change {
#define X(name, text) PUSH_LABEL_##name,
	PUSH_LABEL_CHANGES(X)
#undef X
		PUSH_LABEL_N_CHANGES
};

struct push_label_set {
	struct push_label
		labels[PUSH_MAX_LABELS]; /* sorted; strings in the arena or the caller's */
	size_t n;
	__u64 hash; /* of all names and values */
	__u32 changes[PUSH_LABEL_N_CHANGES];
};

/* name: the profile's `__name__`. Of equal names the first wins: own labels before common ones, and
 * earlier before later. 0, -EINVAL when name is empty, or -ENOMEM. */
MUST_CHECK int push_labels_make(const char *name, const struct push_label *own, size_t n_own,
				const struct push_label *common, size_t n_common,
				struct arena *arena, struct push_label_set *ret_set);
