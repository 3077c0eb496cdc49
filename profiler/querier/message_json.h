/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of protobuf-c as JSON and back, by their descriptors, as proto3 maps them: lowerCamelCase
 * names (the proto's own are read too), 64-bit numbers as strings (numbers are read too), enums by
 * name (numbers are read too), defaults left out, unknown names ignored, null is the default.
 *
 * For messages of enum, int64, uint64, double, bool, string and message fields; others are a bug.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "profiler/base/check.h"

struct buf;

/* One JSON object. Depth of messages at most 16 (a bug beyond). */
void message_write_json(struct buf *out, const ProtobufCMessage *message);

/* 0, -EINVAL with what is wrong and where in error, or -ENOMEM. *ret_message is the caller's, to be
 * freed with protobuf_c_message_free_unpacked(message, NULL). */
MUST_CHECK int message_read_json(const ProtobufCMessageDescriptor *descriptor, const char *text,
				 size_t len, ProtobufCMessage **ret_message, char *error,
				 size_t size);
