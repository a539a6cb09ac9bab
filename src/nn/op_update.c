/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/error.h"
#include "nn/update.h"

static bool f32_of(const tensor *t, nn_shape shape) { return t->type == NN_F32 && shape_equal(t->shape, shape); }
static bool one_f32(const tensor *t) { return t->type == NN_F32 && shape_elements(t->shape) == 1; }

/* ---- AdamW --------------------------------------------------------------------------------------------------------------- */

enum { MASTER = ADAMW_IN_MASTER, M, V, ROUNDED, DW, NOW, FACTOR, GATE };

void adamw_now(const adamw_attr *attr, double rate, uint64_t step, float now[ADAMW_NOW]) {
    now[ADAMW_RATE] = (float)rate;
    now[ADAMW_FIRST] = (float)(1 - pow((double)attr->beta1, (double)step));
    now[ADAMW_SECOND] = (float)sqrt(1 - pow((double)attr->beta2, (double)step));
    now[ADAMW_STEP] = (float)(step & 0xffffff);
}

static int adamw_shape(node *n) {
    const tensor *rounded = n->in[ROUNDED], *factor = n->in[FACTOR], *gate = n->in[GATE];
    const nn_shape s = n->in[MASTER]->shape;
    bool fits = f32_of(n->in[MASTER], s) && f32_of(n->in[M], s) && f32_of(n->in[V], s) && f32_of(n->in[DW], s) && f32_of(n->in[NOW], shape1(ADAMW_NOW));
    if (rounded) fits = fits && rounded->type == NN_BF16 && shape_equal(rounded->shape, s);
    fits = fits && (!factor || one_f32(factor)) && (!gate || one_f32(gate));
    return fits ? 0 : error_set(ERR_FORMAT, "adamw: weights, moments and gradient in f32 of one shape are wanted");
}

static void adamw_reference(const node *n, const void *const in[], void *const out[]) {
    (void)out;
    const adamw_attr *a = n->attr;
    const float *dw = in[DW], *now = in[NOW];
    float *w = (float *)in[MASTER], *m = (float *)in[M], *v = (float *)in[V];
    size_t count = shape_elements(n->in[MASTER]->shape);
    if (in[GATE] && !isfinite(*(const float *)in[GATE])) return;
    float factor = in[FACTOR] ? *(const float *)in[FACTOR] : 1;
    float keep = 1 - now[ADAMW_RATE] * a->decay, step = now[ADAMW_RATE] / now[ADAMW_FIRST];
    for (size_t i = 0; i < count; i++) {
        float g = dw[i] * factor;
        m[i] += (1 - a->beta1) * (g - m[i]);
        v[i] = a->beta2 * v[i] + (1 - a->beta2) * g * g;
        w[i] = w[i] * keep - step * (m[i] / (sqrtf(v[i]) / now[ADAMW_SECOND] + a->epsilon));
        if (in[ROUNDED]) ((float *)in[ROUNDED])[i] = w[i];
    }
}

static double adamw_flops(const node *n) { return 14.0 * (double)shape_elements(n->in[MASTER]->shape); }

const op op_adamw = {
    .name = "adamw", .attr_bytes = sizeof(adamw_attr), .writes = 1u << MASTER | 1u << M | 1u << V | 1u << ROUNDED,
    .shape = adamw_shape, .reference = adamw_reference, .flops = adamw_flops,
};

void adamw(graph *g, const adamw_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw_attr attr) {
    tensor *const in[ADAMW_IN] = { w->master, w->m, w->v, w->rounded, dw, now, factor, gate };
    graph_apply_many(g, &op_adamw, &attr, in, ADAMW_IN, 1u << ROUNDED | 1u << FACTOR | 1u << GATE, NULL, 0);
}

/* ---- sums and averages --------------------------------------------------------------------------------------------------- */

static int into_shape(node *n) {
    const tensor *x = n->in[1];
    const nn_shape s = n->in[0]->shape;
    bool fits = f32_of(n->in[0], s) && (x->type == NN_F32 || (n->op == &op_average && x->type == NN_BF16)) && shape_equal(x->shape, s) && one_f32(n->in[2]);
    return fits ? 0 : error_set(ERR_FORMAT, "%s: two f32 tensors of one shape and one f32 number are wanted", n->op->name);
}

static void accumulate_reference(const node *n, const void *const in[], void *const out[]) {
    (void)out;
    float *sum = (float *)in[0];
    const float *dw = in[1];
    bool first = *(const float *)in[2] != 0;
    size_t count = shape_elements(n->in[0]->shape);
    for (size_t i = 0; i < count; i++) sum[i] = first ? dw[i] : sum[i] + dw[i];
}

const op op_accumulate = { .name = "accumulate", .writes = 1, .shape = into_shape, .reference = accumulate_reference };

void accumulate(graph *g, tensor *sum, tensor *dw, tensor *first) { graph_apply_many(g, &op_accumulate, NULL, (tensor *[]){ sum, dw, first }, 3, 0, NULL, 0); }

static void average_reference(const node *n, const void *const in[], void *const out[]) {
    (void)out;
    float *mean = (float *)in[0], decay = *(const float *)in[2];
    const float *x = in[1];
    size_t count = shape_elements(n->in[0]->shape);
    for (size_t i = 0; i < count; i++) mean[i] += (1 - decay) * (x[i] - mean[i]);
}

const op op_average = { .name = "average", .writes = 1, .shape = into_shape, .reference = average_reference };

void average(graph *g, tensor *mean, tensor *x, tensor *decay) { graph_apply_many(g, &op_average, NULL, (tensor *[]){ mean, x, decay }, 3, 0, NULL, 0); }

static int sum_squares_shape(node *n) {
    if (!nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "sum_squares: not a floating-point tensor");
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape1(1);
    return 0;
}

static void sum_squares_reference(const node *n, const void *const in[], void *const out[]) {
    const float *x = in[0];
    size_t count = shape_elements(n->in[0]->shape);
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    *(float *)out[0] = (float)sum;
}

const op op_sum_squares = { .name = "sum_squares", .shape = sum_squares_shape, .reference = sum_squares_reference };

tensor *sum_squares(graph *g, tensor *x) { return graph_apply(g, &op_sum_squares, NULL, &x, 1, 0); }

static int clip_factor_shape(node *n) {
    if (!one_f32(n->in[0])) return error_set(ERR_FORMAT, "clip_factor: one f32 number is wanted");
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape1(1);
    return 0;
}

static void clip_factor_reference(const node *n, const void *const in[], void *const out[]) {
    float factor = *(const float *)n->attr / (sqrtf(*(const float *)in[0]) + 1e-6f);
    *(float *)out[0] = factor < 1 ? factor : 1;
}

const op op_clip_factor = { .name = "clip_factor", .attr_bytes = sizeof(float), .shape = clip_factor_shape, .reference = clip_factor_reference };

tensor *clip_factor(graph *g, tensor *squares, float most) { return graph_apply(g, &op_clip_factor, &most, &squares, 1, 0); }
