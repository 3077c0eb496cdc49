// SPDX-License-Identifier: Apache-2.0
/* What the client makes of every answer that the server, or a proxy before it, can give. */
#include "profiler/push/push.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "tests/unit/push/client.h"

static void usual(void)
{
	CLIENT_BEGIN("usual");
	for (int i = 0; i < 12; i++)
		client_submit(i % 3 ? "postgres" : "nginx", 5);
	client_run(NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 12);
	ASSERT_STR(stub_violation(&t.stub), "");
	ASSERT_INT(stub_count(&t.stub, "requests"), 12);
	ASSERT_INT(stub_count(&t.stub, "series"), 2);
	CU_ASSERT(stub_count(&t.stub, "most_busy") <= 4);
	CU_ASSERT(stub_total(&t.stub) == 12 * 5 * 1000);
	ASSERT_STR(stub_header(&t.stub, "Content-Type"), "application/proto");
	ASSERT_STR(stub_header(&t.stub, "Connect-Protocol-Version"), "1");
	ASSERT_STR(stub_header(&t.stub, "Expect"), "");
	ASSERT_INT(push_counted(&t.push->n.sent), 12);
	ASSERT_INT(t.push->bytes, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "\"degraded\":[]"));
	client_end();
}

/* One fault for one profile: how many requests it makes, what becomes of it, and the next one. */
static const struct {
	const char *fault;
	unsigned requests; /* for the profile, the good ones included */
	bool arrives;
	enum push_reason reason; /* when it does not */
} faults[] = {
	{"{\"status\":400,\"body\":\"{\\\"code\\\":\\\"invalid_argument\\\"}\"}", 1, false,
	 PUSH_REASON_BAD_REQUEST},
	{"{\"status\":400,\"body\":\"<html>\"}", 1, false, PUSH_REASON_BAD_REQUEST},
	{"{\"status\":400,\"gzip\":true,\"body\":\"{\\\"code\\\":\\\"invalid_argument\\\","
	 "\\\"message\\\":\\\"x is outside of ingestion window\\\"}\"}",
	 1, false, PUSH_REASON_TOO_OLD},
	{"{\"status\":401,\"body\":\"{\\\"code\\\":\\\"unauthenticated\\\"}\"}", 1, false,
	 PUSH_REASON_UNAUTHENTICATED},
	{"{\"status\":403}", 1, false, PUSH_REASON_PERMISSION},
	{"{\"status\":404,\"body\":\"404 page not found\"}", 1, false, PUSH_REASON_NOT_FOUND},
	{"{\"status\":405}", 1, false, PUSH_REASON_NOT_FOUND},
	{"{\"status\":415}", 1, false, PUSH_REASON_NOT_FOUND},
	{"{\"status\":301,\"headers\":{\"Location\":\"http://127.0.0.1:1/\"}}", 1, false,
	 PUSH_REASON_REDIRECT},
	{"{\"status\":204}", 1, false, PUSH_REASON_UNEXPECTED},
	{"{\"status\":400,\"body\":\"{\\\"code\\\":\\\"out_of_range\\\"}\"}", 1, false,
	 PUSH_REASON_BAD_REQUEST},
	{"{\"status\":407}", 1, false, PUSH_REASON_UNAUTHENTICATED},
	{"{\"status\":409,\"body\":\"{\\\"code\\\":\\\"already_exists\\\"}\"}", 1, false,
	 PUSH_REASON_CONFLICT},
	{"{\"status\":409,\"body\":\"{\\\"code\\\":\\\"aborted\\\"}\",\"times\":2}", 3, true, 0},
	{"{\"status\":501,\"body\":\"{\\\"code\\\":\\\"unimplemented\\\"}\"}", 1, false,
	 PUSH_REASON_NOT_FOUND},
	{"{\"status\":502,\"times\":2,\"body\":\"<html>\"}", 3, true, 0},
	{"{\"status\":429,\"headers\":{\"Retry-After\":\"3\"}}", 2, true, 0},
	{"{\"status\":429,\"headers\":{\"Retry-After\":\"5\"},\"body\":\"{\\\"code\\\":"
	 "\\\"resource_exhausted\\\",\\\"message\\\":\\\"push rate limit (4.0 MiB) exceeded while "
	 "adding 1.0 MiB\\\"}\"}",
	 2, true, 0},
	{"{\"status\":429,\"times\":5}", 6, true, 0},
	{"{\"status\":429,\"body\":\"{\\\"code\\\":\\\"resource_exhausted\\\",\\\"message\\\":"
	 "\\\"push rate limit (1.0 MiB) exceeded while adding 1.0 MiB\\\"}\",\"times\":2}",
	 3, true, 0},
	{"{\"status\":500,\"body\":\"{\\\"code\\\":\\\"unknown\\\"}\",\"times\":2}", 3, true, 0},
	{"{\"status\":500,\"times\":3}", 3, false, PUSH_REASON_INTERNAL},
	{"{\"status\":503,\"times\":7}", 8, true, 0},
	{"{\"status\":503,\"headers\":{\"Retry-After\":\"120\"}}", 2, true, 0},
	{"{\"status\":504,\"times\":2}", 3, true, 0},
	{"{\"status\":504,\"times\":3}", 3, false, PUSH_REASON_TIMEOUT},
	{"{\"status\":503,\"gzip\":true,\"body\":\"{\\\"code\\\":\\\"unavailable\\\"}\"}", 2, true,
	 0},
	{"{\"status\":503,\"headers\":{\"Content-Encoding\":\"gzip\"},\"body\":\"not gzip\"}", 2,
	 true, 0},
	{"{\"reset\":\"before\",\"times\":2}", 3, true, 0},
	{"{\"reset\":\"upload\",\"times\":2}", 3, true, 0},
	{"{\"hang\":2,\"times\":1}", 2, true, 0},
	{"{\"slow\":0.1}", 1, true, 0},
	{"{\"reset\":\"answer\"}", 1, true, 0},
};

static void every_fault(void)
{
	CLIENT_BEGIN("faults");
	push_close(t.push, 0);
	t.config.timeout_ns = NS_PER_S / 2;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		char list[512], name[32];

		snprintf(name, sizeof(name), "fault%zu", i);
		client_open(name, true);
		snprintf(list, sizeof(list), "[%s]", faults[i].fault);
		stub_control(&t.stub, "faults", list);
		client_submit("one", 3);
		client_run(300 * NS_PER_S);
		if (stub_count(&t.stub, "requests") != (long)faults[i].requests ||
		    client_all_dropped() != !faults[i].arrives)
			printf("  %s\n", faults[i].fault);
		ASSERT_INT(stub_count(&t.stub, "requests"), faults[i].requests);
		ASSERT_INT(stub_count(&t.stub, "profiles"), faults[i].arrives);
		ASSERT_INT(client_all_dropped(), !faults[i].arrives);
		if (!faults[i].arrives)
			ASSERT_INT(client_dropped(faults[i].reason), 1);
		/* And life goes on. */
		client_submit("two", 3);
		client_run(300 * NS_PER_S);
		ASSERT_INT(stub_count(&t.stub, "profiles"), faults[i].arrives + 1);
		ASSERT_INT(stub_count(&t.stub, "duplicates"), 0);
		ASSERT_STR(stub_violation(&t.stub), "");
		CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "\"degraded\":[]"));
		ASSERT_INT(t.push->bytes, 0);
		push_close(t.push, 0);
		stub_control(&t.stub, "reset", "");
	}
	stub_stop(&t.stub);
}

/* Stored, but the answer was lost: the one case that may count double, and it is told. */
static void uncertain(void)
{
	CLIENT_BEGIN("uncertain");
	stub_control(&t.stub, "faults", "[{\"reset\":\"after\"}]");
	client_submit("one", 3);
	client_run(60 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 2);
	ASSERT_INT(stub_count(&t.stub, "duplicates"), 1);
	ASSERT_INT(push_counted(&t.push->n.uncertain_resends), 1);
	stub_control(&t.stub, "faults", "[{\"reset\":\"after\",\"times\":9}]");
	client_submit("two", 3);
	client_run(600 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "requests"), 5); /* three at most for one profile */
	ASSERT_INT(client_dropped(PUSH_REASON_BROKEN), 1);
	client_end();
}

static void rate_limit(void)
{
	CLIENT_BEGIN("rate");
	stub_control(&t.stub, "limits", "{\"rate\":1,\"burst\":300000}");
	for (int i = 0; i < 8; i++)
		client_submit("one", 1000); /* 170 kB before compression */
	client_run_until(t.mono_ns + 1);
	CU_ASSERT(stub_status(&t.stub, 429) > 0);
	stub_control(&t.stub, "limits", "{\"rate\":400000}");
	client_advance(61 * NS_PER_S); /* what the first rate made it wait for */
	/* The stub's bucket fills by real time: so does this case's clock. */
	for (int i = 0; i < 1500 && stub_count(&t.stub, "profiles") < 8; i++) {
		client_run_until(t.mono_ns + 1);
		usleep(10000);
		client_advance(10 * NS_PER_MS);
	}
	ASSERT_INT(stub_count(&t.stub, "profiles"), 8);
	ASSERT_INT(stub_count(&t.stub, "duplicates"), 0);
	ASSERT_INT(client_all_dropped(), 0);
	CU_ASSERT(stub_total(&t.stub) == 8 * 1000 * 1000);
	client_end();
}

/* Larger than the burst: no waiting helps, halves do; the next one is halved unasked. */
static void burst(void)
{
	__u64 raw;
	long refused;

	CLIENT_BEGIN("burst");
	t.name_bytes = 300;
	raw = client_submit("one", 2500);
	CU_ASSERT(raw > 2200000 && raw < 4000000);
	stub_control(&t.stub, "limits", "{\"rate\":100000000}");
	client_run(600 * NS_PER_S);
	refused = stub_status(&t.stub, 429);
	CU_ASSERT(refused >= 1);
	CU_ASSERT(stub_total(&t.stub) == 2500 * 1000LL);
	ASSERT_STR(stub_violation(&t.stub), "");
	ASSERT_INT(push_counted(&t.push->n.splits), stub_count(&t.stub, "profiles") - 1);
	client_submit("one", 2500);
	client_run(600 * NS_PER_S);
	ASSERT_INT(stub_status(&t.stub, 429), refused);
	CU_ASSERT(stub_total(&t.stub) == 5000 * 1000LL);
	ASSERT_INT(client_all_dropped(), 0);
	t.name_bytes = 20;
	client_end();
}

/* A burst smaller than the default shows only in that waiting does not help. */
static void small_burst(void)
{
	CLIENT_BEGIN("small_burst");
	stub_control(&t.stub, "limits", "{\"rate\":50000000,\"burst\":60000}");
	client_submit("one", 1000);
	for (int i = 0; i < 100 && t.push->bytes; i++) {
		client_run(10 * NS_PER_S);
		usleep(5000); /* the bucket fills */
	}
	CU_ASSERT(stub_total(&t.stub) == 1000 * 1000LL);
	CU_ASSERT(push_counted(&t.push->n.splits) >= 1);
	ASSERT_INT(client_all_dropped(), 0);
	client_end();
}

static void too_many_samples(void)
{
	CLIENT_BEGIN("samples");
	stub_control(&t.stub, "limits", "{\"samples\":300}");
	client_submit("one", 1000);
	client_run(60 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 4);
	CU_ASSERT(stub_total(&t.stub) == 1000 * 1000LL);
	ASSERT_STR(stub_violation(&t.stub), "");
	client_submit("one", 200); /* smaller ones are not touched */
	client_run(60 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 5);
	client_end();
}

/* A proxy that takes small bodies only. */
static void proxy_413(void)
{
	long refused;

	CLIENT_BEGIN("proxy");
	stub_control(&t.stub, "limits", "{\"proxy_body\":20000}");
	client_submit("one", 3000);
	client_run(600 * NS_PER_S);
	CU_ASSERT(stub_total(&t.stub) == 3000 * 1000LL);
	refused = stub_status(&t.stub, 413);
	CU_ASSERT(refused >= 1);
	CU_ASSERT(push_refused_bytes(t.push) > 20000);
	client_submit("one", 3000);
	client_run(600 * NS_PER_S);
	CU_ASSERT(stub_total(&t.stub) == 6000 * 1000LL);
	CU_ASSERT(stub_status(&t.stub, 413) - refused <= 1);
	ASSERT_STR(stub_violation(&t.stub), "");
	/* One sample alone cannot be halved. */
	stub_control(&t.stub, "limits", "{\"proxy_body\":100}");
	client_submit("two", 1);
	client_run(60 * NS_PER_S);
	ASSERT_INT(client_dropped(PUSH_REASON_TOO_LARGE), 1);
	ASSERT_INT(t.push->bytes, 0);
	client_end();
}

static void series_limit(void)
{
	CLIENT_BEGIN("series");
	stub_control(&t.stub, "limits", "{\"series\":2}");
	client_submit("one", 3);
	client_submit("two", 3);
	client_run(NS_PER_S);
	client_submit("three", 3);
	client_run(NS_PER_S);
	ASSERT_INT(client_dropped(PUSH_REASON_SERIES_LIMIT), 1);
	ASSERT_INT(stub_status(&t.stub, 429), 1);
	for (int i = 0; i < 5; i++) {
		client_submit("one", 3);
		client_submit("two", 3);
		client_submit("four", 3);
	}
	client_run(NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 12);
	ASSERT_INT(stub_status(&t.stub, 429), 1); /* not asked again for new ones */
	ASSERT_INT(client_dropped(PUSH_REASON_SERIES_LIMIT), 6);
	/* After a while one is tried again. */
	client_run(700 * NS_PER_S);
	t.real_ns = clock_realtime_ns();
	stub_control(&t.stub, "limits", "{\"series\":9}");
	client_submit("four", 3);
	client_run(NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 13);
	client_end();
}

static void quota(void)
{
	char limits[128];
	time_t reset;

	CLIENT_BEGIN("quota");
	reset = (time_t)(t.real_ns / NS_PER_S) + 90;
	strftime(limits, sizeof(limits), "{\"quota_reset\":\"%Y-%m-%dT%H:%M:%SZ\"}",
		 gmtime(&reset));
	stub_control(&t.stub, "limits", limits);
	client_submit("one", 3);
	client_run(80 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "requests"), 1);
	stub_control(&t.stub, "limits", "{\"quota_reset\":\"\"}");
	client_run(60 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 1);
	ASSERT_INT(client_all_dropped(), 0);
	client_end();
}

/* Several tenants on the server, and none given. */
static void no_tenant(void)
{
	CLIENT_BEGIN("tenant", "--multitenant");
	client_submit("one", 3);
	client_run(NS_PER_S);
	ASSERT_INT(stub_status(&t.stub, 401), 1);
	ASSERT_INT(client_dropped(PUSH_REASON_UNAUTHENTICATED), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "no org id"));
	client_end();
}

/* The server's own limit of a body (429) and of a profile (400): both only pass in pieces. */
static void own_limits(void)
{
	static const struct {
		const char *limits;
		unsigned status;
	} rows[] = {{"{\"body\":20000}", 429}, {"{\"profile_bytes\":100000}", 400}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLIENT_BEGIN(i ? "profile_bytes" : "body");
		stub_control(&t.stub, "limits", rows[i].limits);
		client_submit("one", 3000);
		client_run(600 * NS_PER_S);
		CU_ASSERT(stub_total(&t.stub) == 3000 * 1000LL);
		CU_ASSERT(stub_status(&t.stub, rows[i].status) >= 1);
		ASSERT_INT(client_all_dropped(), 0);
		ASSERT_STR(stub_violation(&t.stub), "");
		client_end();
	}
}

/* What is too old is not even sent. */
static void too_old(void)
{
	CLIENT_BEGIN("old");
	client_submit_at("one", 3, t.real_ns - 3601 * NS_PER_S);
	client_submit_at("one", 3, t.real_ns - 3500 * NS_PER_S);
	client_run(NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "requests"), 1);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 1);
	ASSERT_INT(client_dropped(PUSH_REASON_TOO_OLD), 1);
	client_end();
}

/* An answer without end is cut off; its status counts all the same. */
static void endless_answer(void)
{
	CLIENT_BEGIN("endless");
	stub_control(&t.stub, "faults", "[{\"endless\":503}]");
	client_submit("one", 3);
	client_run(60 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "requests"), 2);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 1);
	CU_ASSERT(t.push->slots[0].answer.cap < 1 << 20);
	client_end();
}

/* The stub itself finds what it is there to find. */
static void stub_selftest(void)
{
	int status = system("PYTHONDONTWRITEBYTECODE=1 python3 tests/mock/pyroscope_stub_test.py");

	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		SKIP("no python3 for the stub server");
	ASSERT_INT(status, 0);
}

SUITE_TIMEOUT(push, 300, {"usual", usual}, {"every fault", every_fault}, {"uncertain", uncertain},
	      {"rate limit", rate_limit}, {"burst", burst}, {"small burst", small_burst},
	      {"too many samples", too_many_samples}, {"proxy's 413", proxy_413},
	      {"series limit", series_limit}, {"quota", quota}, {"no tenant", no_tenant},
	      {"own limits", own_limits}, {"too old", too_old}, {"endless answer", endless_answer},
	      {"stub's self-test", stub_selftest});
