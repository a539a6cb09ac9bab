/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that treat every element by itself: add, mul, relu, prelu. Each is one f32 operation, rounded once. */
#include "base/error.h"
#include "nn/ops.h"

/* b's shape must fit into a's as numpy broadcasts it: dimensions counted from the end, each equal or 1. */
static int broadcast_shape(node *n) {
    const nn_shape a = n->in[0]->shape, b = n->in[1]->shape;
    bool fits = b.rank <= a.rank;
    for (int i = 0; fits && i < b.rank; i++) {
        size_t d = b.dim[b.rank - 1 - i];
        fits = d == 1 || d == a.dim[a.rank - 1 - i];
    }
    if (!fits || n->in[0]->type == NN_I32 || n->in[1]->type == NN_I32) {
        char ta[96], tb[96];
        return error_set(ERR_FORMAT, "%s: %s does not fit into %s", n->op->name, shape_text(b, tb, sizeof tb), shape_text(a, ta, sizeof ta));
    }
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = a;
    return 0;
}

/* Calls y[i] = f(a[i], b[index of i in the broadcast b]). */
static inline void broadcast(const node *n, const float *a, const float *b, float *y, float (*f)(float, float)) {
    const nn_shape as = n->in[0]->shape, bs = n->in[1]->shape;
    size_t step[NN_MAX_RANK] = { 0 }, at[NN_MAX_RANK] = { 0 }, count = shape_elements(as), where = 0;
    for (size_t i = 0, s = 1; i < (size_t)bs.rank; i++) {
        size_t d = bs.dim[(size_t)bs.rank - 1 - i];
        step[(size_t)as.rank - 1 - i] = d == 1 ? 0 : s;
        s *= d;
    }
    for (size_t i = 0; i < count; i++) {
        y[i] = f(a[i], b[where]);
        for (int d = as.rank - 1; d >= 0; d--) {
            where += step[d];
            if (++at[d] < as.dim[d]) break;
            where -= step[d] * as.dim[d];
            at[d] = 0;
        }
    }
}

static float sum2(float a, float b) { return a + b; }
static float product2(float a, float b) { return a * b; }

static void add_reference(const node *n, const void *const in[], void *const out[]) { broadcast(n, in[0], in[1], out[0], sum2); }
static void mul_reference(const node *n, const void *const in[], void *const out[]) { broadcast(n, in[0], in[1], out[0], product2); }

static double one_each(const node *n) { return (double)shape_elements(n->out[0]->shape); }

const op op_add = { .name = "add", .shape = broadcast_shape, .reference = add_reference, .flops = one_each };
const op op_mul = { .name = "mul", .shape = broadcast_shape, .reference = mul_reference, .flops = one_each };

tensor *add(graph *g, tensor *a, tensor *b) { return graph_apply(g, &op_add, NULL, (tensor *[]){ a, b }, 2, 0); }
tensor *mul(graph *g, tensor *a, tensor *b) { return graph_apply(g, &op_mul, NULL, (tensor *[]){ a, b }, 2, 0); }

static int same_shape(node *n) {
    if (n->in[0]->type == NN_I32) return error_set(ERR_FORMAT, "%s: not a floating-point tensor", n->op->name);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = n->in[0]->shape;
    return 0;
}

static void relu_reference(const node *n, const void *const in[], void *const out[]) {
    const float *x = in[0];
    float *y = out[0];
    size_t count = shape_elements(n->in[0]->shape);
    for (size_t i = 0; i < count; i++) y[i] = x[i] > 0 ? x[i] : 0;
}

const op op_relu = { .name = "relu", .shape = same_shape, .reference = relu_reference };

tensor *relu(graph *g, tensor *x) { return graph_apply(g, &op_relu, NULL, &x, 1, 0); }

static int prelu_shape(node *n) {
    const nn_shape x = n->in[0]->shape, a = n->in[1]->shape;
    if (a.dim[a.rank - 1] != x.dim[x.rank - 1] || shape_elements(a) != a.dim[a.rank - 1])
        return error_set(ERR_FORMAT, "prelu: one alpha a channel is wanted (%zu)", x.dim[x.rank - 1]);
    return same_shape(n);
}

static void prelu_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->in[0]->shape;
    const float *x = in[0], *alpha = in[1];
    float *y = out[0];
    size_t count = shape_elements(s), C = s.dim[s.rank - 1];
    for (size_t i = 0; i < count; i++) y[i] = x[i] < 0 ? x[i] * alpha[i % C] : x[i];
}

const op op_prelu = { .name = "prelu", .shape = prelu_shape, .reference = prelu_reference };

tensor *prelu(graph *g, tensor *x, tensor *alpha) { return graph_apply(g, &op_prelu, NULL, (tensor *[]){ x, alpha }, 2, 0); }
