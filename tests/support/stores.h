/* SPDX-License-Identifier: Apache-2.0 */
/* Local stores for tests: opened, with windows of a moment of 2023 put into them. */
#pragma once

#include "profiler/base/check.h"
#include "profiler/store/store.h"

struct profile;

#define STORES_T0 1700000000000000000ull /* 22:13:20: not the start of an hour or minute */

/* Nothing gets old. */
extern const struct store_limits stores_wide;

/* limits NULL: stores_wide; ret_report may be NULL. When it cannot be opened the test ends here. */
struct store *stores_open(const char *dir, const struct store_limits *limits,
			  struct store_report *ret_report);

/* An empty cpu profile: samples and nanoseconds, by this period. */
struct profile *stores_profile(__u64 period);

/* A window of one series, service_name `service`. The profile is taken. 0 or -errno. */
MUST_CHECK int stores_put(struct store *store, const char *service, __u64 start_ns, __u64 end_ns,
			  struct profile *profile);
