// SPDX-License-Identifier: Apache-2.0
// Template-heavy C++ whose debug information has everything that a reader can trip over: deep
// inlining, lambdas, local classes, virtual and inline constructors, anonymous namespaces, cold
// parts from exceptions, statics, overloads, several instantiations of one template.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <type_traits>
#include <variant>
#include <vector>

#include "heavy.h"

namespace {

template <typename T, unsigned N> struct power {
	static inline T of(T x) { return x * power<T, N - 1>::of(x); }
};
template <typename T> struct power<T, 0> {
	static inline T of(T) { return T(1); }
};

struct shape {
	virtual ~shape() = default;
	virtual double area() const = 0;
};
template <typename T> struct circle : shape {
	explicit circle(T r) : r(r) {}
	double area() const override { return 3.14159 * power<T, 2>::of(r); }
	T r;
};
template <typename T> struct box : shape {
	box(T w, T h) : w(w), h(h)
	{
		if (w < 0 || h < 0)
			throw std::invalid_argument("negative " + std::to_string(w));
	}
	double area() const override { return double(w * h); }
	T w, h;
};

template <typename... Ts> auto sum(Ts... xs)
{
	return (xs + ...);
}

struct visitor {
	int operator()(int x) const { return x * 2; }
	int operator()(const std::string &s) const { return int(s.size()); }
	int operator()(const std::vector<int> &v) const
	{
		return std::accumulate(v.begin(), v.end(), 0, [](int a, int b) { return a ^ b; });
	}
};

int local_class(int n)
{
	struct counter {
		explicit counter(int n) : n(n) {}
		int next()
		{
			for (int i = 0; i < n; i++)
				total += i * n + total / 3;
			return total;
		}
		int n, total = 1;
	};
	counter c(n);
	return c.next() + c.next();
}

std::vector<std::unique_ptr<shape>> shapes(int n)
{
	std::vector<std::unique_ptr<shape>> out;
	for (int i = 0; i < n; i++) {
		if (i % 3 == 0)
			out.push_back(std::make_unique<circle<float>>(float(i)));
		else if (i % 3 == 1)
			out.push_back(std::make_unique<circle<double>>(i));
		else
			out.push_back(std::make_unique<box<int>>(i, i + 1));
	}
	return out;
}

std::map<std::string, std::vector<int>> words(const std::string &text)
{
	std::map<std::string, std::vector<int>> out;
	std::regex word("[a-z]+");
	int at = 0;
	for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it)
		out[it->str()].push_back(at++);
	return out;
}

} // namespace

int main(int argc, char **argv)
{
	int n = argc > 1 ? std::stoi(argv[1]) : 100;
	double total = 0;
	std::mt19937 numbers{unsigned(n)};
	std::unordered_map<int, std::string> names;
	std::function<int(int)> fib = [&](int x) { return x < 2 ? x : fib(x - 1) + fib(x - 2); };

	for (auto &s : shapes(n))
		total += s->area();
	for (auto &w : words("the quick brown fox jumps over the lazy dog")) {
		names[int(w.first.size())] += w.first;
		total += double(w.second.size());
	}
	std::variant<int, std::string, std::vector<int>> v = std::vector<int>{1, 2, 3};
	total += std::visit(visitor{}, v) + sum(1, 2.5, 3u) + local_class(n) + fib(12);
	try {
		box<int> bad(-1, 2);
		total += bad.area();
	} catch (const std::exception &e) {
		std::cerr << e.what() << "\n";
	}
	std::set<std::pair<int, std::string>> ordered;
	for (auto &p : names)
		ordered.insert(p);
	std::ostringstream out;
	for (auto &p : ordered)
		out << p.first << p.second << numbers();
	std::cout << total + heavy_other(n, out.str()) << "\n";
	return 0;
}
