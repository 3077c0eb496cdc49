/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bump allocator for data that dies together (one profile window, one index build). Blocks double
 * from 4 KiB up to 1 MiB; `limit` bounds the whole, reaching it is -ENOMEM for the caller to count.
 */
#pragma once

#include <stddef.h>

#include "profiler/base/check.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used, reserved; /* bytes handed out, bytes taken from malloc */
	size_t limit;	       /* of reserved; 0: none */
};

/* 8-aligned, uninitialised; NULL when memory or the limit ends. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
/* Copy with a NUL added; NULL as above. */
char *arena_strndup(struct arena *arena, const char *s, size_t len);
/* Forget everything but keep the largest block for the next round. */
void arena_reset(struct arena *arena);
void arena_fini(struct arena *arena);
