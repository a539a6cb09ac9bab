/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that treat every element by itself: add, mul, relu, prelu, each one f32 operation, rounded once; add_scaled, cast. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"

/* b's shape must fit into a's as numpy broadcasts it: dimensions counted from the end, each equal or 1. */
static int broadcast_shape(node *n) {
    const nn_shape a = n->in[0]->shape, b = n->in[1]->shape;
    bool fits = b.rank <= a.rank;
    for (int i = 0; fits && i < b.rank; i++) {
        size_t d = b.dim[b.rank - 1 - i];
        fits = d == 1 || d == a.dim[a.rank - 1 - i];
    }
    if (!fits || !nn_type_is_float(n->in[0]->type) || !nn_type_is_float(n->in[1]->type)) {
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

static void give(graph *g, tensor *t, tensor *d) {
    if (gradient_wanted(t) && d) gradient_add(g, t, sum_to(g, d, t->shape, gradient_type(t)));
}

static void add_gradient(graph *g, const node *n) {
    give(g, n->in[0], n->out[0]->grad);
    give(g, n->in[1], n->out[0]->grad);
}

static void mul_gradient(graph *g, const node *n) {
    tensor *a = n->in[0], *b = n->in[1], *dy = n->out[0]->grad;
    if (gradient_wanted(a)) give(g, a, mul(g, dy, b));
    if (gradient_wanted(b)) give(g, b, mul(g, dy, a));
}

const op op_add = { .name = "add", .shape = broadcast_shape, .reference = add_reference, .flops = one_each, .gradient = add_gradient };
const op op_mul = { .name = "mul", .shape = broadcast_shape, .reference = mul_reference, .flops = one_each, .gradient = mul_gradient };

tensor *add(graph *g, tensor *a, tensor *b) { return graph_apply(g, &op_add, NULL, (tensor *[]){ a, b }, 2, 0); }
tensor *mul(graph *g, tensor *a, tensor *b) { return graph_apply(g, &op_mul, NULL, (tensor *[]){ a, b }, 2, 0); }

static int same_shape(node *n) {
    if (!nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "%s: not a floating-point tensor", n->op->name);
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

static int add_scaled_shape(node *n) {
    const tensor *a = n->in[0], *b = n->in[1], *s = n->in[2];
    nn_shape one = b->shape;   /* b of one picture, which serves all */
    if (one.dim[0] == 1) one.dim[0] = a->shape.dim[0];
    bool fits = shape_equal(a->shape, one) && s->shape.rank == 1 && (s->shape.dim[0] == 1 || s->shape.dim[0] == a->shape.dim[0]);
    if (!fits || s->type != NN_F32) return error_set(ERR_FORMAT, "add_scaled: equal shapes (or one picture for all) and one f32 factor a picture are wanted");
    return same_shape(n);
}

static void add_scaled_reference(const node *n, const void *const in[], void *const out[]) {
    const float *a = in[0], *b = in[1], *s = in[2];
    float *y = out[0];
    size_t count = shape_elements(n->in[0]->shape), pictures = n->in[0]->shape.dim[0], each = count / pictures, step = n->in[2]->shape.dim[0] > 1;
    size_t given = shape_elements(n->in[1]->shape);
    for (size_t i = 0; i < count; i++) y[i] = fmaf(b[i % given], s[i / each * step], a[i]);
}

/* The factors are settings, and have none. */
static void add_scaled_gradient(graph *g, const node *n) {
    tensor *a = n->in[0], *b = n->in[1], *s = n->in[2], *dy = n->out[0]->grad;
    nn_shape one = { .rank = a->shape.rank };
    for (int i = 0; i < one.rank; i++) one.dim[i] = i == 0 ? s->shape.dim[0] : 1;
    if (gradient_wanted(a)) gradient_add(g, a, dy);
    if (gradient_wanted(b)) give(g, b, mul(g, dy, reshape(g, s, one)));
    if (gradient_wanted(s)) graph_fail(g, error_set(ERR_UNSUPPORTED, "add_scaled: its factors have no gradient"));
}

const op op_add_scaled = { .name = "add_scaled", .shape = add_scaled_shape, .reference = add_scaled_reference, .gradient = add_scaled_gradient };

tensor *add_scaled(graph *g, tensor *a, tensor *b, tensor *s) { return graph_apply(g, &op_add_scaled, NULL, (tensor *[]){ a, b, s }, 3, 0); }

static int cast_shape(node *n) {
    nn_type to = *(const nn_type *)n->attr;
    if (same_shape(n) < 0) return error_code();
    if (to != NN_F32 && to != NN_BF16) return error_set(ERR_FORMAT, "cast: to f32 or bf16 only");
    n->out[0]->type = to;
    return 0;
}

/* Widened before, rounded after. */
static void cast_reference(const node *n, const void *const in[], void *const out[]) {
    memcpy(out[0], in[0], shape_elements(n->in[0]->shape) * sizeof(float));
}

static void cast_gradient(graph *g, const node *n) { gradient_add(g, n->in[0], n->out[0]->grad); }

const op op_cast = { .name = "cast", .attr_bytes = sizeof(nn_type), .shape = cast_shape, .reference = cast_reference, .gradient = cast_gradient };

tensor *cast(graph *g, tensor *x, nn_type type) { return x && x->type == type ? x : graph_apply(g, &op_cast, &type, &x, 1, 0); }

/* ---- gradients --------------------------------------------------------------------------------------------------------- */

typedef struct { nn_shape shape; nn_type type; } sum_to_attr;

static int sum_to_shape(node *n) {
    const sum_to_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape, s = a->shape;
    bool fits = s.rank <= x.rank && nn_type_is_float(n->in[0]->type) && (a->type == NN_F32 || a->type == NN_BF16);
    for (int i = 0; fits && i < s.rank; i++) fits = s.dim[s.rank - 1 - i] == 1 || s.dim[s.rank - 1 - i] == x.dim[x.rank - 1 - i];
    if (!fits) return error_set(ERR_FORMAT, "sum_to: a shape that broadcasts to the input's is wanted");
    n->out[0]->type = a->type;
    n->out[0]->shape = s;
    return 0;
}

/* f64 sums, one result at a time: a result's terms are where the repeated dimensions run. */
static void sum_to_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape x = n->in[0]->shape, s = n->out[0]->shape;
    size_t count = shape_elements(s), terms = shape_elements(x) / count;
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (size_t k = 0; k < terms; k++) {
            size_t of_result = i, of_term = k, from = 0, step = 1;
            for (int d = x.rank - 1; d >= 0; d--) {
                int at = s.rank - (x.rank - d);
                bool kept = at >= 0 && s.dim[at] == x.dim[d];
                size_t *index = kept ? &of_result : &of_term;
                from += *index % x.dim[d] * step;
                *index /= x.dim[d];
                step *= x.dim[d];
            }
            sum += ((const float *)in[0])[from];
        }
        ((float *)out[0])[i] = (float)sum;
    }
}

static double sum_to_flops(const node *n) { return (double)shape_elements(n->in[0]->shape); }

const op op_sum_to = { .name = "sum_to", .attr_bytes = sizeof(sum_to_attr), .shape = sum_to_shape, .reference = sum_to_reference, .flops = sum_to_flops };

tensor *sum_to(graph *g, tensor *x, nn_shape shape, nn_type type) {
    if (x && shape_equal(x->shape, shape)) return cast(g, x, type);
    return graph_apply(g, &op_sum_to, &(sum_to_attr){ shape, type }, &x, 1, 0);
}
