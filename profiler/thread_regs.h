/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user registers of a thread, from the three orders in which the kernel gives them, to the
 * unwinder's: by DWARF number, the pc at DWARF_PC. One file per architecture.
 */
#pragma once

#include <stdbool.h>

#include "bpf/record.h"
#include "bpf/threads.h"
#include "profiler/base/check.h"

/* From struct pt_regs, as in a thread_record and in ptrace's NT_PRSTATUS. False: the thread is in a
 * 32-bit program. */
MUST_CHECK bool thread_regs_from_entry(const __u64 raw[THREAD_REGS_WORDS], __u64 regs[DWARF_REGS]);

/* perf_event_attr.sample_regs_user for all that the unwinder may ask for, how many words a sample
 * then has, and these words. (Of a 32-bit program the sample's abi tells.) */
extern const __u64 thread_regs_perf_mask;
extern const unsigned thread_regs_perf_words;
void thread_regs_from_perf(const __u64 *words, __u64 regs[DWARF_REGS]);

/* Where only pc and sp are known. The others are 0, which is no address: a frame that needs one of
 * them ends the stack instead of going astray. */
void thread_regs_from_pc_sp(__u64 pc, __u64 sp, __u64 regs[DWARF_REGS]);
