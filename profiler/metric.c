// SPDX-License-Identifier: Apache-2.0
/*
 * The exposition writer of metric.h. Sources: Prometheus "Exposition formats" (text 0.0.4) and
 * OpenMetrics 1.0.0. Sample lines are equal in both but for nothing: bucket bounds are written as
 * floats ("1.0") in both, so that a series does not change its name with the scraper's format.
 */
#include "profiler/metric.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "profiler/base/utf8.h"

#define MAX_FAMILIES 4096

enum drop { DROP_DUPLICATE, DROP_CONFLICT, DROP_LIMIT, N_DROPS };
static const char *const drop_names[N_DROPS] = {"duplicate", "name_conflict", "limit"};
static atomic_ullong dropped[N_DROPS]; /* since start */

METRIC(dropped_samples, COUNTER, "bianque_metrics_dropped_samples_total", NULL,
       "Samples left out of a scrape because they would have spoilt it");

const char *metric_content_type(enum metric_format format)
{
	return format == METRIC_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

void metric_out_init(struct metric_out *out, enum metric_format format, size_t limit)
{
	*out = (struct metric_out){.format = format, .limit = limit, .last = HMAP_NONE};
}

void metric_out_fini(struct metric_out *out)
{
	vec_for_each (family, &out->families)
		buf_fini(&family->samples);
	vec_free(&out->families);
	vec_free(&out->seen);
	hmap_fini(&out->by_name);
	hmap_fini(&out->by_labels);
}

static void drop(enum drop why)
{
	atomic_fetch_add(&dropped[why], 1);
}

static struct metric_family *family_of(struct metric_out *out, const struct metric_desc *desc)
{
	__u64 hash;
	__u32 i;

	if (out->last != HMAP_NONE && out->families.data[out->last].desc == desc)
		return &out->families.data[out->last];
	hash = XXH3_64bits(desc->name, strlen(desc->name));
	hmap_for_each_match (&out->by_name, hash, i) {
		struct metric_family *family = &out->families.data[i];

		if (strcmp(family->desc->name, desc->name))
			continue;
		if (family->desc != desc && family->desc->type != desc->type) {
			drop(DROP_CONFLICT);
			return NULL;
		}
		out->last = i;
		return family;
	}
	i = (__u32)out->families.len;
	if (i == MAX_FAMILIES || vec_push(&out->families, (struct metric_family){.desc = desc}) ||
	    hmap_add(&out->by_name, hash, i)) {
		out->families.len = MIN(out->families.len, (size_t)i);
		drop(DROP_LIMIT);
		return NULL;
	}
	out->last = i;
	return &out->families.data[i];
}

/* Escapes of a label value: both formats know \\, \" and \n. */
static void add_value(struct buf *buf, const char *s)
{
	size_t left = strlen(s);

	while (left) {
		size_t n = utf8_len(s, left);

		if (n == 0) {
			buf_str(buf, "\xef\xbf\xbd");
			n = 1;
		} else if (*s == '\n') {
			buf_str(buf, "\\n");
		} else {
			if (*s == '"' || *s == '\\')
				buf_char(buf, '\\');
			buf_add(buf, s, n);
		}
		s += n;
		left -= n;
	}
}

static void add_labels(struct buf *buf, const struct metric_label *labels,
		       const struct metric_label *last)
{
	const struct metric_label *sorted[METRIC_MAX_LABELS];
	size_t n = 0;

	for (; labels && labels->name; labels++) {
		size_t at = n++;

		BUG_ON(n > METRIC_MAX_LABELS);
		for (; at && strcmp(sorted[at - 1]->name, labels->name) > 0; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = labels;
	}
	if (!n && !last)
		return;
	buf_char(buf, '{');
	for (size_t i = 0; i < n; i++) {
		buf_printf(buf, "%s%s=\"", i ? "," : "", sorted[i]->name);
		add_value(buf, sorted[i]->value ? sorted[i]->value : "");
		buf_char(buf, '"');
	}
	if (last)
		buf_printf(buf, "%s%s=\"%s\"", n ? "," : "", last->name, last->value);
	buf_char(buf, '}');
}

/* The shortest decimal that reads back as the same double. */
static void format_f64(double value, char text[32])
{
	if (isnan(value)) {
		strcpy(text, "NaN");
		return;
	}
	if (isinf(value)) {
		strcpy(text, value > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, 32, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			return;
	}
}

/* Whether name{labels}, the last len bytes of the family's lines, stands there already. */
static bool is_duplicate(struct metric_out *out, struct metric_family *family, size_t start)
{
	size_t len = family->samples.len - start;
	const char *key = family->samples.data + start;
	__u64 hash = XXH3_64bits(key, len);
	__u32 index = (__u32)(family - out->families.data), i;

	hmap_for_each_match (&out->by_labels, hash, i) {
		const struct metric_seen *seen = &out->seen.data[i];

		if (seen->family == index && seen->len == len &&
		    !memcmp(family->samples.data + seen->offset, key, len))
			return true;
	}
	/* Without memory for the memory of it, the sample itself is still good. */
	if (!vec_push(&out->seen, (struct metric_seen){.family = index,
						       .offset = (__u32)start,
						       .len = (__u32)len}) &&
	    hmap_add(&out->by_labels, hash, (__u32)out->seen.len - 1))
		out->seen.len--;
	return false;
}

/* One line; suffix of the name ("" or _bucket ...), last = the bucket's bound or NULL. */
static bool add_sample(struct metric_out *out, struct metric_family *family, const char *suffix,
		       const struct metric_label *labels, const struct metric_label *last,
		       const char *value)
{
	struct buf *buf = &family->samples;
	size_t start = buf->len;

	buf_printf(buf, "%s%s", family->desc->name, suffix);
	add_labels(buf, labels, last);
	if (!buf->err && is_duplicate(out, family, start)) {
		drop(DROP_DUPLICATE);
	} else {
		buf_printf(buf, " %s\n", value);
		if (!buf->err && out->used + (buf->len - start) <= out->limit) {
			out->used += buf->len - start;
			return true;
		}
		drop(DROP_LIMIT);
	}
	buf->err = 0;
	buf->len = start;
	if (buf->data)
		buf->data[start] = 0;
	return false;
}

void metric_out_u64(struct metric_out *out, const struct metric_desc *desc,
		    const struct metric_label *labels, __u64 value)
{
	struct metric_family *family = family_of(out, desc);
	char text[32];

	if (!family)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	add_sample(out, family, "", labels, NULL, text);
}

void metric_out_f64(struct metric_out *out, const struct metric_desc *desc,
		    const struct metric_label *labels, double value)
{
	struct metric_family *family = family_of(out, desc);
	char text[32];

	if (!family)
		return;
	format_f64(value, text);
	add_sample(out, family, "", labels, NULL, text);
}

void metric_out_histogram(struct metric_out *out, const struct metric_desc *desc,
			  const struct metric_label *labels, const double *bounds,
			  const __u64 *counts, size_t n, double sum)
{
	struct metric_family *family = family_of(out, desc);
	char text[32], bound[40];
	size_t start;
	__u64 total = 0;

	if (!family)
		return;
	start = family->samples.len;
	for (size_t i = 0; i <= n; i++) {
		format_f64(i < n ? bounds[i] : INFINITY, bound);
		if (!strpbrk(bound, ".eI"))
			snprintf(bound + strlen(bound), sizeof(bound) - strlen(bound), ".0");
		total += counts[i];
		snprintf(text, sizeof(text), "%llu", (unsigned long long)total);
		if (!add_sample(out, family, "_bucket", labels, &(struct metric_label){"le", bound},
				text)) {
			family->samples.len = start; /* all of it or nothing */
			return;
		}
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)total);
	add_sample(out, family, "_count", labels, NULL, text);
	format_f64(sum, text);
	add_sample(out, family, "_sum", labels, NULL, text);
}

static int by_name(const void *pa, const void *pb)
{
	const struct metric_family *a = pa, *b = pb;

	return strcmp(a->desc->name, b->desc->name);
}

/* # lines of one family. OpenMetrics names a counter's family without _total, escapes quotes in
 * HELP and knows UNIT, which must be the end of the family's name. */
static void add_head(const struct metric_out *out, const struct metric_desc *desc, struct buf *dst)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	bool om = out->format == METRIC_OPENMETRICS;
	int len = (int)strlen(desc->name);
	size_t unit_len = desc->unit ? strlen(desc->unit) : 0;

	if (om && desc->type == METRIC_COUNTER && len > 6 &&
	    !strcmp(desc->name + len - 6, "_total"))
		len -= 6;
	buf_printf(dst, "# HELP %.*s ", len, desc->name);
	for (const char *s = desc->help; *s; s++) {
		if (*s == '\\' || (om && *s == '"'))
			buf_char(dst, '\\');
		buf_char(dst, *s);
	}
	buf_printf(dst, "\n# TYPE %.*s %s\n", len, desc->name, types[desc->type]);
	if (om && unit_len && (size_t)len > unit_len &&
	    !strncmp(desc->name + len - unit_len, desc->unit, unit_len))
		buf_printf(dst, "# UNIT %.*s %s\n", len, desc->name, desc->unit);
}

void metric_out_finish(struct metric_out *out, struct buf *dst)
{
	out->limit += 4096; /* the loss itself is always told */
	for (int i = 0; i < N_DROPS; i++)
		metric_out_u64(out, &dropped_samples, METRIC_LABELS({"reason", drop_names[i]}),
			       atomic_load(&dropped[i]));
	qsort(out->families.data, out->families.len, sizeof(*out->families.data), by_name);
	vec_for_each (family, &out->families) {
		if (!family->samples.len)
			continue;
		add_head(out, family->desc, dst);
		buf_add(dst, family->samples.data, family->samples.len);
	}
	if (out->format == METRIC_OPENMETRICS)
		buf_str(dst, "# EOF\n");
	out->last = HMAP_NONE;
}
