/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable arrays by macro: VEC(struct x) xs = {0}; vec_push(&xs, value); xs.data[i], xs.len.
 * Growth doubles. vec_push and vec_reserve answer 0 or -ENOMEM; the caller bounds `len`.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/check.h"

#define VEC(...)                                                                                   \
	struct {                                                                                   \
		__VA_ARGS__ *data;                                                                 \
		size_t len, cap;                                                                   \
	}

/* Not for direct use: grows the block behind a VEC to hold at least `want` items. */
MUST_CHECK static inline int vec_grow(void **data, size_t *cap, size_t want, size_t item)
{
	size_t n = *cap ? *cap : 8;
	void *p;

	while (n < want) {
		if (n > SIZE_MAX / 2)
			return -ENOMEM;
		n *= 2;
	}
	p = reallocarray(*data, n, item);
	if (!p)
		return -ENOMEM;
	*data = p;
	*cap = n;
	return 0;
}

#define vec_reserve(v, want)                                                                       \
	((want) <= (v)->cap                                                                        \
		 ? 0                                                                               \
		 : vec_grow((void **)&(v)->data, &(v)->cap, (want), sizeof(*(v)->data)))

#define vec_push(v, ...)                                                                           \
	({                                                                                         \
		int vec_err_ = vec_reserve((v), (v)->len + 1);                                     \
		if (!vec_err_)                                                                     \
			(v)->data[(v)->len++] = (__VA_ARGS__);                                     \
		vec_err_;                                                                          \
	})

#define vec_free(v)                                                                                \
	do {                                                                                       \
		free((v)->data);                                                                   \
		memset((v), 0, sizeof(*(v)));                                                      \
	} while (0)

#define vec_for_each(it, v) for (__auto_type it = (v)->data; it && it < (v)->data + (v)->len; it++)
