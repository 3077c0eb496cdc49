/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Pyroscope calls a profile type: one value of one kind of profile, by an id of five parts,
 * `name:type:unit:period_type:period_unit`. As labels of a series: __name__, __type__, __unit__,
 * __period_type__, __period_unit__ and the id, __profile_type__.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct profile_type_id {
	const char *kind; /* ours: cpu */
	const char *id;
	const char *name, *type, *unit, *period_type, *period_unit;
	bool samples; /* counts samples: what sums by time keep beside the kind's value */
};

/* All of them, those of a kind together. */
extern const struct profile_type_id profile_type_ids[];
extern const size_t n_profile_type_ids;

/* Whether it has an id's five parts, none of the first three empty; a sixth, `delta`, may follow. */
bool profile_type_is_id(const char *text);
/* NULL: there are no profiles of that type here. */
const struct profile_type_id *profile_type_find(const char *text);

/* The labels above, by name; NULL for other names. */
const char *profile_type_label(const struct profile_type_id *type, const char *name);
/* Their names, sorted. */
enum { PROFILE_TYPE_N_LABELS = 6 };
extern const char *const profile_type_label_names[PROFILE_TYPE_N_LABELS];
