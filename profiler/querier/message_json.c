// SPDX-License-Identifier: Apache-2.0
/* Messages as JSON, see message_json.h. Reading is jansson's; a body's size bounds what it takes. */
#include "profiler/querier/message_json.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/base/json.h"

enum { MAX_NAME = 64 };

/* Where values of a field lie in a message. */
static void *at(const void *message, size_t offset)
{
	return (char *)(uintptr_t)message + offset;
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(__s32);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(__s64);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	default:
		BUG_ON("a type that has no JSON here");
		return 0;
	}
}

/* max_nodes -> maxNodes */
static void json_name(const char *name, char out[MAX_NAME])
{
	size_t n = 0;

	for (; *name && n + 1 < MAX_NAME; name++) {
		bool up = *name == '_' && name[1];

		name += up;
		out[n++] = up ? (char)toupper((unsigned char)*name) : *name;
	}
	out[n] = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_message(struct json *j, const char *name, const ProtobufCMessage *message);

static bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
	static const char zeros[sizeof(__s64)];

	if (field->type == PROTOBUF_C_TYPE_STRING)
		return !*(char *const *)value || !**(char *const *)value;
	return !memcmp(value, zeros, value_size(field));
}

static void write_double(struct json *j, const char *name, double value)
{
	if (!isfinite(value))
		json_str(j, name, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
	else
		json_f64_exact(j, name, value);
}

static void write_value(struct json *j, const char *name, const ProtobufCFieldDescriptor *field,
			const void *value)
{
	const ProtobufCEnumValue *named;
	char text[24];

	switch (field->type) {
	case PROTOBUF_C_TYPE_ENUM:
		named = protobuf_c_enum_descriptor_get_value(field->descriptor,
							     *(const __s32 *)value);
		if (named)
			json_str(j, name, named->name);
		else
			json_i64(j, name, *(const __s32 *)value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		json_bool(j, name, *(const protobuf_c_boolean *)value);
		break;
	case PROTOBUF_C_TYPE_INT64:
		snprintf(text, sizeof(text), "%lld", *(const long long *)value);
		json_str(j, name, text);
		break;
	case PROTOBUF_C_TYPE_UINT64:
		snprintf(text, sizeof(text), "%llu", *(const unsigned long long *)value);
		json_str(j, name, text);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		write_double(j, name, *(const double *)value);
		break;
	case PROTOBUF_C_TYPE_STRING:
		json_str(j, name, *(char *const *)value);
		break;
	default:
		write_message(j, name, *(ProtobufCMessage *const *)value);
	}
}

static void write_field(struct json *j, const ProtobufCMessage *message,
			const ProtobufCFieldDescriptor *field)
{
	const void *value = at(message, field->offset);
	char name[MAX_NAME];

	json_name(field->name, name);
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t n = *(size_t *)at(message, field->quantifier_offset);
		const char *values = *(char *const *)value;

		if (!n)
			return;
		json_array(j, name);
		for (size_t i = 0; i < n; i++)
			write_value(j, NULL, field, values + i * value_size(field));
		json_end(j);
	} else if (!is_default(field, value)) {
		write_value(j, name, field, value);
	}
}

static void write_message(struct json *j, const char *name, const ProtobufCMessage *message)
{
	json_object(j, name);
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
		write_field(j, message, &message->descriptor->fields[i]);
	json_end(j);
}

void message_write_json(struct buf *out, const ProtobufCMessage *message)
{
	struct json j = json_into(out);

	write_message(&j, NULL, message);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
	char *error;
	size_t size;
};

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
			json_t *from, ProtobufCMessage **ret_message);

PRINTF(2, 3) static int fail(struct reader *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->error, r->size, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* A whole number, as number or string. */
static bool whole(json_t *from, bool is_signed, void *ret)
{
	const char *text = json_string_value(from);
	char *end;

	if (json_is_real(from)) { /* 1.7e12 */
		double value = json_real_value(from);

		if (value != trunc(value) || value >= 0x1p63 || value < (is_signed ? -0x1p63 : 0))
			return false;
		*(__s64 *)ret = (__s64)value;
		return true;
	}
	if (json_is_integer(from)) {
		*(__s64 *)ret = json_integer_value(from);
		return is_signed || json_integer_value(from) >= 0;
	}
	if (!text || !(isdigit((unsigned char)*text) || (is_signed && *text == '-')))
		return false;
	errno = 0;
	if (is_signed)
		*(long long *)ret = strtoll(text, &end, 10);
	else
		*(unsigned long long *)ret = strtoull(text, &end, 10);
	return !errno && !*end && end > text;
}

static bool read_double(json_t *from, double *ret)
{
	const char *text = json_string_value(from);
	char *end;

	if (json_is_number(from)) {
		*ret = json_number_value(from);
		return true;
	}
	if (!text || !*text || isspace((unsigned char)*text))
		return false;
	*ret = strtod(text, &end);
	return !*end;
}

static bool read_enum(const ProtobufCEnumDescriptor *descriptor, json_t *from, __s32 *ret)
{
	const ProtobufCEnumValue *named;

	if (json_is_string(from)) {
		named = protobuf_c_enum_descriptor_get_value_by_name(descriptor,
								     json_string_value(from));
		if (named)
			*ret = named->value;
		return named;
	}
	if (!json_is_integer(from) || json_integer_value(from) < INT32_MIN ||
	    json_integer_value(from) > INT32_MAX)
		return false;
	*ret = (__s32)json_integer_value(from);
	return true;
}

static int read_value(struct reader *r, const ProtobufCFieldDescriptor *field, json_t *from,
		      void *value)
{
	char *text;
	bool good;

	switch (field->type) {
	case PROTOBUF_C_TYPE_ENUM:
		good = read_enum(field->descriptor, from, value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		good = json_is_boolean(from);
		*(protobuf_c_boolean *)value = json_is_true(from);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		good = whole(from, field->type == PROTOBUF_C_TYPE_INT64, value);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		good = read_double(from, value);
		break;
	case PROTOBUF_C_TYPE_STRING:
		good = json_is_string(from);
		text = good ? strdup(json_string_value(from)) : NULL;
		if (good && !text)
			return -ENOMEM;
		if (good)
			*(char **)value = text;
		break;
	default:
		return read_message(r, field->descriptor, from, value);
	}
	return good ? 0 : fail(r, "field '%s' has a value that does not fit it", field->name);
}

static int read_list(struct reader *r, ProtobufCMessage *message,
		     const ProtobufCFieldDescriptor *field, json_t *from)
{
	size_t *n = at(message, field->quantifier_offset), size = value_size(field);
	char **values = at(message, field->offset);
	int err = 0;

	if (!json_is_array(from))
		return fail(r, "field '%s' must be an array", field->name);
	if (*n || !json_array_size(from)) /* by its other name already */
		return 0;
	*values = calloc(json_array_size(from), size);
	if (!*values)
		return -ENOMEM;
	while (!err && *n < json_array_size(from)) {
		err = read_value(r, field, json_array_get(from, *n), *values + *n * size);
		*n += !err;
	}
	return err;
}

static int read_field(struct reader *r, ProtobufCMessage *message,
		      const ProtobufCFieldDescriptor *field, json_t *from)
{
	char name[MAX_NAME];
	json_t *value;

	json_name(field->name, name);
	value = json_object_get(from, name);
	if (!value)
		value = json_object_get(from, field->name);
	if (!value || json_is_null(value))
		return 0;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return read_list(r, message, field, value);
	return read_value(r, field, value, at(message, field->offset));
}

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
			json_t *from, ProtobufCMessage **ret_message)
{
	ProtobufCMessage *message;
	int err = 0;

	if (!json_is_object(from))
		return fail(r, "%s must be an object", descriptor->short_name);
	message = calloc(1, descriptor->sizeof_message);
	if (!message)
		return -ENOMEM;
	protobuf_c_message_init(descriptor, message);
	for (unsigned i = 0; i < descriptor->n_fields && !err; i++)
		err = read_field(r, message, &descriptor->fields[i], from);
	if (err) {
		protobuf_c_message_free_unpacked(message, NULL);
		return err;
	}
	*ret_message = message;
	return 0;
}

int message_read_json(const ProtobufCMessageDescriptor *descriptor, const char *text, size_t len,
		      ProtobufCMessage **ret_message, char *error, size_t size)
{
	struct reader r = {.error = error, .size = size};
	json_error_t why;
	json_t *root = json_loadb(text, len, JSON_DECODE_ANY, &why);
	int err;

	if (!root)
		return fail(&r, "the body is no JSON: %s (line %d, column %d)", why.text, why.line,
			    why.column);
	err = read_message(&r, descriptor, root, ret_message);
	json_decref(root);
	return err;
}
