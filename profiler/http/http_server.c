// SPDX-License-Identifier: Apache-2.0
/*
 * Connections and the flow of a request, see http.h. libmicrohttpd 0.9.75 facts used here: in
 * external epoll mode MHD_run does all work; the URI callback's result is the request's context and
 * MHD_OPTION_NOTIFY_COMPLETED is called for each that had one; an answer queued before the body was
 * read closes the connection; suspended connections must be resumed before MHD_stop_daemon.
 *
 * Deadlines are ours (libmicrohttpd's time-out begins anew with every byte): a connection past its
 * deadline has its socket shut down, which libmicrohttpd then notices as a closed connection.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/http/http_config.h"
#include "profiler/http/http_internal.h"
#include "profiler/http/http_listen.h"
#include "profiler/http/http_uri.h"
#include "profiler/loop.h"
#include "profiler/part.h"
#include "profiler/secret.h"

#define POOL_BYTES	 32768 /* request head and answer head, per connection */
#define ARENA_BYTES	 (256u << 10)
#define DISCARD_BYTES	 (1u << 20) /* of a body too large, read so that the 413 is seen */
#define SWEEP_NS	 NS_PER_S
#define SEND_BYTES_PER_S 32768

struct http_deadlines http_deadlines = {
	.head_ns = 10 * NS_PER_S,
	.idle_ns = 60 * NS_PER_S,
	.body_ns = 30 * NS_PER_S,
	.send_ns = 30 * NS_PER_S,
};

static const char *const refusal_names[] = {
#define X(name, text) text,
	HTTP_REFUSALS(X)
#undef X
};

static const unsigned codes[HTTP_N_CODES - 1] = {200, 304, 400, 401, 403, 404, 405, 413,
						 415, 422, 429, 500, 501, 503, 504};

METRIC(http_requests, COUNTER, "bianque_http_requests_total", NULL, "Requests answered");
METRIC(http_refused, COUNTER, "bianque_http_refused_total", NULL,
       "Requests and connections refused before a handler saw them, answers refused for those that "
       "are not read");
METRIC(http_cancelled, COUNTER, "bianque_http_cancelled_total", NULL,
       "Requests whose client went away before the answer");
METRIC(http_sent, COUNTER, "bianque_http_response_bytes_total", "bytes",
       "Bytes of answers' bodies");
METRIC(http_unsent, GAUGE, "bianque_http_unsent_bytes", "bytes",
       "Bodies of answers that wait in memory for their readers");

/* ---- connections and their deadlines ----------------------------------------------------- */

static void shut(struct http_conn *conn)
{
	/* libmicrohttpd sees the end of the stream and closes; closing here would be behind its
	 * back. */
	shutdown(conn->fd, SHUT_RDWR);
	conn->deadline_ns = 0;
	conn->idle = false;
}

static void on_sweep(void *arg)
{
	struct http_server *server = arg;
	__u64 now = clock_monotonic_ns();

	for (struct http_conn *conn = server->conns; conn; conn = conn->next) {
		if (!conn->deadline_ns || conn->deadline_ns > now)
			continue;
		if (!conn->idle)
			server->refused[HTTP_REFUSED_SLOW]++;
		shut(conn);
	}
	if (server->conns)
		loop_timer_set(server->loop, &server->sweep, now + SWEEP_NS);
}

/* Close to the limit the connection that has been idle longest gives way; libmicrohttpd would let
 * newcomers wait in the backlog behind forgotten ones. */
static void make_room(struct http_server *server)
{
	struct http_conn *oldest = NULL;

	for (struct http_conn *conn = server->conns; conn; conn = conn->next)
		if (conn->idle && (!oldest || conn->deadline_ns < oldest->deadline_ns))
			oldest = conn;
	if (!oldest)
		return;
	server->refused[HTTP_REFUSED_FULL]++;
	shut(oldest);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = cls;
	struct http_conn *conn = *socket_context;
	__u64 now = clock_monotonic_ns();

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!conn)
			return;
		*conn->link = conn->next;
		if (conn->next)
			conn->next->link = conn->link;
		server->n_conns--;
		free(conn);
		return;
	}
	conn = calloc(1, sizeof(*conn));
	*socket_context = conn;
	if (!conn)
		return; /* its first request is refused */
	conn->fd =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	conn->idle = true;
	conn->deadline_ns = now + http_deadlines.head_ns;
	conn->next = server->conns;
	conn->link = &server->conns;
	if (conn->next)
		conn->next->link = &conn->next;
	server->conns = conn;
	if (++server->n_conns > HTTP_MAX_CONNECTIONS - 8)
		make_room(server);
	server->was_full |= server->n_conns == HTTP_MAX_CONNECTIONS;
	if (!server->sweep.set)
		loop_timer_set(server->loop, &server->sweep, now + SWEEP_NS);
}

/* ---- the life of an exchange ------------------------------------------------------------- */

/* The request line is there: libmicrohttpd hands the raw target over before it decodes it. */
static void *on_target(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct http_server *server = cls;
	struct http_exchange *ex = calloc(1, sizeof(*ex));

	if (!ex)
		return NULL;
	ex->server = server;
	ex->connection = connection;
	ex->conn = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
			   ->socket_context;
	ex->arena.limit = ARENA_BYTES;
	ex->req.agent = server->agent;
	ex->req.parts = server->part.parts;
	ex->target = arena_strndup(&ex->arena, uri, strnlen(uri, HTTP_MAX_URI + 1));
	if (ex->conn) {
		ex->conn->idle = false;
		ex->conn->deadline_ns = clock_monotonic_ns() + http_deadlines.head_ns;
	}
	ex->next = server->exchanges;
	ex->link = &server->exchanges;
	if (ex->next)
		ex->next->link = &ex->next;
	server->exchanges = ex;
	return ex;
}

static void on_completed(void *cls, struct MHD_Connection *connection UNUSED, void **con_cls,
			 enum MHD_RequestTerminationCode code UNUSED)
{
	struct http_server *server = cls;
	struct http_exchange *ex = *con_cls;

	if (!ex)
		return;
	if (ex->stage != HTTP_QUEUED)
		server->cancelled++;
	if (ex->conn && ex->conn->deadline_ns) {
		ex->conn->idle = true;
		ex->conn->deadline_ns = clock_monotonic_ns() + http_deadlines.idle_ns;
	}
	*ex->link = ex->next;
	if (ex->next)
		ex->next->link = ex->link;
	if (ex->response)
		MHD_destroy_response(ex->response);
	buf_fini(&ex->req.body);
	arena_fini(&ex->arena);
	free(ex);
	*con_cls = NULL;
}

static void count_answer(struct http_server *server, const struct http_exchange *ex)
{
	size_t route = 0, code = 0;

	while (route < server->n_routes && server->routes[route] != ex->req.route)
		route++;
	if (!ex->req.route)
		route = HTTP_MAX_ROUTES;
	while (code < ARRAY_SIZE(codes) && codes[code] != ex->status)
		code++;
	server->answered[route][code]++;
	if (!ex->req.head)
		server->sent_bytes += ex->response_bytes;
}

static enum MHD_Result queue_answer(struct http_exchange *ex)
{
	enum MHD_Result ok;

	ex->stage = HTTP_QUEUED;
	if (!ex->response) {
		log_limited(http, LOG_LEVEL_WARN, "no memory for an answer to '%.100s'",
			    ex->req.path ? ex->req.path : "");
		return MHD_NO;
	}
	count_answer(ex->server, ex);
	ok = MHD_queue_response(ex->connection, ex->status, ex->response);
	MHD_destroy_response(ex->response); /* libmicrohttpd holds its own reference */
	ex->response = NULL;
	if (ex->conn)
		ex->conn->deadline_ns = clock_monotonic_ns() + http_deadlines.send_ns +
					ex->response_bytes / SEND_BYTES_PER_S * NS_PER_S;
	return ok;
}

/* ---- suspension -------------------------------------------------------------------------- */

static void unpark(struct http_exchange *ex)
{
	if (!ex->parked)
		return;
	loop_del(ex->server->loop, ex->watch);
	ex->parked = false;
	MHD_resume_connection(ex->connection); /* on_request comes again for it, in MHD_run */
	loop_timer_set(ex->server->loop, &ex->server->run, 0);
}

static void cancel(struct http_exchange *ex)
{
	ex->stage = HTTP_GONE;
	ex->cancel(ex->cancel_arg);
	unpark(ex);
}

static void on_client_gone(void *arg, __u32 events UNUSED)
{
	cancel(arg);
}

void http_suspend(struct http_request *req, const char *content_type, void (*cancel_fn)(void *arg),
		  void *arg)
{
	struct http_exchange *ex = http_exchange_of(req);

	BUG_ON(ex->stage != HTTP_HANDLING);
	if (req->head) {
		cancel_fn(arg);
		http_reply_head(req, content_type);
		return;
	}
	ex->stage = HTTP_SUSPENDED;
	ex->cancel = cancel_fn;
	ex->cancel_arg = arg;
}

void http_exchange_answered(struct http_exchange *ex)
{
	ex->stage = HTTP_ANSWERED;
	unpark(ex);
}

static enum MHD_Result park(struct http_exchange *ex)
{
	int err = ex->conn ? loop_add(ex->server->loop, ex->conn->fd, EPOLLRDHUP, on_client_gone,
				      ex, &ex->watch)
			   : -ENOMEM;

	if (err) {
		log_limited(http, LOG_LEVEL_WARN,
			    "a request was dropped: its socket cannot be "
			    "watched: %s",
			    strerror(-err));
		cancel(ex);
		return MHD_NO;
	}
	ex->conn->deadline_ns = 0;
	ex->parked = true;
	MHD_suspend_connection(ex->connection);
	return MHD_YES;
}

/* ---- libmicrohttpd's calls --------------------------------------------------------------- */

/* A piece of the body. False: too much of it, close. */
static bool take_body(struct http_exchange *ex, const char *data, size_t len)
{
	ex->body_seen += len;
	if (ex->body_seen <= ex->req.route->max_body)
		buf_add(&ex->req.body, data, len);
	return ex->body_seen <= ex->req.route->max_body + DISCARD_BYTES;
}

static enum MHD_Result handle(struct http_exchange *ex)
{
	ex->stage = HTTP_HANDLING;
	ex->conn->deadline_ns = 0;
	if (ex->body_seen > ex->req.route->max_body)
		http_error(&ex->req, 413, "body_too_large", "the body may have %zu bytes here",
			   ex->req.route->max_body);
	else if (ex->req.body.err)
		http_error(&ex->req, 503, "out_of_memory", "out of memory; try again later");
	else
		ex->req.route->handle(&ex->req);
	if (ex->stage == HTTP_SUSPENDED)
		return park(ex);
	BUG_ON(ex->stage != HTTP_ANSWERED); /* a handler must answer or suspend */
	return queue_answer(ex);
}

static enum MHD_Result on_request(void *cls UNUSED, struct MHD_Connection *connection UNUSED,
				  const char *url UNUSED, const char *method,
				  const char *version UNUSED, const char *data, size_t *data_size,
				  void **con_cls)
{
	struct http_exchange *ex = *con_cls;

	if (!ex || !ex->conn)
		return MHD_NO; /* out of memory */
	switch (ex->stage) {
	case HTTP_HEAD:
		if (!http_exchange_check(ex, method))
			return queue_answer(ex);
		ex->stage = HTTP_BODY;
		ex->conn->deadline_ns = clock_monotonic_ns() + http_deadlines.body_ns;
		return MHD_YES;
	case HTTP_BODY:
		if (!*data_size)
			return handle(ex);
		if (!take_body(ex, data, *data_size))
			return MHD_NO;
		*data_size = 0;
		return MHD_YES;
	case HTTP_ANSWERED:
		return queue_answer(ex);
	default: /* HTTP_GONE */
		return MHD_NO;
	}
}

static void on_daemon_log(void *cls, const char *fmt, va_list args) PRINTF(2, 0);
static void on_daemon_log(void *cls UNUSED, const char *fmt, va_list args)
{
	char line[512];

	if (!log_wants(LOG_http, LOG_LEVEL_DEBUG))
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	log_debug(http, "libmicrohttpd: %s", line);
}

static void run_daemon(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(server->daemon);
	if (server->was_full && server->n_conns < HTTP_MAX_CONNECTIONS) {
		server->was_full = false; /* it listens again only from the next run on */
		loop_timer_set(server->loop, &server->run, 0);
		return;
	}
	if (MHD_get_timeout(server->daemon, &ms) == MHD_YES)
		loop_timer_set(server->loop, &server->run,
			       clock_monotonic_ns() + MIN((__u64)ms, (__u64)60000) * NS_PER_MS);
	else
		loop_timer_stop(server->loop, &server->run);
}

static void on_run_timer(void *arg)
{
	run_daemon(arg);
}

static void on_daemon_ready(void *arg, __u32 events UNUSED)
{
	run_daemon(arg);
}

/* ---- metrics ----------------------------------------------------------------------------- */

static void route_metrics(const struct http_server *server, size_t row, const char *name,
			  const char *method, struct metric_out *out)
{
	char code[16];

	for (size_t i = 0; i < HTTP_N_CODES; i++) {
		if (!server->answered[row][i])
			continue;
		snprintf(code, sizeof(code), "%u", i < ARRAY_SIZE(codes) ? codes[i] : 0);
		metric_out_u64(out, &http_requests,
			       METRIC_LABELS({"route", name}, {"method", method},
					     {"code", i < ARRAY_SIZE(codes) ? code : "other"}),
			       server->answered[row][i]);
	}
}

static int server_metrics(void *self, struct metric_out *out)
{
	const struct http_server *server = self;

	for (size_t i = 0; i < server->n_routes; i++)
		route_metrics(server, i, server->routes[i]->path, server->routes[i]->method, out);
	route_metrics(server, HTTP_MAX_ROUTES, "none", "any", out);
	for (size_t i = 0; i < HTTP_N_REFUSALS; i++)
		metric_out_u64(out, &http_refused, METRIC_LABELS({"reason", refusal_names[i]}),
			       server->refused[i]);
	metric_out_u64(out, &http_cancelled, NULL, server->cancelled);
	metric_out_u64(out, &http_sent, NULL, server->sent_bytes);
	metric_out_u64(out, &http_unsent, NULL, server->unsent_bytes);
	return 0;
}

static void server_tables(void *self, struct table_out *out)
{
	const struct http_server *server = self;

	table_out_add(out, "connections", server->n_conns, HTTP_MAX_CONNECTIONS, "entries");
}

/* ---- opening and closing ----------------------------------------------------------------- */

static int start_daemon(struct http_server *server, int fd, struct MHD_Daemon **ret_daemon)
{
	*ret_daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_daemon_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_STRICT_FOR_CLIENT,
		1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	return *ret_daemon ? 0 : -ENOMEM;
}

/* The daemon goes with all its connections; whoever still works for one is told. */
static void stop_daemon(struct http_server *server)
{
	if (!server->daemon)
		return;
	for (struct http_exchange *ex = server->exchanges, *next; ex; ex = next) {
		next = ex->next;
		if (ex->stage == HTTP_SUSPENDED)
			cancel(ex);
		else
			unpark(ex);
	}
	loop_del(server->loop, server->watch);
	loop_timer_stop(server->loop, &server->run);
	MHD_stop_daemon(server->daemon);
	server->daemon = NULL;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len))
		return 0;
	/* The port stands at the same place in both families. */
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

/* Bind what config says and put it in the old daemon's place. */
static int replace_daemon(struct http_server *server, const struct http_config *config, char *error,
			  size_t size)
{
	_free_ char *listen = strdup(config->listen);
	int fd = http_listen(config, error, size);
	struct MHD_Daemon *daemon = NULL;
	const union MHD_DaemonInfo *info;
	unsigned port;
	__u64 watch;
	int err;

	if (fd == -EADDRINUSE && server->daemon &&
	    !strcmp(strrchr(config->listen, ':'), strrchr(server->listen, ':')))
		snprintf(error, size,
			 "http.listen cannot move from %s to %s while the agent runs; restart it",
			 server->listen, config->listen);
	if (fd < 0)
		return fd;
	port = port_of(fd);
	err = listen ? start_daemon(server, fd, &daemon) : -ENOMEM;
	if (err) {
		close(fd);
	} else {
		info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
		err = info ? loop_add(server->loop, info->epoll_fd, EPOLLIN, on_daemon_ready,
				      server, &watch)
			   : -ENOSYS;
		if (err)
			MHD_stop_daemon(daemon);
	}
	if (err) {
		snprintf(error, size, "cannot serve HTTP on %s: %s", config->listen,
			 strerror(-err));
		return err;
	}
	stop_daemon(server);
	server->daemon = daemon;
	server->watch = watch;
	server->port = port;
	free(server->listen);
	server->listen = take(listen);
	log_info(http, "serving on http://%.*s:%u/%s",
		 (int)(strrchr(server->listen, ':') - server->listen), server->listen, port,
		 config->insecure && !*config->token_file ? ", to everybody: http.insecure" : "");
	return 0;
}

static int copy_hosts(const struct option_list *from, struct arena *arena, struct option_list *ret)
{
	const char **items = arena_alloc(arena, (from->n + 1) * sizeof(*items));

	for (size_t i = 0; items && i < from->n; i++) {
		items[i] = arena_strndup(arena, from->items[i], strlen(from->items[i]));
		if (!items[i])
			return -ENOMEM;
	}
	*ret = (struct option_list){.items = items, .n = from->n};
	return items ? 0 : -ENOMEM;
}

int http_server_reload(struct http_server *server, const struct http_config *config, char *error,
		       size_t size)
{
	struct secret token = {0};
	struct arena arena = {0};
	struct option_list hosts;
	int err = 0;

	if (*config->token_file)
		err = secret_open(&token, config->token_file, error, size);
	if (!err) {
		err = copy_hosts(&config->allowed_hosts, &arena, &hosts);
		if (err)
			snprintf(error, size, "out of memory");
	}
	if (!err && (!server->listen || strcmp(server->listen, config->listen)))
		err = replace_daemon(server, config, error, size);
	if (err) {
		secret_close(&token);
		arena_fini(&arena);
		return err;
	}
	secret_close(&server->token);
	server->token = token;
	arena_fini(&server->hosts_arena);
	server->hosts_arena = arena;
	server->hosts.allowed_hosts = hosts;
	part_set_state(&server->part, PART_OK, NULL);
	run_daemon(server); /* a connection may be waiting since listen() */
	return 0;
}

int http_server_open(const struct http_server_args *args, struct http_server **ret_server,
		     char *error, size_t size)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int err;

	if (!server) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	server->loop = args->loop;
	server->agent = args->agent;
	server->run = (struct loop_timer){.fn = on_run_timer, .arg = server};
	server->sweep = (struct loop_timer){.fn = on_sweep, .arg = server};
	server->part = (struct part){.name = "http",
				     .self = server,
				     .required = true,
				     .metrics = server_metrics,
				     .tables = server_tables};
	registry_for_each (http_routes, it) {
		BUG_ON(server->n_routes == HTTP_MAX_ROUTES);
		server->routes[server->n_routes++] = *it;
	}
	err = parts_add(args->parts, &server->part);
	if (err)
		snprintf(error, size, "too many parts");
	else
		err = http_server_reload(server, args->config, error, size);
	if (err) {
		http_server_close(server);
		return err;
	}
	*ret_server = server;
	return 0;
}

void http_server_close(struct http_server *server)
{
	if (!server)
		return;
	stop_daemon(server);
	loop_timer_stop(server->loop, &server->sweep);
	parts_del(&server->part);
	secret_close(&server->token);
	arena_fini(&server->hosts_arena);
	free(server->listen);
	free(server);
}

unsigned http_server_port(const struct http_server *server)
{
	return server->port;
}
