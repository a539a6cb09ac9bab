/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/error.h"
#include "nn/ops.h"

static int linear_shape(node *n) {
    const nn_shape x = n->in[0]->shape, w = n->in[1]->shape;
    const tensor *b = n->in[2];
    if (w.rank != 2 || n->in[0]->type == NN_I32) return error_set(ERR_FORMAT, "linear: the weight must be [outputs, inputs]");
    if (x.dim[x.rank - 1] != w.dim[1])
        return error_set(ERR_FORMAT, "linear: the weight wants %zu inputs, there are %zu", w.dim[1], x.dim[x.rank - 1]);
    if (b && (b->shape.rank != 1 || b->shape.dim[0] != w.dim[0]))
        return error_set(ERR_FORMAT, "linear: the bias has another length than the %zu outputs", w.dim[0]);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = x;
    n->out[0]->shape.dim[x.rank - 1] = w.dim[0];
    return 0;
}

/* y [M,N] = bias + x [M,K] w^T, w [N,K] */
static void linear_reference(const node *n, const void *const in[], void *const out[]) {
    size_t N = n->in[1]->shape.dim[0], K = n->in[1]->shape.dim[1], M = shape_elements(n->in[0]->shape) / K;
    const float *x = in[0], *w = in[1], *bias = in[2];
    float *y = out[0];
    for (size_t m = 0; m < M; m++)
        for (size_t j = 0; j < N; j++) {
            float sum = bias ? bias[j] : 0;
            for (size_t k = 0; k < K; k++) sum = fmaf(x[m * K + k], w[j * K + k], sum);
            *y++ = sum;
        }
}

static double linear_flops(const node *n) {
    return 2.0 * (double)shape_elements(n->out[0]->shape) * (double)n->in[1]->shape.dim[1];
}

const op op_linear = { .name = "linear", .shape = linear_shape, .reference = linear_reference, .flops = linear_flops };

tensor *linear(graph *g, tensor *x, tensor *w, tensor *bias) {
    return graph_apply(g, &op_linear, NULL, (tensor *[]){ x, w, bias }, 3, 1u << 2);
}
