/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process table: every process that made itself known (exec, fork, mapping, sample, the scan at
 * start), with its executable mappings. Map lists are shared between a process and its forks until
 * one of them changes, and are published to the kernel side as map sets (bpf/unwind.h).
 *
 * Everything happens in time order of the events, so that an exec, its mappings and a stack find
 * each other whatever ring they came by.
 *
 * Owner: the router thread. The identity (names for labels) is reference counted and immutable.
 */
#pragma once

#include <stdatomic.h>

#include "bpf/record.h"
#include "profiler/object.h"
#include "profiler/segment.h"

#define PROCESS_COMM_BYTES COMM_BYTES
#define VDSO_PATH	   "[vdso]" /* as the kernel names it; our object of key 0 */

struct mapping {
	__u64 start, end;      /* run-time addresses */
	__u64 offset;	       /* file offset of start */
	struct object *object; /* referenced; NULL: outside files (JIT) */
};

/* A sorted list of executable mappings, shared by the processes that forked from each other. */
struct map_list {
	__u32 refs;
	__u32 waiting; /* mappings whose object is being loaded */
	bool dirty;    /* the compiled set is behind */
	bool listed;   /* in the table's list of those to enter */
	bool cut;      /* more mappings than a set can hold */
	struct mapping *maps;
	size_t n, cap;
	struct blob blob; /* the compiled set; n_words 0: none */
	__u32 n_published;
	__u64 compiled_ns;
	__u64 published_ns;    /* when it was last entered into the kernel's map */
	struct process *first; /* the processes that share it */
};

/* Names of a process for labels; made by the loader, shared, immutable. */
struct identity {
	_Atomic __u32 refs;
	char *exe;	 /* base name of /proc/PID/exe; else of the first mapping, else comm */
	char *cgroup;	 /* path below the hierarchy's root; "" unknown */
	char *container; /* id; "" none */
	char *unit;	 /* systemd unit; "" none */
	char *service;	 /* service_name: container, else unit, else exe */
	__u32 ns_pid;	 /* innermost PID namespace */
	__u32 uid;	 /* effective user; UINT32_MAX unknown */
};
struct identity *identity_ref(struct identity *identity);
void identity_unref(struct identity *identity);

/*
 * One program run by a process: from exec (or fork) to the next exec or exit. What samples and
 * stacks refer to, so it outlives the process. Reference counted; the router writes, the identity
 * once.
 */
struct image {
	_Atomic __u32 refs;
	__u32 pid, generation; /* generations count images of all processes */
	__u64 start_ns;
	__u64 cgroup_id;	       /* 0 unknown */
	struct object *_Atomic exe;    /* first file mapped executable: the program; NULL unknown */
	char comm[PROCESS_COMM_BYTES]; /* of the first sample */
	bool kernel_thread, identity_asked;
	_Atomic(struct identity *) identity; /* NULL until the loader answered */
	__u64 jit_next_ns, jit_wait_ns; /* when its perf map is asked for again; the router's */
	_Atomic int jit_fd;		/* its perf map + 1, for image_take_jit; 0: none */
};
struct image *image_ref(struct image *image);
void image_unref(struct image *image);
/* Sets the identity if there is none yet; takes it. */
void image_set_identity(struct image *image, struct identity *identity);

#define IMAGE_MAX_JITS 1024u /* perf maps that wait, open, to be taken */
/* A JIT's perf map, opened while the process lived, which is how its names outlive it: put there by
 * the loader, taken by who names. put takes the descriptor, in place of an older one; false when
 * too many wait (it is closed). take gives it to the caller; -1 when there is none. Any thread. */
bool image_put_jit(struct image *image, int fd);
int image_take_jit(struct image *image);

struct process {
	__u32 pid, parent;
	__u64 used_ns; /* last event or sample */
	__u64 exit_ns; /* 0: lives */
	__u64 exec_ns; /* an exec began and is not complete yet; 0: none */
	struct image *image;
	struct map_list *maps;
	struct process *next_sharing;
	bool maps_known; /* from exec or fork on, or read from /proc: nothing can be missing */
	bool in_kernel;	 /* its pid is in the `procs` map */
	bool unreadable; /* its mappings in /proc; said */
	__u64 snapshot_asked_ns;
};

/* What the table needs done elsewhere; called in the router thread, must not block. */
struct process_ops {
	void *arg;
	/* Ask the loader for an object's rows, with a mapping by which it can be opened. */
	void (*load_object)(void *arg, struct object *object, const struct process *process,
			    const struct mapping *mapping);
	/* Ask for the mappings of a living process from /proc. */
	void (*read_maps)(void *arg, __u32 pid);
	/* Does the process still run? NULL: as far as events tell. */
	bool (*is_alive)(void *arg, __u32 pid);
};

struct process_table;
struct process_table_options {
	struct segments *segments;
	struct object_table *objects;
	int procs_fd; /* the `procs` map; -1: none (tests) */
	__u32 max;    /* processes */
	struct process_ops ops;
};

struct process_table *process_table_new(const struct process_table_options *options);
void process_table_free(struct process_table *table);

/* NULL when unknown. */
struct process *process_find(const struct process_table *table, __u32 pid);
/* Make it known; NULL when the table is full (counted). */
struct process *process_get(struct process_table *table, __u32 pid, __u64 time_ns);

void process_on_fork(struct process_table *table, __u32 parent, __u32 child, __u64 time_ns);
/* A new image starts: mappings are forgotten (perf's COMM with the exec bit). */
void process_on_exec(struct process_table *table, __u32 pid, __u64 time_ns);
/* The exec is complete (the BPF record): the cgroup is known. */
void process_on_exec_done(struct process_table *table, const struct rec *head);
void process_on_exit(struct process_table *table, __u32 pid, __u64 time_ns);
/* An executable mapping; key 0:0 with inode 0 is memory outside files, path says what it is. */
void process_on_mmap(struct process_table *table, __u32 pid, __u64 time_ns,
		     const struct mapping *range, const struct object_key *key, const char *path);

/* One line of a /proc snapshot. */
struct snapshot_map {
	__u64 start, end, offset;
	struct object_key key;
	const char *path;
};
/* Replace the mappings by what /proc said at read_ns. */
void process_on_snapshot(struct process_table *table, __u32 pid, __u64 read_ns,
			 const struct snapshot_map *maps, size_t n);
/* Something does not fit what is known: read /proc again (at most every two seconds). */
void process_want_snapshot(struct process_table *table, struct process *process, __u64 now_ns);
/* The loader answered for one or more objects: lists that wait for them are published anew. */
void process_on_objects(struct process_table *table);

/* Compile the lists that changed and enter them for the kernel side; called once at the end of each
 * batch of events. */
void process_table_publish(struct process_table *table);
/* Whether it left some for a later call. */
bool process_table_waits(const struct process_table *table);
/* Compile one list now, for unwinding here. False when that failed (counted). A list of thousands
 * that changes all the time may be some milliseconds behind. */
bool process_compile(struct process_table *table, struct map_list *list);
/* Keep a list beyond its processes, and give it back. */
struct map_list *process_hold_list(struct map_list *list);
void process_release_list(struct process_table *table, struct map_list *list);
/* About once a second: forget processes that ended PROCESS_KEEP_NS ago (PROCESS_CROWDED_NS when the
 * table is three quarters full), end some whose exit was lost, publish again what failed. */
#define PROCESS_KEEP_NS	   (60ull * 1000 * 1000 * 1000)
#define PROCESS_CROWDED_NS (2ull * 1000 * 1000 * 1000)
void process_table_sweep(struct process_table *table, __u64 now_ns);

/* The mapping that holds addr; NULL when none does. */
const struct mapping *process_mapping(const struct process *process, __u64 addr);

/* Visit all; stops when visit returns false. */
void process_each(const struct process_table *table,
		  bool (*visit)(void *arg, struct process *process), void *arg);

struct process_stats {
	__u32 n, max, n_alive;
	__u64 n_mappings, refused_total, publish_failed_total, published_total, cut_total;
	__u64 lost_exits_total; /* processes found gone that no event had ended */
};
struct process_stats process_table_stats(const struct process_table *table);
