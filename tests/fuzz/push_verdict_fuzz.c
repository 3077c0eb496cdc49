// SPDX-License-Identifier: Apache-2.0
/*
 * Any answer: status, Retry-After and body. Whatever a proxy says, the verdict keeps the rules that
 * the push thread builds on: waits are bounded, messages can be printed, only 200 is success,
 * nothing below 400 is sent again, and only a refusal that nothing was stored behind is not
 * `uncertain`.
 */
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/cursor.h"
#include "profiler/push/push_verdict.h"

#define NOW_NS	    (1700000000ULL * NS_PER_S)
#define MAX_WAIT_NS (600 * NS_PER_S)

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static void check(unsigned status, const struct push_verdict *v)
{
	CHECK(v->action <= PUSH_REFUSED && v->reason < PUSH_N_REASONS);
	CHECK(push_reason_text(v->reason)[0]);
	CHECK((v->action == PUSH_SENT) == (status == 200));
	CHECK((v->action == PUSH_SENT) == (v->reason == PUSH_REASON_NONE));
	CHECK(v->wait_ns <= MAX_WAIT_NS);
	CHECK(v->action != PUSH_SPLIT || v->reason == PUSH_REASON_TOO_LARGE);
	CHECK(!v->uncertain || v->action == PUSH_RETRY || v->action == PUSH_BACK_OFF);
	if (status < 400)
		CHECK(v->action == PUSH_SENT || v->action == PUSH_DROP ||
		      v->action == PUSH_REFUSED);
	CHECK(memchr(v->message, 0, sizeof(v->message)));
	for (const char *p = v->message; *p; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const unsigned common[] = {200, 204, 400, 401, 409, 413, 429, 429,
					  429, 500, 502, 503, 504, 301, 499, 100};
	struct cursor c = cursor_of(data, size);
	unsigned status = cursor_u16(&c);
	__u64 raw_bytes = cursor_u32(&c);
	size_t after_len = cursor_u8(&c) % 64;
	char *retry_after = NULL, *body;
	struct push_verdict v;
	const char *text;

	if (c.bad)
		return 0;
	status = status & 0x8000 ? common[status % ARRAY_SIZE(common)] : 100 + status % 500;
	after_len = MIN(after_len, cursor_left(&c));
	text = cursor_bytes(&c, after_len);
	if (after_len)
		retry_after = strndup(text, after_len);
	/* As curl hands it over: no NUL behind it. */
	size = cursor_left(&c);
	body = malloc(size ? size : 1);
	memcpy(body, c.pos, size);
	push_judge_answer(status, retry_after, size ? body : NULL, size, raw_bytes, NOW_NS, &v);
	check(status, &v);
	free(body);
	free(retry_after);
	return 0;
}
