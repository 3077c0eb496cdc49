// SPDX-License-Identifier: Apache-2.0
/* The server over real sockets: it runs in a thread of its own, as in the agent; the test is the
 * client. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/http/http.h"
#include "profiler/http/http_config.h"
#include "profiler/http/http_internal.h"
#include "profiler/loop.h"
#include "profiler/part.h"
#include "profiler/self_metrics.h"
#include "tests/unit/test.h"

/* ---- routes ------------------------------------------------------------------------------ */

struct wait_query {
	__u64 ms;
};
static const struct option_row wait_rows[] = {
	OPTION_ROW(U64, struct wait_query, ms, .def = "100", .max = "60000", .help = "how long"),
	{0},
};

struct waiter {
	struct http_request *req;
	struct loop_timer timer;
};

static struct loop *loop;
static atomic_int n_cancelled, n_waiting;

static void finish_wait(void *arg)
{
	struct waiter *w = arg;

	n_waiting--;
	http_reply_text(w->req, 200, "waited\n");
	free(w);
}

static void cancel_wait(void *arg)
{
	struct waiter *w = arg;

	loop_timer_stop(loop, &w->timer);
	n_cancelled++;
	n_waiting--;
	free(w);
}

static void handle_wait(struct http_request *req)
{
	const struct wait_query *q = req->query;
	struct waiter *w;

	w = calloc(1, sizeof(*w));
	w->req = req;
	w->timer = (struct loop_timer){.fn = finish_wait, .arg = w};
	n_waiting++;
	loop_timer_set(loop, &w->timer, clock_monotonic_ns() + q->ms * NS_PER_MS);
	http_suspend(req, "application/json", cancel_wait, w);
}
HTTP_ROUTE(test_wait, .method = "GET", .path = "/test/wait", .query = wait_rows,
	   .query_size = sizeof(struct wait_query), .handle = handle_wait);
HTTP_ROUTE(test_pprof, .method = "GET", .path = "/debug/pprof/test", .query = wait_rows,
	   .query_size = sizeof(struct wait_query), .handle = handle_wait);

static void handle_echo(struct http_request *req)
{
	struct buf body = req->body;

	req->body = (struct buf){0};
	http_reply(req, 200, "application/octet-stream", &body);
}
HTTP_ROUTE(test_echo, .method = "POST", .path = "/test/echo", .max_body = 100000,
	   .handle = handle_echo);

static void handle_rest(struct http_request *req)
{
	http_header(req, "X-Test", "yes");
	http_reply_text(req, 200, "%s", req->rest);
}
HTTP_ROUTE(test_rest, .method = "GET", .path = "/test/rest/*", .handle = handle_rest);

/* Suspends and answers before it returns. */
static void handle_both(struct http_request *req)
{
	http_suspend(req, "text/plain", cancel_wait, NULL);
	http_reply_text(req, 200, "both");
}
HTTP_ROUTE(test_both, .method = "GET", .path = "/test/both", .handle = handle_both);

/* Answers with the status that it is asked for. */
static void handle_status_of(struct http_request *req)
{
	http_reply_text(req, (unsigned)atoi(req->rest), "said\n");
}
HTTP_ROUTE(test_status, .method = "GET", .path = "/test/status/*", .handle = handle_status_of);

static void handle_big(struct http_request *req)
{
	struct buf body = {0};

	for (int i = 0; i < 400000; i++)
		buf_printf(&body, "%09d\n", i);
	http_reply(req, 200, "application/octet-stream", &body);
}
HTTP_ROUTE(test_big, .method = "GET", .path = "/test/big", .handle = handle_big);

static void handle_large(struct http_request *req)
{
	struct buf body = {0};

	ASSERT_INT(buf_reserve(&body, 8u << 20), 0);
	memset(body.data, 'x', 8u << 20);
	body.len = 8u << 20;
	http_header(req, "X-Test", "yes");
	http_reply(req, 200, "application/octet-stream", &body);
}
HTTP_ROUTE(test_large, .method = "GET", .path = "/test/large", .handle = handle_large);

/* Made elsewhere, compressed if the client takes that. */
static void handle_packed(struct http_request *req)
{
	struct buf body = {0};

	buf_str(&body, http_takes_gzip(req, "application/json") ? "gzip" : "plain");
	http_reply_packed(req, 200, "application/json", &body);
}
HTTP_ROUTE(test_packed, .method = "GET", .path = "/test/packed", .handle = handle_packed);

static const struct http_file page = {
	.content_type = "text/html", .data = "<p>hi", .size = 5, .gzip = "packed", .gzip_size = 6};
static void handle_file(struct http_request *req)
{
	http_reply_file(req, &page);
}
HTTP_ROUTE(test_file, .method = "GET", .path = "/test/file", .open = true, .handle = handle_file);

/* ---- the server in its thread ------------------------------------------------------------ */

static struct parts parts;
static struct part process = {.name = "process", .metrics = self_metrics};
static struct http_server *server;
static struct http_config config;
static pthread_t thread;

static void *run(void *arg)
{
	CU_ASSERT(loop_run(arg) == 0);
	return NULL;
}

static void start(const char *token_file)
{
	char error[512] = "";

	config = (struct http_config){.listen = "127.0.0.1:0", .token_file = token_file};
	n_cancelled = n_waiting = 0;
	loop = loop_new();
	parts_init(&parts);
	ASSERT_INT(parts_add(&parts, &process), 0);
	part_set_state(&process, PART_OK, NULL);
	ASSERT_INT(http_server_open(&(struct http_server_args){.config = &config,
							       .loop = loop,
							       .parts = &parts},
				    &server, error, sizeof(error)),
		   0);
	ASSERT_STR(error, "");
	CU_ASSERT_FATAL(server != NULL);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, run, loop) == 0);
}

static void stop(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	http_server_close(server);
	parts_del(&process);
	parts_fini(&parts);
	loop_free(loop);
}

/* ---- the client -------------------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)http_server_port(server)),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

/* Everything until the server closes or 5 s pass without a byte. Borrowed until the next call. */
static const char *read_all(int fd, size_t *ret_len)
{
	static struct buf got;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	buf_reset(&got);
	while (!buf_reserve(&got, 65536) && poll(&p, 1, 5000) == 1) {
		ssize_t n = read(fd, got.data + got.len, 65536);

		if (n <= 0)
			break;
		got.len += (size_t)n;
		got.data[got.len] = 0;
	}
	close(fd);
	got.data[got.len] = 0;
	if (ret_len)
		*ret_len = got.len;
	return got.data;
}

static int send_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int send_text(const char *fmt, ...)
{
	struct buf out = {0};
	int fd = dial();
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&out, fmt, args);
	va_end(args);
	ASSERT_INT(fs_write_all(fd, out.data, out.len), 0);
	buf_fini(&out);
	return fd;
}

/* One request with Connection: close; the whole answer. */
static const char *ask(const char *method, const char *target, const char *headers)
{
	return read_all(
		send_text("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
			  method, target, headers),
		NULL);
}

static void expect(const char *answer, unsigned status, const char *text)
{
	char line[32];

	snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
	if (strncmp(answer, line, strlen(line)) || !strstr(answer, text)) {
		ASSERT_STR(answer, line);
		ASSERT_STR(answer, text);
	}
}

/* ---- cases ------------------------------------------------------------------------------- */

static void routes(void)
{
	start("");
	expect(ask("GET", "/healthz", ""), 200, "\r\n\r\nok\n");
	expect(ask("GET", "/test/rest/a%20b?", ""), 200, "\r\n\r\na b");
	expect(ask("GET", "/test/rest/", ""), 200, "X-Test: yes\r\n");
	expect(ask("GET", "/nowhere", ""), 404, "{\"error\":{\"code\":\"not_found\",\"message\":");
	expect(ask("POST", "/healthz", "Content-Length: 0\r\n"), 405, "Allow: GET, HEAD\r\n");
	expect(ask("OPTIONS", "/api/v1/log", ""), 405, "PUT");
	expect(ask("GET", "/healthz?x=1", ""), 400, "unknown query key 'x'; /healthz takes none");
	expect(ask("GET", "/test/wait?ms=60001", ""), 422, "\"out_of_range\"");
	expect(ask("GET", "/test/wait?ms=-1", ""), 400, "\"bad_value\"");
	expect(ask("GET", "/debug/pprof/test?ms=99999999999", ""), 422, "X-Go-Pprof: 1\r\n");
	expect(ask("GET", "/debug/pprof/test?x", ""), 400,
	       "\r\n\r\nunknown query key 'x'; /debug/pprof/test knows: ms\n");
	expect(ask("GET", "/debug/pprof/nothing", ""), 404, "text/plain");
	expect(ask("GET", "/%zz", ""), 400, "bad_target");
	expect(ask("GET", "/healthz", "X-Content: 1\r\n"), 200,
	       "X-Content-Type-Options: nosniff\r\n");
	CU_ASSERT_PTR_NULL(
		strcasestr(ask("GET", "/version", "Origin: http://x\r\n"), "access-control"));
	expect(ask("HEAD", "/version", ""), 200, "Content-Length: 37\r\n");
	CU_ASSERT_PTR_NULL(strstr(ask("HEAD", "/version", ""), "bianque"));
	stop();
}

/* Of what would wait: at once, the same headers, no length, and the connection goes on. */
static void heads(void)
{
	const char *answer;

	start("");
	answer = read_all(send_text("HEAD /test/wait?ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
				    "GET /test/rest/2 HTTP/1.1\r\nHost: localhost\r\n"
				    "Connection: close\r\n\r\n"),
			  NULL);
	expect(answer, 200, "Content-Type: application/json\r\n");
	expect(answer, 200, "Cache-Control: no-store\r\n");
	expect(answer, 200, "\r\n\r\nHTTP/1.1 200 OK\r\n");
	CU_ASSERT(strstr(answer, "Content-Length:") > strstr(answer, "\r\n\r\n"));
	ASSERT_STR(strrchr(answer, '\n'), "\n2");
	ASSERT_INT(n_waiting, 0);
	ASSERT_INT(n_cancelled, 1); /* what the handler had begun */
	expect(ask("HEAD", "/test/wait?ms=x", ""), 400, "Content-Length: ");
	stop();
}

static void bodies(void)
{
	char *big = malloc(200001);
	const char *answer;
	size_t len;
	int fd;

	memset(big, 'x', 200000);
	big[200000] = 0;
	start("");
	expect(ask("POST", "/test/echo", "Content-Length: 0\r\n"), 200, "Content-Length: 0\r\n");
	fd = send_text("POST /test/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Content-Length: 100000\r\n\r\n%.100000s",
		       big);
	answer = read_all(fd, &len);
	expect(answer, 200, "Content-Length: 100000\r\n");
	CU_ASSERT(len > 100000);
	/* Announced too large: answered before it is sent. */
	expect(ask("POST", "/test/echo", "Content-Length: 100001\r\n"), 413, "body_too_large");
	expect(ask("POST", "/test/echo", "Content-Length: 999999999999999999999\r\n"), 413, "");
	/* Not announced. */
	fd = send_text("POST /test/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n%x\r\n%.150000s\r\n0\r\n\r\n",
		       150000, big);
	expect(read_all(fd, NULL), 413, "body_too_large");
	/* A GET with a body is served, the body is not. */
	fd = send_text("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Content-Length: 5\r\n\r\nhello");
	expect(read_all(fd, NULL), 413, "the body may have 0 bytes here");
	stop();
	free(big);
}

static void log_levels(void)
{
	int fd;

	start("");
	fd = send_text("PUT /api/v1/log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Content-Length: 16\r\n\r\n{\"ring\":\"debug\"}");
	expect(read_all(fd, NULL), 200, "\"ring\":\"debug\"");
	ASSERT_STR(log_level_name(LOG_ring), "debug");
	fd = send_text("PUT /api/v1/log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Content-Length: 30\r\n\r\n{\"all\":\"info\",\"rong\":\"debug\"}\n");
	expect(read_all(fd, NULL), 422, "no log domain 'rong'");
	ASSERT_STR(log_level_name(LOG_ring), "debug");
	fd = send_text("PUT /api/v1/log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Content-Length: 10\r\n\r\n{\"ring\":7}");
	expect(read_all(fd, NULL), 422, "must be error, warn, info or debug");
	fd = send_text("PUT /api/v1/log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Content-Length: 5\r\n\r\n[1,2]");
	expect(read_all(fd, NULL), 400, "bad_json");
	/* Another site's page may not. */
	fd = send_text("PUT /api/v1/log HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n"
		       "Origin: http://evil.example.com\r\nContent-Length: 2\r\n\r\n{}");
	expect(read_all(fd, NULL), 403, "origin_refused");
	fd = send_text(
		"PUT /api/v1/log HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n"
		"Origin: http://localhost:1\r\nContent-Length: 14\r\n\r\n{\"all\":\"info\"}");
	expect(read_all(fd, NULL), 200, "\"ring\":\"info\"");
	stop();
}

/* Twenty wait at a time in one thread; meanwhile others are served. */
static void suspension(void)
{
	__u64 begin = clock_monotonic_ns(), took;
	int fds[20];

	start("");
	for (int i = 0; i < 20; i++)
		fds[i] = send_text("GET /test/wait?ms=300 HTTP/1.1\r\nHost: localhost\r\n"
				   "Connection: close\r\n\r\n");
	expect(ask("GET", "/healthz", ""), 200, "ok");
	took = clock_monotonic_ns() - begin;
	CU_ASSERT(took < 300 * NS_PER_MS);
	for (int i = 0; i < 20; i++)
		expect(read_all(fds[i], NULL), 200, "waited");
	took = clock_monotonic_ns() - begin;
	CU_ASSERT(took >= 300 * NS_PER_MS && took < 3 * NS_PER_S);
	expect(ask("GET", "/test/both", ""), 200, "both");
	stop();
	ASSERT_INT(n_cancelled, 0);
}

static bool wait_until(atomic_int *value, int want)
{
	for (int i = 0; i < 500 && atomic_load(value) != want; i++)
		usleep(10000);
	return atomic_load(value) == want;
}

static void clients_that_go_away(void)
{
	int fds[10];

	start("");
	for (int i = 0; i < 10; i++)
		fds[i] = send_text("GET /test/wait?ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	CU_ASSERT(wait_until(&n_waiting, 10));
	for (int i = 0; i < 4; i++)
		close(fds[i]); /* FIN */
	for (int i = 4; i < 7; i++) {
		struct linger now = {.l_onoff = 1};

		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fds[i]); /* RST */
	}
	CU_ASSERT(wait_until(&n_cancelled, 7));
	expect(ask("GET", "/healthz", ""), 200, "ok");
	ASSERT_INT(n_waiting, 3);
	stop(); /* the last three are cancelled by the end of the server */
	ASSERT_INT(n_cancelled, 10);
	for (int i = 7; i < 10; i++)
		close(fds[i]);
}

static void pipelined(void)
{
	const char *answer, *second;
	int fd;

	start("");
	fd = send_text("GET /test/wait?ms=50 HTTP/1.1\r\nHost: localhost\r\n\r\n"
		       "GET /test/rest/2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
		       "GET /test/rest/3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	answer = read_all(fd, NULL);
	expect(answer, 200, "waited");
	second = strstr(answer, "\r\n\r\n2HTTP/1.1 200");
	CU_ASSERT_PTR_NOT_NULL(second);
	CU_ASSERT(second && strstr(second, "\r\n\r\n3") > second);
	stop();
}

static void tokens(void)
{
	char path[256], header[64] = "Authorization: Bearer s3cret\r\n";

	snprintf(path, sizeof(path), "%s/token", test_dir());
	ASSERT_INT(fs_replace(path, "s3cret\n", 7), 0);
	start(path);
	expect(ask("GET", "/version", ""), 401, "WWW-Authenticate: Bearer\r\n");
	expect(ask("GET", "/version", "Authorization: Bearer s3cres\r\n"), 401, "wrong_token");
	expect(ask("GET", "/version", "Authorization: Basic s3cret\r\n"), 401, "token_needed");
	expect(ask("GET", "/nowhere", ""), 401, "token_needed");
	expect(ask("POST", "/version", "Content-Length: 0\r\n"), 401, "token_needed");
	expect(ask("GET", "/version", header), 200, "bianque");
	expect(ask("GET", "/version", "authorization: bearer s3cret\r\n"), 200, "bianque");
	expect(ask("GET", "/nowhere", header), 404, "not_found");
	/* Health is open, its details are not. */
	expect(ask("GET", "/healthz", ""), 200, "ok");
	expect(ask("GET", "/readyz", ""), 200, "{\"status\":\"ready\"}");
	expect(ask("GET", "/readyz", header), 200, "\"degraded\":[]");
	/* With a token the name does not matter. */
	expect(read_all(send_text("GET /version HTTP/1.1\r\nHost: evil.example.com\r\n%s"
				  "Connection: close\r\n\r\n",
				  header),
			NULL),
	       200, "bianque");
	/* Rotation. */
	ASSERT_INT(fs_replace(path, "other", 5), 0);
	usleep(1100000);
	expect(ask("GET", "/version", header), 401, "wrong_token");
	expect(ask("GET", "/version", "Authorization: Bearer other\r\n"), 200, "bianque");
	stop();
}

static void rebinding(void)
{
	start("");
	expect(read_all(send_text("GET /version HTTP/1.1\r\nHost: evil.example.com:19704\r\n"
				  "Connection: close\r\n\r\n"),
			NULL),
	       403, "add it to http.allowed_hosts");
	expect(read_all(send_text("GET /version HTTP/1.0\r\n\r\n"), NULL), 200, "bianque");
	expect(ask("GET", "/metrics", ""), 200,
	       "\nbianque_http_refused_total{reason=\"host\"} 1\n");
	stop();
}

/* Each status has a code of its own, but those that nothing here answers with. */
static void codes(void)
{
	static const struct {
		const char *path, *code;
		unsigned status;
	} rows[] = {{"/test/status/504", "504", 504},
		    {"/test/status/501", "501", 501},
		    {"/test/status/415", "415", 415},
		    {"/test/status/418", "other", 418}};

	start("");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char line[200];

		expect(ask("GET", rows[i].path, ""), rows[i].status, "said");
		snprintf(line, sizeof(line),
			 "\nbianque_http_requests_total{code=\"%s\",method=\"GET\","
			 "route=\"/test/status/*\"} 1\n",
			 rows[i].code);
		expect(ask("GET", "/metrics", ""), 200, line);
	}
	stop();
}

static void negotiation(void)
{
	const char *answer, *body;
	unsigned char plain[65536];
	z_stream z = {0};
	size_t len;
	int fd;

	start("");
	expect(ask("GET", "/metrics", ""), 200,
	       "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	answer = ask("GET", "/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
	expect(answer, 200, "Content-Type: application/openmetrics-text; version=1.0.0;");
	ASSERT_STR(answer + strlen(answer) - 7, "\n# EOF\n");
	fd = send_text("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Accept-Encoding: gzip\r\n\r\n");
	answer = read_all(fd, &len);
	expect(answer, 200, "Content-Encoding: gzip\r\n");
	body = strstr(answer, "\r\n\r\n") + 4;
	CU_ASSERT_FATAL(inflateInit2(&z, 15 + 16) == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)body;
	z.avail_in = (uInt)(len - (size_t)(body - answer));
	z.next_out = plain;
	z.avail_out = sizeof(plain) - 1;
	ASSERT_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
	plain[z.total_out] = 0;
	inflateEnd(&z);
	CU_ASSERT_PTR_NOT_NULL(strstr((char *)plain, "\nprocess_resident_memory_bytes "));
	answer = ask("GET", "/test/packed", "Accept-Encoding: gzip\r\n");
	expect(answer, 200, "Content-Encoding: gzip\r\n");
	expect(answer, 200, "\r\n\r\ngzip");
	answer = ask("GET", "/test/packed", "Accept-Encoding: gzip;q=0\r\n");
	expect(answer, 200, "\r\n\r\nplain");
	CU_ASSERT_PTR_NULL(strstr(answer, "Content-Encoding"));
	expect(ask("GET", "/debug/state", ""), 200, "\"table\":\"connections\"");
	expect(ask("GET", "/ready", ""), 200, "ready\n");
	stop();
}

static void files(void)
{
	char header[128], etag[64];
	const char *answer, *at;

	start("");
	answer = ask("GET", "/test/file", "");
	expect(answer, 200, "\r\n\r\n<p>hi");
	expect(answer, 200, "Content-Security-Policy: default-src 'none'; script-src 'self'");
	at = strstr(answer, "ETag: ");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	snprintf(etag, sizeof(etag), "%.*s", (int)strcspn(at + 6, "\r"), at + 6);
	snprintf(header, sizeof(header), "If-None-Match: \"x\", %s\r\n", etag);
	answer = ask("GET", "/test/file", header);
	expect(answer, 304, "ETag: ");
	CU_ASSERT_PTR_NULL(strstr(answer, "<p>"));
	answer = ask("GET", "/test/file", "Accept-Encoding: gzip\r\n");
	expect(answer, 200, "\r\n\r\npacked");
	expect(answer, 200, "Content-Encoding: gzip\r\n");
	CU_ASSERT_PTR_NULL(strstr(answer, etag)); /* another representation, another tag */
	stop();
}

static void too_much(void)
{
	char *longest = malloc(60001);

	memset(longest, 'a', 60000);
	longest[60000] = 0;
	start("");
	expect(read_all(send_text("GET /%.8100s HTTP/1.1\r\nHost: localhost\r\n"
				  "Connection: close\r\n\r\n",
				  longest),
			NULL),
	       404, "not_found");
	expect(read_all(send_text("GET /%.9000s HTTP/1.1\r\nHost: localhost\r\n"
				  "Connection: close\r\n\r\n",
				  longest),
			NULL),
	       414, "target_too_long");
	/* Beyond what libmicrohttpd holds it answers itself, or closes. */
	CU_ASSERT(strncmp(
		read_all(send_text("GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", longest),
			 NULL),
		"HTTP/1.1 2", 10));
	expect(ask("GET", "/healthz", ""), 200, "ok");
	stop();
	free(longest);
}

/* A head that drips, a body that never comes, a reader that does not read. */
static void slow_clients(void)
{
	struct http_deadlines normal = http_deadlines;
	struct pollfd p = {.events = POLLIN};
	char byte;
	int head, body, reader;

	http_deadlines = (struct http_deadlines){.head_ns = NS_PER_S / 2,
						 .idle_ns = NS_PER_S / 2,
						 .body_ns = NS_PER_S / 2,
						 .send_ns = NS_PER_S / 2};
	start("");
	head = send_text("GET / HTTP/1.1\r\n");
	body = send_text(
		"POST /test/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n");
	reader = send_text("GET /test/big HTTP/1.1\r\nHost: localhost\r\n\r\n");
	for (int i = 0; i < 4; i++) { /* bytes keep coming, and do not help */
		CU_ASSERT(send(head, &"Abcd"[i], 1, MSG_NOSIGNAL) == 1);
		usleep(100000);
	}
	for (int i = 0; i < 2; i++) {
		p.fd = i ? body : head;
		ASSERT_INT(poll(&p, 1, 3000), 1);
		CU_ASSERT(read(p.fd, &byte, 1) <= 0);
	}
	/* 4 MB at 32 KiB/s would be two minutes; the socket buffers took the most of it. */
	expect(ask("GET", "/metrics", ""), 200, "{reason=\"slow\"} 2\n");
	close(head);
	close(body);
	close(reader);
	stop();
	http_deadlines = normal;
}

static void wait_for_metric(const char *line)
{
	const char *answer = ask("GET", "/metrics", "");

	for (int i = 0; i < 500 && !strstr(answer, line); i++) {
		usleep(10000);
		answer = ask("GET", "/metrics", "");
	}
	expect(answer, 200, line);
}

/* Eight answers of 8 MiB fit, whoever reads them or not; the ninth is refused, small ones are not. */
static void readers_that_do_not_read(void)
{
	const char *answer;
	int fds[8];
	size_t len;

	start("");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = send_text(
			"GET /test/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	wait_for_metric("\nbianque_http_unsent_bytes 67108864\n");
	answer = ask("GET", "/test/large", "");
	expect(answer, 503, "{\"error\":{\"code\":\"busy\",\"message\":\"64 MiB of answers wait");
	expect(answer, 503, "Retry-After: 1\r\n");
	CU_ASSERT_PTR_NULL(strstr(answer, "X-Test"));
	expect(ask("GET", "/metrics", ""), 200, "{reason=\"unsent\"} 1\n");
	expect(ask("GET", "/healthz", ""), 200, "ok");
	close(fds[0]);
	answer = read_all(fds[1], &len);
	CU_ASSERT(len > 8u << 20);
	for (size_t i = 2; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	wait_for_metric("\nbianque_http_unsent_bytes 0\n");
	expect(ask("GET", "/test/large", ""), 200, "X-Test: yes");
	stop();
}

/* As many idle connections as fit do not lock a new one out. */
static void crowd(void)
{
	int fds[HTTP_MAX_CONNECTIONS + 20];

	start("");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial();
	expect(ask("GET", "/healthz", ""), 200, "ok");
	expect(ask("GET", "/metrics", ""), 200,
	       "bianque_table_cap{part=\"http\",table="
	       "\"connections\"} 128\n");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	stop();
}

static void reload(void)
{
	const char *hosts[] = {"agent.example.com"};
	char error[512], path[256], listen_text[64];
	unsigned port;

	start("");
	loop_stop(loop); /* reload belongs to the loop's thread: this one now */
	pthread_join(thread, NULL);
	port = http_server_port(server);
	config.token_file = "/nonexistent";
	ASSERT_INT(http_server_reload(server, &config, error, sizeof(error)), -ENOENT);
	config.token_file = "";
	snprintf(listen_text, sizeof(listen_text), "127.0.0.2:%u", port);
	config.listen = listen_text;
	ASSERT_INT(http_server_reload(server, &config, error, sizeof(error)), 0);
	snprintf(listen_text, sizeof(listen_text), "127.0.0.1:%u", port);
	config.listen = "192.0.2.1:0";
	ASSERT_INT(http_server_reload(server, &config, error, sizeof(error)), -EADDRNOTAVAIL);
	config.listen = listen_text;
	snprintf(path, sizeof(path), "%s/token2", test_dir());
	ASSERT_INT(fs_replace(path, "t", 1), 0);
	config.token_file = path;
	config.allowed_hosts = (struct option_list){hosts, 1};
	ASSERT_INT(http_server_reload(server, &config, error, sizeof(error)), 0);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, run, loop) == 0);
	expect(ask("GET", "/version", ""), 401, "token_needed");
	expect(ask("GET", "/version", "Authorization: Bearer t\r\n"), 200, "bianque");
	stop();
}

static void live_promtool(void)
{
	char command[512], path[256];
	const char *answer;

	if (system("promtool --version >/dev/null 2>&1"))
		SKIP("promtool (package prometheus) is not installed");
	start("");
	ask("GET", "/nowhere", "");
	answer = ask("GET", "/metrics", "");
	snprintf(path, sizeof(path), "%s/m", test_dir());
	answer = strstr(answer, "\r\n\r\n") + 4;
	ASSERT_INT(fs_replace(path, answer, strlen(answer)), 0);
	snprintf(command, sizeof(command), "promtool check metrics <%s", path);
	ASSERT_INT(system(command), 0);
	stop();
}

SUITE(http_server, {"routes", routes}, {"heads", heads}, {"bodies", bodies},
      {"log levels", log_levels}, {"suspension", suspension},
      {"clients that go away", clients_that_go_away}, {"pipelined", pipelined}, {"tokens", tokens},
      {"rebinding", rebinding}, {"codes", codes}, {"negotiation", negotiation}, {"files", files},
      {"too much", too_much}, {"slow clients", slow_clients},
      {"readers that do not read", readers_that_do_not_read}, {"crowd", crowd}, {"reload", reload},
      {"promtool", live_promtool});
