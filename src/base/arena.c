/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

struct arena_block {
    arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

void *arena_new(arena *a, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)1 << 40) return error_memory(~0ULL), NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    arena_block *b = a->first;
    if (!b || b->size - b->used < bytes) {
        size_t room = a->block_bytes ? a->block_bytes : 16384;
        if (bytes > room) room = bytes;
        else a->block_bytes = room < (1 << 20) ? room * 2 : room;
        b = calloc(1, sizeof *b + room);
        if (!b) return error_memory(room), NULL;
        b->size = room;
        b->next = a->first;
        a->first = b;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

char *arena_printf(arena *a, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = n < 0 ? NULL : arena_new(a, (size_t)n + 1, 1);
    if (out) vsnprintf(out, (size_t)n + 1, format, again);
    va_end(again);
    return out;
}

void arena_free(arena *a) {
    for (arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (arena){0};
}
