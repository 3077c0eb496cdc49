// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

template <typename T> class matrix
{
      public:
	matrix(size_t rows, size_t columns) : rows(rows), columns(columns), cells(rows * columns) {}
	T &at(size_t r, size_t c) { return cells[r * columns + c]; }
	inline matrix operator*(matrix &b)
	{
		matrix out(rows, b.columns);
		for (size_t i = 0; i < rows; i++)
			for (size_t j = 0; j < b.columns; j++)
				for (size_t k = 0; k < columns; k++)
					out.at(i, j) += at(i, k) * b.at(k, j);
		return out;
	}
	size_t rows, columns;

      private:
	std::vector<T> cells;
};

double heavy_other(int n, const std::string &text);
