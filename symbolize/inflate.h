/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of foreign blocks to a size that is known and bounded before. */
#pragma once

#include <stddef.h>

#include "profiler/base/check.h"
#include "symbolize/work.h"

/* Whether `size` bytes can come out of len bytes of a type (ELFCOMPRESS_ZLIB or ELFCOMPRESS_ZSTD,
 * gABI): to be asked before space is taken. 0, -ENOTSUP for another type, -EFBIG. */
MUST_CHECK int inflate_check(__u32 type, size_t len, size_t size);
/* Give what comes out to `put`, in order and in steps: neither the block nor its contents need to
 * be in memory as a whole. Exactly `size` bytes must come out. Beside the step there is the
 * decoder's own memory: 90 KiB for zlib, for zstd the frame's window, at most 64 MiB. Bytes in and out
 * are taken from `work` (may be NULL). 0, -ENOTSUP, -EINVAL for damaged data, -ENOMEM, -ECANCELED
 * when the work is used up, or what `put` returned, which ends it when it is not 0. */
MUST_CHECK int inflate_stream(__u32 type, const __u8 *data, size_t len, size_t size,
			      struct work *work, int (*put)(void *arg, const __u8 *bytes, size_t n),
			      void *arg);

/* An .xz stream (MiniDebugInfo) of unknown size, at most `max` bytes out and 64 MiB of dictionary.
 * The result is malloc'd, the caller's. `work` as above. 0, -EINVAL, -EFBIG, -ENOMEM,
 * -ECANCELED. */
MUST_CHECK int inflate_xz(const __u8 *data, size_t len, size_t max, struct work *work,
			  __u8 **ret_data, size_t *ret_size);
