// SPDX-License-Identifier: Apache-2.0
/* Points of time as users write them, see query.h. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "profiler/base/clock.h"
#include "profiler/query/query.h"

#define MAX_S 9000000000ull /* the year 2255: its nanoseconds fit */

/* Exactly n digits. */
static bool digits(const char **p, int n, int *ret)
{
	int value = 0;

	for (int i = 0; i < n; i++, ++*p) {
		if (!isdigit((unsigned char)**p))
			return false;
		value = value * 10 + (**p - '0');
	}
	*ret = value;
	return true;
}

static bool one_of(const char **p, const char *chars)
{
	if (!**p || !strchr(chars, **p))
		return false;
	++*p;
	return true;
}

/* The digits after a point, as nanoseconds. */
static bool fraction(const char **p, __u64 *ret_ns)
{
	__u64 unit = NS_PER_S / 10, ns = 0;
	const char *start = *p;

	for (; isdigit((unsigned char)**p); ++*p, unit /= 10)
		ns += unit * (__u64)(**p - '0');
	*ret_ns = ns;
	return *p > start;
}

/* Z, or +HH:MM; seconds east of it. */
static bool zone(const char **p, int *ret_s)
{
	int hours, minutes, sign = **p == '-' ? -1 : 1;

	*ret_s = 0;
	if (one_of(p, "Zz"))
		return true;
	if (!one_of(p, "+-") || !digits(p, 2, &hours) || !one_of(p, ":") ||
	    !digits(p, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

static int parse_rfc3339(const char *p, __u64 *ret_ns)
{
	struct tm tm = {0}, back;
	__u64 ns = 0;
	int east;
	time_t t;

	if (!digits(&p, 4, &tm.tm_year) || !one_of(&p, "-") || !digits(&p, 2, &tm.tm_mon) ||
	    !one_of(&p, "-") || !digits(&p, 2, &tm.tm_mday) || !one_of(&p, "Tt ") ||
	    !digits(&p, 2, &tm.tm_hour) || !one_of(&p, ":") || !digits(&p, 2, &tm.tm_min) ||
	    !one_of(&p, ":") || !digits(&p, 2, &tm.tm_sec))
		return -EINVAL;
	if (*p == '.' && (p++, !fraction(&p, &ns)))
		return -EINVAL;
	if (!zone(&p, &east) || *p)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	back = tm;
	t = timegm(&back);
	if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL; /* no such day */
	t -= east;
	if (t < 0 || (__u64)t > MAX_S)
		return -ERANGE;
	*ret_ns = (__u64)t * NS_PER_S + ns;
	return 0;
}

static int parse_unix(const char *p, __u64 *ret_ns)
{
	__u64 s = 0, ns = 0;

	for (; isdigit((unsigned char)*p); p++) {
		s = s * 10 + (__u64)(*p - '0');
		if (s > MAX_S)
			return -ERANGE;
	}
	if (*p == '.' && (p++, !fraction(&p, &ns)))
		return -EINVAL;
	if (*p)
		return -EINVAL;
	*ret_ns = s * NS_PER_S + ns;
	return 0;
}

int query_parse_time(const char *text, __u64 now_ns, __u64 *ret_ns)
{
	__u64 back_ns;
	int err;

	if (!strncmp(text, "now", 3)) {
		if (!text[3]) {
			*ret_ns = now_ns;
			return 0;
		}
		if (text[3] != '-' || !isdigit((unsigned char)text[4]))
			return -EINVAL;
		err = units_parse_duration(text + 4, &back_ns);
		if (!err && back_ns > now_ns)
			err = -ERANGE;
		if (!err)
			*ret_ns = now_ns - back_ns;
		return err;
	}
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	return strlen(text) > 4 && text[4] == '-' ? parse_rfc3339(text, ret_ns)
						  : parse_unix(text, ret_ns);
}
