// SPDX-License-Identifier: Apache-2.0
/* Requests of anybody's making to the querier: the first two bytes choose the message, its encoding
 * and compression. What is read can be written as JSON, and read again as the same. */
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/querier/connect.h"
#include "profiler/querier/message_json.h"
#include "profiler/querier/profile_type.h"
#include "profiler/querier/querier.pb-c.h"
#include "profiler/query/selector.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const requests[] = {
	&querier__profile_types_request__descriptor,
	&querier__label_names_request__descriptor,
	&querier__label_values_request__descriptor,
	&querier__series_request__descriptor,
	&querier__select_merge_stacktraces_request__descriptor,
	&querier__select_merge_profile_request__descriptor,
	&querier__select_merge_span_profile_request__descriptor,
	&querier__select_series_request__descriptor,
	&querier__diff_request__descriptor,
};

static const char *label(void *arg, const char *name)
{
	return profile_type_label(arg, name);
}

/* As the methods use selectors. */
static void check_selector(const char *text)
{
	struct selector *s, *again;
	char error[256];

	if (selector_parse(text, &s, error, sizeof(error), NULL))
		return;
	CHECK(!selector_parse(text, &again, error, sizeof(error), NULL));
	if (selector_and(s, again))
		selector_free(again);
	selector_decide(s, label, (void *)(uintptr_t)&profile_type_ids[0]);
	CHECK(selector_decide(s, label, (void *)(uintptr_t)&profile_type_ids[1]));
	selector_free(s);
}

static void check_message(const ProtobufCMessageDescriptor *d, const ProtobufCMessage *message)
{
	struct buf text = {0}, packed = {0}, again = {0};
	ProtobufCMessage *back;
	char error[256] = "";

	message_write_json(&text, message);
	CHECK(!message_read_json(d, text.data, text.len, &back, error, sizeof(error)));
	connect_encode(back, false, &packed);
	protobuf_c_message_free_unpacked(back, NULL);
	back = protobuf_c_message_unpack(d, NULL, packed.len, (const uint8_t *)packed.data);
	CHECK(back);
	message_write_json(&again, back);
	CHECK(text.len == again.len && !memcmp(text.data, again.data, text.len));
	protobuf_c_message_free_unpacked(back, NULL);
	buf_fini(&text);
	buf_fini(&packed);
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	const ProtobufCMessageDescriptor *d;
	ProtobufCMessage *message;
	enum connect_code code;
	struct buf body = {0};
	char error[256] = "";

	if (size < 2)
		return 0;
	d = requests[data[0] % ARRAY_SIZE(requests)];
	buf_add(&body, data + 2, size - 2);
	if (connect_decode(d, data[1] & 1, data[1] & 2, &body, &message, &code, error,
			   sizeof(error))) {
		CHECK(*error && code < CONNECT_N_CODES);
	} else {
		check_message(d, message);
		if (d == &querier__select_merge_stacktraces_request__descriptor) {
			const Querier__SelectMergeStacktracesRequest *q = (void *)message;

			check_selector(q->label_selector);
			CHECK(!profile_type_find(q->profile_typeid) ||
			      profile_type_is_id(q->profile_typeid));
		}
		protobuf_c_message_free_unpacked(message, NULL);
	}
	buf_fini(&body);
	return 0;
}
