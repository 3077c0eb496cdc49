// SPDX-License-Identifier: Apache-2.0
/*
 * Host checks of privileges and of what limits even root. Which right serves what: capabilities(7);
 * kernel/bpf/syscall.c, kernel/events/core.c, kernel/kallsyms.c (kallsyms_show_value),
 * fs/proc/base.c (map_files, stack), Documentation/admin-guide/LSM/Yama.rst.
 */
#include "profiler/check_host.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/pid_namespace.h"
#include "profiler/rights.h"

#define MEMLOCK_WANTED	(64ull << 20)
#define KALLSYMS_LOOKED 262144u /* bytes of /proc/kallsyms; text symbols come early */

/* ---- capabilities ---------------------------------------------------------------------------- */

/* CAP_SYS_ADMIN stands for those that were split from it (5.8, 5.9). */
static bool holds_or_admin(cap_value_t cap)
{
	return rights_hold(cap) || rights_hold(CAP_SYS_ADMIN);
}

static enum host_state check_capability(const struct host_check *check,
					const struct config *config UNUSED,
					struct host_result *result)
{
	bool split = check->arg == CAP_BPF || check->arg == CAP_PERFMON ||
		     check->arg == CAP_CHECKPOINT_RESTORE;

	if (rights_hold(check->arg)) {
		host_found(result, "held");
		return HOST_OK;
	}
	if (split && rights_hold(CAP_SYS_ADMIN)) {
		host_found(result, "not held, but CAP_SYS_ADMIN stands for it");
		return HOST_OK;
	}
	host_found(result, "missing");
	host_fix(result, "run as root or give it to the service (AmbientCapabilities=, "
			 "setcap, capabilities.add)");
	return HOST_OFF;
}

#define CAPABILITY(name_, order_, cap_, lost_)                                                     \
	HOST_CHECK(name_, .order = order_, .arg = cap_, .run = check_capability, .lost = lost_)
CAPABILITY(cap_bpf, 100, CAP_BPF, "loading BPF programs: no profiling, no BPF events");
CAPABILITY(cap_perfmon, 101, CAP_PERFMON, "sampling events and kernel reads of BPF programs");
CAPABILITY(cap_sys_ptrace, 102, CAP_SYS_PTRACE,
	   "mappings and memory of other users' processes: their stacks stay incomplete");
CAPABILITY(cap_dac_read_search, 103, CAP_DAC_READ_SEARCH,
	   "symbols and unwind rows of files that only other users may read");
CAPABILITY(cap_syslog, 104, CAP_SYSLOG, "names of kernel functions where kptr_restrict is 1");
CAPABILITY(
	cap_checkpoint_restore, 105, CAP_CHECKPOINT_RESTORE,
	"files that were deleted or replaced while they run, and those of other mount namespaces");
CAPABILITY(
	cap_sys_nice, 106, CAP_SYS_NICE,
	"raised priority: on a busy host the first seconds are seen later, rings overflow earlier");
CAPABILITY(
	cap_sys_admin, 107, CAP_SYS_ADMIN,
	"kernel frames of blocked threads in `bianque stacks`, uprobes, other network namespaces");

/* ---- sysctls and limits ---------------------------------------------------------------------- */

/* A file that holds one number; false when it is not there. */
static bool read_number(const char *path, long *ret_value)
{
	char text[32], *end;

	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	*ret_value = strtol(text, &end, 10);
	return end != text;
}

static enum host_state check_pid_namespace(const struct host_check *check UNUSED,
					   const struct config *config UNUSED,
					   struct host_result *result)
{
	if (pid_namespace_is_initial("/proc")) {
		host_found(result, "the host's");
		return HOST_OK;
	}
	host_found(result, "not the host's");
	return HOST_OFF;
}
HOST_CHECK(pid_namespace, .order = 90, .required = true, .run = check_pid_namespace,
	   .lost = "the agent and record do not start: the kernel numbers processes otherwise",
	   .fix = "run it on the host, or its container with --pid=host (hostPID: true)");

static enum host_state check_paranoid(const struct host_check *check UNUSED,
				      const struct config *config UNUSED,
				      struct host_result *result)
{
	long level;

	if (!read_number("/proc/sys/kernel/perf_event_paranoid", &level)) {
		host_found(result, "kernel.perf_event_paranoid is not there: no perf events");
		return HOST_OFF;
	}
	if (holds_or_admin(CAP_PERFMON)) {
		host_found(result, "%ld, of no concern with CAP_PERFMON", level);
		return HOST_OK;
	}
	host_found(result, "%ld, and CAP_PERFMON is missing", level);
	return level > 0 ? HOST_OFF : HOST_DEGRADED;
}
HOST_CHECK(perf_event_paranoid, .order = 110, .run = check_paranoid,
	   .lost = "events on whole CPUs, kernel stacks",
	   .fix = "give CAP_PERFMON; kernel.perf_event_paranoid=0 alone is not enough for BPF");

/* Do function addresses in /proc/kallsyms show? Its first lines may be per-CPU offsets near 0. */
static bool kallsyms_show(void)
{
	_free_ char *text = malloc(KALLSYMS_LOOKED);
	char *save = NULL;

	if (!text || fs_read_small(AT_FDCWD, "/proc/kallsyms", text, KALLSYMS_LOOKED) <= 0)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *end;
		__u64 addr = strtoull(line, &end, 16);

		if (addr && *end == ' ' && (end[1] == 't' || end[1] == 'T'))
			return true;
	}
	return false;
}

static enum host_state check_kptr(const struct host_check *check UNUSED,
				  const struct config *config UNUSED, struct host_result *result)
{
	bool show = kallsyms_show();
	long level = -1;

	read_number("/proc/sys/kernel/kptr_restrict", &level);
	host_found(result, "kernel.kptr_restrict is %ld, /proc/kallsyms %s addresses", level,
		   show ? "shows" : "hides");
	return show ? HOST_OK : HOST_OFF;
}
HOST_CHECK(kernel_symbols, .order = 111, .run = check_kptr,
	   .lost = "names of kernel functions: their frames are numbers",
	   .fix = "give CAP_SYSLOG, and set kernel.kptr_restrict to 1 or 0 when it is 2");

static enum host_state check_memlock(const struct host_check *check UNUSED,
				     const struct config *config UNUSED, struct host_result *result)
{
	struct rlimit limit = {0};
	char text[32];

	/* Since 5.11 BPF memory counts to the cgroup; the helper came with it (libbpf probes so,
	 * too). */
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCKET_FILTER, BPF_FUNC_ktime_get_coarse_ns,
				    NULL) == 1) {
		host_found(result, "of no concern: BPF memory counts to the cgroup");
		return HOST_OK;
	}
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= MEMLOCK_WANTED ||
	    rights_hold(CAP_SYS_RESOURCE)) {
		host_found(result, "can be raised as far as needed");
		return HOST_OK;
	}
	units_format_size(limit.rlim_max, text, sizeof(text));
	host_found(result, "at most %s", text);
	return HOST_OFF;
}
HOST_CHECK(memlock, .order = 112, .run = check_memlock, .lost = "BPF maps beyond the limit",
	   .fix = "ulimit -l unlimited (LimitMEMLOCK=infinity), or CAP_SYS_RESOURCE");

static enum host_state check_bpf_stats(const struct host_check *check UNUSED,
				       const struct config *config UNUSED,
				       struct host_result *result)
{
	long on = 0;

	read_number("/proc/sys/kernel/bpf_stats_enabled", &on);
	host_found(result, "kernel.bpf_stats_enabled is %ld", on);
	return on ? HOST_OK : HOST_DEGRADED;
}
HOST_CHECK(bpf_stats, .order = 113, .run = check_bpf_stats,
	   .lost = "what the kernel side costs: agent.cpu_budget_pct holds without it",
	   .fix = "sysctl kernel.bpf_stats_enabled=1 (some 20 ns a program run)");

/* ---- hardening ------------------------------------------------------------------------------- */

static enum host_state check_lockdown(const struct host_check *check UNUSED,
				      const struct config *config UNUSED,
				      struct host_result *result)
{
	char text[128], *mode, *end;

	if (fs_read_small(AT_FDCWD, "/sys/kernel/security/lockdown", text, sizeof(text)) <= 0 ||
	    !(mode = strchr(text, '[')) || !(end = strchr(mode, ']'))) {
		host_found(result, "none (not built in, or securityfs is not mounted)");
		return HOST_OK;
	}
	*end = 0;
	host_found(result, "%s", mode + 1);
	return strcmp(mode + 1, "confidentiality") ? HOST_OK : HOST_OFF;
}
HOST_CHECK(lockdown, .order = 120, .run = check_lockdown,
	   .lost = "BPF programs may not read kernel memory, kprobes are refused",
	   .fix = "boot with lockdown=integrity, or without lockdown");

static enum host_state check_security_modules(const struct host_check *check UNUSED,
					      const struct config *config UNUSED,
					      struct host_result *result)
{
	char list[256];
	long enforcing = 0;

	if (fs_read_small(AT_FDCWD, "/sys/kernel/security/lsm", list, sizeof(list)) <= 0)
		strcpy(list, "unknown (securityfs is not mounted)");
	read_number("/sys/fs/selinux/enforce", &enforcing);
	host_found(result, "%s%s", list, enforcing ? "; SELinux enforces" : "");
	return HOST_OK; /* what they refuse shows in the other rows */
}
HOST_CHECK(security_modules, .order = 121, .run = check_security_modules);

static enum host_state check_ptrace(const struct host_check *check UNUSED,
				    const struct config *config UNUSED, struct host_result *result)
{
	long scope = 0;

	if (!read_number("/proc/sys/kernel/yama/ptrace_scope", &scope)) {
		host_found(result, "not restricted (no Yama)");
		return HOST_OK;
	}
	host_found(result, "kernel.yama.ptrace_scope is %ld", scope);
	if (scope >= 3)
		return HOST_OFF;
	return scope && !rights_hold(CAP_SYS_PTRACE) ? HOST_DEGRADED : HOST_OK;
}
HOST_CHECK(ptrace, .order = 122, .run = check_ptrace,
	   .lost = "`bianque stacks` of processes that are not our children",
	   .fix = "CAP_SYS_PTRACE; kernel.yama.ptrace_scope below 3 (3 stays until the next boot)");

/* The mount options of /proc that hide processes; "" for none. */
static void proc_options(char *out, size_t size)
{
	struct buf text = {0};
	char *save = NULL;

	*out = 0;
	if (fs_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &text) || !text.len) {
		buf_fini(&text);
		return;
	}
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *hide = strstr(line, "hidepid=");

		if (strstr(line, " /proc ") && strstr(line, " - proc ") && hide)
			snprintf(out, size, "%.*s", (int)strcspn(hide, ", "), hide);
	}
	buf_fini(&text);
}

static enum host_state check_proc(const struct host_check *check UNUSED,
				  const struct config *config UNUSED, struct host_result *result)
{
	char options[32], byte[2];
	ssize_t n = fs_read_small(AT_FDCWD, "/proc/1/maps", byte, sizeof(byte));

	proc_options(options, sizeof(options));
	if (n >= 0) {
		host_found(result, "mappings of other processes can be read%s%s",
			   *options ? ", " : "", options);
		return HOST_OK;
	}
	host_found(result, "mappings of pid 1 cannot be read: %s%s%s", strerror((int)-n),
		   *options ? ", " : "", options);
	return HOST_DEGRADED;
}
HOST_CHECK(
	proc, .order = 123, .run = check_proc,
	.lost = "user frames of such processes that ran before the agent",
	.fix = "mount -o remount,hidepid=0 /proc and CAP_SYS_PTRACE; what a sandbox closes stays "
	       "closed");
