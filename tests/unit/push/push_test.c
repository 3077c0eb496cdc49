// SPDX-License-Identifier: Apache-2.0
/*
 * The real client against tests/mock/pyroscope_stub.py. Most cases drive the client by hand with a
 * clock of their own that jumps over waits, so an hour's outage takes a second.
 */
#include "profiler/push/push.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/push/push_config.h"
#include "profiler/push/push_internal.h"
#include "tests/unit/push/stub.h"
#include "tests/unit/test.h"

static struct stub stub;
static struct parts parts;
static struct push *push;
static struct push_config config;
static char url[128], state_dir[256];
static __u64 fake_mono, fake_real;

static __u64 get_fake_mono(void *arg UNUSED)
{
	return fake_mono;
}

static __u64 get_fake_real(void *arg UNUSED)
{
	return fake_real;
}

static void advance(__u64 ns)
{
	fake_mono += ns;
	fake_real += ns;
}

/* A client by hand for a server at `port`; state in the folder `name`. */
static void open_client(const char *name, bool manual)
{
	static const struct push_label common[] = {{"host", "testhost"}};
	struct push_args args = {.config = &config, .state_dir = state_dir, .common = common,
				 .n_common = 1, .parts = &parts, .manual = manual};
	char error[512] = "";

	if (manual)
		args.clock = (struct push_clock){get_fake_mono, get_fake_real, NULL};
	fake_mono = 1000 * NS_PER_S;
	fake_real = clock_realtime_ns();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", stub.port);
	snprintf(state_dir, sizeof(state_dir), "%s/%s", test_dir(), name);
	if (!parts.lock.__data.__kind && !parts.n)
		parts_init(&parts);
	ASSERT_INT(push_open(&args, &push, error, sizeof(error)), 0);
	ASSERT_STR(error, "out of memory"); /* untouched but for what it begins with */
}

static void reset_config(void)
{
	config = (struct push_config){.url = url,
				      .tenant = "",
				      .user = "",
				      .password_file = "",
				      .token_file = "",
				      .ca_file = "",
				      .timeout_ns = 10 * NS_PER_S,
				      .concurrency = 4,
				      .queue_bytes = 16 << 20,
				      .spool_bytes = 256 << 20,
				      .spool_age_ns = 3600 * NS_PER_S};
}

/* Starts stub and client, or ends the case. */
#define BEGIN_WITH(name, ...)                                                                      \
	do {                                                                                       \
		setenv("no_proxy", "*", 1);                                                        \
		ASSERT_INT(log_set_level("push", "error"), 0);                                     \
		reset_config();                                                                    \
		if (!stub_start(&stub, 0, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})) \
			SKIP("no python3 for the stub server");                                    \
		open_client(name, true);                                                           \
	} while (0)

static void end(void)
{
	push_close(push, 0);
	push = NULL;
	stub_stop(&stub);
}

static unsigned name_bytes = 20;

static __u64 submit_at(const char *service, unsigned samples, __u64 time_ns)
{
	struct push_label labels[] = {{"service_name", service}};
	struct buf pprof = {0};
	size_t raw = make_pprof(samples, name_bytes, time_ns, &pprof);
	struct push_profile p = {.name = "process_cpu", .labels = labels, .n_labels = 1,
				 .pprof = pprof.data, .len = pprof.len, .raw_bytes = raw,
				 .time_ns = time_ns};
	int err = push_submit(push, &p);

	if (err && err != -ENOBUFS)
		ASSERT_INT(err, 0);
	buf_fini(&pprof);
	return raw;
}

static __u64 submit(const char *service, unsigned samples)
{
	static __u64 ms; /* each its own millisecond */

	return submit_at(service, samples, fake_real - 20 * NS_PER_S + ++ms * NS_PER_MS);
}

/* Let the client work until the clock is at `until`: it jumps when only time is waited for. */
static void run_until(__u64 until)
{
	for (;;) {
		__u64 next;

		push_step(push);
		next = push_next_ns(push);
		if (push->n_busy) {
			curl_multi_poll(push->multi, NULL, 0, 5, NULL);
			continue;
		}
		if (next <= fake_mono)
			continue;
		if (next >= until)
			break;
		advance(next - fake_mono);
	}
	if (fake_mono < until)
		advance(until - fake_mono);
}

static void run_for(__u64 ns)
{
	run_until(fake_mono + ns);
}

static __u64 dropped(enum push_reason why)
{
	return push_counted(&push->n.dropped[why]);
}

static __u64 all_dropped(void)
{
	__u64 n = 0;

	for (int i = 0; i < PUSH_N_REASONS; i++)
		n += dropped(i);
	return n;
}

static const char *state_text(void)
{
	static struct buf out;

	buf_reset(&out);
	parts_ready(&parts, true, &out);
	return out.data;
}

/* ---- cases ------------------------------------------------------------------------------- */

static void usual(void)
{
	BEGIN_WITH("usual");
	for (int i = 0; i < 12; i++)
		submit(i % 3 ? "postgres" : "nginx", 5);
	run_for(NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 12);
	ASSERT_STR(stub_violation(&stub), "");
	ASSERT_INT(stub_count(&stub, "requests"), 12);
	ASSERT_INT(stub_count(&stub, "series"), 2);
	CU_ASSERT(stub_count(&stub, "most_busy") <= 4);
	CU_ASSERT(stub_total(&stub) == 12 * 5 * 1000);
	ASSERT_STR(stub_header(&stub, "Content-Type"), "application/proto");
	ASSERT_STR(stub_header(&stub, "Connect-Protocol-Version"), "1");
	ASSERT_STR(stub_header(&stub, "Expect"), "");
	ASSERT_INT(push_counted(&push->n.sent), 12);
	ASSERT_INT(push->bytes, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "\"degraded\":[]"));
	end();
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
	{"{\"status\":429,\"headers\":{\"Retry-After\":\"3\"}}", 2, true, 0},
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
	{"{\"reset\":\"before\",\"times\":2}", 3, true, 0},
	{"{\"hang\":2,\"times\":1}", 2, true, 0},
	{"{\"slow\":0.1}", 1, true, 0},
	{"{\"reset\":\"answer\"}", 1, true, 0},
};

static void every_fault(void)
{
	BEGIN_WITH("faults");
	push_close(push, 0);
	config.timeout_ns = NS_PER_S / 2;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		char list[512], name[32];

		snprintf(name, sizeof(name), "fault%zu", i);
		open_client(name, true);
		snprintf(list, sizeof(list), "[%s]", faults[i].fault);
		stub_control(&stub, "faults", list);
		submit("one", 3);
		run_for(300 * NS_PER_S);
		if (stub_count(&stub, "requests") != (long)faults[i].requests ||
		    all_dropped() != !faults[i].arrives)
			printf("  %s\n", faults[i].fault);
		ASSERT_INT(stub_count(&stub, "requests"), faults[i].requests);
		ASSERT_INT(stub_count(&stub, "profiles"), faults[i].arrives);
		ASSERT_INT(all_dropped(), !faults[i].arrives);
		if (!faults[i].arrives)
			ASSERT_INT(dropped(faults[i].reason), 1);
		/* And life goes on. */
		submit("two", 3);
		run_for(300 * NS_PER_S);
		ASSERT_INT(stub_count(&stub, "profiles"), faults[i].arrives + 1);
		ASSERT_INT(stub_count(&stub, "duplicates"), 0);
		ASSERT_STR(stub_violation(&stub), "");
		CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "\"degraded\":[]"));
		ASSERT_INT(push->bytes, 0);
		push_close(push, 0);
		stub_control(&stub, "reset", "");
	}
	stub_stop(&stub);
}

/* Stored, but the answer was lost: the one case that may count double, and it is told. */
static void uncertain(void)
{
	BEGIN_WITH("uncertain");
	stub_control(&stub, "faults", "[{\"reset\":\"after\"}]");
	submit("one", 3);
	run_for(60 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 2);
	ASSERT_INT(stub_count(&stub, "duplicates"), 1);
	ASSERT_INT(push_counted(&push->n.uncertain_resends), 1);
	stub_control(&stub, "faults", "[{\"reset\":\"after\",\"times\":9}]");
	submit("two", 3);
	run_for(600 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "requests"), 5); /* three at most for one profile */
	ASSERT_INT(dropped(PUSH_REASON_BROKEN), 1);
	end();
}

static void rate_limit(void)
{
	BEGIN_WITH("rate");
	stub_control(&stub, "limits", "{\"rate\":400000,\"burst\":300000}");
	for (int i = 0; i < 8; i++)
		submit("one", 1000); /* 170 kB before compression */
	/* The stub's bucket fills by real time: so does this case's clock. */
	for (int i = 0; i < 1500 && stub_count(&stub, "profiles") < 8; i++) {
		run_until(fake_mono + 1);
		usleep(10000);
		advance(10 * NS_PER_MS);
	}
	ASSERT_INT(stub_count(&stub, "profiles"), 8);
	CU_ASSERT(stub_status(&stub, 429) > 0);
	ASSERT_INT(stub_count(&stub, "duplicates"), 0);
	ASSERT_INT(all_dropped(), 0);
	CU_ASSERT(stub_total(&stub) == 8 * 1000 * 1000);
	end();
}

/* Larger than the burst: no waiting helps, halves do; the next one is halved unasked. */
static void burst(void)
{
	__u64 raw;
	long refused;

	BEGIN_WITH("burst");
	name_bytes = 300;
	raw = submit("one", 2500);
	CU_ASSERT(raw > 2200000 && raw < 4000000);
	stub_control(&stub, "limits", "{\"rate\":100000000}");
	run_for(600 * NS_PER_S);
	refused = stub_status(&stub, 429);
	CU_ASSERT(refused >= 1);
	CU_ASSERT(stub_total(&stub) == 2500 * 1000LL);
	ASSERT_STR(stub_violation(&stub), "");
	ASSERT_INT(push_counted(&push->n.splits), stub_count(&stub, "profiles") - 1);
	submit("one", 2500);
	run_for(600 * NS_PER_S);
	ASSERT_INT(stub_status(&stub, 429), refused);
	CU_ASSERT(stub_total(&stub) == 5000 * 1000LL);
	ASSERT_INT(all_dropped(), 0);
	name_bytes = 20;
	end();
}

/* A burst smaller than the default shows only in that waiting does not help. */
static void small_burst(void)
{
	BEGIN_WITH("small_burst");
	stub_control(&stub, "limits", "{\"rate\":50000000,\"burst\":60000}");
	submit("one", 1000);
	for (int i = 0; i < 100 && push->bytes; i++) {
		run_for(10 * NS_PER_S);
		usleep(5000); /* the bucket fills */
	}
	CU_ASSERT(stub_total(&stub) == 1000 * 1000LL);
	CU_ASSERT(push_counted(&push->n.splits) >= 1);
	ASSERT_INT(all_dropped(), 0);
	end();
}

static void too_many_samples(void)
{
	BEGIN_WITH("samples");
	stub_control(&stub, "limits", "{\"samples\":300}");
	submit("one", 1000);
	run_for(60 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 4);
	CU_ASSERT(stub_total(&stub) == 1000 * 1000LL);
	ASSERT_STR(stub_violation(&stub), "");
	submit("one", 200); /* smaller ones are not touched */
	run_for(60 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 5);
	end();
}

/* A proxy that takes small bodies only. */
static void proxy_413(void)
{
	long refused;

	BEGIN_WITH("proxy");
	stub_control(&stub, "limits", "{\"proxy_body\":20000}");
	submit("one", 3000);
	run_for(600 * NS_PER_S);
	CU_ASSERT(stub_total(&stub) == 3000 * 1000LL);
	refused = stub_status(&stub, 413);
	CU_ASSERT(refused >= 1);
	CU_ASSERT(push_refused_bytes(push) > 20000);
	submit("one", 3000);
	run_for(600 * NS_PER_S);
	CU_ASSERT(stub_total(&stub) == 6000 * 1000LL);
	CU_ASSERT(stub_status(&stub, 413) - refused <= 1);
	ASSERT_STR(stub_violation(&stub), "");
	/* One sample alone cannot be halved. */
	stub_control(&stub, "limits", "{\"proxy_body\":100}");
	submit("two", 1);
	run_for(60 * NS_PER_S);
	ASSERT_INT(dropped(PUSH_REASON_TOO_LARGE), 1);
	ASSERT_INT(push->bytes, 0);
	end();
}

static void series_limit(void)
{
	BEGIN_WITH("series");
	stub_control(&stub, "limits", "{\"series\":2}");
	submit("one", 3);
	submit("two", 3);
	run_for(NS_PER_S);
	submit("three", 3);
	run_for(NS_PER_S);
	ASSERT_INT(dropped(PUSH_REASON_SERIES_LIMIT), 1);
	ASSERT_INT(stub_status(&stub, 429), 1);
	for (int i = 0; i < 5; i++) {
		submit("one", 3);
		submit("two", 3);
		submit("four", 3);
	}
	run_for(NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 12);
	ASSERT_INT(stub_status(&stub, 429), 1); /* not asked again for new ones */
	ASSERT_INT(dropped(PUSH_REASON_SERIES_LIMIT), 6);
	/* After a while one is tried again. */
	run_for(700 * NS_PER_S);
	fake_real = clock_realtime_ns();
	stub_control(&stub, "limits", "{\"series\":9}");
	submit("four", 3);
	run_for(NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 13);
	end();
}

static void quota(void)
{
	char limits[128];
	time_t reset;

	BEGIN_WITH("quota");
	reset = (time_t)(fake_real / NS_PER_S) + 90;
	strftime(limits, sizeof(limits), "{\"quota_reset\":\"%Y-%m-%dT%H:%M:%SZ\"}", gmtime(&reset));
	stub_control(&stub, "limits", limits);
	submit("one", 3);
	run_for(80 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "requests"), 1);
	stub_control(&stub, "limits", "{\"quota_reset\":\"\"}");
	run_for(60 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 1);
	ASSERT_INT(all_dropped(), 0);
	end();
}

static void auth(void)
{
	char path[256], error[512];

	snprintf(path, sizeof(path), "%s/password", test_dir());
	ASSERT_INT(fs_replace(path, "wrong", 5), 0);
	BEGIN_WITH("auth", "--basic", "user:p4ss", "--multitenant");
	config.user = "user";
	config.password_file = path;
	config.tenant = "team-a";
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), 0);
	submit("one", 3);
	submit("two", 3);
	run_for(10 * NS_PER_S);
	ASSERT_INT(stub_status(&stub, 401), 1);
	ASSERT_INT(dropped(PUSH_REASON_UNAUTHENTICATED), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "refuses profiles (unauthenticated"));
	ASSERT_INT(push->spool_stats.records, 1); /* the other one waits */
	run_for(300 * NS_PER_S);
	CU_ASSERT(stub_status(&stub, 401) <= 8); /* rarely */
	/* A new password is tried at once. */
	submit("three", 3);
	run_for(NS_PER_S);
	ASSERT_INT(fs_replace(path, "p4ss\n", 5), 0);
	usleep(1100000);
	submit("four", 3);
	run_for(NS_PER_S);
	CU_ASSERT(stub_count(&stub, "profiles") >= 1);
	ASSERT_STR(stub_header(&stub, "X-Scope-OrgID"), "team-a");
	ASSERT_STR(stub_header(&stub, "Authorization"), "Basic dXNlcjpwNHNz");
	CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "\"degraded\":[]"));
	config.password_file = "/nonexistent";
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), -ENOENT);
	end();
	/* Bearer. */
	BEGIN_WITH("bearer", "--bearer", "t0ken");
	ASSERT_INT(fs_replace(path, "t0ken", 5), 0);
	config.token_file = path;
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), 0);
	submit("one", 3);
	run_for(NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 1);
	end();
}

/* An hour and a half without a server, two profiles each 15 s; then it is back. What is younger
 * than an hour arrives, once; what is older is counted; memory and disk stay bounded. */
static void long_outage(void)
{
	unsigned port, submitted = 0;
	__u64 begin;

	BEGIN_WITH("outage");
	port = stub.port;
	stub_stop(&stub);
	fake_real -= 5460 * NS_PER_S; /* ends at about the stub's now */
	begin = fake_mono;
	while (fake_mono < begin + 5400 * NS_PER_S) {
		for (int i = 0; i < 2; i++) {
			char service[16];

			snprintf(service, sizeof(service), "s%d", i);
			submit_at(service, 10, fake_real);
			submitted++;
		}
		run_for(15 * NS_PER_S);
		CU_ASSERT(push->bytes < 1 << 20);
	}
	ASSERT_INT(submitted, 720);
	CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "no profiles reach"));
	/* One try a minute and a half at most, so the answers counted are few. */
	CU_ASSERT(push_counted(&push->n.answers[PUSH_REASON_CONNECT]) < 250);
	CU_ASSERT_FATAL(stub_start(&stub, port, NULL));
	run_for(120 * NS_PER_S);
	CU_ASSERT(stub_count(&stub, "profiles") >= 470);
	ASSERT_INT(stub_count(&stub, "profiles") + dropped(PUSH_REASON_TOO_OLD), submitted);
	ASSERT_INT(stub_count(&stub, "duplicates"), 0);
	ASSERT_STR(stub_violation(&stub), "");
	ASSERT_INT(push->bytes, 0);
	ASSERT_INT(push->spool_stats.records, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "\"degraded\":[]"));
	end();
}

/* Neither server nor spool: the newest stay, within the bound, and nobody waits. */
static void nowhere_to_go(void)
{
	BEGIN_WITH("nowhere");
	push_close(push, 0);
	stub_stop(&stub);
	config.spool_bytes = 0;
	config.queue_bytes = 4 << 20;
	open_client("nowhere", true);
	for (int i = 0; i < 1000; i++) {
		submit("one", 500);
		CU_ASSERT(push->bytes <= 4 << 20);
		if (i % 10 == 0)
			run_for(NS_PER_S);
	}
	CU_ASSERT(push->bytes > 3 << 20);
	CU_ASSERT(dropped(PUSH_REASON_QUEUE_FULL) > 500);
	push_close(push, 0);
}

/* The disk refuses: counted, and memory is used as long as it lasts. */
static void full_disk(void)
{
	struct rlimit before, low;

	BEGIN_WITH("disk");
	signal(SIGXFSZ, SIG_IGN);
	stub_control(&stub, "faults", "[{\"status\":503,\"times\":-1}]");
	CU_ASSERT(getrlimit(RLIMIT_FSIZE, &before) == 0);
	low = (struct rlimit){.rlim_cur = 20000, .rlim_max = before.rlim_max};
	CU_ASSERT(setrlimit(RLIMIT_FSIZE, &low) == 0);
	for (int i = 0; i < 40; i++) {
		submit("one", 100);
		run_for(NS_PER_S);
	}
	CU_ASSERT(setrlimit(RLIMIT_FSIZE, &before) == 0);
	CU_ASSERT(push_counted(&push->n.spool_errors) > 0);
	CU_ASSERT(push->bytes > 0);
	stub_control(&stub, "faults", "[]");
	run_for(120 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 40);
	ASSERT_INT(stub_count(&stub, "duplicates"), 0);
	ASSERT_INT(all_dropped(), 0);
	end();
}

static void restart(void)
{
	BEGIN_WITH("restart");
	stub_control(&stub, "faults", "[{\"status\":503,\"times\":-1}]");
	for (int i = 0; i < 5; i++)
		submit("one", 10);
	run_for(2 * NS_PER_S);
	submit("one", 10); /* still in memory */
	push_close(push, 0);
	stub_control(&stub, "faults", "[]");
	open_client("restart", true);
	run_for(120 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 6);
	ASSERT_INT(stub_count(&stub, "duplicates"), 0);
	end();
}

/* A client with a backlog is killed again and again while it sends: each life may repeat one. */
static void killed(void)
{
	enum { LIVES = 8 };

	BEGIN_WITH("killed");
	stub_control(&stub, "faults", "[{\"status\":503,\"times\":-1}]");
	for (int i = 0; i < 300; i++)
		submit("one", 10);
	run_for(2 * NS_PER_S);
	push_close(push, 0);
	stub_control(&stub, "faults", "[]");
	for (int life = 0; life < LIVES; life++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(30);
			open_client("killed", false); /* with its thread and the real clock */
			for (;;)
				pause();
		}
		usleep((useconds_t)(60000 + life * 7000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	open_client("killed", true);
	run_for(120 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles") - stub_count(&stub, "duplicates"), 300);
	CU_ASSERT(stub_count(&stub, "duplicates") <= LIVES);
	CU_ASSERT(push_counted(&push->n.sent) < 300); /* the lives did send something */
	end();
}

/* ---- with its thread --------------------------------------------------------------------- */

static atomic_bool submitting;

static void *submit_many(void *arg)
{
	for (int i = 0; i < 50; i++)
		submit_at(arg, 20, clock_realtime_ns() - (__u64)(i + 1) * 10 * NS_PER_MS);
	return NULL;
}

static void *scrape(void *arg UNUSED)
{
	while (atomic_load(&submitting)) {
		struct metric_out out;
		struct buf dst = {0};

		metric_out_init(&out, METRIC_TEXT, 1 << 20);
		parts_metrics(&parts, &out);
		metric_out_finish(&out, &dst);
		metric_out_fini(&out);
		buf_fini(&dst);
		usleep(1000);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t submitters[2], scraper;
	char error[512];

	BEGIN_WITH("threads");
	push_close(push, 0);
	open_client("threads", false);
	stub_control(&stub, "faults", "[{\"status\":503,\"times\":3}]");
	atomic_store(&submitting, true);
	pthread_create(&scraper, NULL, scrape, NULL);
	pthread_create(&submitters[0], NULL, submit_many, (void *)(uintptr_t) "a");
	pthread_create(&submitters[1], NULL, submit_many, (void *)(uintptr_t) "b");
	pthread_join(submitters[0], NULL);
	pthread_join(submitters[1], NULL);
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), 0);
	for (int i = 0; i < 1500 && stub_count(&stub, "profiles") < 100; i++)
		usleep(10000);
	atomic_store(&submitting, false);
	pthread_join(scraper, NULL);
	ASSERT_INT(stub_count(&stub, "profiles"), 100);
	ASSERT_INT(stub_count(&stub, "duplicates"), 0);
	push_close(push, NS_PER_S);
	stub_stop(&stub);
}

/* Closing sends what waits; with a server that hangs it takes no longer than it may. */
static void closing(void)
{
	__u64 start, took;

	BEGIN_WITH("closing");
	push_close(push, 0);
	open_client("closing", false);
	for (int i = 0; i < 10; i++)
		submit("one", 20);
	push_close(push, 5 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 10);
	stub_control(&stub, "faults", "[{\"hang\":30,\"times\":-1}]");
	open_client("closing", false);
	for (int i = 0; i < 10; i++)
		submit("one", 20);
	usleep(200000);
	start = clock_monotonic_ns();
	push_close(push, NS_PER_S / 2);
	took = clock_monotonic_ns() - start;
	CU_ASSERT(took < 2 * NS_PER_S);
	stub_control(&stub, "faults", "[]");
	open_client("closing", true);
	run_for(60 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 20);
	end();
}

static void switched_on_later(void)
{
	char error[512];

	setenv("no_proxy", "*", 1);
	reset_config();
	if (!stub_start(&stub, 0, NULL))
		SKIP("no python3 for the stub server");
	config.url = "";
	open_client("later", false);
	submit("one", 3);
	CU_ASSERT(!push->running);
	config.url = url;
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), 0);
	submit("two", 3);
	push_close(push, 5 * NS_PER_S);
	ASSERT_INT(stub_count(&stub, "profiles"), 1);
	stub_stop(&stub);
}

/* ---- TLS --------------------------------------------------------------------------------- */

static bool make_certificate(const char *name)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "cd '%s' && openssl req -x509 -newkey rsa:2048 -nodes -keyout %s.key -out %s.crt "
		 "-days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null",
		 test_dir(), name, name);
	return !system(command);
}

static void tls(void)
{
	char cert[256], key[256], other[256], secure[128], error[512];

	if (!make_certificate("server") || !make_certificate("other"))
		SKIP("no openssl to make a certificate");
	snprintf(cert, sizeof(cert), "%s/server.crt", test_dir());
	snprintf(key, sizeof(key), "%s/server.key", test_dir());
	snprintf(other, sizeof(other), "%s/other.crt", test_dir());
	setenv("no_proxy", "*", 1);
	ASSERT_INT(log_set_level("push", "error"), 0);
	reset_config();
	if (!stub_start(&stub, 0, (const char *const[]){"--tls", cert, key, NULL}))
		SKIP("no python3 for the stub server");
	open_client("tls", true);
	snprintf(secure, sizeof(secure), "https://127.0.0.1:%u/", stub.port);
	config.url = secure;
	config.ca_file = other;
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), 0);
	submit("one", 3);
	run_for(30 * NS_PER_S);
	CU_ASSERT_PTR_NOT_NULL(strstr(state_text(), "refuses profiles (tls"));
	ASSERT_INT(all_dropped(), 0);
	config.ca_file = cert; /* the profile waited for this */
	ASSERT_INT(push_reload(push, &config, error, sizeof(error)), 0);
	run_for(30 * NS_PER_S);
	ASSERT_INT(push_counted(&push->n.sent), 1);
	end();
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
	      {"series limit", series_limit}, {"quota", quota}, {"auth", auth},
	      {"long outage", long_outage}, {"nowhere to go", nowhere_to_go},
	      {"full disk", full_disk}, {"restart", restart}, {"killed", killed},
	      {"threads", threads}, {"closing", closing}, {"switched on later", switched_on_later},
	      {"TLS", tls}, {"stub's self-test", stub_selftest});
