// SPDX-License-Identifier: Apache-2.0
/* Readable names: C++, Rust, pieces of functions, and names that are not mangled at all. */
#include "symbolize/demangle.h"

#include <string.h>

#include "tests/unit/test.h"

static void expect(const char *raw, const char *readable)
{
	struct buf out = {0};

	demangle_name(raw, &out);
	ASSERT_STR(out.data, readable);
	buf_fini(&out);
}

static void demangles(void)
{
	expect("_ZN3foo3barEiPKc", "foo::bar(int, char const*)");
	expect("_ZNSt6vectorIiSaIiEE9push_backERKi",
	       "std::vector<int, std::allocator<int> >::push_back(int const&)");
	expect("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad");
	expect("_RNvCs1234_7mycrate3foo", "mycrate::foo");
	expect("main", "main");
	expect("_Zonk", "_Zonk");
	expect("_", "_");
}

static void joins_pieces(void)
{
	expect("foo.cold", "foo");
	expect("foo.part.0", "foo");
	expect("foo.isra.0.cold", "foo");
	expect("foo.constprop.1.isra.0", "foo");
	expect("foo.llvm.1234567890", "foo");
	expect("foo.lto_priv.0.cold", "foo");
	expect("_ZN3foo3barEi.part.0.cold", "foo::bar(int)");
	expect("foo/1", "foo");
	expect("foo.cold.0/2(*3)", "foo");
	/* not pieces */
	expect("main.main.func1", "main.main.func1");
	expect("main.cold2", "main.cold2");
	expect("net/http.(*Server).Serve", "net/http.(*Server).Serve");
	expect(".cold", ".cold");
}

static void bounds_hostile_names(void)
{
	/* each substitution doubles what it stands for */
	char name[4096] = "_Z1fSt4pairI";
	struct buf out = {0};
	size_t n = strlen(name);

	strcpy(name + n, "iiE");
	for (int i = 0; i < 30; i++)
		strcat(name, i ? "St4pairIS0_S0_E" : "St4pairIS_S_E");
	demangle_name(name, &out);
	CU_ASSERT(out.len > 0 && out.len <= DEMANGLE_MAX_BYTES + strlen(name));
	buf_reset(&out);
	memset(name, 'N', sizeof(name) - 1);
	name[0] = '_';
	name[1] = 'Z';
	name[sizeof(name) - 1] = 0;
	demangle_name(name, &out);
	ASSERT_STR(out.data, name);
	buf_fini(&out);
}

SUITE(demangle, {"demangles", demangles}, {"joins pieces", joins_pieces},
      {"bounds hostile names", bounds_hostile_names});
