/* SPDX-License-Identifier: Apache-2.0
 *
 * The activations of diffusion models: silu, gelu, quick_gelu, geglu. */
#include <math.h>

#include "base/error.h"
#include "nn/ops.h"

static int activation_shape(node *n) {
    if (n->in[0]->type == NN_I32) return error_set(ERR_FORMAT, "%s: not a floating-point tensor", n->op->name);
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

const op op_silu = { .name = "silu", .shape = activation_shape, .reference = silu_reference };
const op op_gelu = { .name = "gelu", .shape = activation_shape, .reference = gelu_reference };
const op op_quick_gelu = { .name = "quick_gelu", .shape = activation_shape, .reference = quick_gelu_reference };

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

const op op_geglu = { .name = "geglu", .shape = geglu_shape, .reference = geglu_reference };

tensor *geglu(graph *g, tensor *x) { return graph_apply(g, &op_geglu, NULL, &x, 1, 0); }
