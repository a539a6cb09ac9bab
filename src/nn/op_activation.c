/* SPDX-License-Identifier: Apache-2.0
 *
 * The activations of diffusion models: silu, gelu, quick_gelu, geglu. */
#include <math.h>

#include "base/error.h"
#include "nn/gradient.h"

static int activation_shape(node *n) {
    if (!nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "%s: not a floating-point tensor", n->op->name);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = n->in[0]->shape;
    return 0;
}

static float silu1(float x) { return x / (1 + expf(-x)); }
static float gelu1(float x) { return 0.5f * x * (1 + erff(x * 0.70710678118654752f)); }
static float quick_gelu1(float x) { return x / (1 + expf(-1.702f * x)); }

static inline void each(const node *n, const float *x, float *y, float (*f)(float)) {
    size_t count = shape_elements(n->in[0]->shape);
    for (size_t i = 0; i < count; i++) y[i] = f(x[i]);
}

static void silu_reference(const node *n, const void *const in[], void *const out[]) { each(n, in[0], out[0], silu1); }
static void gelu_reference(const node *n, const void *const in[], void *const out[]) { each(n, in[0], out[0], gelu1); }
static void quick_gelu_reference(const node *n, const void *const in[], void *const out[]) { each(n, in[0], out[0], quick_gelu1); }

/* The input of an activation behind a norm is not kept: the norm is computed again for the gradient, so that norm and activation stay one
 * kernel in the forward pass, and the two gradients can be one in the backward. */
static tensor *input_again(graph *g, const node *n) {
    tensor *x = n->in[0];
    const node *p = x->producer;
    return p && p->op == &op_group_norm ? graph_apply(g, p->op, p->attr, p->in, p->n_in, 0) : x;
}

static void silu_gradient(graph *g, const node *n) { gradient_add(g, n->in[0], silu_dx(g, input_again(g, n), n->out[0]->grad)); }
static void gelu_gradient(graph *g, const node *n) { gradient_add(g, n->in[0], gelu_dx(g, n->in[0], n->out[0]->grad)); }
static void quick_gelu_gradient(graph *g, const node *n) { gradient_add(g, n->in[0], quick_gelu_dx(g, n->in[0], n->out[0]->grad)); }

const op op_silu = { .name = "silu", .shape = activation_shape, .reference = silu_reference, .gradient = silu_gradient };
const op op_gelu = { .name = "gelu", .shape = activation_shape, .reference = gelu_reference, .gradient = gelu_gradient };
const op op_quick_gelu = { .name = "quick_gelu", .shape = activation_shape, .reference = quick_gelu_reference, .gradient = quick_gelu_gradient };

tensor *silu(graph *g, tensor *x) { return graph_apply(g, &op_silu, NULL, &x, 1, 0); }
tensor *gelu(graph *g, tensor *x) { return graph_apply(g, &op_gelu, NULL, &x, 1, 0); }
tensor *quick_gelu(graph *g, tensor *x) { return graph_apply(g, &op_quick_gelu, NULL, &x, 1, 0); }

static int geglu_shape(node *n) {
    nn_shape s = n->in[0]->shape;
    if (s.dim[s.rank - 1] % 2) return error_set(ERR_FORMAT, "geglu: %zu channels have no halves", s.dim[s.rank - 1]);
    if (activation_shape(n) < 0) return error_code();
    n->out[0]->shape.dim[s.rank - 1] /= 2;
    return 0;
}

static void geglu_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->out[0]->shape;
    size_t C = s.dim[s.rank - 1], rows = shape_elements(s) / C;
    for (size_t r = 0; r < rows; r++) {
        const float *x = (const float *)in[0] + r * 2 * C;
        float *y = (float *)out[0] + r * C;
        for (size_t c = 0; c < C; c++) y[c] = x[c] * gelu1(x[C + c]);
    }
}

static void geglu_gradient(graph *g, const node *n) { gradient_add(g, n->in[0], geglu_dx(g, n->in[0], n->out[0]->grad)); }

const op op_geglu = { .name = "geglu", .shape = geglu_shape, .reference = geglu_reference, .gradient = geglu_gradient };

tensor *geglu(graph *g, tensor *x) { return graph_apply(g, &op_geglu, NULL, &x, 1, 0); }

/* ---- gradients --------------------------------------------------------------------------------------------------------- */

static int activation_dx_shape(node *n) {
    if (!nn_type_is_float(n->in[0]->type) || n->in[0]->type != n->in[1]->type || !shape_equal(n->in[0]->shape, n->in[1]->shape))
        return error_set(ERR_FORMAT, "%s: input and gradient of one shape and type are wanted", n->op->name);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = n->in[0]->shape;
    return 0;
}

/* Of x / (1 + exp(-k x)). */
static float sigmoid_slope(float x, float k) {
    float s = 1 / (1 + expf(-k * x));
    return s * (1 + k * x * (1 - s));
}
static float silu_slope(float x) { return sigmoid_slope(x, 1); }
static float quick_gelu_slope(float x) { return sigmoid_slope(x, 1.702f); }
/* Phi(x) + x phi(x) */
static float gelu_slope(float x) { return 0.5f * (1 + erff(x * 0.70710678118654752f)) + x * 0.39894228040143268f * expf(-0.5f * x * x); }

static inline void slopes(const node *n, const float *x, const float *dy, float *dx, float (*slope)(float)) {
    size_t count = shape_elements(n->in[0]->shape);
    for (size_t i = 0; i < count; i++) dx[i] = dy[i] * slope(x[i]);
}

static void silu_dx_reference(const node *n, const void *const in[], void *const out[]) { slopes(n, in[0], in[1], out[0], silu_slope); }
static void gelu_dx_reference(const node *n, const void *const in[], void *const out[]) { slopes(n, in[0], in[1], out[0], gelu_slope); }
static void quick_gelu_dx_reference(const node *n, const void *const in[], void *const out[]) { slopes(n, in[0], in[1], out[0], quick_gelu_slope); }

const op op_silu_dx = { .name = "silu_dx", .shape = activation_dx_shape, .reference = silu_dx_reference };
const op op_gelu_dx = { .name = "gelu_dx", .shape = activation_dx_shape, .reference = gelu_dx_reference };
const op op_quick_gelu_dx = { .name = "quick_gelu_dx", .shape = activation_dx_shape, .reference = quick_gelu_dx_reference };

tensor *silu_dx(graph *g, tensor *x, tensor *dy) { return graph_apply(g, &op_silu_dx, NULL, (tensor *[]){ x, dy }, 2, 0); }
tensor *gelu_dx(graph *g, tensor *x, tensor *dy) { return graph_apply(g, &op_gelu_dx, NULL, (tensor *[]){ x, dy }, 2, 0); }
tensor *quick_gelu_dx(graph *g, tensor *x, tensor *dy) { return graph_apply(g, &op_quick_gelu_dx, NULL, (tensor *[]){ x, dy }, 2, 0); }

static int geglu_dx_shape(node *n) {
    nn_shape x = n->in[0]->shape, half = x;
    half.dim[x.rank - 1] /= 2;
    if (!nn_type_is_float(n->in[0]->type) || n->in[0]->type != n->in[1]->type || x.dim[x.rank - 1] % 2 || !shape_equal(half, n->in[1]->shape))
        return error_set(ERR_FORMAT, "geglu_dx: input [..., 2C] and gradient [..., C] of one type are wanted");
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = x;
    return 0;
}

static void geglu_dx_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->in[1]->shape;
    size_t C = s.dim[s.rank - 1], rows = shape_elements(s) / C;
    for (size_t r = 0; r < rows; r++) {
        const float *x = (const float *)in[0] + r * 2 * C, *dy = (const float *)in[1] + r * C;
        float *dx = (float *)out[0] + r * 2 * C;
        for (size_t c = 0; c < C; c++) {
            dx[c] = dy[c] * gelu1(x[C + c]);
            dx[C + c] = dy[c] * x[c] * gelu_slope(x[C + c]);
        }
    }
}

const op op_geglu_dx = { .name = "geglu_dx", .shape = geglu_dx_shape, .reference = geglu_dx_reference };

tensor *geglu_dx(graph *g, tensor *x, tensor *dy) { return graph_apply(g, &op_geglu_dx, NULL, (tensor *[]){ x, dy }, 2, 0); }
