/* SPDX-License-Identifier: Apache-2.0 */
/* What `bianque record` was asked for, and the run itself; the command line is cmd_record.c's. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "bpf/config.h"
#include "profiler/base/check.h"

struct export_format;

#define RECORD_MAX_PIDS 1024

struct record_request {
	__u64 duration_ns; /* 0: until the command exits or a signal comes */
	unsigned hz;
	enum target target;
	__u64 keys[RECORD_MAX_PIDS]; /* pids or cgroup ids */
	size_t n_keys;
	const char *cgroup; /* path, for TARGET_CGROUP: new children are looked for */
	enum cgroup_hierarchy hierarchy;
	bool hierarchy_given;
	char **command;	    /* NULL: none */
	const char *output; /* path, "-": standard output */
	const struct export_format *format;
	bool quiet; /* no progress, no summary */
	const char *cache_dir;
};

/* Record and write; the exit status of the command. Errors are printed. */
int record_run(const struct record_request *request);
