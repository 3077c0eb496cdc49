/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's HTTP server: libmicrohttpd in external epoll mode inside the agent's loop (loop.h),
 * so there is no thread and no lock. Whoever has something to serve registers a route:
 *
 *	struct hello_query { const char *name; };
 *	static const struct option_row hello_rows[] = {
 *		OPTION_ROW(STRING, struct hello_query, name, .def = "world", .help = "whom"),
 *		{0},
 *	};
 *	static void hello(struct http_request *req)
 *	{
 *		const struct hello_query *q = req->query;
 *		http_reply_text(req, 200, "hello %s\n", q->name);
 *	}
 *	HTTP_ROUTE(hello, .method = "GET", .path = "/hello", .query = hello_rows,
 *		   .query_size = sizeof(struct hello_query), .handle = hello);
 *
 * Before a handler runs the server has checked the Host header, the bearer token, the method, the
 * path, every query key (by the option rows: unknown 400, bad type 400, out of range 422) and the
 * body's size. The handler answers at once, or calls http_suspend and answers later from the same
 * thread; when the client goes away meanwhile, its cancel callback runs instead (libmicrohttpd does
 * not watch suspended connections, so their sockets are watched here; a client that shuts down its
 * sending side counts as gone).
 *
 * Errors are {"error":{"code","message"}}, under /debug/pprof text with X-Go-Pprof: 1. Bounds: 128
 * connections (the longest idle one gives way), 8 KiB of URI, 32 KiB of head, deadlines for a slow
 * head, body or reader; 64 MiB of answers that are not sent yet: beyond it large ones become a 503,
 * and small ones pass. Malformed HTTP itself is answered by libmicrohttpd in its own words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/buf.h"
#include "profiler/base/registry.h"
#include "profiler/option.h"

struct agent;
struct http_server;
struct loop;
struct parts;

#define HTTP_MAX_CONNECTIONS 128
#define HTTP_MAX_URI	     8192
#define HTTP_MAX_HEADERS     8 /* that a handler may add */
#define HTTP_MAX_UNSENT	     ((size_t)64 << 20)
#define HTTP_SMALL_BODY	     65536 /* passes always */

struct http_request {
	const struct http_route *route;
	const char *path;  /* decoded */
	const char *rest;  /* of a prefix route: what follows the prefix */
	const void *query; /* the route's struct; NULL without query rows */
	struct buf body;   /* of POST and PUT; empty otherwise */
	bool head;	   /* HEAD: the body is not sent, so do not work for it */
	bool trusted;	   /* the token was given, or none is configured */
	struct agent *agent;
	struct parts *parts;
};

struct http_route {
	const char *method; /* GET (answers HEAD too), POST, PUT or DELETE */
	const char *path;   /* exact, or ending in * for everything that begins so */
	const char *help;   /* one line; NULL hides it from lists */
	const struct option_row *query;
	size_t query_size;
	size_t max_body; /* 0: none is read */
	bool open;	 /* served without the token (health, the page's files) */
	void (*handle)(struct http_request *req);
};

#define HTTP_ROUTE(name_, ...)                                                                     \
	static const struct http_route name_##_route = {__VA_ARGS__};                              \
	REGISTER(http_routes, const struct http_route, name_##_route)
REGISTRY(http_routes, const struct http_route);

/* ---- answering: exactly one of these a request, from the agent's thread ------------------ */

/* The body's memory is taken; a body whose err is set becomes a 500. Text is compressed when the
 * client accepts gzip. */
void http_reply(struct http_request *req, unsigned status, const char *content_type,
		struct buf *body);
/* Whether the client takes an answer of this type compressed. Who makes a large one in another thread
 * compresses it there, and gives it to http_reply_packed. */
bool http_takes_gzip(struct http_request *req, const char *content_type);
/* The body is gzip if http_takes_gzip. */
void http_reply_packed(struct http_request *req, unsigned status, const char *content_type,
		       struct buf *body);
/* Of a HEAD: what a GET would answer, but for Content-Length, which nobody knows before the work. */
void http_reply_head(struct http_request *req, const char *content_type);
void http_reply_text(struct http_request *req, unsigned status, const char *fmt, ...) PRINTF(3, 4);
/* code: lower_snake for programs; the text says what, why and what to do. */
void http_error(struct http_request *req, unsigned status, const char *code, const char *fmt, ...)
	PRINTF(4, 5);
/* Add a header to the coming answer; both strings are copied. Before the answer. */
void http_header(struct http_request *req, const char *name, const char *value);

/* A file embedded in the binary. gzip may be NULL. The answer carries an ETag (and a 304 for it),
 * the content security policy and the headers that keep it out of frames. */
struct http_file {
	const char *content_type;
	const void *data, *gzip;
	size_t size, gzip_size;
};
void http_reply_file(struct http_request *req, const struct http_file *file);

/* Answer later, as content_type unless something fails (NULL: the route is no GET). Until then
 * cancel(arg) may run once, when the client goes away or the server stops; afterwards req is gone and
 * must not be answered. After an answer cancel does not run. A HEAD is answered at once: its cancel
 * runs within this call, so that what a handler has begun ends. */
void http_suspend(struct http_request *req, const char *content_type, void (*cancel)(void *arg),
		  void *arg);

/* The value of a request header, or NULL. */
const char *http_request_header(struct http_request *req, const char *name);

/* ---- the server -------------------------------------------------------------------------- */

struct http_config;

struct http_server_args {
	const struct http_config *config;
	struct loop *loop;
	struct parts *parts; /* the server adds itself to it */
	struct agent *agent; /* handed to handlers; may be NULL */
};

/* Bind, listen and serve from the loop. 0, or -errno with a sentence for the user in error. The
 * config is read now and at http_server_reload, not kept. */
MUST_CHECK int http_server_open(const struct http_server_args *args,
				struct http_server **ret_server, char *error, size_t size);
/* Take over changed settings. On failure (-errno, error) the old ones go on. */
MUST_CHECK int http_server_reload(struct http_server *server, const struct http_config *config,
				  char *error, size_t size);
/* Cancels what is suspended, closes every connection. NULL is fine. */
void http_server_close(struct http_server *server);
/* The port bound, for a configured port 0 (tests). */
unsigned http_server_port(const struct http_server *server);
