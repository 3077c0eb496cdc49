// SPDX-License-Identifier: Apache-2.0
/* Profile types by their ids, see profile_type.h. */
#include "profiler/querier/profile_type.h"

#include <string.h>

#include "profiler/base/check.h"

/* kind, name, type, unit, period type, period unit, counts samples */
#define TYPES(X)                                                                                   \
	X("cpu", "process_cpu", "cpu", "nanoseconds", "cpu", "nanoseconds", false)                 \
	X("cpu", "process_cpu", "samples", "count", "cpu", "nanoseconds", true)

const struct profile_type_id profile_type_ids[] = {
#define X(kind, name, type, unit, period_type, period_unit, samples)                               \
	{kind,	      name ":" type ":" unit ":" period_type ":" period_unit,                      \
	 name,	      type,                                                                        \
	 unit,	      period_type,                                                                 \
	 period_unit, samples},
	TYPES(X)
#undef X
};
const size_t n_profile_type_ids = ARRAY_SIZE(profile_type_ids);

/* Sorted by name. */
#define LABELS(X)                                                                                  \
	X("__name__", name)                                                                        \
	X("__period_type__", period_type)                                                          \
	X("__period_unit__", period_unit)                                                          \
	X("__profile_type__", id)                                                                  \
	X("__type__", type)                                                                        \
	X("__unit__", unit)

const char *const profile_type_label_names[PROFILE_TYPE_N_LABELS] = {
#define X(label, field) label,
	LABELS(X)
#undef X
};

bool profile_type_is_id(const char *text)
{
	size_t n = 1;

	for (;; n++) {
		size_t len = strcspn(text, ":");

		if (n <= 3 && !len)
			return false;
		if (!text[len])
			return n == 5 || (n == 6 && !strcmp(text, "delta"));
		if (n == 6)
			return false;
		text += len + 1;
	}
}

const struct profile_type_id *profile_type_find(const char *text)
{
	for (size_t i = 0; i < n_profile_type_ids; i++) {
		size_t len = strlen(profile_type_ids[i].id);

		if (!strncmp(text, profile_type_ids[i].id, len) &&
		    (!text[len] || !strcmp(text + len, ":delta")))
			return &profile_type_ids[i];
	}
	return NULL;
}

const char *profile_type_label(const struct profile_type_id *type, const char *name)
{
#define X(label, field)                                                                            \
	if (!strcmp(name, label))                                                                  \
		return type->field;
	LABELS(X)
#undef X
	return NULL;
}
