// SPDX-License-Identifier: Apache-2.0
/* Log lines, see log.h. Levels are atomics, so PUT /api/v1/log takes effect at once. */
#include "profiler/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/plain.h"

#define LINE_MAX_BYTES	  2048
#define LIMIT_PERIOD_NS	  (10 * NS_PER_S)
#define DEFAULT_LOG_LEVEL LOG_LEVEL_INFO

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const int syslog_priority[] = {3, 4, 6, 7};
static const char *const domain_names[] = {
#define X(name) #name,
	LOG_DOMAINS(X)
#undef X
};

static _Atomic signed char levels[LOG_DOMAIN_COUNT]; /* offset from DEFAULT_LOG_LEVEL, so 0 works */
static _Atomic int log_style = LOG_STYLE_COMMAND;

void log_set_style(enum log_style style)
{
	atomic_store(&log_style, style);
}

int log_set_level(const char *domain, const char *level)
{
	bool found = false;
	size_t l = 0;

	while (l < ARRAY_SIZE(level_names) && strcmp(level, level_names[l]))
		l++;
	if (l == ARRAY_SIZE(level_names))
		return -EINVAL;
	for (int d = 0; d < LOG_DOMAIN_COUNT; d++) {
		if (domain && strcmp(domain, domain_names[d]))
			continue;
		atomic_store(&levels[d], (signed char)((int)l - DEFAULT_LOG_LEVEL));
		found = true;
	}
	return found ? 0 : -ENOENT;
}

const char *log_domain_name(enum log_domain domain)
{
	return domain_names[domain];
}

const char *log_level_name(enum log_domain domain)
{
	return level_names[DEFAULT_LOG_LEVEL + atomic_load(&levels[domain])];
}

bool log_wants(enum log_domain domain, enum log_level level)
{
	return (int)level <=
	       DEFAULT_LOG_LEVEL + atomic_load_explicit(&levels[domain], memory_order_relaxed);
}

bool log_limit_pass(struct log_limit *limit, __u32 *ret_held)
{
	__u64 now = clock_monotonic_ns();
	__u64 next = __atomic_load_n(&limit->next_ns, __ATOMIC_RELAXED);

	if (now < next ||
	    !__atomic_compare_exchange_n(&limit->next_ns, &next, now + LIMIT_PERIOD_NS, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&limit->held, 1, __ATOMIC_RELAXED);
		return false;
	}
	*ret_held = __atomic_exchange_n(&limit->held, 0, __ATOMIC_RELAXED);
	return true;
}

static int put_prefix(char *line, size_t size, enum log_domain domain, enum log_level level)
{
	struct timespec now;
	struct tm tm;

	if (atomic_load(&log_style) == LOG_STYLE_COMMAND)
		return snprintf(line, size, "bianque: %s",
				level == LOG_LEVEL_WARN ? "warning: " : "");
	if (getenv("JOURNAL_STREAM"))
		return snprintf(line, size, "<%d>%s: ", syslog_priority[level],
				domain_names[domain]);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	return snprintf(line, size,
			"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %-5s %s: ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			now.tv_nsec / 1000000, level_names[level], domain_names[domain]);
}

void log_write(enum log_domain domain, enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t len = (size_t)put_prefix(line, sizeof(line), domain, level);
	va_list args;
	ssize_t n;

	va_start(args, fmt);
	n = vsnprintf(line + len, sizeof(line) - len, fmt, args);
	va_end(args);
	if (n > 0)
		len = MIN(len + (size_t)n, sizeof(line) - 2);
	/* Names in a line come from other programs: no control character may reach the terminal. */
	len = plain_text(line, line, len);
	line[len++] = '\n';
	n = write(STDERR_FILENO, line, len);
	(void)n; /* nowhere left to complain */
}
