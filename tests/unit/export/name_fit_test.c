// SPDX-License-Identifier: Apache-2.0
#include "profiler/export/name_fit.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "tests/unit/test.h"

static void expect(const char *name, size_t columns, const char *want)
{
	struct buf out = {0};

	name_fit(&out, name, columns);
	ASSERT_STR(out.data, want);
	CU_ASSERT(text_columns(out.data) <= columns);
	buf_fini(&out);
}

static void what_is_outside_brackets_stays(void)
{
	static const char find[] = "std::map<std::string, std::vector<std::pair<int, double> > >::"
				   "find(std::string const&, unsigned long)";

	expect("main", 4, "main");
	expect("", 1, "");
	expect(find, 200, find);
	expect(find, 80,
	       "std::map<std::string, std::vector<\u2026> >::find(std::string const&, unsigned "
	       "long)");
	expect(find, 70, "std::map<\u2026>::find(\u2026)");
	expect(find, 20, "std::map<\u2026>::find(\u2026)");
	expect(find, 19, "std::map<\u2026>::find(\u2026");
	expect(find, 1, "\u2026");
	expect("work::chain<unsigned long, 0u>::step(unsigned long)", 40,
	       "work::chain<\u2026>::step(\u2026)");
	expect("(anonymous namespace)::Parser::(lambda)(std::basic_string<char> const&, "
	       "int)::run()",
	       60, "(anonymous namespace)::Parser::(lambda)(\u2026)::run()");
	expect("<alloc::vec::Vec<alloc::string::String> as core::clone::Clone>::clone", 60,
	       "<alloc::vec::Vec<\u2026> as core::clone::Clone>::clone");
}

static void signs_that_are_no_brackets(void)
{
	expect("std::ostream& operator<<<std::char_traits<char> >(std::ostream&, char const*)", 60,
	       "std::ostream& operator<<<\u2026>(\u2026)");
	expect("a::operator->(std::shared_ptr<a> const&, unsigned long)", 30,
	       "a::operator->(\u2026)");
	expect("f(unsigned long, unsigned long) -> int", 20, "f(\u2026) -> int");
	expect("((((((((((", 5, "((((\u2026");
	expect("))))>>>>))", 5, "))))\u2026");
}

static void columns_not_bytes(void)
{
	ASSERT_INT(text_columns("h\u00e9"), 2);
	ASSERT_INT(text_columns("\u6241\u9e4a"), 4);
	expect("h\u00e9h\u00e9h\u00e9", 6, "h\u00e9h\u00e9h\u00e9");
	expect("h\u00e9h\u00e9h\u00e9", 3, "h\u00e9\u2026");
	expect("\u6241\u9e4a\u6241", 4, "\u6241\u2026");
}

/* A name of a megabyte, of brackets that never close, is done at once: the search is bounded. */
static void hostile(void)
{
	size_t len = 1 << 20;
	char *name = malloc(len + 1);

	memset(name, '(', len);
	name[len] = 0;
	expect(name, 3, "((\u2026");
	for (size_t i = 0; i < len; i++)
		name[i] = "(<a>"[i % 4];
	expect(name, 3, "(<\u2026");
	free(name);
}

SUITE(name_fit, {"what is outside brackets stays", what_is_outside_brackets_stays},
      {"signs that are no brackets", signs_that_are_no_brackets},
      {"columns, not bytes", columns_not_bytes}, {"hostile names", hostile});
