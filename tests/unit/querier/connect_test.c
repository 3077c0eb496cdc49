// SPDX-License-Identifier: Apache-2.0
/* Requests as protobuf and JSON, compressed and not; answers as both. */
#include "profiler/querier/connect.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "profiler/base/buf.h"
#include "profiler/base/clock.h"
#include "profiler/querier/querier.pb-c.h"
#include "tests/unit/test.h"

static void gzip(const void *data, size_t len, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};

	CU_ASSERT_FATAL(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	CU_ASSERT_FATAL(!buf_reserve(out, deflateBound(&z, len)));
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len - 1);
	ASSERT_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static int decode(const struct buf *body, bool json, bool packed,
		  Querier__SelectSeriesRequest **ret, enum connect_code *code)
{
	ProtobufCMessage *message;
	char error[256] = "";
	int err = connect_decode(&querier__select_series_request__descriptor, json, packed, body,
				 &message, code, error, sizeof(error));

	if (!err)
		*ret = (void *)message;
	else
		CU_ASSERT(strlen(error) > 5);
	return err;
}

static Querier__SelectSeriesRequest *must_decode(const struct buf *body, bool json, bool packed)
{
	Querier__SelectSeriesRequest *q = NULL;
	enum connect_code code;

	ASSERT_INT(decode(body, json, packed, &q, &code), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	return q;
}

static void assert_request(Querier__SelectSeriesRequest *q)
{
	ASSERT_STR(q->profile_typeid, "a:b:c:d:e");
	ASSERT_STR(q->label_selector, "{x=\"\xc3\xa9\"}");
	ASSERT_INT(q->start, 1700000000001);
	ASSERT_INT(q->end, 0);
	ASSERT_INT(q->n_group_by, 2);
	ASSERT_STR(q->group_by[1], "pod");
	CU_ASSERT(q->step == 0.5);
	ASSERT_INT(q->aggregation, 1);
	ASSERT_INT(q->stack_trace_selector->n_call_site, 1);
	ASSERT_STR(q->stack_trace_selector->call_site[0]->name, "main");
	ASSERT_INT(q->limit, -3);
	protobuf_c_message_free_unpacked(&q->base, NULL);
}

static const char request[] =
	"{\"profile_typeID\":\"a:b:c:d:e\",\"labelSelector\":\"{x=\\\"\xc3\xa9\\\"}\","
	"\"start\":\"1700000000001\",\"end\":null,\"groupBy\":[\"a\",\"pod\"],\"step\":0.5,"
	"\"aggregation\":\"TIME_SERIES_AGGREGATION_TYPE_AVERAGE\",\"future\":{\"x\":[1]},"
	"\"stack_trace_selector\":{\"callSite\":[{\"name\":\"main\"}]},\"limit\":-3}";

static void all_forms_are_one(void)
{
	struct buf text = {0}, proto = {0}, packed = {0}, again = {0};
	Querier__SelectSeriesRequest *q;

	buf_str(&text, request);
	q = must_decode(&text, true, false);
	connect_encode(&q->base, false, &proto);
	connect_encode(&q->base, true, &again);
	assert_request(q);
	assert_request(must_decode(&proto, false, false));
	assert_request(must_decode(&again, true, false));
	gzip(proto.data, 7, &packed); /* two members are one stream */
	gzip(proto.data + 7, proto.len - 7, &packed);
	assert_request(must_decode(&packed, false, true));
	buf_fini(&text);
	buf_fini(&proto);
	buf_fini(&packed);
	buf_fini(&again);
}

static void what_json_may_say(void)
{
	static const struct {
		const char *text;
		__s64 start; /* -1: an error */
	} rows[] = {
		{"{}", 0},
		{"{\"start\":5}", 5},
		{"{\"start\":\"5\"}", 5},
		{"{\"start\":1.7e12}", 1700000000000},
		{"{\"start\":\"9223372036854775807\"}", INT64_MAX},
		{"{\"start\":null}", 0},
		{"{\"start\":\"9223372036854775808\"}", -1},
		{"{\"start\":1.5}", -1},
		{"{\"start\":1e30}", -1},
		{"{\"start\":\"\"}", -1},
		{"{\"start\":\" 5\"}", -1},
		{"{\"start\":\"5x\"}", -1},
		{"{\"start\":true}", -1},
		{"{\"start\":[5]}", -1},
		{"{\"step\":\"x\"}", -1},
		{"{\"step\":\"NaN\"}", 0},
		{"{\"groupBy\":\"x\"}", -1},
		{"{\"groupBy\":[1]}", -1},
		{"{\"groupBy\":[null]}", -1},
		{"{\"aggregation\":\"MEAN\"}", -1},
		{"{\"aggregation\":1e10}", -1},
		{"{\"aggregation\":5}", 0},
		{"{\"stackTraceSelector\":5}", -1},
		{"{\"stackTraceSelector\":{\"callSite\":[5]}}", -1},
		{"{\"labelSelector\":\"a\\u0000b\"}", -1},
		{"{\"labelSelector\":\"\xff\"}", -1},
		{"[]", -1},
		{"5", -1},
		{"", -1},
		{"{\"start\":5", -1},
		{"{}{}", -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Querier__SelectSeriesRequest *q;
		enum connect_code code;
		struct buf body = {0};
		int err;

		buf_str(&body, rows[i].text);
		err = decode(&body, true, false, &q, &code);
		if ((err != 0) != (rows[i].start < 0))
			printf("%s: %d\n", rows[i].text, err);
		ASSERT_INT(err, rows[i].start < 0 ? -EINVAL : 0);
		if (err) {
			ASSERT_INT(code, CONNECT_INVALID_ARGUMENT);
		} else {
			ASSERT_INT(q->start, rows[i].start);
			protobuf_c_message_free_unpacked(&q->base, NULL);
		}
		buf_fini(&body);
	}
}

static void damaged_bodies(void)
{
	static char zeros[CONNECT_MAX_REQUEST + 1];
	struct buf packed = {0}, cut = {0}, tail = {0}, bomb = {0}, wild = {0};
	Querier__SelectSeriesRequest *q;
	enum connect_code code;

	gzip("", 0, &packed);
	ASSERT_INT(decode(&packed, false, true, &q, &code), 0);
	protobuf_c_message_free_unpacked(&q->base, NULL);
	buf_add(&cut, packed.data, packed.len - 1);
	ASSERT_INT(decode(&cut, false, true, &q, &code), -EINVAL);
	buf_add(&tail, packed.data, packed.len);
	buf_char(&tail, 'x');
	ASSERT_INT(decode(&tail, false, true, &q, &code), -EINVAL);
	ASSERT_INT(code, CONNECT_INVALID_ARGUMENT);
	gzip(zeros, sizeof(zeros), &bomb);
	ASSERT_INT(decode(&bomb, false, true, &q, &code), -EINVAL);
	ASSERT_INT(code, CONNECT_RESOURCE_EXHAUSTED);
	buf_add(&wild, "\x0a\xff\x01", 3);
	ASSERT_INT(decode(&wild, false, false, &q, &code), -EINVAL);
	buf_fini(&packed);
	buf_fini(&cut);
	buf_fini(&tail);
	buf_fini(&bomb);
	buf_fini(&wild);
}

/* The largest body of one thing again and again: what it takes to decode is printed. */
static void decode_many(const void *thing, size_t len, bool json, int want, const char *what)
{
	struct buf body = {0};
	Querier__SelectSeriesRequest *q;
	enum connect_code code;
	__u64 start_ns;

	buf_str(&body, json ? "{\"groupBy\":[\"\"" : "");
	while (body.len + len + 2 <= CONNECT_MAX_REQUEST)
		buf_add(&body, thing, len);
	buf_str(&body, json ? "]}" : "");
	start_ns = clock_thread_cpu_ns();
	ASSERT_INT(decode(&body, json, false, &q, &code), want);
	if (!want)
		protobuf_c_message_free_unpacked(&q->base, NULL);
	printf("  %zu bytes of %s: %.1f ms\n", body.len, what,
	       (double)(clock_thread_cpu_ns() - start_ns) / 1e6);
	buf_fini(&body);
}

/* The one that would take time by the square of its size is refused. */
static void large_bodies(void)
{
	decode_many("\x42\x02\x0a\x00", 4, false, -EINVAL, "embedded messages");
	decode_many("\x12\x00", 2, false, 0, "one text");
	decode_many("\x2a\x01x", 3, false, 0, "a list");
	decode_many("\xf8\x07\x00", 3, false, 0, "unknown fields");
	decode_many(",\"\"", 3, true, 0, "a list in JSON");
}

static void twice(void)
{
	static const struct {
		const char *body;
		size_t len;
		int err;
	} rows[] = {
		{"\x42\x02\x0a\x00\x12\x00", 6, 0},
		{"\x42\x00\x12\x00\x42\x00", 6, -EINVAL},
		{"\x42\x04\x0a\x00\x0a\x00", 6, 0}, /* a list may */
		{"\x42\x80\x80\x80\x80\x00\x42\x00", 8, -EINVAL},
		{"\x43\x44", 2, -EINVAL}, /* a group */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Querier__SelectSeriesRequest *q;
		enum connect_code code;
		struct buf body = {0};

		buf_add(&body, rows[i].body, rows[i].len);
		ASSERT_INT(decode(&body, false, false, &q, &code), rows[i].err);
		if (!rows[i].err)
			protobuf_c_message_free_unpacked(&q->base, NULL);
		buf_fini(&body);
	}
}

static void answers(void)
{
	Querier__Point zero = QUERIER__POINT__INIT, full = QUERIER__POINT__INIT, odd = zero;
	Querier__Point *points[] = {&zero, &full, &odd};
	Querier__Series series = QUERIER__SERIES__INIT, *list[] = {&series};
	Querier__SelectSeriesResponse response = QUERIER__SELECT_SERIES_RESPONSE__INIT;
	struct buf out = {0};

	connect_encode(&response.base, true, &out);
	ASSERT_STR(out.data, "{}");
	buf_reset(&out);
	full.value = 12253787878787;
	full.timestamp = INT64_MIN;
	odd.value = INFINITY;
	series.points = points;
	series.n_points = 3;
	response.series = list;
	response.n_series = 1;
	connect_encode(&response.base, true, &out);
	ASSERT_STR(out.data,
		   "{\"series\":[{\"points\":[{},{\"value\":12253787878787,"
		   "\"timestamp\":\"-9223372036854775808\"},{\"value\":\"Infinity\"}]}]}");
	buf_fini(&out);
}

SUITE(querier_connect, {"all forms of a request are one", all_forms_are_one},
      {"what JSON may say", what_json_may_say}, {"damaged bodies", damaged_bodies},
      {"large bodies", large_bodies}, {"a message given twice", twice},
      {"answers as JSON", answers});
