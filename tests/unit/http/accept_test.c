// SPDX-License-Identifier: Apache-2.0
#include "profiler/http/http_accept.h"

#include "tests/unit/test.h"

static void openmetrics(void)
{
	static const char *const yes[] = {
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		"version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"application/openmetrics-text",
		"application/openmetrics-text; version=\"1.0.0\" ; q=0.5, text/plain;q=0.4",
		"APPLICATION/OpenMetrics-Text;version=1.0.0, */*", NULL};
	static const char *const no[] = {
		"text/plain;version=0.0.4;q=1,*/*;q=0.1",
		"*/*",
		"application/*",
		"application/openmetrics-text;version=0.0.1",
		"application/openmetrics-text;q=0",
		"application/openmetrics-text;q=0.3,text/plain;q=0.8",
		"application/openmetrics-text;q=x",
		"",
		"text/html,,;;=,\"",
		"application/openmetrics-textual",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
		"encoding=delimited,*/*;q=0.1",
		NULL};

	for (const char *const *p = yes; *p; p++)
		if (!http_wants_openmetrics(*p))
			ASSERT_STR("text 0.0.4", *p);
	for (const char *const *p = no; *p; p++)
		if (http_wants_openmetrics(*p))
			ASSERT_STR("OpenMetrics", *p);
	CU_ASSERT(!http_wants_openmetrics(NULL));
}

static void weights(void)
{
	bool exact;

	ASSERT_INT(http_accept_weight(NULL, "a/b", NULL, &exact), 1000);
	ASSERT_INT(http_accept_weight("a/b;q=0.123", "a/b", NULL, &exact), 123);
	CU_ASSERT(exact);
	ASSERT_INT(http_accept_weight("*/*;q=0.9, a/*;q=0.2", "a/b", NULL, &exact), 200);
	CU_ASSERT(!exact);
	ASSERT_INT(http_accept_weight("a/b;x=\"q=0,\\\"c\";q=0.5", "a/b", NULL, &exact), 500);
	ASSERT_INT(http_accept_weight("a/b;q=1.5", "a/b", NULL, &exact), 1000);
	ASSERT_INT(http_accept_weight("a/b;q=0.1234", "a/b", NULL, &exact), 0);
	ASSERT_INT(http_accept_weight("a/b;q=-1", "a/b", NULL, &exact), 0);
	ASSERT_INT(http_accept_weight("a/bc", "a/b", NULL, &exact), 0);
}

static void gzip(void)
{
	CU_ASSERT(http_accepts_gzip("gzip"));
	CU_ASSERT(http_accepts_gzip("deflate, GZIP;q=0.5"));
	CU_ASSERT(http_accepts_gzip("*"));
	CU_ASSERT(!http_accepts_gzip(NULL));
	CU_ASSERT(!http_accepts_gzip(""));
	CU_ASSERT(!http_accepts_gzip("gzip;q=0, *"));
	CU_ASSERT(!http_accepts_gzip("identity"));
	CU_ASSERT(!http_accepts_gzip("gzipped, br"));
}

static void etags(void)
{
	CU_ASSERT(http_etag_matches("\"a\"", "\"a\""));
	CU_ASSERT(http_etag_matches("\"b\", W/\"a\"", "\"a\""));
	CU_ASSERT(http_etag_matches("\"b,c\" , \"a\"", "\"a\""));
	CU_ASSERT(http_etag_matches("*", "\"a\""));
	CU_ASSERT(!http_etag_matches("\"A\"", "\"a\""));
	CU_ASSERT(!http_etag_matches("\"b,\"a\"\"", "\"a\""));
	CU_ASSERT(!http_etag_matches("", "\"a\""));
	CU_ASSERT(!http_etag_matches(NULL, "\"a\""));
}

SUITE(http_accept, {"OpenMetrics", openmetrics}, {"weights", weights}, {"gzip", gzip},
      {"ETags", etags});
