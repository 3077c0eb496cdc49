// SPDX-License-Identifier: Apache-2.0
/* Text for a terminal: what stays, what is replaced, in place and into a buf. */
#include "profiler/base/plain.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "tests/unit/test.h"

static void expect_plain(const char *s, const char *wanted)
{
	size_t len = strlen(s);
	char *copy = malloc(len ? len : 1); /* exactly as long: a byte too far is seen */
	struct buf out = {0};

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, s, len);
	CU_ASSERT_EQUAL(plain_text(copy, copy, len), strlen(wanted));
	CU_ASSERT_EQUAL(memcmp(copy, wanted, strlen(wanted)), 0);
	free(copy);
	buf_str(&out, "<");
	put_plain(&out, s);
	buf_str(&out, ">");
	CU_ASSERT_EQUAL(strncmp(out.data + 1, wanted, strlen(wanted)), 0);
	CU_ASSERT_EQUAL(out.len, strlen(wanted) + 2);
	buf_fini(&out);
}

static void stays(void)
{
	expect_plain("", "");
	expect_plain("std::map<int>; ~x", "std::map<int>; ~x");
	/* U+00A0 is the first behind C1; two, three and four bytes. */
	expect_plain("\xc2\xa0 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\xa5",
		     "\xc2\xa0 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\xa5");
}

static void replaced(void)
{
	expect_plain("a\x1b[31mb\x01", "a?[31mb?");
	expect_plain("a\tb\nc\rd\ve\ff", "a b c d e f");
	expect_plain("\x7f", "?");
	expect_plain("\xc2\x80 \xc2\x9b"
		     "2J \xc2\x9f",
		     "? ?2J ?"); /* C1 as UTF-8 */
	expect_plain("\x9b"
		     "2J\x80\xff",
		     "?2J??");	     /* alone: no UTF-8 */
	expect_plain("x\xc2", "x?"); /* cut short */
	expect_plain("\xe2\x82", "??");
	expect_plain("\xed\xa0\x80", "???"); /* a surrogate */
	/* What changes a text's direction, and a separator of lines; their neighbours stay. */
	expect_plain("\xe2\x80\x8f\xe2\x80\xae.\xe2\x80\xa8\xe2\x81\xa6", "??.??");
	expect_plain("\xe2\x80\x8d \xe2\x80\xaf \xe2\x81\xaa",
		     "\xe2\x80\x8d \xe2\x80\xaf \xe2\x81\xaa");
}

SUITE(plain, {"stays", stays}, {"replaced", replaced});
