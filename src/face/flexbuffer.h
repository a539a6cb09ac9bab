/* SPDX-License-Identifier: Apache-2.0
 *
 * Just enough of FlexBuffers to read the options of a TFLite model's custom operations: a map of integers, floats and
 * integer vectors. The bytes are hostile: nothing outside them is ever read. */
#ifndef FACE_FLEXBUFFER_H
#define FACE_FLEXBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *data;
    size_t size;
    size_t values, count, width;   /* of the map: where its values start, how many there are, bytes of each */
    size_t keys, key_width;        /* and of its keys */
} flex_map;

/* The map at the root; false if there is none. */
bool flex_map_open(const uint8_t *data, size_t size, flex_map *out);
/* The value of a key; false if there is none of that kind. A float may be stored as an integer. */
bool flex_int(const flex_map *m, const char *key, int64_t *out);
bool flex_float(const flex_map *m, const char *key, double *out);
/* A typed vector of integers, at most `most`; its length, or -1. */
int  flex_ints(const flex_map *m, const char *key, int64_t *out, int most);

#endif
