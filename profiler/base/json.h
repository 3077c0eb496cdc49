/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streaming JSON writer into a buf: no document in memory, commas and quoting by itself. Strings
 * may be any bytes: control characters are escaped (DEL and C1, which steer terminals, too), bytes
 * that are not UTF-8 become U+FFFD. Whole numbers are exact; a float that JSON cannot say (NaN,
 * infinity) is written as null.
 *
 *	json_object(&j, NULL); json_str(&j, "name", s); json_u64(&j, "n", 3); json_end(&j);
 *
 * The name is NULL inside arrays and for the top value. Depth at most 32 (a bug beyond).
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/buf.h"

/* jansson, which reads JSON, has constructors of these names: ours get symbols of their own, or the
 * library would call them. A file that needs both includes <jansson.h> first. */
#define json_object json_write_object
#define json_array  json_write_array
#define json_null   json_write_null

struct json {
	struct buf *out;
	unsigned depth;
	__u32 array_bits, more_bits; /* by depth: is an array; has a member already */
};

static inline struct json json_into(struct buf *out)
{
	return (struct json){.out = out};
}

void json_object(struct json *j, const char *name);
void json_array(struct json *j, const char *name);
/* Close the innermost object or array. */
void json_end(struct json *j);
void json_str(struct json *j, const char *name, const char *value);
void json_strn(struct json *j, const char *name, const char *value, size_t len);
void json_u64(struct json *j, const char *name, __u64 value);
void json_i64(struct json *j, const char *name, __s64 value);
void json_f64(struct json *j, const char *name, double value); /* nine digits */
void json_f64_exact(struct json *j, const char *name, double value);
void json_bool(struct json *j, const char *name, bool value);
void json_null(struct json *j, const char *name);
/* Only the quoted, escaped string. */
void json_quote(struct buf *out, const char *s, size_t len);
