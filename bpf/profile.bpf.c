// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The always-on object: CPU samples and the life of processes. One object, because each costs 12 ms
 * of BTF parsing at start; a request with its own rate loads it again with sample_cpu alone, over
 * the same maps.
 */
#include "bpf/cpu.bpf.h"
#include "bpf/process.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
