/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of foreign blocks to a size that is known and bounded before. */
#pragma once

#include <stddef.h>

#include "profiler/base/check.h"

/* type is ELFCOMPRESS_ZLIB or ELFCOMPRESS_ZSTD (gABI). Exactly `size` bytes must come out. The
 * result is malloc'd, the caller's. 0, -ENOTSUP for another type, -EINVAL for damaged data, -EFBIG
 * when size is beyond what len bytes can hold, -ENOMEM. */
MUST_CHECK int inflate_block(__u32 type, const __u8 *data, size_t len, size_t size,
			     __u8 **ret_data);

/* An .xz stream (MiniDebugInfo) of unknown size, at most `max` bytes out and 64 MiB of dictionary.
 * Result and errors as above. */
MUST_CHECK int inflate_xz(const __u8 *data, size_t len, size_t max, __u8 **ret_data,
			  size_t *ret_size);
