// SPDX-License-Identifier: Apache-2.0
#include "profiler/querier/profile_type.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/base/check.h"
#include "tests/unit/test.h"

#define CPU "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

static void ids(void)
{
	static const struct {
		const char *text;
		bool is_id, known;
	} rows[] = {
		{CPU, true, true},
		{CPU ":delta", true, true},
		{"process_cpu:samples:count:cpu:nanoseconds", true, true},
		{"memory:alloc_space:bytes:space:bytes", true, false},
		{"offcpu:offcpu:nanoseconds::", true, false}, /* as without a period type */
		{CPU ":", false, false},
		{CPU ":x", false, false},
		{CPU ":delta:", false, false},
		{CPU "x", true, false},
		{"process_cpu:cpu:nanoseconds:cpu", false, false},
		{"process_cpu", false, false},
		{"::::", false, false},
		{"", false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ASSERT_INT(profile_type_is_id(rows[i].text), rows[i].is_id);
		ASSERT_INT(profile_type_find(rows[i].text) && profile_type_is_id(rows[i].text),
			   rows[i].known);
	}
}

static void labels(void)
{
	const struct profile_type_id *cpu = profile_type_find(CPU);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cpu);
	ASSERT_STR(profile_type_label(cpu, "__profile_type__"), CPU);
	ASSERT_STR(profile_type_label(cpu, "__name__"), "process_cpu");
	ASSERT_STR(profile_type_label(cpu, "__unit__"), "nanoseconds");
	CU_ASSERT_PTR_NULL(profile_type_label(cpu, "service_name"));
	for (size_t i = 0; i < PROFILE_TYPE_N_LABELS; i++) {
		CU_ASSERT_PTR_NOT_NULL(profile_type_label(cpu, profile_type_label_names[i]));
		CU_ASSERT(!i ||
			  strcmp(profile_type_label_names[i - 1], profile_type_label_names[i]) < 0);
	}
	for (size_t i = 0; i < n_profile_type_ids; i++) /* one bit each, in 32 */
		CU_ASSERT(i < 32 && profile_type_is_id(profile_type_ids[i].id));
}

SUITE(querier_profile_type, {"ids", ids}, {"labels", labels});
