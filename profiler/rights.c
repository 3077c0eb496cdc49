// SPDX-License-Identifier: Apache-2.0
/* Capabilities, see rights.h. */
#include "profiler/rights.h"

bool rights_hold(cap_value_t cap)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();
	bool held = caps && !cap_get_flag(caps, cap, CAP_EFFECTIVE, &value) && value == CAP_SET;

	cap_free(caps);
	return held;
}

const char *rights_why_no_process(void)
{
	return rights_hold(CAP_SYS_PTRACE)
		       ? "not even with CAP_SYS_PTRACE, which we have: a security module, a "
			 "sandbox "
			 "or another user namespace closes it"
		       : "run it as root (with CAP_SYS_PTRACE) or as the process's owner";
}
