/* SPDX-License-Identifier: Apache-2.0 */
/* The pyroscope section of the configuration. */
#pragma once

#include "profiler/config.h"

struct push_config {
	const char *url; /* "": push nothing */
	const char *tenant;
	const char *user, *password_file; /* basic, or */
	const char *token_file;		  /* bearer; "": none */
	const char *ca_file;
	__u64 timeout_ns;
	__u64 concurrency;
	__u64 queue_bytes; /* in memory */
	__u64 spool_bytes; /* on disk; 0: no spool */
	__u64 spool_age_ns;
};

extern const struct config_section pyroscope_section;
