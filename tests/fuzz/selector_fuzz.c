// SPDX-License-Identifier: Apache-2.0
/*
 * Selectors of anybody's making, held against values: parsing ends with a selector or with an error
 * that names a place in the text; matching ends soon, whatever the expression; a matcher and its
 * negation never both hold.
 *
 * Input: the selector, up to a NUL, then the value of every label.
 */
#include <errno.h>

#include "profiler/base/clock.h"
#include "profiler/query/selector.h"
#include "tests/fuzz/fuzz.h"

static const char *value_of(void *arg, const char *name)
{
	CHECK(*name);
	return arg;
}

/* {a=~V} and {a!~V} of the same V. */
static void check_negation(const char *expression, char *value)
{
	struct selector *like, *unlike;
	char text[1200], error[2048];

	if (strpbrk(expression, "`") || strlen(expression) > 1000)
		return;
	snprintf(text, sizeof(text), "{a=~`%s`}", expression);
	if (selector_parse(text, &like, error, sizeof(error), NULL))
		return;
	snprintf(text, sizeof(text), "{a!~`%s`}", expression);
	CHECK(!selector_parse(text, &unlike, error, sizeof(error), NULL));
	CHECK(!selector_has_series(like, value_of, value) ||
	      !selector_has_series(unlike, value_of, value));
	selector_free(like);
	selector_free(unlike);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	char *text = fuzz_text(&c, strnlen((const char *)data, size));
	char error[256] = "", *value;
	struct selector *selector;
	size_t at = 0;
	int err;

	cursor_u8(&c);
	value = fuzz_text(&c, cursor_left(&c));
	err = selector_parse(text, &selector, error, sizeof(error), &at);
	if (!err) {
		__u64 start_ns = clock_thread_cpu_ns();

		selector_has_series(selector, value_of, value);
		selector_has_thread(selector, 7, 8, value);
		CHECK(clock_thread_cpu_ns() - start_ns < 8 * NS_PER_S);
		if (!selector_wants_thread(selector))
			CHECK(selector_has_thread(selector, 1, 2, "x"));
		selector_free(selector);
	} else {
		CHECK(err == -EINVAL && *error && at <= strlen(text));
	}
	check_negation(text, value);
	free(text);
	free(value);
	return 0;
}
