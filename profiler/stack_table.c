// SPDX-License-Identifier: Apache-2.0
/* Stacks by id, see stack_table.h. */
#include "profiler/stack_table.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "profiler/object.h"

#define KEEP_PARTS 3 /* of 4: what stays after the table was too large */

struct stack_table {
	struct object_table *objects;
	__u64 *known;
	size_t n_known;
	size_t bytes, max_bytes;
	VEC(struct stack *) slots; /* NULL: free */
	VEC(__u32) free_slots;
	struct hmap by_id;
	VEC(struct leaving { __u64 id, unmarked_ns; }) leaving;
	__u64 forgotten_total;
};

const struct stack *stack_ref(const struct stack *stack)
{
	atomic_fetch_add_explicit(&((struct stack *)(uintptr_t)stack)->refs, 1,
				  memory_order_relaxed);
	return stack;
}

void stack_unref(const struct stack *borrowed)
{
	struct stack *stack = (struct stack *)(uintptr_t)borrowed;

	if (!stack || atomic_fetch_sub_explicit(&stack->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (struct object **o = stack->objects; *o; o++)
		object_unref(*o);
	free(stack->objects);
	free(stack);
}

struct stack_table *stack_table_new(struct object_table *objects, __u64 *known, size_t n_known,
				    size_t max_bytes)
{
	struct stack_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->objects = objects;
	table->known = known;
	table->n_known = n_known;
	table->max_bytes = max_bytes;
	return table;
}

void stack_table_free(struct stack_table *table)
{
	if (!table)
		return;
	vec_for_each (slot, &table->slots)
		stack_unref(*slot);
	vec_free(&table->slots);
	vec_free(&table->free_slots);
	vec_free(&table->leaving);
	hmap_fini(&table->by_id);
	free(table);
}

static size_t stack_bytes(const struct stack *stack)
{
	return sizeof(*stack) + (size_t)(stack->n_user + stack->n_kernel) * 8 + 64;
}

static struct stack *find(const struct stack_table *table, __u64 id)
{
	__u32 slot;

	hmap_for_each_match (&table->by_id, id, slot) {
		if (table->slots.data[slot]->id == id)
			return table->slots.data[slot];
	}
	return NULL;
}

const struct stack *stack_table_find(struct stack_table *table, __u64 id, __u64 time_ns)
{
	struct stack *stack = find(table, id);

	if (stack)
		stack->used_ns = time_ns;
	return stack;
}

/* The distinct objects of its file frames, each referenced, so that no id is reused under it. */
static int take_objects(struct stack_table *table, struct stack *stack)
{
	VEC(struct object *) objects = {0};
	int err = 0;

	for (__u16 i = 0; !err && i < stack->n_user; i++) {
		__u64 frame = stack->frames[i];
		struct object *object;
		size_t j;

		if (frame >> FRAME_KIND_SHIFT != FRAME_FILE) {
			stack->outside = true;
			continue;
		}
		object = object_by_id(table->objects,
				      (__u32)(frame >> FRAME_ADDR_BITS & FRAME_FILE_MASK));
		for (j = 0; j < objects.len && objects.data[j] != object; j++)
			;
		if (object && j == objects.len) {
			err = vec_push(&objects, object);
			if (!err) {
				object_ref(object)->used_ns = stack->used_ns;
				atomic_store_explicit(&object->sampled, true, memory_order_relaxed);
			}
		}
	}
	if (!err)
		err = vec_push(&objects, NULL);
	stack->objects = objects.data;
	if (err) {
		for (size_t j = 0; j < objects.len; j++)
			object_unref(objects.data[j]);
		free(objects.data);
	}
	return err;
}

static int insert(struct stack_table *table, struct stack *stack)
{
	bool reuse = table->free_slots.len > 0;
	__u32 slot =
		reuse ? table->free_slots.data[table->free_slots.len - 1] : (__u32)table->slots.len;

	if (!reuse && vec_push(&table->slots, NULL))
		return -ENOMEM;
	if (hmap_add(&table->by_id, stack->id, slot)) {
		if (!reuse)
			table->slots.len--;
		return -ENOMEM;
	}
	table->free_slots.len -= reuse;
	table->slots.data[slot] = stack;
	table->bytes += stack_bytes(stack);
	return 0;
}

const struct stack *stack_table_add(struct stack_table *table, __u64 id, const __u64 *frames,
				    __u16 n_user, __u16 n_kernel, __u8 stop, __u32 pid,
				    __u32 generation, __u64 time_ns)
{
	size_t n = (size_t)n_user + n_kernel;
	struct stack *stack = find(table, id);

	if (stack) {
		stack->used_ns = time_ns;
		stack->again = true;
		return stack;
	}
	stack = malloc(sizeof(*stack) + n * 8);
	if (!stack)
		return NULL;
	*stack = (struct stack){
		.id = id,
		.used_ns = time_ns,
		.pid = pid,
		.generation = generation,
		.n_user = n_user,
		.n_kernel = n_kernel,
		.stop = stop,
	};
	atomic_init(&stack->refs, 1);
	memcpy(stack->frames, frames, n * 8);
	if (take_objects(table, stack)) {
		free(stack);
		return NULL;
	}
	if (insert(table, stack)) {
		stack_unref(stack);
		return NULL;
	}
	return stack;
}

static void unmark(struct stack_table *table, __u64 id)
{
	size_t at = id & (table->n_known - 2);

	for (size_t i = at; table->known && i < at + 2; i++) {
		__u64 expected = id;

		__atomic_compare_exchange_n(&table->known[i], &expected, 0, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	}
}

static void forget(struct stack_table *table, __u64 id, __u64 unmarked_ns)
{
	__u32 slot;

	hmap_for_each_match (&table->by_id, id, slot) {
		struct stack *stack = table->slots.data[slot];

		if (stack->id != id)
			continue;
		if (stack->again || stack->used_ns >= unmarked_ns)
			return; /* it came back; it may be marked again */
		hmap_del(&table->by_id, id, slot);
		table->slots.data[slot] = NULL;
		if (vec_push(&table->free_slots, slot)) {
			/* the slot stays unused */
		}
		table->bytes -= stack_bytes(stack);
		table->forgotten_total++;
		stack_unref(stack);
		return;
	}
}

static int by_use(const void *pa, const void *pb)
{
	const struct stack *a = *(struct stack *const *)pa, *b = *(struct stack *const *)pb;

	return a->used_ns < b->used_ns ? -1 : a->used_ns > b->used_ns;
}

/* The stacks not used for longest lose their marks, until what stays would fit. */
static void start_leaving(struct stack_table *table, __u64 now_ns)
{
	size_t bytes = table->bytes, keep = table->max_bytes / 4 * KEEP_PARTS;
	VEC(struct stack *) all = {0};

	vec_for_each (slot, &table->slots) {
		if (*slot && vec_push(&all, *slot))
			break;
	}
	if (all.len)
		qsort(all.data, all.len, sizeof(*all.data), by_use);
	for (size_t i = 0; i < all.len && bytes > keep; i++) {
		if (vec_push(&table->leaving, (struct leaving){all.data[i]->id, now_ns}))
			break;
		all.data[i]->again = false;
		unmark(table, all.data[i]->id);
		bytes -= stack_bytes(all.data[i]);
	}
	vec_free(&all);
}

void stack_table_sweep(struct stack_table *table, __u64 now_ns, __u64 drained_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->leaving.len; i++) {
		struct leaving l = table->leaving.data[i];

		if (l.unmarked_ns < drained_ns)
			forget(table, l.id, l.unmarked_ns);
		else
			table->leaving.data[kept++] = l;
	}
	table->leaving.len = kept;
	if (table->bytes > table->max_bytes && !table->leaving.len)
		start_leaving(table, now_ns);
}

void stack_table_want(struct stack_table *table, __u64 id)
{
	unmark(table, id);
}

void stack_table_set_max(struct stack_table *table, size_t max_bytes)
{
	table->max_bytes = max_bytes;
}

struct stack_stats stack_table_stats(const struct stack_table *table)
{
	return (struct stack_stats){
		.n = table->by_id.len,
		.bytes = table->bytes,
		.max_bytes = table->max_bytes,
		.forgotten_total = table->forgotten_total,
	};
}
