// SPDX-License-Identifier: Apache-2.0
/* metrics/loadavg.c against the kernel's own file. */
#include <stdio.h>
#include <string.h>

#include "profiler/collector.h"
#include "profiler/metric.h"
#include "tests/unit/test.h"

REGISTRY(collectors, const struct collector);

static const struct collector *loadavg(void)
{
	registry_for_each (collectors, it) {
		if (!strcmp((*it)->name, "loadavg"))
			return *it;
	}
	return NULL;
}

/* The value behind the line of a metric without labels; -1: there is none. */
static double value_of(const char *text, const char *name)
{
	char want[64];
	const char *at;
	double value = -1;

	snprintf(want, sizeof(want), "\n%s ", name);
	at = strstr(text, want);
	return at && sscanf(at + strlen(want), "%lf", &value) == 1 ? value : -1;
}

static void same_as_proc(void)
{
	const struct collector *c = loadavg();
	struct buf text = {0};
	struct metric_out out;
	double load[3], got;
	FILE *f = fopen("/proc/loadavg", "re");

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	ASSERT_INT(fscanf(f, "%lf %lf %lf", &load[0], &load[1], &load[2]), 3);
	fclose(f);
	metric_out_init(&out, METRIC_TEXT, 1 << 16);
	ASSERT_INT(c->metrics(NULL, &out), 0);
	metric_out_finish(&out, &text);
	metric_out_fini(&out);
	/* The kernel averages every five seconds: one such step may lie between the two readings.
	 */
	got = value_of(text.data, "bianque_loadavg_load15");
	CU_ASSERT(got >= 0 && got - load[2] < 0.5 && load[2] - got < 0.5);
	CU_ASSERT(value_of(text.data, "bianque_loadavg_load1") >= 0);
	CU_ASSERT(value_of(text.data, "bianque_loadavg_load5") >= 0);
	CU_ASSERT(value_of(text.data, "bianque_loadavg_runnable_tasks") >= 1); /* this one */
	CU_ASSERT(value_of(text.data, "bianque_loadavg_tasks") >
		  value_of(text.data, "bianque_loadavg_runnable_tasks") - 1);
	buf_fini(&text);
}

SUITE(loadavg, {"same as /proc/loadavg", same_as_proc});
