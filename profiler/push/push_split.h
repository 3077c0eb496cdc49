/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Halve an encoded pprof when a server finds it too large: by then the profile it was made from is
 * gone (it may come from the spool), so this works on the wire format alone. Each half gets half of
 * the samples and only what they use: locations and functions are left out, unused strings become
 * empty so that indexes stay; everything else is copied. The second half's time is moved, since v1
 * storage keeps one profile a millisecond.
 */
#pragma once

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

#define PUSH_SPLIT_MAX_BYTES (32u << 20) /* of the decompressed profile */

struct push_half {
	struct buf pprof; /* gzip */
	size_t raw_bytes; /* before compression */
};

/* 0; -E2BIG when there is only one sample; -EINVAL for what is no pprof; -EFBIG; -ENOMEM. The
 * halves are filled on success only. Any thread. */
MUST_CHECK int push_split(const void *pprof, size_t len, __u64 shift_ns,
			  struct push_half ret_halves[2]);
