// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>

#include "profiler/check_host.h"

#include <string.h>

#include "profiler/config.h"
#include "tests/unit/test.h"

static enum host_state always_off(const struct host_check *check UNUSED,
				  const struct config *config UNUSED, struct host_result *result)
{
	host_found(result, "line\nbreak %d", 7);
	host_lost(result, "everything");
	return HOST_OFF;
}
HOST_CHECK(zz_unit_test, .order = 1000, .required = true, .run = always_off, .lost = "not this",
	   .fix = "nothing");

static struct config *defaults(void)
{
	struct buf errors = {0};
	struct config *config = config_load(&(struct config_source){0}, &errors);

	CU_ASSERT_FATAL(config != NULL);
	buf_fini(&errors);
	return config;
}

static void every_row_helps(void)
{
	struct config *config = defaults();
	struct host_report report;

	CU_ASSERT_FATAL(!host_report_make(config, &report));
	CU_ASSERT(report.n > 25);
	for (size_t i = 0; i < report.n; i++) {
		const struct host_row *row = &report.rows[i];

		CU_ASSERT(*row->result.found);
		/* What is not ok says what is lost and what to do, what is ok says nothing. */
		ASSERT_INT(*row->result.lost != 0, row->state != HOST_OK);
		ASSERT_INT(*row->result.fix != 0, row->state != HOST_OK);
		for (size_t k = 0; k < i; k++)
			CU_ASSERT(strcmp(report.rows[k].check->name, row->check->name));
		if (i)
			CU_ASSERT(report.rows[i - 1].check->order <= row->check->order);
	}
	host_report_free(&report);
	config_free(config);
}

static void a_required_row_decides(void)
{
	struct config *config = defaults();
	struct host_report report;
	struct buf out = {0};

	CU_ASSERT_FATAL(!host_report_make(config, &report));
	CU_ASSERT(!report.works);
	host_report_text(&report, &out);
	CU_ASSERT(strstr(out.data, "off       zz_unit_test           line break 7\n") != NULL);
	CU_ASSERT(strstr(out.data, "profiling does not work on this host: ") != NULL);
	buf_fini(&out);
	host_report_free(&report);
	config_free(config);
}

static void the_json_shape(void)
{
	struct config *config = defaults();
	struct host_report report;
	struct buf out = {0};
	json_t *root, *rows, *row;
	size_t sum;

	CU_ASSERT_FATAL(!host_report_make(config, &report));
	host_report_json(&report, &out);
	root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	CU_ASSERT_FATAL(root != NULL);
	CU_ASSERT(json_is_false(json_object_get(root, "works")));
	ASSERT_STR(json_string_value(json_object_get(root, "version")), BIANQUE_VERSION);
	rows = json_object_get(root, "checks");
	sum = (size_t)(json_integer_value(json_object_get(root, "ok")) +
		       json_integer_value(json_object_get(root, "degraded")) +
		       json_integer_value(json_object_get(root, "off")));
	ASSERT_INT(sum, json_array_size(rows));
	ASSERT_INT(sum, report.n);
	row = json_array_get(rows, sum - 1);
	ASSERT_STR(json_string_value(json_object_get(row, "name")), "zz_unit_test");
	ASSERT_STR(json_string_value(json_object_get(row, "state")), "off");
	CU_ASSERT(json_is_true(json_object_get(row, "required")));
	ASSERT_STR(json_string_value(json_object_get(row, "found")), "line break 7");
	ASSERT_STR(json_string_value(json_object_get(row, "lost")), "everything");
	ASSERT_STR(json_string_value(json_object_get(row, "fix")), "nothing");
	json_decref(root);
	buf_fini(&out);
	host_report_free(&report);
	config_free(config);
}

SUITE(check_host, {"every row helps", every_row_helps},
      {"a required row decides", a_required_row_decides}, {"the JSON shape", the_json_shape});
