// SPDX-License-Identifier: Apache-2.0
#include "profiler/metric.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "profiler/base/fs.h"
#include "tests/unit/test.h"

REGISTRY(metrics, const struct metric_desc);

/* Not registered: they are no metrics of the agent. */
static const struct metric_desc things = {"bianque_things_total", METRIC_COUNTER, NULL,
					  "Things with a \\ and \"quotes\""};
static const struct metric_desc things_too = {"bianque_things_total", METRIC_GAUGE, NULL, "Other"};
static const struct metric_desc size_bytes = {"bianque_size_bytes", METRIC_GAUGE, "bytes",
					      "A size"};
static const struct metric_desc waits = {"bianque_wait_seconds", METRIC_HISTOGRAM, "seconds",
					 "Waits"};

static void feed(struct metric_out *out)
{
	static const double bounds[] = {0.5, 1, 2.5};
	static const __u64 counts[] = {1, 2, 0, 4};

	metric_out_u64(out, &things, METRIC_LABELS({"kind", "b"}, {"cpu", "0"}), 7);
	metric_out_f64(out, &size_bytes, NULL, 0.1);
	metric_out_u64(out, &things, METRIC_LABELS({"cpu", "1"}, {"kind", "a\n\"\\\xff"}),
		       UINT64_MAX);
	metric_out_histogram(out, &waits, METRIC_LABELS({"x", "y"}), bounds, counts, 3, 12.25);
}

/* The exposition up to the writer's own metric, which other cases of this suite change. */
static void render(struct metric_out *out, struct buf *dst)
{
	char *own, *next;

	metric_out_finish(out, dst);
	metric_out_fini(out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dst->data);
	own = strstr(dst->data, "# HELP bianque_metrics_dropped");
	CU_ASSERT_PTR_NOT_NULL_FATAL(own);
	next = strstr(own, "\n# HELP bianque_s");
	CU_ASSERT_PTR_NOT_NULL_FATAL(next);
	memmove(own, next + 1, strlen(next + 1) + 1);
}

static void text_format(void)
{
	struct metric_out out;
	struct buf dst = {0};

	metric_out_init(&out, METRIC_TEXT, 1 << 20);
	feed(&out);
	render(&out, &dst);
	ASSERT_STR(dst.data, "# HELP bianque_size_bytes A size\n"
			     "# TYPE bianque_size_bytes gauge\n"
			     "bianque_size_bytes 0.1\n"
			     "# HELP bianque_things_total Things with a \\\\ and \"quotes\"\n"
			     "# TYPE bianque_things_total counter\n"
			     "bianque_things_total{cpu=\"0\",kind=\"b\"} 7\n"
			     "bianque_things_total{cpu=\"1\",kind=\"a\\n\\\"\\\\\xef\xbf\xbd\"} "
			     "18446744073709551615\n"
			     "# HELP bianque_wait_seconds Waits\n"
			     "# TYPE bianque_wait_seconds histogram\n"
			     "bianque_wait_seconds_bucket{x=\"y\",le=\"0.5\"} 1\n"
			     "bianque_wait_seconds_bucket{x=\"y\",le=\"1.0\"} 3\n"
			     "bianque_wait_seconds_bucket{x=\"y\",le=\"2.5\"} 3\n"
			     "bianque_wait_seconds_bucket{x=\"y\",le=\"+Inf\"} 7\n"
			     "bianque_wait_seconds_count{x=\"y\"} 7\n"
			     "bianque_wait_seconds_sum{x=\"y\"} 12.25\n");
	buf_fini(&dst);
}

static void openmetrics_format(void)
{
	struct metric_out out;
	struct buf dst = {0};

	metric_out_init(&out, METRIC_OPENMETRICS, 1 << 20);
	feed(&out);
	render(&out, &dst);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(dst.data, "# HELP bianque_things Things with a \\\\ and \\\"quotes\\\"\n"
				 "# TYPE bianque_things counter\n"
				 "bianque_things_total{"));
	CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "# UNIT bianque_size_bytes bytes\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "# UNIT bianque_wait_seconds seconds\n"));
	ASSERT_STR(dst.data + strlen(dst.data) - 7, "\n# EOF\n");
	buf_fini(&dst);
}

/* The three losses: each leaves the rest of the exposition whole, and is told in it. */
static void losses(void)
{
	struct metric_out out;
	struct buf dst = {0};
	char label[8];

	metric_out_init(&out, METRIC_TEXT, 4096);
	metric_out_u64(&out, &things, METRIC_LABELS({"a", "1"}, {"b", "2"}), 1);
	metric_out_u64(&out, &things, METRIC_LABELS({"b", "2"}, {"a", "1"}), 2);
	metric_out_u64(&out, &things_too, NULL, 3);
	for (int i = 0; i < 200; i++) {
		snprintf(label, sizeof(label), "%d", i);
		metric_out_u64(&out, &size_bytes, METRIC_LABELS({"n", label}), 1);
	}
	metric_out_finish(&out, &dst);
	CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "\nbianque_things_total{a=\"1\",b=\"2\"} 1\n"));
	CU_ASSERT_PTR_NULL(strstr(dst.data, "} 2\n"));
	CU_ASSERT_PTR_NULL(strstr(dst.data, " 3\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "{reason=\"duplicate\"} 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "{reason=\"name_conflict\"} 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "bianque_size_bytes{n=\"100\"} 1\n"));
	CU_ASSERT_PTR_NULL(strstr(dst.data, "bianque_size_bytes{n=\"199\"}"));
	CU_ASSERT_PTR_NULL(strstr(dst.data, "{reason=\"limit\"} 0\n"));
	CU_ASSERT(dst.data[dst.len - 1] == '\n');
	metric_out_fini(&out);
	buf_fini(&dst);
}

static void floats(void)
{
	static const double values[] = {0, 1e21, 1.0 / 3, -2.5, 123456789};
	static const char *const texts[] = {"0", "1e+21", "0.3333333333333333", "-2.5",
					    "123456789"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct metric_out out;
		struct buf dst = {0};
		char want[64];

		metric_out_init(&out, METRIC_TEXT, 4096);
		metric_out_f64(&out, &size_bytes, NULL, values[i]);
		metric_out_f64(&out, &size_bytes, METRIC_LABELS({"a", "nan"}), NAN);
		metric_out_f64(&out, &size_bytes, METRIC_LABELS({"a", "inf"}), -INFINITY);
		metric_out_finish(&out, &dst);
		metric_out_fini(&out);
		snprintf(want, sizeof(want), "\nbianque_size_bytes %s\n", texts[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, want));
		CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "nan\"} NaN\n"));
		CU_ASSERT_PTR_NOT_NULL(strstr(dst.data, "inf\"} -Inf\n"));
		buf_fini(&dst);
	}
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* The naming rules, held over every metric that any part registers. */
static void registered_names(void)
{
	size_t n = 0;

	registry_for_each (metrics, it) {
		const struct metric_desc *d = *it;
		char unit[64];

		n++;
		for (const char *p = d->name; *p; p++)
			CU_ASSERT(islower((unsigned char)*p) || isdigit((unsigned char)*p) ||
				  *p == '_');
		if (strncmp(d->name, "bianque_", 8) && strncmp(d->name, "process_", 8))
			ASSERT_STR(d->name, "bianque_... or process_...");
		if (ends_with(d->name, "_total") != (d->type == METRIC_COUNTER))
			ASSERT_STR(d->name, "_total on counters and only there");
		snprintf(unit, sizeof(unit), "_%s%s", d->unit ? d->unit : "",
			 d->type == METRIC_COUNTER ? "_total" : "");
		if (d->unit && !ends_with(d->name, unit))
			ASSERT_STR(d->name, unit);
		CU_ASSERT(d->help && isupper((unsigned char)*d->help));
		CU_ASSERT(!ends_with(d->help, ".") && !strchr(d->help, '\n'));
		registry_for_each (metrics, other)
			CU_ASSERT(*other == d || strcmp((*other)->name, d->name));
	}
	CU_ASSERT(n >= 5);
}

static void promtool(void)
{
	char command[512], path[256];
	struct metric_out out;
	struct buf dst = {0};

	if (system("promtool --version >/dev/null 2>&1"))
		SKIP("promtool (package prometheus) is not installed");
	metric_out_init(&out, METRIC_TEXT, 1 << 20);
	feed(&out);
	metric_out_finish(&out, &dst);
	metric_out_fini(&out);
	snprintf(path, sizeof(path), "%s/m", test_dir());
	ASSERT_INT(fs_replace(path, dst.data, dst.len), 0);
	snprintf(command, sizeof(command), "promtool check metrics <%s", path);
	ASSERT_INT(system(command), 0);
	buf_fini(&dst);
}

SUITE(metric, {"text 0.0.4", text_format}, {"OpenMetrics", openmetrics_format}, {"losses", losses},
      {"floats", floats}, {"registered names", registered_names}, {"promtool", promtool});
