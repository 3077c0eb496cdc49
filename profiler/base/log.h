/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr: what, on which 'object', why, and what happens now. One line an event, level
 * by domain, changeable at run time. Under systemd (JOURNAL_STREAM) lines carry the <n> prefix,
 * else a time stamp when the agent runs, and only "bianque: " for one-shot commands.
 *
 * A call site that may repeat uses log_limited: at most one line in 10 s, with the number held
 * back. Libraries (base, symbolize, runtimes) log at debug only. Any thread; one write(2) a line.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* It would move this list by a word each time. */
/* clang-format off */
#define LOG_DOMAINS(X)                                                                             \
	X(agent) X(ring) X(process) X(unwind) X(symbol) X(profile) X(http) X(push) X(config)       \
	X(bpf) X(collector) X(store) X(runtime)
/* clang-format on */

enum log_domain {
#define X(name) LOG_##name,
	LOG_DOMAINS(X)
#undef X
		LOG_DOMAIN_COUNT
};

enum log_style { LOG_STYLE_COMMAND, LOG_STYLE_AGENT };

void log_set_style(enum log_style style);
/* Level names: error, warn, info, debug. -EINVAL for an unknown one. domain NULL: all of them;
 * -ENOENT for an unknown domain. */
MUST_CHECK int log_set_level(const char *domain, const char *level);
const char *log_domain_name(enum log_domain domain);
const char *log_level_name(enum log_domain domain);

bool log_wants(enum log_domain domain, enum log_level level);
void log_write(enum log_domain domain, enum log_level level, const char *fmt, ...) PRINTF(3, 4);

struct log_limit {
	__u64 next_ns;
	__u32 held;
};
/* True when the line may be written; *ret_held = lines held back since the last one. */
bool log_limit_pass(struct log_limit *limit, __u32 *ret_held);

#define log_at(domain, level, ...)                                                                 \
	do {                                                                                       \
		if (log_wants(LOG_##domain, level))                                                \
			log_write(LOG_##domain, level, __VA_ARGS__);                               \
	} while (0)
#define log_error(domain, ...) log_at(domain, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(domain, ...)  log_at(domain, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(domain, ...)  log_at(domain, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(domain, ...) log_at(domain, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* log_limited(ring, LOG_LEVEL_WARN, "fmt", ...): the held-back count is added to the line. */
#define log_limited(domain, level, fmt, ...)                                                       \
	do {                                                                                       \
		static struct log_limit limit_;                                                    \
		__u32 held_;                                                                       \
		if (log_wants(LOG_##domain, level) && log_limit_pass(&limit_, &held_)) {           \
			if (held_)                                                                 \
				log_write(LOG_##domain, level, fmt " (%u like it held back)",      \
					  ##__VA_ARGS__, held_);                                   \
			else                                                                       \
				log_write(LOG_##domain, level, fmt, ##__VA_ARGS__);                \
		}                                                                                  \
	} while (0)
