/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/ops.h"

static int attention_shape(node *n) {
    const attention_attr *a = n->attr;
    const tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    bool fits = q->shape.rank == 3 && shape_equal(k->shape, v->shape) && k->shape.rank == 3 && a->heads > 0 && q->type != NN_I32 &&
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

const op op_attention = {
    .name = "attention", .attr_bytes = sizeof(attention_attr),
    .shape = attention_shape, .reference = attention_reference, .flops = attention_flops,
};

tensor *attention(graph *g, tensor *q, tensor *k, tensor *v, attention_attr attr, tensor **log_sum) {
    tensor *out[2];
    bool done = graph_apply_many(g, &op_attention, &attr, (tensor *[]){ q, k, v }, 3, 0, out, 2);
    if (log_sum) *log_sum = done ? out[1] : NULL;
    return done ? out[0] : NULL;
}
