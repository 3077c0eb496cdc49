/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real push client against tests/mock/pyroscope_stub.py. By hand it is driven with a clock that
 * jumps over waits, so an hour's outage takes a second; with its thread it runs by the real clock.
 */
#pragma once

#include "profiler/push/push_config.h"
#include "profiler/push/push_internal.h"
#include "tests/unit/push/stub.h"
#include "tests/unit/test.h"

extern struct client {
	struct stub stub;
	struct parts parts;
	struct push *push;
	struct push_config config; /* url is set by client_open */
	struct push_label common;  /* host=testhost */
	char url[128], state_dir[256];
	__u64 mono_ns, real_ns; /* the clock by hand */
	unsigned name_bytes;	/* of the functions in submitted profiles */
	bool may_wait;		/* client_open: a secret may be missing */
} t;

/* Starts a stub with these arguments and a client by hand, or ends the case. */
#define CLIENT_BEGIN(name, ...)                                                                    \
	do {                                                                                       \
		client_reset();                                                                    \
		if (!stub_start(&t.stub, 0,                                                        \
				(const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}))           \
			SKIP("no python3 for the stub server");                                    \
		client_open(name, true);                                                           \
	} while (0)

/* The default configuration, and quiet logs. */
void client_reset(void);
/* For the stub that runs; state in the folder `name`. manual: driven by client_run. */
void client_open(const char *name, bool manual);
/* Opened again, with its thread. */
void client_open_thread(const char *name);
/* The configuration as it is now; 0 or -errno. */
int client_reload(void);
/* Closes the client and stops the stub. */
void client_end(void);

/* One profile of n samples worth 1,000 each; returns its size before compression. */
__u64 client_submit_at(const char *service, unsigned samples, __u64 time_ns);
/* The same, 20 s ago by the clock by hand, each in a millisecond of its own. */
__u64 client_submit(const char *service, unsigned samples);
/* Let the client work until the clock is at `until` or has gone on by ns: it jumps when only time
 * is waited for. */
void client_run_until(__u64 until);
void client_run(__u64 ns);
void client_advance(__u64 ns); /* the clock alone */

__u64 client_dropped(enum push_reason why);
__u64 client_all_dropped(void);
/* What /readyz says. Static memory. */
const char *client_state(void);
/* A file of the suite's folder with that text; its path, in static memory until the next call. */
const char *client_file(const char *name, const char *text);
