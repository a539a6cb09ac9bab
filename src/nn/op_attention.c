/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"

static int attention_shape(node *n) {
    const attention_attr *a = n->attr;
    const tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    bool fits = q->shape.rank == 3 && shape_equal(k->shape, v->shape) && k->shape.rank == 3 && a->heads > 0 && nn_type_is_float(q->type) &&
                q->type == k->type && q->type == v->type;
    if (!fits || k->shape.dim[0] != q->shape.dim[0] || k->shape.dim[2] != q->shape.dim[2] || q->shape.dim[2] % (size_t)a->heads)
        return error_set(ERR_FORMAT, "attention: q [N,T,C], k and v [N,S,C] of one type are wanted, C a multiple of the %d heads", a->heads);
    if (a->causal && k->shape.dim[1] < q->shape.dim[1]) return error_set(ERR_FORMAT, "attention: fewer keys than causal queries");
    n->out[0]->type = q->type;
    n->out[0]->shape = q->shape;
    n->out[1]->type = NN_F32;
    n->out[1]->shape = shape3(q->shape.dim[0], (size_t)a->heads, q->shape.dim[1]);
    return 0;
}

static float score(const float *q, const float *k, size_t d, float scale) {
    float sum = 0;
    for (size_t i = 0; i < d; i++) sum = fmaf(q[i], k[i], sum);
    return sum * scale;
}

/* One query against `keys` keys, C apart. Scores are computed twice instead of stored. Returns the log of the sum of their exponentials. */
static float attend(const float *q, const float *k, const float *v, float *y, size_t keys, size_t C, size_t d) {
    float scale = (float)(1 / sqrt((double)d)), most = -INFINITY;
    double sum = 0;
    for (size_t s = 0; s < keys; s++) most = fmaxf(most, score(q, k + s * C, d, scale));
    for (size_t s = 0; s < keys; s++) sum += exp((double)(score(q, k + s * C, d, scale) - most));
    memset(y, 0, d * sizeof *y);
    for (size_t s = 0; s < keys; s++) {
        float p = (float)(exp((double)(score(q, k + s * C, d, scale) - most)) / sum);
        for (size_t i = 0; i < d; i++) y[i] = fmaf(p, v[s * C + i], y[i]);
    }
    return (float)((double)most + log(sum));
}

static void attention_reference(const node *n, const void *const in[], void *const out[]) {
    const attention_attr *a = n->attr;
    size_t T = n->in[0]->shape.dim[1], S = n->in[1]->shape.dim[1], C = n->in[0]->shape.dim[2], H = (size_t)a->heads, d = C / H;
    float *log_sum = out[1];
    for (size_t p = 0; p < n->in[0]->shape.dim[0]; p++)
        for (size_t h = 0; h < H; h++)
            for (size_t t = 0; t < T; t++) {
                size_t at = (p * T + t) * C + h * d, from = p * S * C + h * d;
                log_sum[(p * H + h) * T + t] = attend((const float *)in[0] + at, (const float *)in[1] + from, (const float *)in[2] + from,
                                                      (float *)out[0] + at, a->causal ? t + 1 : S, C, d);
            }
}

/* Causal ones are counted whole, too. */
static double attention_flops(const node *n) {
    return 4.0 * (double)shape_elements(n->in[0]->shape) * (double)n->in[1]->shape.dim[1];
}

static void attention_gradient(graph *g, const node *n) {
    tensor *d[3];
    if (!n->out[0]->grad) {
        graph_fail(g, error_set(ERR_UNSUPPORTED, "attention: the logs of its sums have no gradient"));
        return;
    }
    bool done = attention_d(g, n->in[0], n->in[1], n->in[2], n->out[0], n->out[1], n->out[0]->grad, *(const attention_attr *)n->attr, d);
    for (int i = 0; i < 3 && done; i++) gradient_add(g, n->in[i], d[i]);
}

const op op_attention = {
    .name = "attention", .attr_bytes = sizeof(attention_attr),
    .shape = attention_shape, .reference = attention_reference, .flops = attention_flops, .gradient = attention_gradient,
};

tensor *attention(graph *g, tensor *q, tensor *k, tensor *v, attention_attr attr, tensor **log_sum) {
    tensor *out[2];
    bool done = graph_apply_many(g, &op_attention, &attr, (tensor *[]){ q, k, v }, 3, 0, out, 2);
    if (log_sum) *log_sum = done ? out[1] : NULL;
    return done ? out[0] : NULL;
}

/* ---- gradients --------------------------------------------------------------------------------------------------------- */

static int attention_d_shape(node *n) {
    const attention_attr *a = n->attr;
    const nn_shape q = n->in[0]->shape, k = n->in[1]->shape;
    nn_type type = n->in[0]->type;
    bool fits = q.rank == 3 && k.rank == 3 && shape_equal(k, n->in[2]->shape) && shape_equal(q, n->in[3]->shape) && shape_equal(q, n->in[5]->shape) && a->heads > 0;
    fits = fits && shape_equal(n->in[4]->shape, shape3(q.dim[0], (size_t)a->heads, q.dim[1])) && n->in[4]->type == NN_F32 && nn_type_is_float(type);
    for (int i = 1; i < 6 && fits; i++) fits = i == 4 || n->in[i]->type == type;
    if (!fits || k.dim[0] != q.dim[0] || k.dim[2] != q.dim[2] || q.dim[2] % (size_t)a->heads)
        return error_set(ERR_FORMAT, "attention_d: what attention has and gave, and the gradient of its output are wanted");
    if (a->causal && k.dim[1] < q.dim[1]) return error_set(ERR_FORMAT, "attention_d: fewer keys than causal queries");
    for (int i = 0; i < 3; i++) {
        n->out[i]->type = type;
        n->out[i]->shape = i == 0 ? q : k;
    }
    return 0;
}

/* One query: with p the weight of a key, ds = p (dy v - dy out): dq += ds k, dk += ds q (both scaled), dv += p dy. */
static void attend_d(const float *q, const float *k, const float *v, const float *y, float log_sum, const float *dy, float *dq, float *dk, float *dv,
                     size_t keys, size_t C, size_t d) {
    float scale = (float)(1 / sqrt((double)d)), mean = score(dy, y, d, 1);
    for (size_t s = 0; s < keys; s++) {
        float p = (float)exp((double)(score(q, k + s * C, d, scale) - log_sum)), ds = p * (score(dy, v + s * C, d, 1) - mean) * scale;
        for (size_t i = 0; i < d; i++) {
            dq[i] = fmaf(ds, k[s * C + i], dq[i]);
            dk[s * C + i] = fmaf(ds, q[i], dk[s * C + i]);
            dv[s * C + i] = fmaf(p, dy[i], dv[s * C + i]);
        }
    }
}

static void attention_d_reference(const node *n, const void *const in[], void *const out[]) {
    const attention_attr *a = n->attr;
    size_t T = n->in[0]->shape.dim[1], S = n->in[1]->shape.dim[1], C = n->in[0]->shape.dim[2], H = (size_t)a->heads, d = C / H;
    const float *q = in[0], *k = in[1], *v = in[2], *y = in[3], *log_sum = in[4], *dy = in[5];
    for (int i = 0; i < 3; i++) memset(out[i], 0, shape_elements(n->out[i]->shape) * sizeof(float));
    for (size_t p = 0; p < n->in[0]->shape.dim[0]; p++)
        for (size_t h = 0; h < H; h++)
            for (size_t t = 0; t < T; t++) {
                size_t at = (p * T + t) * C + h * d, from = p * S * C + h * d;
                attend_d(q + at, k + from, v + from, y + at, log_sum[(p * H + h) * T + t], dy + at, (float *)out[0] + at, (float *)out[1] + from, (float *)out[2] + from,
                         a->causal ? t + 1 : S, C, d);
            }
}

/* Five products where the forward has two. */
static double attention_d_flops(const node *n) { return 10.0 * (double)shape_elements(n->in[0]->shape) * (double)n->in[1]->shape.dim[1]; }

const op op_attention_d = {
    .name = "attention_d", .attr_bytes = sizeof(attention_attr),
    .shape = attention_d_shape, .reference = attention_d_reference, .flops = attention_d_flops,
};

bool attention_d(graph *g, tensor *q, tensor *k, tensor *v, tensor *out, tensor *log_sum, tensor *dy, attention_attr attr, tensor *d[3]) {
    return graph_apply_many(g, &op_attention_d, &attr, (tensor *[]){ q, k, v, out, log_sum, dy }, 6, 0, d, 3);
}
