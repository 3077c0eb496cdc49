/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting a capture's entries into series: one for each set of labels (service_name, container, and
 * pid or comm if wanted), since receivers keep one profile per series. Host and configured labels
 * are the same for all and are added where profiles leave.
 */
#pragma once

#include "profiler/capture.h"

#define SERIES_MAX_LABELS 8
#define SERIES_MAX	  2000 /* of one profile; Pyroscope's own limit is 5,000 */

struct series_label {
	const char *name, *value; /* borrowed from the capture's images, or from the series */
};

struct series {
	struct series_label labels[SERIES_MAX_LABELS]; /* service_name first */
	size_t n_labels;
	size_t first, end; /* entries of the capture */
	char pid[12], comm[COMM_BYTES + 1];
};

struct series_options {
	bool by_pid, by_comm;
	size_t max; /* series; what is beyond goes into service_name "other" */
};

/* Reorders the capture's entries so that each series is one stretch. malloc'd, the caller's; NULL
 * with *ret_n 0 when memory ends or the capture is empty. Labels live as long as the capture. */
struct series *series_split(struct capture *capture, const struct series_options *options,
			    size_t *ret_n);
