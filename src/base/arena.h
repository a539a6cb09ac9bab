/* SPDX-License-Identifier: Apache-2.0
 *
 * An arena: many small allocations with one lifetime, freed together. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

typedef struct arena_block arena_block;
typedef struct { arena_block *first; size_t block_bytes; } arena;   /* zeroed is ready to use */

/* Zeroed memory of count*size bytes, 16-byte aligned; NULL (with an error message) if it cannot be had. */
void *arena_new(arena *a, size_t count, size_t size);
/* A printf'd string, or NULL. */
char *arena_printf(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void  arena_free(arena *a);   /* frees everything; the arena is zeroed and usable again */

#endif
