// SPDX-License-Identifier: Apache-2.0
/* Reading a verifier's log, see verifier_log.h. Its last line is always print_verification_stats()
 * of kernel/bpf/verifier.c: "processed N insns (limit ...) ...". */
#include "profiler/verifier_log.h"

#include <stdio.h>
#include <string.h>

#define BEGIN_MARK "BEGIN PROG LOAD LOG"
#define END_MARK   "END PROG LOAD LOG"

static bool starts(const char *line, size_t len, const char *with)
{
	return len >= strlen(with) && !strncmp(line, with, strlen(with));
}

/* Statistics and what the verifier adds about its own run. */
static bool is_noise(const char *line, size_t len)
{
	return !len || starts(line, len, "processed ") || starts(line, len, "verification time ") ||
	       starts(line, len, "stack depth ") || starts(line, len, "peak_states ");
}

bool verifier_last_line(const char *log, char *out, size_t size)
{
	const char *line = strstr(log, BEGIN_MARK), *end, *best = NULL;
	size_t best_len = 0;

	if (!line)
		return false;
	line = strchr(line, '\n');
	end = line ? strstr(line, END_MARK) : NULL;
	if (!end)
		end = log + strlen(log);
	while (line && ++line < end) {
		size_t len = strcspn(line, "\n");

		if (line + len > end) /* the mark stands in this line */
			break;
		if (!is_noise(line, len)) {
			best = line;
			best_len = len;
		}
		line = strchr(line, '\n');
	}
	if (best)
		snprintf(out, size, "%.*s", (int)best_len, best);
	return best;
}
