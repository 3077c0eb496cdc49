/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as the store writes them: LEB128, signed ones by zigzag; cursor_uleb reads them back. */
#pragma once

#include "profiler/base/buf.h"
#include "profiler/base/cursor.h"

static inline void put_uleb(struct buf *out, __u64 value)
{
	while (value >= 0x80) {
		buf_char(out, (char)(value | 0x80));
		value >>= 7;
	}
	buf_char(out, (char)value);
}

static inline void put_zigzag(struct buf *out, __s64 value)
{
	put_uleb(out, (__u64)value << 1 ^ (__u64)(value >> 63));
}

static inline __s64 cursor_zigzag(struct cursor *c)
{
	__u64 value = cursor_uleb(c);

	return (__s64)(value >> 1 ^ -(value & 1));
}
