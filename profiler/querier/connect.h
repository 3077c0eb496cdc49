/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect's unary protocol over one POST: a message as protobuf or JSON in, gzip or not, one out;
 * errors are {"code","message"} with the status that belongs to the code.
 * (connectrpc.com/docs/protocol, "Unary-Request"; what servers of Pyroscope answer to the headers.)
 *
 * Answers are compressed when the client accepts gzip.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "profiler/base/check.h"

#define CONNECT_MAX_REQUEST ((size_t)256 << 10) /* as sent, and decompressed */

struct buf;
struct http_request;

#define CONNECT_CODES(X)                                                                           \
	X(INVALID_ARGUMENT, "invalid_argument", 400)                                               \
	X(RESOURCE_EXHAUSTED, "resource_exhausted", 429)                                           \
	X(UNIMPLEMENTED, "unimplemented", 501)                                                     \
	X(INTERNAL, "internal", 500)                                                               \
	X(DEADLINE_EXCEEDED, "deadline_exceeded", 504)                                             \
	X(UNAVAILABLE, "unavailable", 503)

enum connect_code {
#define X(name, text, status) CONNECT_##name,
	CONNECT_CODES(X)
#undef X
		CONNECT_N_CODES
};

/* The request's message, the caller's (protobuf_c_message_free_unpacked), and whether it is JSON,
 * which the answer is then, too. False when an error was answered. */
bool connect_read(struct http_request *req, const ProtobufCMessageDescriptor *descriptor,
		  ProtobufCMessage **ret_message, bool *ret_json);

/* What connect_read does with a body; code and error say why it answers -EINVAL. 0, -EINVAL or
 * -ENOMEM. */
MUST_CHECK int connect_decode(const ProtobufCMessageDescriptor *descriptor, bool json, bool gzip,
			      const struct buf *body, ProtobufCMessage **ret_message,
			      enum connect_code *code, char *error, size_t size);

/* Append a message to out, as protobuf or JSON; failures are out->err. */
void connect_encode(const ProtobufCMessage *message, bool json, struct buf *out);

/* Whether the client takes a compressed answer: see http_takes_gzip. */
bool connect_takes_gzip(struct http_request *req, bool json);
/* One of these answers. body: taken; packed: gzip if connect_takes_gzip. */
void connect_reply(struct http_request *req, bool json, struct buf *body);
void connect_reply_packed(struct http_request *req, bool json, struct buf *body);
void connect_error(struct http_request *req, enum connect_code code, const char *fmt, ...)
	PRINTF(3, 4);
