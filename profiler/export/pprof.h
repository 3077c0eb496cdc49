/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as pprof (profile.proto), whole or in parts for receivers with limits. What is written
 * keeps the strictest reader's rules: string_table[0] is "", all text is UTF-8, ids are dense from
 * 1 and none dangles, every location has a line and every function a name, a period type is always
 * set, values are >= 0 and not all of them 0, mapping 1 is the main binary where it is known, and a
 * part holds nothing that its samples do not use.
 */
#pragma once

#include <stdbool.h>

#include "profiler/export/export.h"

struct pprof_limits {
	size_t max_bytes;  /* of one part before compression; 0: none */
	__u32 max_samples; /* of one part; 0: none */
};

/* Pyroscope with its defaults: it takes bursts of 2 MiB and 16,000 samples, and cuts stacks beyond
 * 1,000 locations at the leaf. Use with .max_frames = PPROF_PUSH_FRAMES. */
#define PPROF_PUSH_LIMITS ((struct pprof_limits){.max_bytes = 3 << 19, .max_samples = 16000})
#define PPROF_PUSH_FRAMES 1000

/* Where a split has got to. Start with zeros; write parts until done. */
struct pprof_split {
	__u32 next; /* sample */
	unsigned n_parts;
	bool done;
};

/* The next part: as many samples as fit, at least one (one that does not fit alone loses the middle
 * of its stack). Its time is n_parts milliseconds after the profile's, since receivers may keep one
 * profile a millisecond. A profile without samples is one part without samples. 0 or -errno, then
 * *split is unchanged. */
MUST_CHECK int pprof_write_part(const struct profile *profile, const struct export_options *options,
				const struct pprof_limits *limits, struct pprof_split *split,
				struct sink *sink);
