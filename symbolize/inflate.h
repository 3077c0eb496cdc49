/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of foreign blocks to a size that is known and bounded before. */
#pragma once

#include <stddef.h>

#include "profiler/base/check.h"

/* Whether `size` bytes can come out of len bytes of a type (ELFCOMPRESS_ZLIB or ELFCOMPRESS_ZSTD,
 * gABI): to be asked before memory is reserved. 0, -ENOTSUP for another type, -EFBIG. */
MUST_CHECK int inflate_check(__u32 type, size_t len, size_t size);
/* Exactly `size` bytes must come out, into the caller's block. 0, -ENOTSUP, -EINVAL for damaged
 * data, -ENOMEM. */
MUST_CHECK int inflate_block(__u32 type, const __u8 *data, size_t len, __u8 *out, size_t size);

/* An .xz stream (MiniDebugInfo) of unknown size, at most `max` bytes out and 64 MiB of dictionary.
 * The result is malloc'd, the caller's. 0, -EINVAL, -EFBIG, -ENOMEM. */
MUST_CHECK int inflate_xz(const __u8 *data, size_t len, size_t max, __u8 **ret_data,
			  size_t *ret_size);
