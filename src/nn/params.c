/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/params.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef struct block {
    struct block *next;    /* in its bucket */
    const void *source;    /* tensor.data */
    nn_type type;
    nn_shape shape;        /* two views of the same bytes are two parameters */
    char *tag;
    void *data;
} block;

enum { BUCKETS = 1024 };

struct params {
    block *bucket[BUCKETS];
    size_t bytes;
};

params *params_new(void) {
    params *p = calloc(1, sizeof *p);
    if (!p) error_memory(sizeof *p);
    return p;
}

void params_free(params *p) {
    if (!p) return;
    for (int i = 0; i < BUCKETS; i++)
        for (block *b = p->bucket[i], *next; b; b = next) {
            next = b->next;
            free(b->tag);
            free(b->data);
            free(b);
        }
    free(p);
}

size_t params_bytes(const params *p) { return p->bytes; }

static size_t bucket_of(const void *source) {
    uint64_t h = (uint64_t)(uintptr_t)source * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 54) % BUCKETS;
}

const void *params_pack(params *p, const tensor *t, const char *tag, size_t bytes, params_packer *pack, const void *context) {
    block **head = &p->bucket[bucket_of(t->data)];
    for (block *b = *head; b; b = b->next)
        if (b->source == t->data && b->type == t->type && shape_equal(b->shape, t->shape) && strcmp(b->tag, tag) == 0) return b->data;
    if (bytes > (size_t)1 << 44) return error_memory(bytes), NULL;
    size_t room = (bytes + 127) & ~(size_t)63;   /* whole lines, and 64 readable bytes behind */
    block *b = calloc(1, sizeof *b);
    if (b) *b = (block){ *head, t->data, t->type, t->shape, strdup(tag), aligned_alloc(64, room) };
    bool packed = false;
    if (!b || !b->tag || !b->data) error_memory(room);
    else packed = pack(memset(b->data, 0, room), t, context) == 0;
    if (!packed) {
        if (b) free(b->tag), free(b->data);
        free(b);
        return NULL;
    }
    *head = b;
    p->bytes += room;
    return b->data;
}

static int pack_f32(void *dst, const tensor *t, const void *context) {
    (void)context;
    nn_widen(dst, t->data, t->type, shape_elements(t->shape));
    return 0;
}

const float *params_f32(params *p, const tensor *t) {
    return params_pack(p, t, "f32", shape_elements(t->shape) * sizeof(float), pack_f32, NULL);
}
