/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks in nanoseconds, and the units people write: durations (15s) and sizes (40MiB). */
#pragma once

#include <stddef.h>
#include <time.h>

#include "profiler/base/check.h"

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

static inline __u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (__u64)ts.tv_sec * NS_PER_S + (__u64)ts.tv_nsec;
}

/* The clock of every record (BPF's bpf_ktime_get_ns, perf's clockid). */
static inline __u64 clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline __u64 clock_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* How long the host was suspended since it booted: CLOCK_MONOTONIC stands still meanwhile. */
static inline __u64 clock_asleep_ns(void)
{
	__u64 awake_ns = clock_ns(CLOCK_MONOTONIC), ns = clock_ns(CLOCK_BOOTTIME);

	return ns > awake_ns ? ns - awake_ns : 0;
}

static inline __u64 clock_thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline __u64 clock_process_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Integer + ms|s|m|h|d, bare = seconds. 0, -EINVAL, or -ERANGE when it overflows. */
MUST_CHECK int units_parse_duration(const char *s, __u64 *ret_ns);
/* Integer + KiB|MiB|GiB, bare = bytes. 0, -EINVAL or -ERANGE. */
MUST_CHECK int units_parse_size(const char *s, __u64 *ret_bytes);
/* Decimal digits only. 0, -EINVAL or -ERANGE. */
MUST_CHECK int units_parse_u64(const char *s, __u64 *ret_value);
/* Hexadecimal with or without 0x. 0, -EINVAL or -ERANGE. */
MUST_CHECK int units_parse_hex(const char *s, __u64 *ret_value);
/* The shortest exact form ("15s", "1500ms", "40MiB"); the result parses back to the same value. */
void units_format_duration(__u64 ns, char *out, size_t size);
void units_format_size(__u64 bytes, char *out, size_t size);
