// SPDX-License-Identifier: Apache-2.0
/* Series of a capture, see series.h. */
#include "profiler/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/process.h"

#define OTHER_SERVICE "other"

struct names {
	const char *service, *container;
};

static struct names names_of(const struct capture_entry *e)
{
	const struct identity *identity = e->identity;
	const struct image *image = e->image;
	struct names names = {.service = "", .container = ""};

	if (identity) {
		names.service = identity->service;
		names.container = identity->container;
	} else if (image->kernel_thread) {
		names.service = "kernel";
	} else if (e->exe) {
		names.service = e->exe->name;
	} else {
		names.service = image->comm;
	}
	if (!*names.service)
		names.service = "unknown";
	return names;
}

static int compare(const struct capture_entry *a, const struct capture_entry *b,
		   const struct series_options *options)
{
	struct names na = names_of(a), nb = names_of(b);
	int order = strcmp(na.service, nb.service);

	if (!order)
		order = strcmp(na.container, nb.container);
	if (!order && options->by_pid && a->image->pid != b->image->pid)
		order = a->image->pid < b->image->pid ? -1 : 1;
	if (!order && options->by_comm)
		order = memcmp(a->comm, b->comm, COMM_BYTES);
	return order;
}

static int by_series(const void *pa, const void *pb, void *arg)
{
	return compare(pa, pb, arg);
}

static void add_label(struct series *s, const char *name, const char *value)
{
	if (*value)
		s->labels[s->n_labels++] = (struct series_label){name, value};
}

static void label(struct series *s, const struct capture_entry *e,
		  const struct series_options *options)
{
	struct names names = names_of(e);

	add_label(s, "service_name", names.service);
	add_label(s, "container", names.container);
	if (options->by_pid) {
		snprintf(s->pid, sizeof(s->pid), "%u", e->image->pid);
		add_label(s, "pid", s->pid);
	}
	if (options->by_comm) {
		snprintf(s->comm, sizeof(s->comm), "%.*s", COMM_BYTES, e->comm);
		add_label(s, "comm", s->comm);
	}
}

struct series *series_split(struct capture *capture, const struct series_options *options,
			    size_t *ret_n)
{
	struct capture_entry *e = capture->entries.data;
	size_t n = capture->entries.len, distinct = 0, found, i = 0;
	struct series *series;

	*ret_n = 0;
	if (!n)
		return NULL;
	/* The loader or a mapping may tell while we sort: look once. */
	for (size_t k = 0; k < n; k++) {
		e[k].identity = atomic_load(&e[k].image->identity);
		e[k].exe = e[k].image->exe;
	}
	qsort_r(e, n, sizeof(*e), by_series, (void *)(uintptr_t)options);
	for (size_t k = 0; k < n; k++)
		distinct += k == 0 || compare(&e[k - 1], &e[k], options) != 0;
	found = MIN(distinct, options->max);
	series = calloc(found, sizeof(*series));
	if (!series)
		return NULL;
	for (size_t k = 0; k < found; k++) {
		struct series *s = &series[k];

		s->first = i;
		if (k + 1 == found && found < distinct) { /* the rest together */
			add_label(s, "service_name", OTHER_SERVICE);
			i = n;
		} else {
			label(s, &e[i], options);
			do
				i++;
			while (i < n && !compare(&e[i - 1], &e[i], options));
		}
		s->end = i;
	}
	*ret_n = found;
	return series;
}
