/* SPDX-License-Identifier: Apache-2.0
 *
 * What PyTorch puts into pickles: storages (persistent ids) and tensors made of them, as values of kind PICKLE_CUSTOM. Of
 * all else that PyTorch's pickles call, dictionaries, torch.Size and parameters are known. */
#ifndef WEIGHTS_TORCH_VALUES_H
#define WEIGHTS_TORCH_VALUES_H

#include "weights/pickle.h"
#include "weights/weights.h"

enum { TORCH_STORAGE = 1, TORCH_TENSOR };   /* custom.tag */

typedef struct torch_storage {
    const char *key;                       /* under which the file has its bytes; not terminated */
    size_t key_size;
    stored_type type;
    size_t element;                        /* bytes of one of its elements: those of its type, or 1 of an untyped one */
    size_t bytes;                          /* of the whole that is stored under the key */
    size_t begin, length;                  /* bytes: what of it this storage is (a view of another, in files before 1.6) */
    const uint8_t *data;                   /* the bytes under the key, once they have been found */
    struct torch_storage *next;            /* all of a pickle, the last first */
} torch_storage;

typedef struct {
    torch_storage *storage;
    stored_type type;
    size_t offset;                         /* elements of its own type, from storage->begin */
    int rank;
    size_t size[STORED_MAX_RANK], stride[STORED_MAX_RANK];
    size_t count;                          /* elements; it lies within its storage: that is checked */
} torch_tensor;

/* Hooks for a pickle that gather its storages. */
/* unknown: tensors of types that mien does not know */
typedef struct { torch_storage *storages; size_t count; size_t unknown; } torch_context;
pickle_hooks torch_hooks(torch_context *c);

const torch_tensor *torch_tensor_of(const pickle_value *v);     /* NULL: it is none */

/* Whether a global is one that a model's pickle has in any case: not worth a word. */
bool torch_expects(const pickle_value *global);

/* Bytes in row order, the last dimension fastest. */
bool torch_is_whole(const torch_tensor *t);
void torch_copy(const torch_tensor *t, uint8_t *out);

#endif
