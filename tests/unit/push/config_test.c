// SPDX-License-Identifier: Apache-2.0
/* The section's values and their reload: secrets, tenants, TLS, labels, on and off. */
#include "profiler/push/push_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "tests/unit/push/client.h"

#define SECRET_LOOK_US 1100000 /* a file is looked at once a second */

static void basic(void)
{
	CLIENT_BEGIN("auth", "--basic", "user:p4ss", "--multitenant");
	t.config.user = "user";
	t.config.password_file = client_file("password", "wrong");
	t.config.tenant = "team-a";
	ASSERT_INT(client_reload(), 0);
	client_submit("one", 3);
	client_submit("two", 3);
	client_run(10 * NS_PER_S);
	ASSERT_INT(stub_status(&t.stub, 401), 1);
	ASSERT_INT(client_dropped(PUSH_REASON_UNAUTHENTICATED), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "refuses profiles (unauthenticated"));
	ASSERT_INT(t.push->spool_stats.records, 1); /* the other one waits */
	client_run(300 * NS_PER_S);
	CU_ASSERT(stub_status(&t.stub, 401) <= 8); /* rarely */
	/* A new password is tried at once. */
	client_submit("three", 3);
	client_run(NS_PER_S);
	client_file("password", "p4ss\n");
	usleep(SECRET_LOOK_US);
	client_submit("four", 3);
	client_run(NS_PER_S);
	CU_ASSERT(stub_count(&t.stub, "profiles") >= 1);
	ASSERT_STR(stub_header(&t.stub, "X-Scope-OrgID"), "team-a");
	ASSERT_STR(stub_header(&t.stub, "Authorization"), "Basic dXNlcjpwNHNz");
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "\"degraded\":[]"));
	t.config.password_file = "/nonexistent";
	ASSERT_INT(client_reload(), -ENOENT);
	client_submit("five", 3); /* the old one goes on */
	client_run(NS_PER_S);
	ASSERT_STR(stub_header(&t.stub, "Authorization"), "Basic dXNlcjpwNHNz");
	client_end();
}

static void bearer(void)
{
	CLIENT_BEGIN("bearer", "--bearer", "t0ken");
	t.config.token_file = client_file("token", "t0ken");
	ASSERT_INT(client_reload(), 0);
	client_submit("one", 3);
	client_run(NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 1);
	client_end();
}

/* The agent starts before its secret is mounted: profiles wait in the spool, then all arrive. */
static void late_secret(void)
{
	char path[256];

	CLIENT_BEGIN("late", "--bearer", "t0ken");
	push_close(t.push, 0);
	snprintf(path, sizeof(path), "%s", client_file("late_token", ""));
	unlink(path);
	t.config.token_file = path;
	t.may_wait = true;
	client_open("late", true);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "late_token"));
	client_submit("one", 3);
	client_submit("two", 3);
	client_run(30 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "requests"), 0);
	ASSERT_INT(t.push->spool_stats.records, 2);
	client_file("late_token", "t0ken\n");
	usleep(SECRET_LOOK_US);
	client_run(10 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 2);
	ASSERT_INT(stub_status(&t.stub, 401), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "\"degraded\":[]"));
	client_end();
}

static void switched_on_later(void)
{
	client_reset();
	if (!stub_start(&t.stub, 0, NULL))
		SKIP("no python3 for the stub server");
	t.config.url = "";
	client_open("later", false);
	client_submit("one", 3);
	CU_ASSERT(!t.push->running);
	t.config.url = t.url;
	ASSERT_INT(client_reload(), 0);
	client_submit("two", 3);
	push_close(t.push, 5 * NS_PER_S);
	ASSERT_INT(stub_count(&t.stub, "profiles"), 1);
	stub_stop(&t.stub);
}

static void labels_reload(void)
{
	CLIENT_BEGIN("labels");
	client_submit("one", 3);
	client_run(NS_PER_S);
	ASSERT_STR(stub_label(&t.stub, 0, "host"), "testhost");
	t.common = (struct push_label){"env", "prod"};
	ASSERT_INT(client_reload(), 0);
	client_submit("one", 3);
	client_run(NS_PER_S);
	ASSERT_STR(stub_label(&t.stub, 1, "env"), "prod");
	ASSERT_STR(stub_label(&t.stub, 1, "host"), "");
	ASSERT_STR(stub_label(&t.stub, 1, "service_name"), "one");
	client_end();
}

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
	char cert[256], key[256], other[256], secure[128];

	if (!make_certificate("server") || !make_certificate("other"))
		SKIP("no openssl to make a certificate");
	snprintf(cert, sizeof(cert), "%s/server.crt", test_dir());
	snprintf(key, sizeof(key), "%s/server.key", test_dir());
	snprintf(other, sizeof(other), "%s/other.crt", test_dir());
	CLIENT_BEGIN("tls", "--tls", cert, key);
	snprintf(secure, sizeof(secure), "https://127.0.0.1:%u/", t.stub.port);
	t.config.url = secure;
	t.config.ca_file = other;
	ASSERT_INT(client_reload(), 0);
	client_submit("one", 3);
	client_run(30 * NS_PER_S);
	CU_ASSERT_PTR_NOT_NULL(strstr(client_state(), "refuses profiles (tls"));
	ASSERT_INT(client_all_dropped(), 0);
	t.config.ca_file = cert; /* the profile waited for this */
	ASSERT_INT(client_reload(), 0);
	client_run(30 * NS_PER_S);
	ASSERT_INT(push_counted(&t.push->n.sent), 1);
	client_end();
}

SUITE_TIMEOUT(push_config, 120, {"basic", basic}, {"bearer", bearer}, {"late secret", late_secret},
	      {"switched on later", switched_on_later}, {"labels reload", labels_reload},
	      {"TLS", tls});
