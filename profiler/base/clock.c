// SPDX-License-Identifier: Apache-2.0
/* The units of clock.h: one table for each, read both ways. */
#include "profiler/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *suffix;
	__u64 scale;
};

static const struct unit duration_units[] = {
	{"d", 86400 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S},
	{"s", NS_PER_S},	 {"ms", NS_PER_MS},	 {NULL, 0},
};
static const struct unit size_units[] = {
	{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"", 1}, {NULL, 0},
};

static int parse_digits(const char **s, __u64 *ret_value)
{
	const char *p = *s;
	__u64 value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (__u64)(*p - '0'), &value))
			return -ERANGE;
	*s = p;
	*ret_value = value;
	return 0;
}

static int parse_unit(const char *s, const struct unit *units, const char *bare, __u64 *ret_value)
{
	__u64 value;
	int err = parse_digits(&s, &value);

	if (err)
		return err;
	if (!*s)
		s = bare;
	while (units->suffix && strcmp(s, units->suffix))
		units++;
	if (!units->suffix)
		return -EINVAL;
	if (__builtin_mul_overflow(value, units->scale, &value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int units_parse_duration(const char *s, __u64 *ret_ns)
{
	return parse_unit(s, duration_units, "s", ret_ns);
}

int units_parse_size(const char *s, __u64 *ret_bytes)
{
	return parse_unit(s, size_units, "", ret_bytes);
}

int units_parse_u64(const char *s, __u64 *ret_value)
{
	__u64 value;
	int err = parse_digits(&s, &value);

	if (err)
		return err;
	if (*s)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int units_parse_hex(const char *s, __u64 *ret_value)
{
	__u64 value = 0;
	int digits = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	for (; *s; s++) {
		int digit;

		if (*s >= '0' && *s <= '9')
			digit = *s - '0';
		else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			digit = (*s | 0x20) - 'a' + 10;
		else
			return -EINVAL;
		if (value >> 60)
			return -ERANGE;
		value = value << 4 | (__u64)digit;
		digits++;
	}
	if (!digits)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static void format_unit(__u64 value, const struct unit *units, char *out, size_t size)
{
	for (; units->suffix; units++) {
		/* The last row takes what no larger unit divides; sub-millisecond rests are cut. */
		if ((value && value % units->scale == 0) || !units[1].suffix) {
			snprintf(out, size, "%llu%s", (unsigned long long)(value / units->scale),
				 units->suffix);
			return;
		}
	}
}

void units_format_duration(__u64 ns, char *out, size_t size)
{
	format_unit(ns, duration_units, out, size);
}

void units_format_size(__u64 bytes, char *out, size_t size)
{
	format_unit(bytes, size_units, out, size);
}
