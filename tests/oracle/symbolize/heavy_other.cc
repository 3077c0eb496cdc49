// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>
#include <list>
#include <stdexcept>

#include "heavy.h"

namespace heavy
{
template <typename C> static double fold(const C &c)
{
	double total = 0;
	for (auto &x : c)
		total = total * 0.5 + double(x);
	return total;
}

struct chain {
	std::list<double> links;
	std::deque<int> queue;
	void grow(int n)
	{
		auto add = [this](int x) {
			links.push_back(x / 2.0);
			queue.push_front(x);
		};
		for (int i = 0; i < n; i++)
			add(i);
		links.sort([](double a, double b) { return a > b; });
	}
};
} // namespace heavy

double heavy_other(int n, const std::string &text)
{
	matrix<double> a(8, 8), b(8, 8);
	matrix<int> c(4, 4), d(4, 4);
	heavy::chain chain;
	std::string sorted = text;

	if (n < 0)
		throw std::out_of_range("n");
	for (size_t i = 0; i < 8; i++)
		a.at(i, i) = b.at(i, 7 - i) = double(n) / double(i + 1);
	c.at(1, 2) = d.at(2, 3) = n;
	chain.grow(n);
	std::sort(sorted.begin(), sorted.end(), [](char x, char y) { return x > y; });
	std::stable_sort(chain.queue.begin(), chain.queue.end());
	return (a * b).at(0, 7) + (c * d).at(1, 3) + heavy::fold(chain.links) +
	       heavy::fold(chain.queue) + sorted[0];
}
