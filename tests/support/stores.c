// SPDX-License-Identifier: Apache-2.0
/* Local stores for tests, see stores.h. */
#include "tests/support/stores.h"

#include <stdio.h>
#include <stdlib.h>

#include "profiler/profile.h"

const struct store_limits stores_wide = {.retention_ns = ~0ull >> 2, .max_bytes = 1ull << 30};

struct store *stores_open(const char *dir, const struct store_limits *limits,
			  struct store_report *ret_report)
{
	struct store_report ignored;
	struct store *store;
	char error[512];

	if (!store_open(dir, limits ?: &stores_wide, &store, ret_report ?: &ignored, error,
			sizeof(error)))
		return store;
	fprintf(stderr, "%s\n", error);
	abort();
}

struct profile *stores_profile(__u64 period)
{
	struct profile *p = profile_new(NULL);

	if (!p)
		return NULL;
	profile_add_type(p, "samples", "count");
	p->default_type = profile_add_type(p, "cpu", "nanoseconds");
	profile_set_period(p, "cpu", "nanoseconds", period);
	p->name = profile_cstring(p, "cpu");
	return p;
}

int stores_put(struct store *store, const char *service, __u64 start_ns, __u64 end_ns,
	       struct profile *profile)
{
	struct dict_label_text label = {"service_name", service};
	struct facts facts = {
		.start_ns = start_ns, .end_ns = end_ns, .samples = profile_total(profile, 0)};
	int err = store_begin(store, &facts);

	if (!err)
		err = store_add(store, &label, 1, profile);
	if (!err)
		err = store_end(store);
	profile_free(profile);
	return err;
}
