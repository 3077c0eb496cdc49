// SPDX-License-Identifier: Apache-2.0
#include "profiler/http/http_listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "profiler/http/http_config.h"
#include "tests/unit/test.h"

static char error[OPTION_ERROR_MAX];

static void addresses(void)
{
	struct http_address a;

	ASSERT_INT(http_address_parse("127.0.0.1:19704", &a, error, sizeof(error)), 0);
	CU_ASSERT(a.loopback && a.addr.ss_family == AF_INET);
	ASSERT_INT(http_address_parse("localhost:1", &a, error, sizeof(error)), 0);
	CU_ASSERT(a.loopback);
	ASSERT_INT(http_address_parse("127.9.9.9:1", &a, error, sizeof(error)), 0);
	CU_ASSERT(a.loopback);
	ASSERT_INT(http_address_parse("[::1]:1", &a, error, sizeof(error)), 0);
	CU_ASSERT(a.loopback && a.addr.ss_family == AF_INET6);
	ASSERT_INT(http_address_parse("0.0.0.0:1", &a, error, sizeof(error)), 0);
	CU_ASSERT(!a.loopback);
	ASSERT_INT(http_address_parse("[::]:1", &a, error, sizeof(error)), 0);
	CU_ASSERT(!a.loopback);
	ASSERT_INT(http_address_parse("[::ffff:127.0.0.1]:1", &a, error, sizeof(error)), 0);
	CU_ASSERT(a.loopback);
	for (const char *const *bad =
		     (const char *const[]){"", "127.0.0.1", ":1", "1.2.3:4", "::1:1", "[::1:1",
					   "host:1", "1.2.3.4:65536", "1.2.3.4:x",
					   "1.2.3.4:", NULL};
	     *bad; bad++)
		ASSERT_INT(http_address_parse(*bad, &a, error, sizeof(error)), -EINVAL);
}

static void what_must_not_be_heard_outside(void)
{
	struct http_config config = {.listen = "0.0.0.0:0", .token_file = ""};

	ASSERT_INT(http_section.check(&config, error, sizeof(error)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "set token_file, or insecure: true"));
	config.insecure = true;
	ASSERT_INT(http_section.check(&config, error, sizeof(error)), 0);
	config = (struct http_config){.listen = "0.0.0.0:0", .token_file = "/t"};
	ASSERT_INT(http_section.check(&config, error, sizeof(error)), 0);
	config = (struct http_config){.listen = "127.0.0.1:0", .token_file = ""};
	ASSERT_INT(http_section.check(&config, error, sizeof(error)), 0);
}

static void failures_say_what_to_do(void)
{
	struct http_config config = {.listen = "127.0.0.1:0"};
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	char listen_text[64];
	int fd = http_listen(&config, error, sizeof(error));

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	snprintf(listen_text, sizeof(listen_text), "127.0.0.1:%u", ntohs(addr.sin_port));
	config.listen = listen_text;
	ASSERT_INT(http_listen(&config, error, sizeof(error)), -EADDRINUSE);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "another program has the port"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "ss -ltnp sport = :"));
	close(fd);
	config.listen = "192.0.2.1:80"; /* TEST-NET-1: nobody's */
	ASSERT_INT(http_listen(&config, error, sizeof(error)), -EADDRNOTAVAIL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "this host has no such address"));
}

static void hosts(void)
{
	const char *items[] = {"profiler.example.com"};
	struct http_config config = {.allowed_hosts = {items, 1}};
	char own[256];

	for (const char *const *good =
		     (const char *const[]){"127.0.0.1:19704", "localhost", "LOCALHOST:1", "[::1]:1",
					   "[::1]", "10.1.2.3:19704", "Profiler.Example.com:80",
					   NULL};
	     *good; good++)
		if (!http_host_allowed(*good, &config))
			ASSERT_STR("refused", *good);
	for (const char *const *bad =
		     (const char *const[]){"evil.example.com", "evil.example.com:19704",
					   "127.0.0.1.evil.com", "localhost.evil.com", "", ":80",
					   "[::1", "[::1]x", "[]", "1.2.3.4.5", NULL};
	     *bad; bad++)
		if (http_host_allowed(*bad, &config))
			ASSERT_STR("accepted", *bad);
	CU_ASSERT(http_host_allowed(NULL, &config));
	CU_ASSERT(gethostname(own, sizeof(own)) == 0);
	CU_ASSERT(http_host_allowed(own, &config));
}

SUITE(http_listen, {"addresses", addresses},
      {"what must not be heard outside", what_must_not_be_heard_outside},
      {"failures say what to do", failures_say_what_to_do}, {"hosts", hosts});
