// SPDX-License-Identifier: Apache-2.0
/* Text that a terminal may be given, see plain.h. */
#include "profiler/base/plain.h"

#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/base/utf8.h"

size_t plain_text(char *out, const char *s, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(s + i, len - i);

		if (n && !utf8_is_control(s + i)) {
			memmove(out + used, s + i, n);
			used += n;
		} else {
			out[used++] = s[i] >= '\t' && s[i] <= '\r' ? ' ' : '?';
		}
		i += n ? n : 1;
	}
	return used;
}

void put_plain(struct buf *out, const char *s)
{
	size_t len = strlen(s);

	if (buf_reserve(out, len))
		return;
	out->len += plain_text(out->data + out->len, s, len);
	out->data[out->len] = 0;
}
