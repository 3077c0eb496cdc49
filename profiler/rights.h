/* SPDX-License-Identifier: Apache-2.0 */
/* What this process may do, for messages that say what is missing. Any thread. */
#pragma once

#include <stdbool.h>
#include <sys/capability.h>

/* Is the capability effective? */
bool rights_hold(cap_value_t cap);
/* Why the kernel lets us read nothing of a process, and what to do; borrowed for ever. */
const char *rights_why_no_process(void);
