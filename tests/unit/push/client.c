// SPDX-License-Identifier: Apache-2.0
/* A push client for tests, see client.h. */
#include "tests/unit/push/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"

struct client t;

static __u64 get_mono(void *arg UNUSED)
{
	return t.mono_ns;
}

static __u64 get_real(void *arg UNUSED)
{
	return t.real_ns;
}

void client_advance(__u64 ns)
{
	t.mono_ns += ns;
	t.real_ns += ns;
}

void client_reset(void)
{
	setenv("no_proxy", "*", 1);
	ASSERT_INT(log_set_level("push", "error"), 0);
	t.name_bytes = 20;
	t.may_wait = false;
	t.common = (struct push_label){"host", "testhost"};
	t.config = (struct push_config){.url = t.url,
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

static struct push_values values(void)
{
	return (struct push_values){.config = &t.config, .common = &t.common, .n_common = 1};
}

void client_open(const char *name, bool manual)
{
	static bool have_parts;
	struct push_args args = {
		.values = values(), .state_dir = t.state_dir, .parts = &t.parts, .manual = manual};
	char error[512] = "";

	if (manual)
		args.clock = (struct push_clock){get_mono, get_real, NULL};
	t.mono_ns = 1000 * NS_PER_S;
	t.real_ns = clock_realtime_ns();
	snprintf(t.url, sizeof(t.url), "http://127.0.0.1:%u", t.stub.port);
	snprintf(t.state_dir, sizeof(t.state_dir), "%s/%s", test_dir(), name);
	if (!have_parts)
		parts_init(&t.parts);
	have_parts = true;
	ASSERT_INT(push_open(&args, &t.push, error, sizeof(error)), 0);
	if (!t.may_wait)
		ASSERT_STR(error, "out of memory"); /* untouched but for what it begins with */
}

void client_open_thread(const char *name)
{
	push_close(t.push, 0);
	client_open(name, false);
}

int client_reload(void)
{
	struct push_values now = values();
	char error[512] = "";
	int err = push_reload(t.push, &now, error, sizeof(error));

	CU_ASSERT(!err || *error);
	return err;
}

void client_end(void)
{
	push_close(t.push, 0);
	t.push = NULL;
	stub_stop(&t.stub);
}

__u64 client_submit_at(const char *service, unsigned samples, __u64 time_ns)
{
	struct push_label labels[] = {{"service_name", service}};
	struct buf pprof = {0};
	size_t raw = make_pprof(samples, t.name_bytes, time_ns, &pprof);
	struct push_profile p = {.name = "process_cpu",
				 .labels = labels,
				 .n_labels = 1,
				 .pprof = pprof.data,
				 .len = pprof.len,
				 .raw_bytes = raw,
				 .time_ns = time_ns};
	int err = push_submit(t.push, &p);

	if (err && err != -ENOBUFS)
		ASSERT_INT(err, 0);
	buf_fini(&pprof);
	return raw;
}

__u64 client_submit(const char *service, unsigned samples)
{
	static __u64 ms;

	return client_submit_at(service, samples, t.real_ns - 20 * NS_PER_S + ++ms * NS_PER_MS);
}

void client_run_until(__u64 until)
{
	for (;;) {
		__u64 next;

		push_step(t.push);
		next = push_next_ns(t.push);
		if (t.push->n_busy) {
			curl_multi_poll(t.push->multi, NULL, 0, 5, NULL);
			continue;
		}
		if (next <= t.mono_ns)
			continue;
		if (next >= until)
			break;
		client_advance(next - t.mono_ns);
	}
	if (t.mono_ns < until)
		client_advance(until - t.mono_ns);
}

void client_run(__u64 ns)
{
	client_run_until(t.mono_ns + ns);
}

__u64 client_dropped(enum push_reason why)
{
	return push_counted(&t.push->n.dropped[why]);
}

__u64 client_all_dropped(void)
{
	__u64 n = 0;

	for (int i = 0; i < PUSH_N_REASONS; i++)
		n += client_dropped(i);
	return n;
}

const char *client_state(void)
{
	static struct buf out;

	buf_reset(&out);
	parts_ready(&t.parts, true, &out);
	return out.data;
}

const char *client_file(const char *name, const char *text)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
	ASSERT_INT(fs_replace(path, text, strlen(text)), 0);
	return path;
}
