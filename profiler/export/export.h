/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles out: one list of formats for `record -f`, HTTP's `format=` and the help. Every encoder
 * reads a struct profile and streams into a sink; none changes the profile or holds a second copy
 * of its stacks. 0 or -errno (the sink's own error, or -ENOMEM). One thread at a time per profile.
 */
#pragma once

#include <stdbool.h>

#include "profiler/base/check.h"

struct profile;
struct sink;

/* What stands above the root frame of every stack; pprof has labels instead. */
enum export_group {
	EXPORT_GROUP_COMM, /* the thread's comm at sample time */
	EXPORT_GROUP_PID,  /* `comm (PID)` */
	EXPORT_GROUP_TID,  /* `thread (TID)`, comm where it has no name of its own */
	EXPORT_GROUP_NONE,
};

#define EXPORT_TYPE_AUTO (-1)

struct export_options {
	const char *title; /* text, html, svg, json, speedscope; NULL: the profile's name */
	const char *host;  /* NULL: not said */
	/* The value shown by formats that have one; EXPORT_TYPE_AUTO: folded takes samples, the
	 * others the profile's default_type. */
	int type;
	enum export_group group;
	/* json, html, svg: at most so many nodes; the largest stay, the others of a parent become
	 * one `other`. 0: 50,000. */
	__u32 max_nodes;
	__u32 max_rows;	  /* text; 0: 60 */
	unsigned columns; /* text: of the terminal it goes to; 0: none, nothing is cut */

	/* pprof */
	int gzip_level;	    /* 0: 1, the fast one; -1: not compressed */
	bool string_labels; /* comm, thread and other string labels too: Pyroscope would make a
			       series of each; numbers (pid, tid) are always there */
	__u32 max_frames;   /* longer stacks lose their middle to `[N frames]`; 0: none do */
};
#define EXPORT_OPTIONS_DEFAULT ((struct export_options){.type = EXPORT_TYPE_AUTO})

struct export_format {
	const char *name;
	const char *ending; /* of files, with its dot */
	const char *content_type;
	const char *help; /* a few words */
	bool text;	  /* UTF-8, may go to standard output; else bytes */
	MUST_CHECK int (*write)(const struct profile *profile, const struct export_options *options,
				struct sink *sink);
};

/* All of them, in the order of the help. Ends with a NULL name. */
extern const struct export_format export_formats[];
/* NULL for an unknown name. */
const struct export_format *export_format_find(const char *name);
/* By the longest ending that fits (x.speedscope.json is not json); NULL for none. */
const struct export_format *export_format_of_path(const char *path);

MUST_CHECK int pprof_write(const struct profile *profile, const struct export_options *options,
			   struct sink *sink);
MUST_CHECK int folded_write(const struct profile *profile, const struct export_options *options,
			    struct sink *sink);
MUST_CHECK int html_write(const struct profile *profile, const struct export_options *options,
			  struct sink *sink);
MUST_CHECK int svg_write(const struct profile *profile, const struct export_options *options,
			 struct sink *sink);
MUST_CHECK int speedscope_write(const struct profile *profile, const struct export_options *options,
				struct sink *sink);
/*
 * The page's node table, one JSON object:
 *
 *	version     1; a reader refuses others
 *	title, host, profile, type, unit    texts; profile is the kind (cpu, ...), type and unit the
 *	                                    value's (cpu, nanoseconds)
 *	time_ms, duration_ms                0: not known
 *	base_time_ms, base_duration_ms      the same of the baseline; only in a comparison
 *	samples, whole, lost                sample counts: all, with whole stacks, known missing
 *	all_nodes   nodes there were before max_nodes
 *	comments    texts
 *	kinds       names of frame kinds, by number
 *	scale       what self and total must be multiplied with
 *	frames      columns name, module, file (delta-coded numbers of strings), line, kind,
 *	            inlined; row 0 is `all`, row 1 `other`. Equal rows do not occur: a row is a
 *	            function
 *	nodes       columns parent (own number minus the parent's; 0 for the root, which is node
 *	            0), frame (delta-coded), self, total, flags (1: other). Depth first; children by
 *	            name
 *	            base_self, base_total: the same of the baseline; only in a comparison
 *	strings     number 0 is ""
 *
 * Delta-coded: each entry is the difference to the one before it, the first to 0.
 */
MUST_CHECK int json_write(const struct profile *profile, const struct export_options *options,
			  struct sink *sink);
MUST_CHECK int text_write(const struct profile *profile, const struct export_options *options,
			  struct sink *sink);
