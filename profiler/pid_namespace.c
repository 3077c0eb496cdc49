// SPDX-License-Identifier: Apache-2.0
/* PID namespaces, see pid_namespace.h. The inode: include/linux/proc_ns.h, PROC_PID_INIT_INO. */
#include "profiler/pid_namespace.h"

#include <stdio.h>
#include <sys/stat.h>

#define INITIAL_PID_NAMESPACE 0xeffffffcu

bool pid_namespace_is_initial(const char *procfs)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/self/ns/pid", procfs);
	return stat(path, &st) || st.st_ino == INITIAL_PID_NAMESPACE;
}

const char *pid_namespace_refusal(void)
{
	return "this is not the host's PID namespace, and the kernel numbers processes by that "
	       "one; "
	       "start it on the host, or its container with the host's PID namespace (--pid=host, "
	       "hostPID: true)";
}
