/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run-time addresses of one process to frames: its mappings, the files behind them as the process
 * sees them (deleted and replaced ones too, through /proc/PID/map_files), the vDSO, and for code
 * that no file holds its perf map. Never stops the process. One thread.
 */
#pragma once

#include <sys/types.h>

#include "symbolize/symbol_cache.h"

struct process_symbols;

/* cache: shared by all processes, borrowed. 0, -ESRCH, or -errno (-EACCES: maps may not be read).
 */
MUST_CHECK int process_symbols_open(pid_t pid, struct symbol_cache *cache,
				    struct process_symbols **ret_process);
void process_symbols_free(struct process_symbols *process);
/* Read the mappings again. 0 or -errno. */
MUST_CHECK int process_symbols_refresh(struct process_symbols *process);

/* Frames as symbol_object_find's. Returns 0 when nothing is mapped there. *ret_object: the mapped
 * file's path, [vdso], [jit] or another name of the kernel's; *ret_build_id "" for none. All
 * borrowed until the next call. */
size_t process_symbols_find(struct process_symbols *process, __u64 addr,
			    struct symbol_frame frames[SYMBOL_FRAMES_MAX], const char **ret_object,
			    const char **ret_build_id);
