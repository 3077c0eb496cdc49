// SPDX-License-Identifier: Apache-2.0
/* Two collectors of the test's own beside those of the project: what is called, and when. */
#include "profiler/collector.h"

#include <errno.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/loop.h"
#include "profiler/metric.h"
#include "profiler/part.h"
#include "tests/unit/test.h"

static struct calls {
	int starts, stops, records, ticks;
	bool zeroed;
} good_calls, bad_calls;

METRIC(good_answer, GAUGE, "bianque_test_good_answer", NULL, "The answer");

static int good_start(void *self, const struct config *config UNUSED)
{
	good_calls.starts++;
	good_calls.zeroed = *(__u64 *)self == 0;
	*(__u64 *)self = 42;
	return 0;
}

static void good_stop(void *self UNUSED)
{
	good_calls.stops++;
}

static int good_record(void *self, const struct rec *rec UNUSED)
{
	good_calls.records++;
	return *(__u64 *)self == 42 ? -EIO : 0;
}

static int good_tick(void *self UNUSED)
{
	good_calls.ticks++;
	return 0;
}

static int good_metrics(void *self, struct metric_out *out)
{
	metric_out_u64(out, &good_answer, NULL, *(__u64 *)self);
	return 0;
}
COLLECTOR(test_good, .help = "works", .on_by_default = true, .period_ms = 5,
	  .kinds = 1ull << REC_EXEC, .state_size = sizeof(__u64), .start = good_start,
	  .stop = good_stop, .record = good_record, .tick = good_tick, .metrics = good_metrics);

static int bad_start(void *self UNUSED, const struct config *config UNUSED)
{
	bad_calls.starts++;
	return -EPERM;
}

static void bad_stop(void *self UNUSED)
{
	bad_calls.stops++;
}

static int bad_record(void *self UNUSED, const struct rec *rec UNUSED)
{
	bad_calls.records++;
	return 0;
}
COLLECTOR(test_bad, .help = "cannot start", .on_by_default = false, .kinds = 1ull << REC_EXIT,
	  .start = bad_start, .stop = bad_stop, .record = bad_record);

static struct config *load(const char *const *sets, size_t n)
{
	struct config_source source = {.sets = sets, .n_sets = n};
	struct buf errors = {0};
	struct config *config = config_load(&source, &errors);

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	buf_fini(&errors);
	return config;
}

static void life(void)
{
	static const char *const sets[] = {"test_bad.enabled=on"};
	struct config *config = load(sets, 1);
	struct loop *loop = loop_new();
	struct rec exec = {.kind = REC_EXEC}, exit = {.kind = REC_EXIT};
	struct metric_out out;
	struct parts parts;
	struct buf text = {0};
	struct collectors *all;

	memset(&good_calls, 0, sizeof(good_calls));
	memset(&bad_calls, 0, sizeof(bad_calls));
	parts_init(&parts);
	all = collectors_start(loop, &parts, config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	ASSERT_INT(good_calls.starts, 1);
	CU_ASSERT(good_calls.zeroed);
	ASSERT_INT(bad_calls.starts, 1);
	CU_ASSERT(collectors_kinds(all) & 1ull << REC_EXEC);
	CU_ASSERT(!(collectors_kinds(all) & 1ull << REC_EXIT)); /* it did not start */
	collectors_record(all, &exec);
	collectors_record(all, &exit);
	ASSERT_INT(good_calls.records, 1);
	ASSERT_INT(bad_calls.records, 0);
	for (int i = 0; i < 200 && good_calls.ticks < 3; i++)
		ASSERT_INT(loop_once(loop, 20), 0);
	CU_ASSERT(good_calls.ticks >= 3);
	metric_out_init(&out, METRIC_TEXT, 1 << 20);
	parts_metrics(&parts, &out);
	metric_out_finish(&out, &text);
	metric_out_fini(&out);
	buf_char(&text, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "bianque_test_good_answer 42\n"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text.data, "bianque_collector_errors_total{collector=\"test_good\"} 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "bianque_loadavg_load1 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "bianque_loadavg_tasks "));
	buf_fini(&text);
	collectors_stop(all);
	ASSERT_INT(good_calls.stops, 1);
	ASSERT_INT(bad_calls.stops, 1); /* also after a failed start */
	ASSERT_INT(parts.n, 0);
	parts_fini(&parts);
	loop_free(loop);
	config_free(config);
}

static void switched_off(void)
{
	static const char *const sets[] = {"test_good.enabled=off"};
	struct config *config = load(sets, 1);
	struct loop *loop = loop_new();
	struct collectors *all;
	struct parts parts;

	memset(&good_calls, 0, sizeof(good_calls));
	parts_init(&parts);
	all = collectors_start(loop, &parts, config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	ASSERT_INT(good_calls.starts, 0);
	ASSERT_INT(collectors_kinds(all), 0);
	collectors_stop(all);
	ASSERT_INT(good_calls.stops, 0);
	parts_fini(&parts);
	loop_free(loop);
	config_free(config);
}

SUITE(collector, {"life", life}, {"switched off", switched_off});
