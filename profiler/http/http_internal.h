/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http_server.c (connections, the flow of a request) and http_reply.c (answers) share. A
 * connection carries one exchange at a time: a request and its answer. All of it belongs to the
 * agent's thread.
 */
#pragma once

#include <microhttpd.h>

#include "profiler/base/arena.h"
#include "profiler/http/http.h"
#include "profiler/http/http_config.h"
#include "profiler/loop.h"
#include "profiler/part.h"
#include "profiler/secret.h"

#define HTTP_MAX_ROUTES 128
#define HTTP_N_CODES	16 /* the statuses counted apart, and the rest */

#define HTTP_REFUSALS(X)                                                                           \
	X(HOST, "host")                                                                            \
	X(TOKEN, "token")                                                                          \
	X(ORIGIN, "origin")                                                                        \
	X(SLOW, "slow")                                                                            \
	X(FULL, "connections")                                                                     \
	X(UNSENT, "unsent")

enum http_refusal {
#define X(name, text) HTTP_REFUSED_##name,
	HTTP_REFUSALS(X)
#undef X
		HTTP_N_REFUSALS
};

/* How long a client may take; tests shorten them. */
struct http_deadlines {
	__u64 head_ns; /* request line and headers, from the first byte or the connection on */
	__u64 idle_ns; /* between two requests */
	__u64 body_ns;
	__u64 send_ns; /* of the answer, besides what 32 KiB/s take */
};
extern struct http_deadlines http_deadlines;

enum http_stage {
	HTTP_HEAD,	/* request line and headers are coming in */
	HTTP_BODY,	/* checked, the body is coming in */
	HTTP_HANDLING,	/* the handler runs */
	HTTP_SUSPENDED, /* the handler answers later */
	HTTP_ANSWERED,	/* an answer is there, libmicrohttpd has not got it yet */
	HTTP_QUEUED,	/* libmicrohttpd sends it */
	HTTP_GONE,	/* the client went away while suspended */
};

struct http_exchange {
	struct http_request req;
	struct http_server *server;
	struct http_conn *conn;
	struct http_exchange *next, **link; /* of the server's list */
	enum http_stage stage;
	struct arena arena; /* target, path, query values, headers to add */
	char *target;
	struct MHD_Connection *connection;

	bool parked; /* libmicrohttpd has it suspended */
	__u64 watch; /* of its socket while parked */
	void (*cancel)(void *arg);
	void *cancel_arg;

	struct http_added_header {
		const char *name, *value;
	} headers[HTTP_MAX_HEADERS];
	unsigned n_headers;
	struct MHD_Response *response;
	unsigned status;
	size_t response_bytes;

	size_t body_seen; /* more than the route takes: the rest was thrown away */
};

/* One TCP connection; in libmicrohttpd's socket context. */
struct http_conn {
	struct http_conn *next, **link;
	int fd;
	bool idle;	   /* no request is under way */
	__u64 deadline_ns; /* 0: none */
};

struct http_server {
	struct loop *loop;
	struct agent *agent;
	struct part part;

	struct MHD_Daemon *daemon;
	__u64 watch;		 /* of the daemon's epoll descriptor */
	struct loop_timer run;	 /* when libmicrohttpd asks to be run again */
	struct loop_timer sweep; /* deadlines; runs while there are connections */
	unsigned port;

	char *listen; /* as configured, to see a change */
	struct secret token;
	struct http_config hosts; /* only allowed_hosts, copied into hosts_arena */
	struct arena hosts_arena;

	struct http_conn *conns;
	unsigned n_conns;
	bool was_full; /* libmicrohttpd stopped accepting and must be told to look again */
	struct http_exchange *exchanges;

	const struct http_route *routes[HTTP_MAX_ROUTES];
	size_t n_routes;
	__u64 answered[HTTP_MAX_ROUTES + 1][HTTP_N_CODES]; /* the last row: no route */
	__u64 refused[HTTP_N_REFUSALS];
	__u64 cancelled, sent_bytes;
	size_t unsent_bytes; /* bodies that libmicrohttpd has and nobody has read */
};

static inline struct http_exchange *http_exchange_of(struct http_request *req)
{
	return container_of(req, struct http_exchange, req);
}

/* http_check.c: hold the head against host, token, route, query and size; sets req.route, path,
 * query and the like. False when it was answered with an error. */
bool http_exchange_check(struct http_exchange *ex, const char *method);
/* http_server.c: an answer is there; wake the connection when it was parked. */
void http_exchange_answered(struct http_exchange *ex);
