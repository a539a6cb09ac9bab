/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"

static int upsample_shape(node *n) {
    const upsample_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape;
    if (x.rank != 4 || !nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "upsample_nearest: pictures [N,H,W,C] are wanted");
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

static void upsample_gradient(graph *g, const node *n) {
    tensor *x = n->in[0];
    gradient_add(g, x, upsample_nearest_dx(g, n->out[0]->grad, x->shape.dim[1], x->shape.dim[2]));
}

const op op_upsample_nearest = {
    .name = "upsample_nearest", .attr_bytes = sizeof(upsample_attr),
    .shape = upsample_shape, .reference = upsample_reference, .gradient = upsample_gradient,
};

tensor *upsample_nearest(graph *g, tensor *x, size_t height, size_t width) {
    return graph_apply(g, &op_upsample_nearest, &(upsample_attr){ height, width }, &x, 1, 0);
}

static int upsample_dx_shape(node *n) {
    const upsample_attr *a = n->attr;
    const nn_shape dy = n->in[0]->shape;
    if (dy.rank != 4 || !nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "upsample_nearest_dx: pictures [N,H,W,C] are wanted");
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = shape4(dy.dim[0], a->height, a->width, dy.dim[3]);
    return 0;
}

/* Each pixel's gradient is the sum over those that were made of it. */
static void upsample_dx_reference(const node *n, const void *const in[], void *const out[]) {
    const size_t *y = n->in[0]->shape.dim, *x = n->out[0]->shape.dim;
    const float *dy = in[0];
    memset(out[0], 0, shape_elements(n->out[0]->shape) * sizeof(float));
    for (size_t p = 0; p < y[0]; p++)
        for (size_t r = 0; r < y[1]; r++)
            for (size_t c = 0; c < y[2]; c++, dy += x[3]) {
                float *to = (float *)out[0] + ((p * x[1] + upsample_source(r, x[1], y[1])) * x[2] + upsample_source(c, x[2], y[2])) * x[3];
                for (size_t k = 0; k < x[3]; k++) to[k] += dy[k];
            }
}

const op op_upsample_nearest_dx = {
    .name = "upsample_nearest_dx", .attr_bytes = sizeof(upsample_attr),
    .shape = upsample_dx_shape, .reference = upsample_dx_reference,
};

tensor *upsample_nearest_dx(graph *g, tensor *dy, size_t height, size_t width) {
    return graph_apply(g, &op_upsample_nearest_dx, &(upsample_attr){ height, width }, &dy, 1, 0);
}
