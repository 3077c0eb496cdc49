// SPDX-License-Identifier: Apache-2.0
/* The words of summary.h. */
#include "profiler/export/summary.h"

#include <time.h>

#include "profiler/base/clock.h"

/* The type that counts samples, or -1. */
static int count_type(const struct profile *p)
{
	int type = profile_find_type(p, "samples");

	for (unsigned t = 0; type < 0 && t < p->n_types; t++)
		if (!strcmp(profile_str(p, p->types[t].unit), "count"))
			type = (int)t;
	return type;
}

struct summary summary_of(const struct profile *p, const struct export_options *options,
			  unsigned type)
{
	struct summary s = {
		.profile = p,
		.name = profile_str(p, p->name),
		.host = options->host ? options->host : "",
		.type = type < p->n_types ? profile_str(p, p->types[type].type) : "",
		.unit = type < p->n_types ? profile_str(p, p->types[type].unit) : "",
		.total = profile_total(p, type),
	};
	int count = count_type(p);

	s.title = options->title ? options->title : *s.name ? s.name : "profile";
	if (count >= 0) {
		s.n_samples = profile_total(p, (unsigned)count);
		s.n_whole = profile_whole_total(p, (unsigned)count);
	}
	for (size_t i = 0; type < p->n_types && i < p->samples.len; i++) {
		const struct profile_sample *sample = &p->samples.data[i];
		__u32 leaf = p->stacks.data[sample->stack].frames[0];

		s.by_kind[p->locations.data[leaf].kind] += (__u64)sample->values[type];
	}
	return s;
}

void summary_count(struct buf *out, __u64 value)
{
	if (value >= 1000) {
		summary_count(out, value / 1000);
		buf_printf(out, ",%03u", (unsigned)(value % 1000));
	} else {
		buf_u64(out, value);
	}
}

/* Three digits: 1.23, 12.3, 123, then whole thousands. */
static void add_short(struct buf *out, double value)
{
	if (value < 999.5)
		buf_printf(out, "%.*f", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
	else
		summary_count(out, (__u64)(value + 0.5));
}

void summary_value(struct buf *out, __u64 value, const char *unit)
{
	static const char *const times[] = {" ns", " \xc2\xb5s", " ms", " s"};
	static const char *const sizes[] = {" B", " KiB", " MiB", " GiB", " TiB"};
	bool bytes = !strcmp(unit, "bytes");
	double base = bytes ? 1024 : 1000, v = (double)value;
	size_t i = 0;

	if (!bytes && strcmp(unit, "nanoseconds")) {
		summary_count(out, value);
		return;
	}
	while (v >= base * 0.9995 && i + 1 < (bytes ? ARRAY_SIZE(sizes) : ARRAY_SIZE(times))) {
		v /= base;
		i++;
	}
	if (i == 0)
		buf_u64(out, value);
	else
		add_short(out, v);
	buf_str(out, bytes ? sizes[i] : times[i]);
}

void summary_share(struct buf *out, __u64 part, __u64 whole)
{
	buf_printf(out, "%.1f %%", whole ? 100.0 * (double)part / (double)whole : 0.0);
}

static void add_clock(struct buf *out, __u64 time_ns, bool date)
{
	time_t s = (time_t)(time_ns / NS_PER_S);
	char text[64];
	struct tm tm;

	if (!gmtime_r(&s, &tm))
		return;
	if (date && strftime(text, sizeof(text), "%Y-%m-%d ", &tm))
		buf_str(out, text);
	if (strftime(text, sizeof(text), "%H:%M:%S", &tm))
		buf_str(out, text);
}

void summary_time(struct buf *out, const struct summary *s)
{
	__u64 start = s->profile->time_ns, length = s->profile->duration_ns;
	char text[32];

	if (!start)
		return;
	add_clock(out, start, true);
	if (length) {
		const __u64 day = NS_PER_S * 86400;

		buf_str(out, " - ");
		add_clock(out, start + length, start / day != (start + length) / day);
	}
	buf_str(out, " UTC");
	if (!length)
		return;
	if (length >= NS_PER_S)
		length -= length % NS_PER_S;
	units_format_duration(length, text, sizeof(text));
	buf_printf(out, ", %s", text);
}

bool summary_cores(struct buf *out, const struct summary *s)
{
	if (strcmp(s->name, "cpu") || strcmp(s->unit, "nanoseconds") || !s->profile->duration_ns)
		return false;
	add_short(out, (double)s->total / (double)s->profile->duration_ns);
	return true;
}

void summary_line(struct buf *out, const struct summary *s)
{
	if (s->n_samples) {
		summary_count(out, s->n_samples);
		buf_str(out, " samples, ");
	}
	if (!s->n_samples || strcmp(s->type, "samples")) {
		summary_value(out, s->total, s->unit);
		buf_printf(out, " %s, ", s->type);
	}
	if (summary_cores(out, s))
		buf_str(out, " cores, ");
	if (s->n_samples) {
		summary_share(out, s->n_whole, s->n_samples);
		buf_str(out, " whole stacks, ");
	}
	summary_count(out, s->profile->lost_total);
	buf_str(out, " ");
	buf_str(out, summary_lost_word(s));
}

const char *summary_lost_word(const struct summary *s)
{
	return s->profile->lost_total ? "lost or not taken" : "lost";
}

void summary_kinds(struct buf *out, const struct summary *s)
{
	bool told[FRAME_KIND_COUNT] = {false};

	for (unsigned n = 0; n < FRAME_KIND_COUNT; n++) {
		unsigned best = FRAME_KIND_COUNT;

		for (unsigned k = 0; k < FRAME_KIND_COUNT; k++)
			if (!told[k] && s->by_kind[k] &&
			    (best == FRAME_KIND_COUNT || s->by_kind[k] > s->by_kind[best]))
				best = k;
		if (best == FRAME_KIND_COUNT)
			return;
		told[best] = true;
		buf_printf(out, "%s%s ", n ? ", " : "", frame_kind_name((enum frame_kind)best));
		summary_share(out, s->by_kind[best], s->total);
	}
}
