// SPDX-License-Identifier: Apache-2.0
/*
 * C++ without frame pointers: a template's instances, a virtual call, a lambda behind
 * std::function; exceptions thrown and caught on the way to the work; and a storm of exceptions.
 *
 *	shares		A 60 % through templates, B 30 % through a virtual call, C 10 % in a lambda
 *	caught		work in a catch block and in the destructors that an exception runs
 *	storm		does nothing but throw through 20 frames: samples in libgcc and libstdc++
 *
 * Names end in * since a profiler may print parameters or not.
 */
#include <functional>
#include <memory>
#include <stdexcept>

#include <cstdio>

#include "tests/workloads/truth.h"

#define FRAME TRUTH_WHOLE

namespace work
{

TRUTH_LEAF(leaf_a)
TRUTH_LEAF(leaf_b)
TRUTH_LEAF(leaf_c)

/* ---- shares ---------------------------------------------------------------------------------- */

template <typename T, unsigned N> struct chain {
	FRAME static T step(T x) { return chain<T, N - 1>::step(x + N) ^ 1; }
};

template <typename T> struct chain<T, 0> {
	FRAME static T step(T x) { return leaf_a(x) + 1; }
};

template <typename F> FRAME unsigned long apply(F &&f, unsigned long x)
{
	return f(x) + 1;
}

FRAME unsigned long alpha(unsigned long x)
{
	return apply(chain<unsigned long, 2>::step, x) + 1;
}

struct shape {
	virtual ~shape() = default;
	virtual unsigned long burn(unsigned long x) = 0;
};

struct circle : shape {
	unsigned long radius = 1;
	FRAME unsigned long burn(unsigned long x) override { return leaf_b(x + radius) + 1; }
};

struct square : shape {
	FRAME unsigned long burn(unsigned long x) override { return x; }
};

FRAME unsigned long beta(unsigned long x)
{
	static const std::unique_ptr<shape> shapes[] = {std::make_unique<circle>(),
							std::make_unique<square>()};

	return shapes[0]->burn(x) ^ shapes[1]->burn(x);
}

FRAME unsigned long call(const std::function<unsigned long(unsigned long)> &f, unsigned long x)
{
	return f(x) + 1;
}

FRAME unsigned long gamma(unsigned long x)
{
	unsigned long seed = x + 1;

	return call([&seed](unsigned long y) FRAME { return leaf_c(y + seed) + 1; }, x) + 1;
}

/* ---- caught ---------------------------------------------------------------------------------- */

struct guard {
	unsigned long *x;
	FRAME ~guard() { *x = leaf_b(*x) + 1; }
};

FRAME void thrower(unsigned long x)
{
	throw std::runtime_error(x ? "as meant" : "never");
}

FRAME void guarded(unsigned long *x)
{
	guard g{x};

	thrower(*x | 1);
}

FRAME unsigned long cleaner(unsigned long x)
{
	try {
		guarded(&x);
	} catch (const std::exception &e) {
		x += static_cast<unsigned char>(e.what()[0]);
	}
	return x;
}

FRAME unsigned long catcher(unsigned long x)
{
	try {
		thrower(x | 1);
	} catch (const std::exception &e) {
		x = leaf_a(x + static_cast<unsigned char>(e.what()[0])) + 1;
	}
	return x;
}

/* ---- storm ----------------------------------------------------------------------------------- */

FRAME void deep_thrower(unsigned depth, unsigned long x)
{
	if (!depth)
		throw x;
	deep_thrower(depth - 1, x + 1);
	__asm__ volatile("" : : : "memory");
}

FRAME unsigned long storm(unsigned long x)
{
	for (unsigned i = 0; i < 10; i++) {
		try {
			deep_thrower(20, x);
		} catch (unsigned long thrown) {
			x = thrown;
		}
	}
	return x;
}

} // namespace work

/* The destructor runs as a clean-up of guarded, in guarded's own frame: the unwinder's frames are
 * gone by then. They are the rest. */
static void expect_caught(void)
{
	puts("base known");
	truth_print(50, "truth_run;work::cleaner*;work::guarded*;work::guard::~guard*;"
			"work::leaf_b*");
	truth_print(50, "truth_run;work::catcher*;work::leaf_a*");
}

static void expect_storm(void)
{
	truth_print(-1, "truth_run;work::storm*;*");
}

static const struct truth truths[] = {
	{.mode = "shares",
	 .units = {{60, work::alpha,
		    "work::alpha*;*work::apply<*;work::chain<unsigned long, 2u>::step*;"
		    "work::chain<unsigned long, 1u>::step*;work::chain<unsigned long, 0u>::step*;"
		    "work::leaf_a*"},
		   {30, work::beta, "work::beta*;work::circle::burn*;work::leaf_b*"},
		   {10, work::gamma,
		    "work::gamma*;work::call*;*std::_Function_handler<*>::_M_invoke*;"
		    "*work::gamma*{lambda*;work::leaf_c*"}}},
	{.mode = "caught",
	 .units = {{50, work::cleaner, ""}, {50, work::catcher, ""}},
	 .expect = expect_caught},
	{.mode = "storm", .units = {{100, work::storm, ""}}, .expect = expect_storm},
	{},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
