// SPDX-License-Identifier: Apache-2.0
/* Connect unary, see connect.h. Agent thread; connect_encode any. */
#include "profiler/querier/connect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "profiler/base/buf.h"
#include "profiler/base/cursor.h"
#include "profiler/base/json.h"
#include "profiler/http/http.h"
#include "profiler/querier/message_json.h"

#define PROTO_TYPE "application/proto"
#define JSON_TYPE  "application/json"

static const struct {
	const char *name;
	unsigned status;
} codes[] = {
#define X(name, text, status) [CONNECT_##name] = {text, status},
	CONNECT_CODES(X)
#undef X
};

bool connect_takes_gzip(struct http_request *req, bool json)
{
	return http_takes_gzip(req, json ? JSON_TYPE : PROTO_TYPE);
}

void connect_reply(struct http_request *req, bool json, struct buf *body)
{
	http_reply(req, 200, json ? JSON_TYPE : PROTO_TYPE, body);
}

void connect_reply_packed(struct http_request *req, bool json, struct buf *body)
{
	http_reply_packed(req, 200, json ? JSON_TYPE : PROTO_TYPE, body);
}

void connect_error(struct http_request *req, enum connect_code code, const char *fmt, ...)
{
	char message[800]; /* below what http_reply compresses */
	struct buf body = {0};
	struct json j = json_into(&body);
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	json_object(&j, NULL);
	json_str(&j, "code", codes[code].name);
	json_str(&j, "message", message);
	json_end(&j);
	http_reply(req, codes[code].status, JSON_TYPE, &body);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* JSON or not; false: neither. */
static bool content_type(const char *type, bool *ret_json)
{
	*ret_json =
		type && (!strcmp(type, JSON_TYPE) || !strcmp(type, JSON_TYPE "; charset=utf-8"));
	return *ret_json || (type && !strcmp(type, PROTO_TYPE));
}

static bool check_headers(struct http_request *req, bool *ret_json, bool *ret_gzip)
{
	const char *version = http_request_header(req, "Connect-Protocol-Version");
	const char *timeout = http_request_header(req, "Connect-Timeout-Ms");
	const char *encoding = http_request_header(req, "Content-Encoding");
	struct buf empty = {0};

	if (!content_type(http_request_header(req, "Content-Type"), ret_json)) {
		http_header(req, "Accept-Post",
			    PROTO_TYPE ", " JSON_TYPE ", " JSON_TYPE "; charset=utf-8");
		http_reply(req, 415, "text/plain; charset=utf-8", &empty);
		return false;
	}
	if (version && strcmp(version, "1") != 0) {
		connect_error(req, CONNECT_INVALID_ARGUMENT,
			      "Connect-Protocol-Version is '%.40s'; only 1 is known", version);
		return false;
	}
	if (timeout && (!*timeout || strspn(timeout, "0123456789") != strlen(timeout) ||
			strlen(timeout) > 10)) {
		connect_error(req, CONNECT_INVALID_ARGUMENT,
			      "Connect-Timeout-Ms is '%.40s': at most ten digits", timeout);
		return false;
	}
	*ret_gzip = encoding && !strcmp(encoding, "gzip");
	if (encoding && *encoding && !*ret_gzip && strcmp(encoding, "identity") != 0) {
		connect_error(req, CONNECT_UNIMPLEMENTED,
			      "Content-Encoding '%.40s' is not known: send gzip or identity",
			      encoding);
		return false;
	}
	return true;
}

/* Until the stream's end; several members are one. 0, -EINVAL, -EFBIG. */
static int gunzip(z_stream *z, struct buf *out)
{
	int status = Z_OK;

	while (status == Z_OK || z->avail_in) {
		if (status == Z_STREAM_END && inflateReset(z) != Z_OK)
			return -EINVAL;
		if (out->len == CONNECT_MAX_REQUEST)
			return -EFBIG;
		if (buf_reserve(out, 4096))
			return -ENOMEM;
		z->next_out = (Bytef *)out->data + out->len;
		z->avail_out = (uInt)MIN(out->cap - out->len - 1, CONNECT_MAX_REQUEST - out->len);
		status = inflate(z, Z_NO_FLUSH);
		out->len = (size_t)((char *)z->next_out - out->data);
		if (status != Z_OK && status != Z_STREAM_END)
			return -EINVAL;
	}
	return 0;
}

static int decompress(const struct buf *body, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)body->data, .avail_in = (uInt)body->len};
	int err;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return -ENOMEM;
	err = gunzip(&z, out);
	inflateEnd(&z);
	return err;
}

/* Step over a field's value, into *ret_sub when it is one with a length. */
static void skip_value(struct cursor *in, unsigned wire_type, struct cursor *ret_sub)
{
	*ret_sub = cursor_of(NULL, 0);
	if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
		cursor_uleb(in);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_64BIT)
		cursor_skip(in, 8);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_32BIT)
		cursor_skip(in, 4);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		*ret_sub = cursor_sub(in, cursor_uleb(in));
	else
		cursor_fail(in);
}

/* An embedded message that is given again is merged with the first: protobuf-c copies its lists, which
 * grow, each time, so that a body of 240 kB took 0.4 s. Nobody writes one twice. 0, or -EINVAL: it is
 * no message, or *ret_twice is the field. (No message of a request holds one of its own type.) */
static int check_once(const ProtobufCMessageDescriptor *d, struct cursor in, const char **ret_twice)
{
	__u64 seen = 0;

	BUG_ON(d->n_fields > 64);
	while (cursor_left(&in)) {
		__u64 tag = cursor_uleb(&in), bit;
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
		struct cursor sub;

		skip_value(&in, tag & 7, &sub);
		if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		bit = 1ull << (f - d->fields);
		if (f->label != PROTOBUF_C_LABEL_REPEATED && (seen & bit)) {
			*ret_twice = f->name;
			return -EINVAL;
		}
		seen |= bit;
		if (check_once(f->descriptor, sub, ret_twice))
			return -EINVAL;
	}
	return in.bad ? -EINVAL : 0;
}

static int read_proto(const ProtobufCMessageDescriptor *descriptor, const struct buf *body,
		      ProtobufCMessage **ret_message, char *error, size_t size)
{
	const char *twice = NULL;

	*ret_message = NULL;
	if (!check_once(descriptor, cursor_of(body->data, body->len), &twice))
		*ret_message = protobuf_c_message_unpack(descriptor, NULL, body->len,
							 (const uint8_t *)body->data);
	if (*ret_message)
		return 0;
	if (twice)
		snprintf(error, size, "'%s' is there more than once", twice);
	else
		snprintf(error, size, "the body is no %s", descriptor->short_name);
	return -EINVAL;
}

int connect_decode(const ProtobufCMessageDescriptor *descriptor, bool json, bool gzip,
		   const struct buf *body, ProtobufCMessage **ret_message, enum connect_code *code,
		   char *error, size_t size)
{
	struct buf plain = {0};
	const struct buf *text = gzip && body->len ? &plain : body;
	int err = text == &plain ? decompress(body, &plain) : 0;

	*code = err == -EFBIG ? CONNECT_RESOURCE_EXHAUSTED : CONNECT_INVALID_ARGUMENT;
	if (err == -EFBIG)
		snprintf(error, size, "the request may have %zu bytes", CONNECT_MAX_REQUEST);
	else if (err)
		snprintf(error, size, "the body is no gzip stream, or a damaged one");
	if (err) {
		buf_fini(&plain);
		return err == -ENOMEM ? err : -EINVAL;
	}
	err = json ? message_read_json(descriptor, text->len ? text->data : "", text->len,
				       ret_message, error, size)
		   : read_proto(descriptor, text, ret_message, error, size);
	buf_fini(&plain);
	return err;
}

bool connect_read(struct http_request *req, const ProtobufCMessageDescriptor *descriptor,
		  ProtobufCMessage **ret_message, bool *ret_json)
{
	enum connect_code code;
	char error[256];
	bool gzip;
	int err;

	if (!check_headers(req, ret_json, &gzip))
		return false;
	err = connect_decode(descriptor, *ret_json, gzip, &req->body, ret_message, &code, error,
			     sizeof(error));
	if (err == -ENOMEM)
		connect_error(req, CONNECT_UNAVAILABLE,
			      "no memory for the request; try again later");
	else if (err)
		connect_error(req, code, "%s", error);
	return !err;
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct into_buf {
	ProtobufCBuffer base;
	struct buf *out;
};

static void append(ProtobufCBuffer *base, size_t len, const uint8_t *data)
{
	buf_add(container_of(base, struct into_buf, base)->out, data, len);
}

void connect_encode(const ProtobufCMessage *message, bool json, struct buf *out)
{
	struct into_buf into = {.base.append = append, .out = out};

	if (json)
		message_write_json(out, message);
	else
		protobuf_c_message_pack_to_buffer(message, &into.base);
}
