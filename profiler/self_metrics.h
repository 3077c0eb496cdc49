/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own process in the names every Prometheus client uses (process_*), and its version.
 */
#pragma once

struct metric_out;

/* A part's metrics callback (part.h); self is not used. 0 or -errno. */
int self_metrics(void *self, struct metric_out *out);
