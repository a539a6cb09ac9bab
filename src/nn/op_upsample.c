/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/ops.h"

static int upsample_shape(node *n) {
    const upsample_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape;
    if (x.rank != 4 || n->in[0]->type == NN_I32) return error_set(ERR_FORMAT, "upsample_nearest: pictures [N,H,W,C] are wanted");
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = shape4(x.dim[0], a->height, a->width, x.dim[3]);
    return 0;
}

/* PyTorch computes the place in f32 (aten/src/ATen/native/UpSample.h, nearest_neighbor_compute_source_index). */
size_t upsample_source(size_t at, size_t from, size_t to) {
    size_t i = (size_t)floorf((float)at * ((float)from / (float)to));
    return i < from ? i : from - 1;
}

static void upsample_reference(const node *n, const void *const in[], void *const out[]) {
    const size_t *x = n->in[0]->shape.dim, *y = n->out[0]->shape.dim;
    float *to = out[0];
    for (size_t p = 0; p < y[0]; p++)
        for (size_t r = 0; r < y[1]; r++)
            for (size_t c = 0; c < y[2]; c++, to += x[3]) {
                size_t from = ((p * x[1] + upsample_source(r, x[1], y[1])) * x[2] + upsample_source(c, x[2], y[2])) * x[3];
                memcpy(to, (const float *)in[0] + from, x[3] * sizeof *to);
            }
}

const op op_upsample_nearest = {
    .name = "upsample_nearest", .attr_bytes = sizeof(upsample_attr),
    .shape = upsample_shape, .reference = upsample_reference,
};

tensor *upsample_nearest(graph *g, tensor *x, size_t height, size_t width) {
    return graph_apply(g, &op_upsample_nearest, &(upsample_attr){ height, width }, &x, 1, 0);
}
