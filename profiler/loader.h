/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader: the one thread that reads files and /proc, so that the router never waits. Requests
 * come in by queue, answers go back by queue and an eventfd that the router polls.
 *
 * Requests beyond LOADER_MAX_QUEUED are refused (the asker asks again at the next occasion). A large
 * file without cached rows waits until nothing else is asked for, and while it is compiled, which
 * may take seconds, the others pass: every ten milliseconds or so some of them are served. Beyond
 * LOADER_MAX_SLOW such files, which are held open, one is compiled in its turn.
 */
#pragma once

#include "profiler/object_load.h"
#include "profiler/process.h"

#define LOADER_MAX_QUEUED 65536u
#define LOADER_MAX_SLOW	  256u

struct loader;
struct row_cache;

struct loader_options {
	struct segments *segments;
	struct row_cache *cache; /* may be NULL; used by the loader alone from now on */
	const char *procfs;	 /* "/proc" */
	const char *controller;	 /* v1 hierarchy of containers, NULL: v2; a static string */
};

/* Starts the thread. 0 or -errno. */
MUST_CHECK int loader_start(const struct loader_options *options, struct loader **ret_loader);
/* Ends the thread: the file in work is let go (object_load's `cancelled`), what is queued is dropped. */
void loader_stop(struct loader *loader);
/* An eventfd written at each answer and never read: for a watch on edges. */
int loader_fd(const struct loader *loader);

/* Router's calls; false when the queue is full or memory ends. */
bool loader_load_object(struct loader *loader, __u32 object_id, const struct object_source *source);
bool loader_read_maps(struct loader *loader, __u32 pid);
/* Maps of every process, one whenever nothing else is asked for, then LOADER_SCANNED. */
void loader_scan(struct loader *loader);
/* Keeps a reference to the image; the answer gives it back. */
bool loader_identify(struct loader *loader, struct image *image);
/* Opens the perf map of the image's process, if it has one (image_put_jit); no answer. */
bool loader_open_jit(struct loader *loader, struct image *image);

enum loader_answer_kind { LOADER_OBJECT, LOADER_MAPS, LOADER_SCANNED, LOADER_IDENTITY };

struct loader_answer {
	enum loader_answer_kind kind;
	__u32 object_id;
	struct object_image *image; /* OBJECT: the taker's; NULL when memory ended */
	__u32 pid;
	__u64 read_ns;		   /* MAPS */
	int err;		   /* MAPS: -errno when they could not be read (-ESRCH: gone) */
	struct snapshot_map *maps; /* paths point into `text` */
	size_t n_maps;
	char *text;
	struct image *asked;	   /* IDENTITY: the reference that the question kept */
	struct identity *identity; /* IDENTITY: the taker's reference; NULL when memory ended */
	struct loader_answer *next;
};

/* All answers so far, oldest first; free each with loader_answer_free. */
struct loader_answer *loader_take(struct loader *loader);
/* Frees what the taker has not set to NULL. */
void loader_answer_free(struct loader_answer *answer, struct segments *segments);

struct loader_stats {
	__u32 queued, slow; /* slow: large files that wait to be compiled */
	__u64 refused_total, objects_total, maps_total, identities_total;
	__u64 jits_total, jits_refused_total; /* somebody else's file, or too many open */
};
struct loader_stats loader_stats(struct loader *loader);
