// SPDX-License-Identifier: Apache-2.0
#include "profiler/part.h"

#include <errno.h>
#include <string.h>

#include "profiler/base/log.h"
#include "tests/unit/test.h"

static const struct metric_desc answer = {"bianque_answer", METRIC_GAUGE, NULL, "The answer"};

static int good_metrics(void *self, struct metric_out *out)
{
	metric_out_u64(out, &answer, NULL, *(int *)self);
	return 0;
}

static int bad_metrics(void *self UNUSED, struct metric_out *out UNUSED)
{
	return -EIO;
}

static void tables(void *self UNUSED, struct table_out *out)
{
	table_out_add(out, "queue", 3, 10, "bytes");
}

static void readiness(void)
{
	struct part sampling = {.name = "sampling", .required = true};
	struct part sink = {.name = "pyroscope"};
	struct parts parts;
	struct buf out = {0};
	char reason[PART_REASON_MAX];

	parts_init(&parts);
	ASSERT_INT(parts_add(&parts, &sampling), 0);
	ASSERT_INT(parts_add(&parts, &sink), 0);
	CU_ASSERT(!parts_ready(&parts, true, &out));
	ASSERT_STR(out.data, "{\"status\":\"starting\",\"waiting\":[{\"part\":\"sampling\","
			     "\"reason\":\"starting\"}],\"degraded\":[]}");
	part_set_state(&sampling, PART_OK, NULL);
	part_set_state(&sink, PART_DEGRADED, "the server %s", "sleeps");
	buf_reset(&out);
	CU_ASSERT(parts_ready(&parts, true, &out));
	ASSERT_STR(out.data, "{\"status\":\"degraded\",\"waiting\":[],\"degraded\":[{\"part\":"
			     "\"pyroscope\",\"reason\":\"the server sleeps\"}]}");
	buf_reset(&out);
	CU_ASSERT(parts_ready(&parts, false, &out));
	ASSERT_STR(out.data, "{\"status\":\"degraded\"}");
	ASSERT_INT(part_state(&sink, reason), PART_DEGRADED);
	ASSERT_STR(reason, "the server sleeps");
	part_set_state(&sink, PART_OFF, NULL);
	buf_reset(&out);
	CU_ASSERT(parts_ready(&parts, false, &out));
	ASSERT_STR(out.data, "{\"status\":\"ready\"}");
	part_set_state(&sampling, PART_OFF, "no permission");
	buf_reset(&out);
	CU_ASSERT(!parts_ready(&parts, true, &out));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "no permission"));
	parts_del(&sampling);
	parts_del(&sink);
	part_set_state(&sink, PART_OK, NULL); /* no longer in the list: nothing happens */
	parts_fini(&parts);
	buf_fini(&out);
}

static void metrics_and_tables(void)
{
	int value = 42;
	struct part good = {
		.name = "good", .self = &value, .metrics = good_metrics, .tables = tables};
	struct part bad = {.name = "bad", .metrics = bad_metrics};
	struct metric_out out;
	struct parts parts;
	struct buf dst = {0};

	ASSERT_INT(log_set_level("agent", "error"), 0);
	parts_init(&parts);
	ASSERT_INT(parts_add(&parts, &good), 0);
	ASSERT_INT(parts_add(&parts, &bad), 0);
	part_set_state(&bad, PART_DEGRADED, "x");
	metric_out_init(&out, METRIC_TEXT, 1 << 20);
	parts_metrics(&parts, &out);
	metric_out_finish(&out, &dst);
	metric_out_fini(&out);
	for (const char *const *want =
		     (const char *const[]){
			     "\nbianque_answer 42\n",
			     "\nbianque_collector_success{collector=\"good\"} 1\n",
			     "\nbianque_collector_success{collector=\"bad\"} 0\n",
			     "\nbianque_part_degraded{part=\"bad\"} 1\n",
			     "\nbianque_part_degraded{part=\"good\"} 0\n",
			     "\nbianque_table_fill{part=\"good\",table=\"queue\"} 3\n",
			     "\nbianque_table_cap{part=\"good\",table=\"queue\"} 10\n", NULL};
	     *want; want++)
		if (!strstr(dst.data, *want))
			ASSERT_STR(dst.data, *want);
	buf_reset(&dst);
	parts_tables_json(&parts, &dst);
	ASSERT_STR(dst.data, "{\"tables\":[{\"part\":\"good\",\"table\":\"queue\",\"unit\":"
			     "\"bytes\",\"fill\":3,\"cap\":10}]}");
	parts_del(&good);
	parts_del(&bad);
	parts_fini(&parts);
	buf_fini(&dst);
}

SUITE(part, {"readiness", readiness}, {"metrics and tables", metrics_and_tables});
