/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics for Prometheus. A metric is described once, where it is counted, and registers itself so
 * that tests and dashboards can list them all:
 *
 *	METRIC(samples_total, COUNTER, "bianque_profile_samples_total", NULL, "Samples taken");
 *	metric_out_u64(out, &samples_total, METRIC_LABELS({"kind", "cpu"}, {"cpu", "3"}), n);
 *
 * Names: bianque_<family>_<what>_<unit>[_total]; a counter's name ends in _total, the unit (base
 * units: seconds, bytes, ratio) stands before that. Values are read when asked for: no registry of
 * values exists.
 *
 * The writer may be fed in any order: it groups samples by metric, sorts metrics by name, and drops
 * what would spoil a whole scrape (a duplicate label set, one name used by two metrics, more than
 * the limit), counted in bianque_metrics_dropped_samples_total{reason}. Formats: Prometheus text
 * 0.0.4 and OpenMetrics 1.0.0. One thread at a time.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"
#include "profiler/base/hmap.h"
#include "profiler/base/registry.h"
#include "profiler/base/vec.h"

#define METRIC_MAX_LABELS 16

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_format { METRIC_TEXT, METRIC_OPENMETRICS };

struct metric_desc {
	const char *name; /* as text 0.0.4 shows it, _total included */
	enum metric_type type;
	const char *unit; /* NULL: a plain count or a state */
	const char *help; /* one line, no full stop */
};

#define METRIC(ident_, type_, name_, unit_, help_)                                                 \
	static const struct metric_desc ident_ = {                                                 \
		.name = name_, .type = METRIC_##type_, .unit = unit_, .help = help_};              \
	REGISTER(metrics, const struct metric_desc, ident_)

struct metric_label {
	const char *name, *value; /* the value may be any bytes; bad UTF-8 becomes U+FFFD */
};
#define METRIC_LABELS(...) ((const struct metric_label[]){__VA_ARGS__, {0}})

struct metric_family {
	const struct metric_desc *desc;
	struct buf samples; /* finished lines */
};

/* Name and labels of a sample: bytes of its family's lines. */
struct metric_seen {
	__u32 family, offset, len;
};

struct metric_out {
	enum metric_format format;
	size_t limit, used; /* bytes of sample lines */
	VEC(struct metric_family) families;
	struct hmap by_name;
	VEC(struct metric_seen) seen;
	struct hmap by_labels;
	__u32 last; /* family of the last sample: mostly the next one's too */
};

void metric_out_init(struct metric_out *out, enum metric_format format, size_t limit);
/* labels end with an empty one; NULL for none. */
void metric_out_u64(struct metric_out *out, const struct metric_desc *desc,
		    const struct metric_label *labels, __u64 value);
void metric_out_f64(struct metric_out *out, const struct metric_desc *desc,
		    const struct metric_label *labels, double value);
/* counts[i] = values <= bounds[i] and above bounds[i - 1]; counts[n] = those above all bounds. */
void metric_out_histogram(struct metric_out *out, const struct metric_desc *desc,
			  const struct metric_label *labels, const double *bounds,
			  const __u64 *counts, size_t n, double sum);
/* Append the exposition, the writer's own metric included. */
void metric_out_finish(struct metric_out *out, struct buf *dst);
void metric_out_fini(struct metric_out *out);

const char *metric_content_type(enum metric_format format);
