/* SPDX-License-Identifier: Apache-2.0 */
/* The line of a BPF verifier's log that says why a program was refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* log: what libbpf prints, the verifier's text between its BEGIN and END marks. The last line of it
 * that is neither empty, statistics nor a mark goes to out (cut at size - 1). False: no such line.
 */
bool verifier_last_line(const char *log, char *out, size_t size);
