/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks by the id that the kernel side gave them. A stack arrives once; samples then refer to it.
 * Bounded: beyond max_bytes the stacks not used for longest go, and their marks in the kernel
 * side's `known` map are taken back first, so that they are sent again when they are seen again;
 * the stack itself stays until everything that was under way has been read.
 *
 * Owner: the router thread. Stacks are reference counted with atomics, captures hand them over.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "bpf/record.h"
#include "profiler/base/check.h"

struct object_table;
struct object;

struct stack {
	_Atomic __u32 refs;
	__u64 id;
	__u64 used_ns;
	__u32 pid, generation; /* of the process that showed it: for frames outside files */
	__u16 n_user, n_kernel;
	__u8 stop;		 /* enum stop */
	bool outside;		 /* some user frame lies outside files */
	bool again;		 /* it was sent anew since its mark was taken back */
	__u32 recorded;		 /* samples of it in the flight recorder, whose field it is */
	struct object **objects; /* the objects of its frames, referenced; ends with NULL */
	__u64 frames[];		 /* user, leaf first, then kernel, leaf first */
};

struct stack_table;

/* known: the mapped `known` map (n_known words), NULL without a kernel side. */
struct stack_table *stack_table_new(struct object_table *objects, __u64 *known, size_t n_known,
				    size_t max_bytes);
void stack_table_free(struct stack_table *table);

/* Add what a STACK record or the copy unwinder made; an id that is there already is used again.
 * Borrowed; NULL when memory ends. */
const struct stack *stack_table_add(struct stack_table *table, __u64 id, const __u64 *frames,
				    __u16 n_user, __u16 n_kernel, __u8 stop, __u32 pid,
				    __u32 generation, __u64 time_ns);
/* Borrowed; NULL when it is not there. */
const struct stack *stack_table_find(struct stack_table *table, __u64 id, __u64 time_ns);
/* Forget what was unmarked before `drained_ns` (all rings were read up to then), and unmark more
 * when the table is too large. */
void stack_table_sweep(struct stack_table *table, __u64 now_ns, __u64 drained_ns);

/* A sample came whose stack is not here: take a mark back that says it were, so that the stack is
 * sent at the next sample. */
void stack_table_want(struct stack_table *table, __u64 id);

void stack_table_set_max(struct stack_table *table, size_t max_bytes);

const struct stack *stack_ref(const struct stack *stack);
void stack_unref(const struct stack *stack);

struct stack_stats {
	__u32 n;
	__u64 bytes, max_bytes, forgotten_total;
};
struct stack_stats stack_table_stats(const struct stack_table *table);
