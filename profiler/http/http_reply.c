// SPDX-License-Identifier: Apache-2.0
/* Answers: bodies, compression, errors, embedded files; see http.h. */
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>
#include <zlib.h>

#include "profiler/base/json.h"
#include "profiler/base/log.h"
#include "profiler/http/http_accept.h"
#include "profiler/http/http_internal.h"

#define GZIP_MIN_BYTES 1024
#define TRIM_BYTES     (4u << 20)
#define GZIP_LEVEL     1 /* scrapes are paid for by the agent's CPU budget */

/* Everything from this origin only, no inline script, no frames around it (the page's own tests run
 * under it). */
#define CONTENT_POLICY                                                                             \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "          \
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "               \
	"frame-ancestors 'none'"

void http_header(struct http_request *req, const char *name, const char *value)
{
	struct http_exchange *ex = http_exchange_of(req);
	char *n = arena_strndup(&ex->arena, name, strlen(name));
	char *v = arena_strndup(&ex->arena, value, strlen(value));

	BUG_ON(ex->n_headers == HTTP_MAX_HEADERS);
	if (n && v)
		ex->headers[ex->n_headers++] = (struct http_added_header){n, v};
}

const char *http_request_header(struct http_request *req, const char *name)
{
	return MHD_lookup_connection_value(http_exchange_of(req)->connection, MHD_HEADER_KIND,
					   name);
}

/* What compression makes smaller. */
static bool is_text(const char *content_type)
{
	static const char *const kinds[] = {"text/",
					    "application/json",
					    "application/openmetrics",
					    "application/proto",
					    "image/svg",
					    "application/javascript"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(content_type, kinds[i], strlen(kinds[i])))
			return true;
	return false;
}

bool http_takes_gzip(struct http_request *req, const char *content_type)
{
	return is_text(content_type) &&
	       http_accepts_gzip(http_request_header(req, "Accept-Encoding"));
}

/* The gzip form of data into out. 0 or -errno. */
static int compress_body(const void *data, size_t len, struct buf *out)
{
	z_stream z = {0};
	int err;

	if (len > UINT32_MAX / 2 ||
	    deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	err = buf_reserve(out, deflateBound(&z, len));
	if (!err) {
		z.next_in = (Bytef *)(uintptr_t)data;
		z.avail_in = (uInt)len;
		z.next_out = (Bytef *)out->data;
		z.avail_out = (uInt)(out->cap - 1);
		err = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
		out->len = z.total_out;
	}
	deflateEnd(&z);
	return err;
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	if (MHD_add_response_header(response, name, value) != MHD_YES)
		log_debug(http, "header '%s' was left out of an answer", name);
}

/* Hand the response over; NULL when memory ended: the connection is closed without an answer. */
static void finish(struct http_exchange *ex, unsigned status, const char *content_type,
		   struct MHD_Response *response, size_t bytes)
{
	BUG_ON(ex->stage == HTTP_ANSWERED || ex->stage == HTTP_QUEUED || ex->stage == HTTP_GONE);
	ex->response = response;
	ex->status = status;
	ex->response_bytes = bytes;
	if (response) {
		if (content_type)
			add_header(response, "Content-Type", content_type);
		add_header(response, "X-Content-Type-Options", "nosniff");
		for (unsigned i = 0; i < ex->n_headers; i++)
			add_header(response, ex->headers[i].name, ex->headers[i].value);
	}
	http_exchange_answered(ex);
}

/* Pages that carry a policy of their own within; this part of one works in a header alone. */
static void refuse_frames(struct MHD_Response *response)
{
	add_header(response, "Content-Security-Policy",
		   "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	add_header(response, "X-Frame-Options", "DENY");
	add_header(response, "Referrer-Policy", "no-referrer");
}

/* What goes with a body that is made for one request. */
static void add_body_headers(struct MHD_Response *response, const char *content_type)
{
	if (is_text(content_type))
		add_header(response, "Vary", "Accept-Encoding");
	add_header(response, "Cache-Control", "no-store");
	if (!strncmp(content_type, "text/html", 9) || !strncmp(content_type, "image/svg", 9))
		refuse_frames(response);
}

static ssize_t no_body(void *cls UNUSED, uint64_t at UNUSED, char *to UNUSED, size_t max UNUSED)
{
	return MHD_CONTENT_READER_END_OF_STREAM;
}

void http_reply_head(struct http_request *req, const char *content_type)
{
	struct MHD_Response *response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, no_body, NULL, NULL);

	if (response)
		add_body_headers(response, content_type);
	finish(http_exchange_of(req), 200, content_type, response, 0);
}

/* The allocator would keep a large one for the next. */
static void free_body(struct buf *body)
{
	bool large = body->cap > TRIM_BYTES;

	buf_fini(body);
	if (large)
		malloc_trim(0);
}

/* In a smaller form, when the client takes that. */
static bool pack(struct http_request *req, const char *content_type, struct buf *body)
{
	struct buf packed = {0};

	if (body->len < GZIP_MIN_BYTES || !http_takes_gzip(req, content_type))
		return false;
	if (compress_body(body->data, body->len, &packed)) {
		buf_fini(&packed);
		return false;
	}
	free_body(body);
	*body = packed;
	return true;
}

/* ---- bodies that wait for their readers -------------------------------------------------- */

struct waiting_body {
	struct http_server *server;
	struct buf buf;
};

static void drop_body(void *arg)
{
	struct waiting_body *waiting = arg;

	waiting->server->unsent_bytes -= waiting->buf.len;
	free_body(&waiting->buf);
	free(waiting);
}

/* The response takes the body, until it is sent or its reader gone. NULL: out of memory. */
static struct MHD_Response *hold_body(struct http_server *server, struct buf *body)
{
	struct waiting_body *waiting = malloc(sizeof(*waiting));
	struct MHD_Response *response;
	char *fitting;

	if (!waiting) {
		buf_fini(body);
		return NULL;
	}
	if (body->len >= HTTP_SMALL_BODY) { /* no more than what is counted */
		fitting = realloc(body->data, body->len);
		if (fitting) {
			body->data = fitting;
			body->cap = body->len;
		}
	}
	*waiting = (struct waiting_body){.server = server, .buf = *body};
	*body = (struct buf){0};
	server->unsent_bytes += waiting->buf.len;
	response = MHD_create_response_from_buffer_with_free_callback_cls(
		waiting->buf.len, waiting->buf.data, drop_body, waiting);
	if (!response)
		drop_body(waiting);
	return response;
}

/* Answers that nobody reads may not fill the memory. */
static void refuse_body(struct http_request *req, struct buf *body)
{
	struct http_exchange *ex = http_exchange_of(req);

	free_body(body);
	ex->server->refused[HTTP_REFUSED_UNSENT]++;
	ex->n_headers = 0; /* of the answer that is not given */
	http_header(req, "Retry-After", "1");
	http_error(req, 503, "busy",
		   "%zu MiB of answers wait for clients that do not read them; try again later, or "
		   "ask for less",
		   ex->server->unsent_bytes >> 20);
}

/* The body is taken. */
static void reply(struct http_request *req, unsigned status, const char *content_type,
		  struct buf *body, bool gzip)
{
	struct http_exchange *ex = http_exchange_of(req);
	struct MHD_Response *response;
	size_t bytes = body->len;

	if (body->err) {
		buf_fini(body);
		http_error(req, 500, "out_of_memory", "the answer does not fit into memory");
		return;
	}
	if (bytes >= HTTP_SMALL_BODY && ex->server->unsent_bytes + bytes > HTTP_MAX_UNSENT) {
		refuse_body(req, body);
		return;
	}
	response = hold_body(ex->server, body);
	if (response) {
		if (gzip)
			add_header(response, "Content-Encoding", "gzip");
		add_body_headers(response, content_type);
	}
	finish(ex, status, content_type, response, bytes);
}

void http_reply(struct http_request *req, unsigned status, const char *content_type,
		struct buf *body)
{
	bool gzip = !body->err && pack(req, content_type, body);

	reply(req, status, content_type, body, gzip);
}

void http_reply_packed(struct http_request *req, unsigned status, const char *content_type,
		       struct buf *body)
{
	reply(req, status, content_type, body, http_takes_gzip(req, content_type));
}

void http_reply_text(struct http_request *req, unsigned status, const char *fmt, ...)
{
	struct buf body = {0};
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&body, fmt, args);
	va_end(args);
	http_reply(req, status, "text/plain; charset=utf-8", &body);
}

void http_error(struct http_request *req, unsigned status, const char *code, const char *fmt, ...)
{
	char message[1024];
	struct buf body = {0};
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (req->path && !strncmp(req->path, "/debug/pprof", 12)) {
		http_header(req, "X-Go-Pprof", "1"); /* go tool pprof then prints the body */
		buf_printf(&body, "%s\n", message);
		http_reply(req, status, "text/plain; charset=utf-8", &body);
	} else {
		struct json j = json_into(&body);

		json_object(&j, NULL);
		json_object(&j, "error");
		json_str(&j, "code", code);
		json_str(&j, "message", message);
		json_end(&j);
		json_end(&j);
		buf_char(&body, '\n');
		http_reply(req, status, "application/json", &body);
	}
}

void http_reply_file(struct http_request *req, const struct http_file *file)
{
	struct http_exchange *ex = http_exchange_of(req);
	bool gzip = file->gzip && http_accepts_gzip(http_request_header(req, "Accept-Encoding"));
	const void *data = gzip ? file->gzip : file->data;
	size_t size = gzip ? file->gzip_size : file->size;
	struct MHD_Response *response;
	unsigned status = 200;
	char etag[40];

	snprintf(etag, sizeof(etag), "\"%016llx%s\"",
		 (unsigned long long)XXH3_64bits(file->data, file->size), gzip ? "-gz" : "");
	if (http_etag_matches(http_request_header(req, "If-None-Match"), etag)) {
		status = 304;
		size = 0;
	}
	response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)data,
						   MHD_RESPMEM_PERSISTENT);
	if (response) {
		add_header(response, "ETag", etag);
		add_header(response, "Cache-Control", "no-cache"); /* ask, and get a 304 */
		add_header(response, "Vary", "Accept-Encoding");
		if (gzip && status == 200)
			add_header(response, "Content-Encoding", "gzip");
		add_header(response, "Content-Security-Policy", CONTENT_POLICY);
		add_header(response, "X-Frame-Options", "DENY");
		add_header(response, "Referrer-Policy", "no-referrer");
	}
	finish(ex, status, status == 200 ? file->content_type : NULL, response, size);
}
