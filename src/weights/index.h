/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of weights that lie in several files (model.safetensors.index.json): which tensor is in which. */
#ifndef WEIGHTS_INDEX_H
#define WEIGHTS_INDEX_H

#include <stdint.h>

#include "base/arena.h"

enum { INDEX_MOST_FILES = 1000 };

typedef struct {
    arena memory;                          /* has what follows */
    const char *file[INDEX_MOST_FILES];    /* plain names: no folders, nothing hidden */
    size_t files;
    struct index_tensor { const char *name; size_t file; } *tensor;
    size_t tensors;
} weights_index;

/* `what` is what errors call the bytes. On failure there is nothing to free. */
int  weights_index_read(const char *what, const uint8_t *data, size_t size, weights_index *out);
void weights_index_free(weights_index *x);

#endif
