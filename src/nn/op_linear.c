/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/error.h"
#include "nn/gradient.h"

static int linear_shape(node *n) {
    const nn_shape x = n->in[0]->shape, w = n->in[1]->shape;
    const tensor *b = n->in[2];
    if (w.rank != 2 || !nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "linear: the weight must be [outputs, inputs]");
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

static void linear_gradient(graph *g, const node *n) {
    tensor *x = n->in[0], *w = n->in[1], *bias = n->in[2], *dy = n->out[0]->grad;
    if (gradient_wanted(x)) gradient_add(g, x, linear_dx(g, dy, w));
    if (gradient_wanted(w)) gradient_add(g, w, linear_dw(g, x, dy));
    if (gradient_wanted(bias)) gradient_add(g, bias, sum_to(g, dy, bias->shape, NN_F32));
}

const op op_linear = {
    .name = "linear", .shape = linear_shape, .reference = linear_reference, .flops = linear_flops, .gradient = linear_gradient,
};

tensor *linear(graph *g, tensor *x, tensor *w, tensor *bias) {
    return graph_apply(g, &op_linear, NULL, (tensor *[]){ x, w, bias }, 3, 1u << 2);
}

/* ---- gradients --------------------------------------------------------------------------------------------------------- */

static int linear_dx_shape(node *n) {
    const nn_shape dy = n->in[0]->shape, w = n->in[1]->shape;
    if (w.rank != 2 || !nn_type_is_float(n->in[0]->type) || dy.dim[dy.rank - 1] != w.dim[0])
        return error_set(ERR_FORMAT, "linear_dx: the weight must be [outputs, inputs], and the gradient of its %zu outputs", w.dim[0]);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = dy;
    n->out[0]->shape.dim[dy.rank - 1] = w.dim[1];
    return 0;
}

/* dx [M,K] = dy [M,N] w, w [N,K] */
static void linear_dx_reference(const node *n, const void *const in[], void *const out[]) {
    size_t N = n->in[1]->shape.dim[0], K = n->in[1]->shape.dim[1], M = shape_elements(n->in[0]->shape) / N;
    const float *dy = in[0], *w = in[1];
    float *dx = out[0];
    for (size_t m = 0; m < M; m++)
        for (size_t k = 0; k < K; k++) {
            float sum = 0;
            for (size_t j = 0; j < N; j++) sum = fmaf(dy[m * N + j], w[j * K + k], sum);
            *dx++ = sum;
        }
}

static double linear_dx_flops(const node *n) { return 2.0 * (double)shape_elements(n->in[0]->shape) * (double)n->in[1]->shape.dim[1]; }

const op op_linear_dx = { .name = "linear_dx", .shape = linear_dx_shape, .reference = linear_dx_reference, .flops = linear_dx_flops };

tensor *linear_dx(graph *g, tensor *dy, tensor *w) { return graph_apply(g, &op_linear_dx, NULL, (tensor *[]){ dy, w }, 2, 0); }

static int linear_dw_shape(node *n) {
    const nn_shape x = n->in[0]->shape, dy = n->in[1]->shape;
    size_t K = x.dim[x.rank - 1], N = dy.dim[dy.rank - 1];
    if (!nn_type_is_float(n->in[0]->type) || !nn_type_is_float(n->in[1]->type) || shape_elements(x) / K != shape_elements(dy) / N)
        return error_set(ERR_FORMAT, "linear_dw: inputs and gradient are of different rows");
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape2(N, K);
    return 0;
}

/* dw [N,K] = dy [M,N]^T x [M,K] */
static void linear_dw_reference(const node *n, const void *const in[], void *const out[]) {
    size_t N = n->out[0]->shape.dim[0], K = n->out[0]->shape.dim[1], M = shape_elements(n->in[0]->shape) / K;
    const float *x = in[0], *dy = in[1];
    float *dw = out[0];
    for (size_t j = 0; j < N; j++)
        for (size_t k = 0; k < K; k++) {
            float sum = 0;
            for (size_t m = 0; m < M; m++) sum = fmaf(dy[m * N + j], x[m * K + k], sum);
            *dw++ = sum;
        }
}

static double linear_dw_flops(const node *n) { return 2.0 * (double)shape_elements(n->in[0]->shape) * (double)n->out[0]->shape.dim[0]; }

const op op_linear_dw = { .name = "linear_dw", .shape = linear_dw_shape, .reference = linear_dw_reference, .flops = linear_dw_flops };

tensor *linear_dw(graph *g, tensor *x, tensor *dy) { return graph_apply(g, &op_linear_dw, NULL, (tensor *[]){ x, dy }, 2, 0); }
