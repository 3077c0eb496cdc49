/* SPDX-License-Identifier: Apache-2.0 */
/* What text, html, svg and json say about a profile as a whole, in numbers and in words. */
#pragma once

#include "profiler/base/buf.h"
#include "profiler/export/export.h"
#include "profiler/profile.h"

struct summary {
	const struct profile *profile;
	const char *title, *host, *name; /* "" for none */
	const char *type, *unit;	 /* of the value shown */
	__u64 total;			 /* of that value */
	__u64 n_samples, n_whole;	 /* sample count, and of whole stacks; 0, 0: not known */
	__u64 by_kind[FRAME_KIND_COUNT]; /* of total, by the kind of the leaf */
};

struct summary summary_of(const struct profile *profile, const struct export_options *options,
			  unsigned type);
/* `12,480` */
void summary_count(struct buf *out, __u64 value);
/* `12.4 s`, `3.1 MiB`, `12,480`: three digits that count, or whole thousands. */
void summary_value(struct buf *out, __u64 value, const char *unit);
/* `12.3 %`; 0 of 0 is 0. */
void summary_share(struct buf *out, __u64 part, __u64 whole);
/* `2026-08-21 13:58:10 - 14:01:40 UTC, 3m30s`; empty when the time is not known. */
void summary_time(struct buf *out, const struct summary *summary);
/* `3.21`, how many CPUs the time of the profile kept busy; false when that is not what it measures.
 */
bool summary_cores(struct buf *out, const struct summary *summary);
/* `12,480 samples, 674 s cpu, 3.21 cores, 99.6 % whole stacks, 0 lost` */
void summary_line(struct buf *out, const struct summary *summary);
/* What the number of lost samples stands for: it has those that never ran in it. */
const char *summary_lost_word(const struct summary *summary);
/* `native 61.0 %, kernel 18.0 %`, largest first. */
void summary_kinds(struct buf *out, const struct summary *summary);
