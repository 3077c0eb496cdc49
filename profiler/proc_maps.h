/* SPDX-License-Identifier: Apache-2.0 */
/* The executable mappings of a process from /proc/PID/maps (Documentation/filesystems/proc.rst). */
#pragma once

#include <stddef.h>

#include "profiler/process.h"

/* Read and parse; *ret_text holds the paths. Both results are malloc'd. 0, -ESRCH when the process
 * is gone, -EACCES when even we may not read it, -ENOMEM, -EFBIG. */
MUST_CHECK int proc_maps_read(const char *procfs, __u32 pid, struct snapshot_map **ret_maps,
			      size_t *ret_n, char **ret_text);
/* Parse a text of `len` bytes in place (NULs are put behind paths); the executable lines only.
 * Lines that are no mapping are skipped. 0 or -ENOMEM. */
MUST_CHECK int proc_maps_parse(char *text, size_t len, struct snapshot_map **ret_maps,
			       size_t *ret_n);
