/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors that are to be written, each with what it is made of: what convert, transfer and init put together and then
 * stream to a file. Memory does not grow with the tensors: they pass through in pieces, and pages that were read are given
 * back. */
#ifndef WEIGHTS_TENSOR_LIST_H
#define WEIGHTS_TENSOR_LIST_H

#include "base/arena.h"
#include "mien.h"
#include "weights/weights.h"

/* Bytes of a mapped file, or of memory; low: the bits that they, bf16, lack of f32 numbers (nn/halves.h), else NULL. */
typedef struct { const weights *w; const void *data; size_t bytes; stored_type type; const uint16_t *low; } tensor_bytes;

typedef enum { TENSOR_COPY, TENSOR_OFFSET, TENSOR_ZERO, TENSOR_ONE, TENSOR_UNIFORM, TENSOR_NORMAL } tensor_making;

typedef struct {
    const char *name;
    stored_type type;                /* as it is written */
    int rank;
    size_t dim[STORED_MAX_RANK];
    tensor_making making;
    int parts;                       /* COPY: one after the other (q, k, v of one tensor); OFFSET: part[0] + part[1] -
                                      * part[2], in f32 */
    tensor_bytes part[3];
    double spread;                   /* UNIFORM: within -spread..spread; NORMAL: the standard deviation; drawn by seed and
                                      * name (tensor_draw.h) */
} tensor_item;

typedef struct {
    tensor_item *item;
    size_t count, room;
    arena memory;                    /* names */
    const char **key, **value;       /* metadata */
    size_t pairs, pair_room;
} tensor_list;                       /* zeroed is empty */

/* NULL: ERR_MEMORY. The name is copied. What it gives is zeroed but for the name, and moves when another is added. */
tensor_item *tensor_list_add(tensor_list *l, const char *name);
tensor_item *tensor_list_add_copy(tensor_list *l, const char *name, const weights *w, const stored_tensor *t);
int          tensor_list_metadata(tensor_list *l, const char *key, const char *value);
void         tensor_list_free(tensor_list *l);

/* Whether numbers of this type can become another's (F32, F16, BF16; from F64 too). */
bool stored_is_float(stored_type type);
/* n numbers, rounded to nearest (ties to even), as torch's .to() does. Both are float types; F64 is read only. *beyond counts
 * finite ones that became infinite. May be unaligned, and no overlap. */
void stored_convert(void *out, stored_type to, const void *in, stored_type from, size_t n, size_t *beyond);

typedef struct {
    const char *path;
    bool replace;
    uint64_t seed;
    const mien_hooks *hooks;         /* stop and log; may be NULL */
    void (*moved)(void *context, size_t bytes);   /* so many bytes more were written; may be NULL */
    void *context;
} tensor_list_target;

/* Bytes of all tensors as they will be written. */
size_t tensor_list_bytes(const tensor_list *l);
int    tensor_list_save(const tensor_list *l, const tensor_list_target *target);

#endif
