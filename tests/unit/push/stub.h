/* SPDX-License-Identifier: Apache-2.0 */
/* tests/mock/pyroscope_stub.py for C tests: started, controlled and asked; and profiles to send. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

struct stub {
	pid_t pid; /* 0: not running */
	unsigned port;
};

/* args: further arguments, ending with NULL; may be NULL. port 0: any. False when there is no
 * python3. */
bool stub_start(struct stub *stub, unsigned port, const char *const *args);
void stub_stop(struct stub *stub);
/* POST to /control/WHAT. */
void stub_control(const struct stub *stub, const char *what, const char *body);
/* A field of /control/report: the number, or the length of the list or object; -1 for none. */
long stub_count(const struct stub *stub, const char *field);
/* statuses[status] of the report. */
long stub_status(const struct stub *stub, unsigned status);
/* The first violation, "" for none; static memory. */
const char *stub_violation(const struct stub *stub);
/* A label of the stored profile number i, "" for none; static memory. */
const char *stub_label(const struct stub *stub, size_t i, const char *name);
/* Sum of the first sample type over all stored profiles. */
long long stub_total(const struct stub *stub);
/* A header of the last request; static memory. */
const char *stub_header(const struct stub *stub, const char *name);

/* A valid gzip pprof: n samples of cpu nanoseconds, each a stack of its own of depth 3, value 1000
 * each, with names padded to name_bytes. Returns its size before compression. */
size_t make_pprof(unsigned n_samples, unsigned name_bytes, __u64 time_ns, struct buf *out);
