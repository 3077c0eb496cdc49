// SPDX-License-Identifier: Apache-2.0
#include "profiler/base/json.h"

#include <math.h>

#include "profiler/base/utf8.h"
#include "tests/unit/test.h"

static void document(void)
{
	struct buf buf = {0};
	struct json j = json_into(&buf);

	json_object(&j, NULL);
	json_str(&j, "a\"b", "x\ny\\");
	json_array(&j, "list");
	json_u64(&j, NULL, UINT64_MAX);
	json_i64(&j, NULL, INT64_MIN);
	json_object(&j, NULL);
	json_end(&j);
	json_array(&j, NULL);
	json_end(&j);
	json_end(&j);
	json_bool(&j, "t", true);
	json_null(&j, "n");
	json_f64(&j, "f", 0.25);
	json_f64(&j, "nan", NAN);
	json_f64_exact(&j, "tenth", 0.1);
	json_end(&j);
	ASSERT_STR(buf.data, "{\"a\\\"b\":\"x\\u000ay\\\\\",\"list\":[18446744073709551615,"
			     "-9223372036854775808,{},[]],\"t\":true,\"n\":null,\"f\":0.25,"
			     "\"nan\":null,\"tenth\":0.10000000000000001}");
	buf_fini(&buf);
}

static void bytes_that_are_not_utf8(void)
{
	struct buf buf = {0};

	json_quote(&buf, "a\xff\xc3\xa9\xed\xa0\x80z", 8);
	ASSERT_STR(buf.data, "\"a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
	ASSERT_INT(utf8_len("\xe4\xba", 2), 0);
	ASSERT_INT(utf8_len("\xf0\x9f\x94\xa5", 4), 4);
	ASSERT_INT(utf8_len("\xc0\x80", 2), 0);
	ASSERT_INT(utf8_len("\xf4\x90\x80\x80", 4), 0);
	buf_fini(&buf);
}

static void controls(void)
{
	struct buf buf = {0};
	static const char text[] = "\x1b[7m\x7f\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0\xc3\x9b";

	json_quote(&buf, text, sizeof(text) - 1);
	ASSERT_STR(buf.data, "\"\\u001b[7m\\u007f\\u0080\\u009b\\u009f\xc2\xa0\xc3\x9b\"");
	buf_fini(&buf);
}

static void directions(void)
{
	struct buf buf = {0};
	static const char text[] =
		"\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xa7\xe2\x80\xa8\xe2\x80"
		"\xae\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa";

	json_quote(&buf, text, sizeof(text) - 1);
	ASSERT_STR(buf.data, "\"\xe2\x80\x8d\\u200e\\u200f\xe2\x80\xa7\\u2028\\u202e\xe2\x80\xaf"
			     "\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa\"");
	ASSERT_INT(utf8_value("\xf0\x9f\x94\xa5", 4), 0x1f525);
	ASSERT_INT(utf8_value("\xc2\xa0", 2), 0xa0);
	buf_fini(&buf);
}

SUITE(json, {"document", document}, {"bytes that are not UTF-8", bytes_that_are_not_utf8},
      {"DEL and C1 are escaped as C0 is", controls},
      {"what changes a text's direction is escaped", directions});
