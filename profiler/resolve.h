/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From records in time order to resolved samples: keeps the process table and the stack table,
 * unwinds copied stacks, asks the loader for what is missing and holds a copied sample until it
 * came (at most PENDING_NS, at most PENDING_BYTES of them).
 *
 * Owner: the router thread.
 */
#pragma once

#include "bpf/reason.h"
#include "bpf/record.h"
#include "profiler/loader.h"
#include "profiler/object.h"
#include "profiler/process.h"
#include "profiler/sample.h"
#include "profiler/sideband.h"
#include "profiler/stack_table.h"

#define PENDING_NS    (1000ull * 1000 * 1000)
#define PENDING_BYTES (4u << 20)

struct resolver_options {
	struct segments *segments;
	struct loader *loader; /* NULL in tests: nothing is ever loaded */
	int procs_fd;	       /* -1: none */
	__u64 *known;	       /* the `known` map; NULL: none */
	size_t n_known;
	__u32 max_processes, max_objects, max_frames;
	size_t stacks_bytes;
	size_t idle_rows_bytes; /* rows of files that nobody has mapped now */
	/* Called for each sample, in about time order; copied ones may come up to PENDING_NS late.
	 */
	void (*on_sample)(void *arg, const struct sample *sample);
	void *arg;
};

struct resolver;

struct resolver *resolver_new(const struct resolver_options *options);
void resolver_free(struct resolver *resolver);

void resolver_record(struct resolver *resolver, const struct rec *rec);
void resolver_sideband(struct resolver *resolver, const struct sideband_event *event);
/* The loader's answers; call after each edge of loader_fd. */
void resolver_answers(struct resolver *resolver);
/* The end of a batch: publish what changed, try held samples again. drained_ns: all records up to
 * then have been given. */
void resolver_batch_end(struct resolver *resolver, __u64 drained_ns);
/* Housekeeping, about once a second. */
void resolver_tick(struct resolver *resolver, __u64 now_ns);
/* Give up on held samples: they are delivered as they are. */
void resolver_flush(struct resolver *resolver);
/* Whether work is left that time alone brings on: held samples, mappings to be published later. */
bool resolver_waits(const struct resolver *resolver);
/* Time of the oldest held sample; UINT64_MAX when none is held. */
__u64 resolver_oldest_pending(const struct resolver *resolver);
/* Ask for the mappings of all processes. */
void resolver_scan(struct resolver *resolver);
bool resolver_scanned(const struct resolver *resolver);

void resolver_set_limits(struct resolver *resolver, size_t stacks_bytes, size_t idle_rows_bytes);

struct process_table *resolver_processes(struct resolver *resolver);
struct object_table *resolver_objects(struct resolver *resolver);

struct resolver_stats {
	struct process_stats processes;
	struct object_stats objects;
	struct stack_stats stacks;
	__u64 lost[LOSS_COUNT];	 /* counted here: stack_unknown, sideband, table_full, memory */
	__u64 stops[STOP_COUNT]; /* user stacks by stop, of samples delivered */
	__u64 samples_total, copies_total, copies_whole_total, pending_bytes;
	__u64 scans_total; /* of /proc: at the start, and after lost side-band records */
	__u32 pending;
};
struct resolver_stats resolver_stats(const struct resolver *resolver);
