/* SPDX-License-Identifier: Apache-2.0 */
/* CPU lists as the kernel writes them ("0-3,8"). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"

/* Set online[cpu] for each CPU of the list below n; -EINVAL for what is no list. */
MUST_CHECK int cpus_parse(const char *list, bool *online, size_t n);
/* From a file like /sys/devices/system/cpu/online, which path NULL means; when it cannot be read,
 * every CPU counts as online. */
void cpus_online(const char *path, bool *online, size_t n);
