// SPDX-License-Identifier: Apache-2.0
/* The estimate of not_run.h. Idle time: idle + iowait of /proc/stat (proc(5)). */
#include "profiler/not_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"

static void read_idle(__u64 *idle_ns, unsigned n_cpus)
{
	__u64 tick_ns = NS_PER_S / (__u64)sysconf(_SC_CLK_TCK);
	_fclose_ FILE *f = fopen("/proc/stat", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long user, nice, system, idle, iowait;
		unsigned cpu;

		if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu", &cpu, &user, &nice, &system,
			   &idle, &iowait) == 6 &&
		    cpu < n_cpus)
			idle_ns[cpu] = (idle + iowait) * tick_ns;
	}
}

int not_run_init(struct not_run *n, unsigned n_cpus)
{
	n->n_cpus = n_cpus;
	n->idle_ns = calloc(n_cpus, sizeof(*n->idle_ns));
	if (!n->idle_ns)
		return -ENOMEM;
	read_idle(n->idle_ns, n_cpus);
	return 0;
}

void not_run_fini(struct not_run *n)
{
	free(n->idle_ns);
	n->idle_ns = NULL;
}

static __u64 owed(__u64 counted, __u64 seen, __u64 runs, __u64 tolerance)
{
	__u64 period = runs ? seen / runs : 0;

	if (!period || counted <= seen + tolerance)
		return 0;
	return (counted - seen) / period;
}

__u64 not_run_estimate(struct not_run *n, struct sampler *sampler,
		       const struct cpu_counters *counters)
{
	bool pmu = sampler_has_pmu(sampler);
	_free_ __u64 *idle = calloc(n->n_cpus, sizeof(*idle));
	__u64 total = 0;

	if (!idle)
		return 0;
	if (!pmu)
		read_idle(idle, n->n_cpus);
	for (unsigned cpu = 0; cpu < n->n_cpus; cpu++) {
		__u64 count, idle_ns;

		if (sampler_event_count(sampler, cpu, &count))
			continue;
		if (!n->idle_ns[cpu])
			n->idle_ns[cpu] = idle[cpu];
		if (!pmu && !idle[cpu])
			continue; /* offline now, or /proc/stat tells nothing */
		idle_ns = idle[cpu] - MIN(idle[cpu], n->idle_ns[cpu]);
		if (!pmu)
			count -= MIN(count, idle_ns);
		total += owed(count, counters[cpu].periods[SOURCE_CPU],
			      counters[cpu].runs[SOURCE_CPU], pmu ? 0 : NOT_RUN_TOLERANCE_NS);
	}
	return total;
}
