/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a FlatBuffer that may be hostile. Every offset is checked against the file when it is followed. The first
 * offence is kept in `rc` (its message is set); from then on, and for whatever is absent, every function answers
 * something harmless: a default, an empty vector, an absent table. So a caller checks `rc` once after a few reads,
 * before it acts on them. Nothing recurses, and nothing walks more than one table or vector at a time. */
#ifndef TFLITE_FLATBUFFER_H
#define TFLITE_FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { const uint8_t *data; size_t size; int rc; } flatbuffer;

typedef struct {
    size_t at, bytes;                  /* the table's inline part */
    size_t vtable, vtable_bytes;       /* vtable_bytes 0: there is no such table */
} fb_table;

/* `count` elements of `element` bytes from data + at, all inside the file. */
typedef struct { size_t at, count, element; } fb_vector;

/* The root table of a file with this 4-character identifier. */
fb_table fb_open(flatbuffer *f, const uint8_t *data, size_t size, const char *identifier);

bool      fb_has(flatbuffer *f, fb_table t, unsigned field);
uint8_t   fb_u8(flatbuffer *f, fb_table t, unsigned field, uint8_t absent);
uint32_t  fb_u32(flatbuffer *f, fb_table t, unsigned field, uint32_t absent);
int32_t   fb_i32(flatbuffer *f, fb_table t, unsigned field, int32_t absent);
uint64_t  fb_u64(flatbuffer *f, fb_table t, unsigned field, uint64_t absent);
fb_table  fb_subtable(flatbuffer *f, fb_table t, unsigned field);
/* A vector of elements of `element` bytes: 4 for tables, too. */
fb_vector fb_get_vector(flatbuffer *f, fb_table t, unsigned field, size_t element);
/* A string, terminated inside the file as FlatBuffers demand; "" if absent. It may hold anything, zero bytes too. */
const char *fb_string(flatbuffer *f, fb_table t, unsigned field);

/* Elements; an index past the end is an offence of the file. */
int32_t   fb_at_i32(flatbuffer *f, fb_vector v, size_t i);
fb_table  fb_at_table(flatbuffer *f, fb_vector v, size_t i);

#endif
