// SPDX-License-Identifier: Apache-2.0
/* The bump allocator of arena.h. */
#include "profiler/base/arena.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MIN_BLOCK ((size_t)4 << 10)
#define ARENA_MAX_BLOCK ((size_t)1 << 20)

struct arena_block {
	struct arena_block *next;
	size_t size, used; /* of data[] */
	_Alignas(16) __u8 data[];
};

static struct arena_block *add_block(struct arena *arena, size_t want)
{
	size_t size = arena->head ? arena->head->size * 2 : ARENA_MIN_BLOCK;
	struct arena_block *block;

	size = MIN(size, ARENA_MAX_BLOCK);
	size = MAX(size, want);
	if (arena->limit && size > arena->limit - MIN(arena->limit, arena->reserved))
		return NULL;
	block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	*block = (struct arena_block){.next = arena->head, .size = size};
	arena->head = block;
	arena->reserved += size;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->head;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = ALIGN_UP(size, 8);
	if (!block || block->size - block->used < size) {
		block = add_block(arena, size);
		if (!block)
			return NULL;
	}
	p = block->data + block->used;
	block->used += size;
	arena->used += size;
	return p;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
	void *p = arena_alloc(arena, size);

	return p ? memset(p, 0, size) : NULL;
}

char *arena_strndup(struct arena *arena, const char *s, size_t len)
{
	char *p = arena_alloc(arena, len + 1);

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = 0;
	return p;
}

static void free_blocks(struct arena_block *block)
{
	while (block) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
}

void arena_reset(struct arena *arena)
{
	struct arena_block *head = arena->head;

	if (!head)
		return;
	free_blocks(head->next);
	head->next = NULL;
	head->used = 0;
	arena->used = 0;
	arena->reserved = head->size;
}

void arena_fini(struct arena *arena)
{
	free_blocks(arena->head);
	*arena = (struct arena){.limit = arena->limit};
}
