/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which PID namespace we live in. The kernel side numbers processes as the initial one does; in any
 * other the same number is another process, or none, and every profile would be wrong. So the
 * engine does not start there, and commands that go by BPF's numbers go another way.
 */
#pragma once

#include <stdbool.h>

/* Whether /proc/self is in the initial PID namespace (its inode is a constant of the kernel since
 * 3.8). True as well when that cannot be told. procfs: "/proc". */
bool pid_namespace_is_initial(const char *procfs);
/* What is wrong in another one and what to do. */
const char *pid_namespace_refusal(void);
