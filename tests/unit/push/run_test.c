// SPDX-License-Identifier: Apache-2.0
/* Outages, full disks, restarts, kills, and the thread itself. */
#include "profiler/push/push.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "tests/unit/push/client.h"

/* An hour and a half without a server, two profiles each 15 s; then it is back. What is younger
 * than an hour arrives, once; what is older is counted; memory and disk stay bounded. */
static void long_outage(void)
{
	unsigned port, submitted = 0;
	__u64 begin;

	CLIENT_BEGIN("outage");
	port = t.stub.port;
	stub_stop(&t.stub);
	t.real_ns -= 5460 * NS_PER_S; /* ends at about the stub's now */
	begin = t.mono_ns;
	while (t.mono_ns < begin + 5400 * NS_PER_S) {
		for (int i = 0; i < 2; i++) {
			char service[16];

			snprintf(service, sizeof(service), "s%d", i);
			client_submit_at(service, 10, t.real_ns);
			submitted++;
		}
		client_run(15 * NS_PER_S);
		CU_ASSERT(t.push->bytes < 1 << 20);
	}
	ASSERT_INT(submitted, 720);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "no profiles reach"));
	/* One try a minute and a half at most, so the answers counted are few. */
	CU_ASSERT(push_counted(&t.push->n.answers[PUSH_REASON_CONNECT]) < 250);
	CU_ASSERT_FATAL(stub_start(&t.stub, port, NULL));
	client_run(120 * NS_PER_S);
	CU_ASSERT(stub_count(&t.stub, "profiles") >= 470);
	ASSERT_INT(stub_count(&t.stub, "profiles") + client_dropped(PUSH_REASON_TOO_OLD),
		   submitted);
	ASSERT_INT(stub_count(&t.stub, "duplicates"), 0);
	ASSERT_STR(stub_violation(&t.stub), "");
	ASSERT_INT(t.push->bytes, 0);
	ASSERT_INT(t.push->spool_stats.records, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "\"degraded\":[]"));
	client_end();
}

/* Neither server nor spool: the newest stay, within the bound, and nobody waits. */
static void nowhere_to_go(void)
{
	CLIENT_BEGIN("nowhere");
	push_close(t.push, 0);
	stub_stop(&t.stub);
	t.config.spool_bytes = 0;
	t.config.queue_bytes = 4 << 20;
	client_open("nowhere", true);
	for (int i = 0; i < 1000; i++) {
		client_submit("one", 500);
		CU_ASSERT(t.push->bytes <= 4 << 20);
		if (i % 10 == 0)
			client_run(NS_PER_S);
	}
	CU_ASSERT(t.push->bytes > 3 << 20);
	CU_ASSERT(client_dropped(PUSH_REASON_QUEUE_FULL) > 500);
	push_close(t.push, 0);
}

/* The disk refuses: counted, and memory is used as long as it lasts. */
static void full_disk(void)
{
	struct rlimit before, low;

	CLIENT_BEGIN("disk");
	signal(SIGXFSZ, SIG_IGN);
	stub_control(&t.stub, "faults", "[{\"status\":503,\"times\":-1}]");
	CU_ASSERT(getrlimit(RLIMIT_FSIZE, &before) == 0);
	low = (struct rlimit){.rlim_cur = 20000, .rlim_max = before.rlim_max};
	CU_ASSERT(setrlimit(RLIMIT_FSIZE, &low) == 0);
	for (int i = 0; i < 40; i++) {
		client_submit("one", 100);
		client_run(NS_PER_S);
	}
	CU_ASSERT(setrlimit(RLIMIT_FSIZE, &before) == 0);
	CU_ASSERT(push_counted(&t.push->n.spool_errors) > 0);
	CU_ASSERT(t.push->bytes > 0);
	stub_control(&t.stub, "faults", "[]");
	client_run(120 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 40);
	ASSERT_INT(stub_count(&t.stub, "duplicates"), 0);
	ASSERT_INT(client_all_dropped(), 0);
	client_end();
}

static void restart(void)
{
	CLIENT_BEGIN("restart");
	stub_control(&t.stub, "faults", "[{\"status\":503,\"times\":-1}]");
	for (int i = 0; i < 5; i++)
		client_submit("one", 10);
	client_run(2 * NS_PER_S);
	client_submit("one", 10); /* still in memory */
	push_close(t.push, 0);
	stub_control(&t.stub, "faults", "[]");
	client_open("restart", true);
	client_run(120 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 6);
	ASSERT_INT(stub_count(&t.stub, "duplicates"), 0);
	client_end();
}

/* A client with a backlog is killed again and again while it sends: each life may repeat one. */
static void killed(void)
{
	enum { LIVES = 8 };

	CLIENT_BEGIN("killed");
	stub_control(&t.stub, "faults", "[{\"status\":503,\"times\":-1}]");
	for (int i = 0; i < 300; i++)
		client_submit("one", 10);
	client_run(2 * NS_PER_S);
	push_close(t.push, 0);
	stub_control(&t.stub, "faults", "[]");
	for (int life = 0; life < LIVES; life++) {
		long have = stub_count(&t.stub, "profiles");
		pid_t pid = fork();

		if (pid == 0) {
			alarm(30);
			client_open("killed", false); /* with its thread and the real clock */
			for (;;)
				pause();
		}
		/* Once it has sent something, at a moment that differs. */
		for (int i = 0; i < 1000 && stub_count(&t.stub, "profiles") <= have; i++)
			usleep(1000);
		usleep((useconds_t)(life * 700));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	client_open("killed", true);
	client_run(120 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles") - stub_count(&t.stub, "duplicates"), 300);
	CU_ASSERT(stub_count(&t.stub, "duplicates") <= LIVES);
	CU_ASSERT(push_counted(&t.push->n.sent) < 300); /* the lives did send something */
	client_end();
}

/* ---- with its thread --------------------------------------------------------------------- */

static atomic_bool submitting;

static void *submit_many(void *arg)
{
	for (int i = 0; i < 50; i++)
		client_submit_at(arg, 20, clock_realtime_ns() - (__u64)(i + 1) * 10 * NS_PER_MS);
	return NULL;
}

static void *scrape(void *arg UNUSED)
{
	while (atomic_load(&submitting)) {
		struct metric_out out;
		struct buf dst = {0};

		metric_out_init(&out, METRIC_TEXT, 1 << 20);
		parts_metrics(&t.parts, &out);
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

	CLIENT_BEGIN("threads");
	client_open_thread("threads");
	stub_control(&t.stub, "faults", "[{\"status\":503,\"times\":3}]");
	atomic_store(&submitting, true);
	pthread_create(&scraper, NULL, scrape, NULL);
	pthread_create(&submitters[0], NULL, submit_many, (void *)(uintptr_t) "a");
	pthread_create(&submitters[1], NULL, submit_many, (void *)(uintptr_t) "b");
	pthread_join(submitters[0], NULL);
	pthread_join(submitters[1], NULL);
	ASSERT_INT(client_reload(), 0);
	for (int i = 0; i < 1500 && stub_count(&t.stub, "profiles") < 100; i++)
		usleep(10000);
	atomic_store(&submitting, false);
	pthread_join(scraper, NULL);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 100);
	ASSERT_INT(stub_count(&t.stub, "duplicates"), 0);
	push_close(t.push, NS_PER_S);
	stub_stop(&t.stub);
}

/* Closing sends what waits; with a server that hangs it takes no longer than it may. */
static void closing(void)
{
	__u64 start, took;

	CLIENT_BEGIN("closing");
	client_open_thread("closing");
	for (int i = 0; i < 10; i++)
		client_submit("one", 20);
	push_close(t.push, 5 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 10);
	stub_control(&t.stub, "faults", "[{\"hang\":30,\"times\":-1}]");
	t.config.timeout_ns = 60 * NS_PER_S;
	client_open("closing", false);
	for (int i = 0; i < 10; i++)
		client_submit("one", 20);
	usleep(200000);
	start = clock_monotonic_ns();
	push_close(t.push, NS_PER_S / 2);
	took = clock_monotonic_ns() - start;
	CU_ASSERT(took < 20 * NS_PER_S); /* a request would last 30 s */
	stub_control(&t.stub, "faults", "[]");
	client_open("closing", true);
	client_run(60 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 20);
	client_end();
}

/* A server that takes connections and says nothing: callers do not notice, memory stays bounded. */
static void hanging_server(void)
{
	__u64 start, took;

	CLIENT_BEGIN("hanging");
	t.config.timeout_ns = 300 * NS_PER_S;
	t.config.queue_bytes = 4 << 20;
	t.config.spool_bytes = 0;
	client_open_thread("hanging");
	stub_control(&t.stub, "faults", "[{\"hang\":300,\"times\":-1}]");
	start = clock_monotonic_ns();
	for (int i = 0; i < 500; i++)
		client_submit("one", 500);
	took = clock_monotonic_ns() - start;
	CU_ASSERT(took < 200 * NS_PER_S); /* making the profiles; a request lasts 300 s */
	CU_ASSERT(client_dropped(PUSH_REASON_QUEUE_FULL) > 100);
	start = clock_monotonic_ns();
	push_close(t.push, 0);
	CU_ASSERT(clock_monotonic_ns() - start < 200 * NS_PER_S);
	stub_stop(&t.stub);
}

SUITE_TIMEOUT(push_run, 300, {"long outage", long_outage}, {"nowhere to go", nowhere_to_go},
	      {"full disk", full_disk}, {"restart", restart}, {"killed", killed},
	      {"threads", threads}, {"closing", closing}, {"hanging server", hanging_server});
