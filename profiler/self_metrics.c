// SPDX-License-Identifier: Apache-2.0
/* process_* from /proc/self (proc(5)); one open and a folder listing a scrape. */
#include "profiler/self_metrics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/metric.h"

METRIC(build_info, GAUGE, "bianque_build_info", NULL, "The running version; always 1");
METRIC(cpu, COUNTER, "process_cpu_seconds_total", "seconds",
       "CPU time of the agent, user and system");
METRIC(resident, GAUGE, "process_resident_memory_bytes", "bytes", "Resident memory of the agent");
METRIC(virtual, GAUGE, "process_virtual_memory_bytes", "bytes", "Address space of the agent");
METRIC(open_fds, GAUGE, "process_open_fds", NULL, "Open file descriptors of the agent");
METRIC(max_fds, GAUGE, "process_max_fds", NULL, "Limit of open file descriptors");
METRIC(start_time, GAUGE, "process_start_time_seconds", "seconds",
       "Start of the agent in seconds since 1970");

/* Field n (from 1) of /proc/self/stat, counted behind the name, which may hold anything. */
static __u64 stat_field(const char *stat, int n)
{
	const char *p = strrchr(stat, ')');

	for (int i = 2; p && i < n; i++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

/* Nanoseconds since 1970; taken once, since the clocks are set meanwhile. */
static __u64 started_ns(void)
{
	static __u64 started;
	char stat[1024];

	if (!started && fs_read_small(AT_FDCWD, "/proc/self/stat", stat, sizeof(stat)) > 0) {
		__u64 ticks = stat_field(stat, 22);

		started = clock_realtime_ns() - clock_ns(CLOCK_BOOTTIME) +
			  ticks * NS_PER_S / (__u64)sysconf(_SC_CLK_TCK);
	}
	return started;
}

static __u64 count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	__u64 n = 0;

	if (!dir)
		return 0;
	for (const struct dirent *d; (d = readdir(dir));)
		n += d->d_name[0] != '.';
	closedir(dir);
	return n - 1; /* the folder's own */
}

int self_metrics(void *self UNUSED, struct metric_out *out)
{
	__u64 page = (__u64)sysconf(_SC_PAGESIZE);
	unsigned long long size, rss;
	struct rlimit fds;
	char statm[256];
	ssize_t n;

	metric_out_u64(out, &build_info, METRIC_LABELS({"version", BIANQUE_VERSION}), 1);
	metric_out_f64(out, &cpu, NULL, (double)clock_process_cpu_ns() / NS_PER_S);
	metric_out_f64(out, &start_time, NULL, (double)(started_ns() / NS_PER_MS) / 1000);
	metric_out_u64(out, &open_fds, NULL, count_fds());
	if (!getrlimit(RLIMIT_NOFILE, &fds))
		metric_out_u64(out, &max_fds, NULL, fds.rlim_cur);
	n = fs_read_small(AT_FDCWD, "/proc/self/statm", statm, sizeof(statm));
	if (n < 0)
		return (int)n;
	if (sscanf(statm, "%llu %llu", &size, &rss) != 2)
		return -EINVAL;
	metric_out_u64(out, &virtual, NULL, size * page);
	metric_out_u64(out, &resident, NULL, rss * page);
	return 0;
}
