/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/reference/reference.h"

#include <string.h>

#include "base/error.h"

/* Bytes of scratch for a tensor that must be widened or narrowed; 0 if it is f32 or integer already. */
static size_t widened_bytes(const tensor *t) {
    if (t->type == NN_F32 || !nn_type_is_float(t->type)) return 0;
    return (shape_elements(t->shape) * sizeof(float) + 63) & ~(size_t)63;
}

static bool reference_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    match_node(m, root);
    for (int i = 0; i < root->n_in; i++) {
        tensor *t = root->in[i];
        if (!t) continue;
        if (t->kind == TENSOR_PARAM) match_param(m, t);
        else match_in(m, t, (layout_need){ 0 });
    }
    for (int i = 0; i < root->n_out; i++) match_out(m, root->out[i], (layout_need){ 0 });
    return true;
}

static int reference_prepare(kernel_step *s, params *p) {
    for (int i = 0; i < s->match.n_param; i++) {
        const tensor *t = s->match.param[i];
        s->packed[i] = !nn_type_is_float(t->type) ? t->data : params_f32(p, t);
        if (!s->packed[i]) return error_code();
    }
    for (int i = 0; i < s->match.n_in; i++) s->scratch_bytes += widened_bytes(s->match.in[i]);
    for (int i = 0; i < s->match.n_out; i++) s->scratch_bytes += widened_bytes(s->match.out[i]);
    return 0;
}

static int reference_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    const void *full_in[NN_MAX_IN];
    void *full_out[NN_MAX_OUT];
    char *room = scratch;
    for (int i = 0, activation = 0, param = 0; i < n->n_in; i++) {
        const tensor *t = n->in[i];
        if (!t) full_in[i] = NULL;
        else if (t->kind == TENSOR_PARAM) full_in[i] = s->packed[param++];
        else {
            full_in[i] = in[activation++];
            size_t bytes = widened_bytes(t);
            if (!bytes) continue;
            nn_widen((float *)room, full_in[i], t->type, shape_elements(t->shape));
            full_in[i] = room;
            room += bytes;
        }
    }
    for (int i = 0; i < n->n_out; i++) {
        size_t bytes = widened_bytes(n->out[i]);
        full_out[i] = bytes ? room : out[i];
        room += bytes;
    }
    n->op->reference(n, full_in, full_out);
    for (int i = 0, activation = 0; i < n->n_in; i++) {
        const tensor *t = n->in[i];
        if (!t || t->kind == TENSOR_PARAM) continue;
        void *home = (void *)in[activation++];
        if ((n->op->writes >> i & 1) && full_in[i] != home) nn_narrow(home, t->type, full_in[i], shape_elements(t->shape));
    }
    for (int i = 0; i < n->n_out; i++)
        if (full_out[i] != out[i]) nn_narrow(out[i], n->out[i]->type, full_out[i], shape_elements(n->out[i]->shape));
    return 0;
}

const kernel reference_kernel = { .name = "reference", .match = reference_match, .prepare = reference_prepare, .run = reference_run };

static int relayout_prepare(kernel_step *s, params *p) {
    (void)s, (void)p;
    return 0;
}

/* A layout as [pictures][rows][pixels][channels], missing dimensions in front being 1. */
typedef struct { size_t n, h, w, c, image, row, pixel; } view4;

static view4 view_of(const nn_shape s, const nn_layout *l) {
    view4 v = { 1, 1, 1, s.dim[s.rank - 1], 0, 0, 0 };
    if (s.rank >= 2) v.w = s.dim[s.rank - 2], v.pixel = l->stride[s.rank - 2];
    if (s.rank >= 3) v.h = s.dim[s.rank - 3], v.row = l->stride[s.rank - 3];
    if (s.rank >= 4) v.n = s.dim[s.rank - 4], v.image = l->stride[s.rank - 4];
    return v;
}

static int relayout_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const tensor *t = s->match.in[0];
    const nn_layout *to = &s->out_layout[0];
    size_t bytes = nn_type_bytes(t->type);
    view4 a = view_of(t->shape, &s->in_layout[0]), b = view_of(t->shape, to);
    if (to->elements != shape_elements(t->shape)) memset((char *)out[0] - to->lead * bytes, 0, to->elements * bytes);
    for (size_t n = 0; n < a.n; n++)
        for (size_t y = 0; y < a.h; y++)
            for (size_t x = 0; x < a.w; x++)
                memcpy((char *)out[0] + (n * b.image + y * b.row + x * b.pixel) * bytes,
                       (const char *)in[0] + (n * a.image + y * a.row + x * a.pixel) * bytes, a.c * bytes);
    return 0;
}

const kernel relayout_kernel = { .name = "relayout", .prepare = relayout_prepare, .run = relayout_run };
