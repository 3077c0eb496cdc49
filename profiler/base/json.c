// SPDX-License-Identifier: Apache-2.0
/* The streaming JSON writer of json.h (RFC 8259). */
#include "profiler/base/json.h"

#include <math.h>

#include "profiler/base/utf8.h"

#define JSON_MAX_DEPTH 32u

static void begin_value(struct json *j, const char *name)
{
	__u32 bit = 1u << j->depth;

	if (j->more_bits & bit)
		buf_char(j->out, ',');
	j->more_bits |= bit;
	if (!name)
		return;
	json_quote(j->out, name, strlen(name));
	buf_char(j->out, ':');
}

static void open_scope(struct json *j, const char *name, bool array)
{
	begin_value(j, name);
	BUG_ON(j->depth + 1 >= JSON_MAX_DEPTH);
	j->depth++;
	j->more_bits &= ~(1u << j->depth);
	if (array)
		j->array_bits |= 1u << j->depth;
	else
		j->array_bits &= ~(1u << j->depth);
	buf_char(j->out, array ? '[' : '{');
}

void json_object(struct json *j, const char *name)
{
	open_scope(j, name, false);
}

void json_array(struct json *j, const char *name)
{
	open_scope(j, name, true);
}

void json_end(struct json *j)
{
	BUG_ON(j->depth == 0);
	buf_char(j->out, j->array_bits & 1u << j->depth ? ']' : '}');
	j->depth--;
}

/* Bytes that stand for themselves: nearly all, so they are added in runs. */
static size_t plain_len(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

/* The first character, which is not plain. Its length. */
static size_t quote_other(struct buf *out, const char *s, size_t len)
{
	size_t n = utf8_len(s, len);
	unsigned char c = (unsigned char)*s;

	if (n == 0) {
		buf_str(out, "\xef\xbf\xbd");
		return 1;
	}
	if (utf8_is_control(s)) {
		buf_printf(out, "\\u%04x", utf8_value(s, n));
		return n;
	}
	if (c == '"' || c == '\\')
		buf_char(out, '\\');
	buf_add(out, s, n);
	return n;
}

void json_quote(struct buf *out, const char *s, size_t len)
{
	buf_char(out, '"');
	while (len) {
		size_t n = plain_len(s, len);

		if (n)
			buf_add(out, s, n);
		else
			n = quote_other(out, s, len);
		s += n;
		len -= n;
	}
	buf_char(out, '"');
}

void json_strn(struct json *j, const char *name, const char *value, size_t len)
{
	begin_value(j, name);
	json_quote(j->out, value, len);
}

void json_str(struct json *j, const char *name, const char *value)
{
	json_strn(j, name, value, strlen(value));
}

void json_u64(struct json *j, const char *name, __u64 value)
{
	begin_value(j, name);
	buf_u64(j->out, value);
}

void json_i64(struct json *j, const char *name, __s64 value)
{
	begin_value(j, name);
	if (value < 0)
		buf_char(j->out, '-');
	buf_u64(j->out, value < 0 ? -(__u64)value : (__u64)value);
}

void json_f64(struct json *j, const char *name, double value)
{
	begin_value(j, name);
	if (!isfinite(value))
		buf_str(j->out, "null");
	else
		buf_printf(j->out, "%.9g", value);
}

void json_f64_exact(struct json *j, const char *name, double value)
{
	begin_value(j, name);
	if (!isfinite(value))
		buf_str(j->out, "null");
	else
		buf_printf(j->out, "%.17g", value);
}

void json_bool(struct json *j, const char *name, bool value)
{
	begin_value(j, name);
	buf_str(j->out, value ? "true" : "false");
}

void json_null(struct json *j, const char *name)
{
	begin_value(j, name);
	buf_str(j->out, "null");
}
