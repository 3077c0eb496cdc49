// SPDX-License-Identifier: Apache-2.0
/*
 * Load average and the number of tasks, from /proc/loadavg (Documentation/filesystems/proc.rst):
 * "0.20 0.18 0.12 1/80 11206": three averages, runnable/existing tasks, the last pid.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "profiler/base/fs.h"
#include "profiler/collector.h"
#include "profiler/metric.h"

METRIC(load1, GAUGE, "bianque_loadavg_load1", NULL, "Load average over 1 minute");
METRIC(load5, GAUGE, "bianque_loadavg_load5", NULL, "Load average over 5 minutes");
METRIC(load15, GAUGE, "bianque_loadavg_load15", NULL, "Load average over 15 minutes");
METRIC(runnable, GAUGE, "bianque_loadavg_runnable_tasks", NULL, "Tasks that run or wait for a CPU");
METRIC(tasks, GAUGE, "bianque_loadavg_tasks", NULL, "Tasks that exist");

static int loadavg_metrics(void *self UNUSED, struct metric_out *out)
{
	unsigned long long n_runnable, n_tasks;
	double load[3];
	char text[128];

	if (fs_read_small(AT_FDCWD, "/proc/loadavg", text, sizeof(text)) <= 0)
		return -EIO;
	if (sscanf(text, "%lf %lf %lf %llu/%llu", &load[0], &load[1], &load[2], &n_runnable,
		   &n_tasks) != 5)
		return -EPROTO;
	metric_out_f64(out, &load1, NULL, load[0]);
	metric_out_f64(out, &load5, NULL, load[1]);
	metric_out_f64(out, &load15, NULL, load[2]);
	metric_out_u64(out, &runnable, NULL, n_runnable);
	metric_out_u64(out, &tasks, NULL, n_tasks);
	return 0;
}

COLLECTOR(loadavg, .help = "load average and tasks (/proc/loadavg)", .on_by_default = true,
	  .metrics = loadavg_metrics);
