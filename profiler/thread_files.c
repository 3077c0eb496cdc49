// SPDX-License-Identifier: Apache-2.0
/* Parsers of /proc's files of a thread, see thread_files.h. */
#include "profiler/thread_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A number and what stands before it: only blanks. */
static bool take_number(const char **text, int base, __u64 *ret_value)
{
	const char *at = *text + strspn(*text, " \t");
	char *end;

	/* No sign, and 0x only where it is expected: strtoull would take both. */
	if (base == 16 && strncmp(at, "0x", 2) != 0)
		return false;
	if (base == 10 && (*at < '0' || *at > '9'))
		return false;
	errno = 0;
	*ret_value = strtoull(at, &end, base);
	*text = end;
	return end != at && !errno;
}

bool thread_stat_parse(const char *text, struct thread_stat *ret_stat)
{
	struct thread_stat s = {0};
	const char *open = strchr(text, '('), *close = strrchr(text, ')'), *at;
	__u64 value;
	size_t len;

	if (!open || !close || close < open || close[1] != ' ' || !close[2] || close[3] != ' ')
		return false;
	len = MIN((size_t)(close - open - 1), sizeof(s.comm) - 1);
	memcpy(s.comm, open + 1, len);
	s.state = close[2];
	at = close + 4;
	for (int field = 4; field <= 22; field++) {
		at += strspn(at, " ");
		if (*at == '-') /* some are signed, none of ours */
			at++;
		if (!take_number(&at, 10, &value))
			return false;
		if (field == 4)
			s.parent = (__u32)value;
		else if (field == 9)
			s.flags = (__u32)value;
		else if (field == 22)
			s.start_time = value;
	}
	*ret_stat = s;
	return true;
}

const char *thread_state_name(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "disk sleep";
	case 'T':
		return "stopped";
	case 't':
		return "traced";
	case 'Z':
		return "zombie";
	case 'X':
		return "dead";
	case 'I':
		return "idle";
	case 'P':
		return "parked";
	default:
		return "unknown";
	}
}

bool thread_switches_parse(const char *text, __u64 *ret_switches)
{
	static const char *const keys[] = {"\nvoluntary_ctxt_switches:",
					   "\nnonvoluntary_ctxt_switches:"};
	__u64 sum = 0, value;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *at = strstr(text, keys[i]);

		if (!at)
			return false;
		at += strlen(keys[i]);
		if (!take_number(&at, 10, &value))
			return false;
		sum += value;
	}
	*ret_switches = sum;
	return true;
}

bool thread_syscall_parse(const char *text, __u64 *ret_pc, __u64 *ret_sp)
{
	bool blocked = !strncmp(text, "-1 ", 3);
	__u64 number, pc, sp;

	if (blocked)
		text += 3;
	else if (!take_number(&text, 10, &number))
		return false;
	for (int i = 0; !blocked && i < 6; i++)
		if (!take_number(&text, 16, &number))
			return false;
	if (!take_number(&text, 16, &sp) || !take_number(&text, 16, &pc))
		return false;
	*ret_pc = pc;
	*ret_sp = sp;
	return true;
}

/* Within one line. */
static bool parse_frame(const char *line, const char *end, struct kernel_frame *f)
{
	const char *close, *plus;

	if (end - line < 4 || line[0] != '[' || line[1] != '<')
		return false;
	close = memchr(line, ']', (size_t)(end - line));
	if (!close || end - close < 3 || close[1] != ' ')
		return false;
	f->function = close + 2;
	plus = memchr(f->function, '+', (size_t)(end - f->function));
	f->function_len = (int)((plus ? plus : end) - f->function);
	f->module = "";
	f->module_len = 0;
	if (plus && end[-1] == ']') {
		const char *open = end - 1;

		while (open > plus && *open != '[')
			open--;
		if (*open == '[') {
			f->module = open + 1;
			f->module_len = (int)(end - 1 - f->module);
		}
	}
	return f->function_len > 0;
}

bool kernel_frame_next(const char **text, struct kernel_frame *ret_frame)
{
	while (**text) {
		const char *line = *text, *end = line + strcspn(line, "\n");

		*text = *end ? end + 1 : end;
		if (parse_frame(line, end, ret_frame))
			return true;
	}
	return false;
}
