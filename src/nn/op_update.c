/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/halves.h"
#include "nn/update.h"

static bool f32_of(const tensor *t, nn_shape shape) { return t->type == NN_F32 && shape_equal(t->shape, shape); }
static bool one_f32(const tensor *t) { return t->type == NN_F32 && shape_elements(t->shape) == 1; }

/* ---- weights that may lie in two halves ---------------------------------------------------------------------------------- */

static bool whole(const tensor *w, const tensor *low) { return low ? w->type == NN_BF16 && low->type == NN_U16 && shape_equal(w->shape, low->shape) : w->type == NN_F32; }

/* Element i; w is a bf16 widened to f32 if there is a low. */
static float get(const float *w, const uint16_t *low, size_t i) {
    uint32_t u;
    float x = w[i];
    if (!low) return x;
    memcpy(&u, &x, sizeof u);
    u = halves_bits((uint16_t)(u >> 16), low[i]);
    memcpy(&x, &u, sizeof x);
    return x;
}

static void put(float *w, uint16_t *low, size_t i, float x) {
    uint32_t u, high;
    w[i] = x;
    if (!low) return;
    memcpy(&u, &x, sizeof u);
    high = (uint32_t)halves_weight(u) << 16;
    memcpy(&w[i], &high, sizeof high);
    low[i] = halves_low(u);
}

/* ---- AdamW --------------------------------------------------------------------------------------------------------------- */

enum { WEIGHT = ADAMW_IN_WEIGHT, LOW, M, V, DW, NOW, FACTOR, GATE };

void adamw_now(const adamw_attr *attr, double rate, uint64_t step, float now[ADAMW_NOW]) {
    now[ADAMW_RATE] = (float)rate;
    now[ADAMW_FIRST] = (float)(1 - pow((double)attr->beta1, (double)step));
    now[ADAMW_SECOND] = (float)sqrt(1 - pow((double)attr->beta2, (double)step));
    now[ADAMW_STEP] = (float)(step & 0xffffff);
}

static int adamw_shape(node *n) {
    const tensor *factor = n->in[FACTOR], *gate = n->in[GATE];
    const nn_shape s = n->in[WEIGHT]->shape;
    bool fits = whole(n->in[WEIGHT], n->in[LOW]) && f32_of(n->in[M], s) && f32_of(n->in[V], s) && f32_of(n->in[DW], s) && f32_of(n->in[NOW], shape1(ADAMW_NOW));
    fits = fits && (!factor || one_f32(factor)) && (!gate || one_f32(gate));
    return fits ? 0 : error_set(ERR_FORMAT, "adamw: a weight in f32, or in bf16 and its lower bits, and moments and gradient in f32 are wanted, of one shape");
}

static void adamw_reference(const node *n, const void *const in[], void *const out[]) {
    (void)out;
    const adamw_attr *a = n->attr;
    const float *dw = in[DW], *now = in[NOW];
    float *w = (float *)in[WEIGHT], *m = (float *)in[M], *v = (float *)in[V];
    uint16_t *low = (uint16_t *)in[LOW];
    size_t count = shape_elements(n->in[WEIGHT]->shape);
    if (in[GATE] && !isfinite(*(const float *)in[GATE])) return;
    float factor = in[FACTOR] ? *(const float *)in[FACTOR] : 1;
    float keep = 1 - now[ADAMW_RATE] * a->decay, step = now[ADAMW_RATE] / now[ADAMW_FIRST];
    for (size_t i = 0; i < count; i++) {
        float g = dw[i] * factor;
        m[i] += (1 - a->beta1) * (g - m[i]);
        v[i] = a->beta2 * v[i] + (1 - a->beta2) * g * g;
        put(w, low, i, get(w, low, i) * keep - step * (m[i] / (sqrtf(v[i]) / now[ADAMW_SECOND] + a->epsilon)));
    }
}

static double adamw_flops(const node *n) { return 14.0 * (double)shape_elements(n->in[WEIGHT]->shape); }

const op op_adamw = {
    .name = "adamw", .attr_bytes = sizeof(adamw_attr), .writes = 1u << WEIGHT | 1u << LOW | 1u << M | 1u << V,
    .shape = adamw_shape, .reference = adamw_reference, .flops = adamw_flops,
};

void adamw(graph *g, const adamw_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw_attr attr) {
    tensor *const in[ADAMW_IN] = { w->weight, w->low, w->m, w->v, dw, now, factor, gate };
    graph_apply_many(g, &op_adamw, &attr, in, ADAMW_IN, 1u << LOW | 1u << FACTOR | 1u << GATE, NULL, 0);
}

/* ---- sums and averages --------------------------------------------------------------------------------------------------- */

static int into_shape(node *n) {
    bool mean = n->n_in == AVERAGE_IN;
    const tensor *x = n->in[1], *low = mean ? n->in[AVERAGE_IN_LOW] : NULL, *gate = mean ? n->in[AVERAGE_IN_GATE] : NULL;
    const nn_shape s = n->in[0]->shape;
    bool fits = f32_of(n->in[0], s) && whole(x, low) && shape_equal(x->shape, s) && one_f32(n->in[2]) && (!gate || one_f32(gate));
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
    float *mean = (float *)in[AVERAGE_IN_MEAN], decay = *(const float *)in[AVERAGE_IN_DECAY];
    size_t count = shape_elements(n->in[AVERAGE_IN_MEAN]->shape);
    if (in[AVERAGE_IN_GATE] && !isfinite(*(const float *)in[AVERAGE_IN_GATE])) return;
    for (size_t i = 0; i < count; i++) mean[i] += (1 - decay) * (get(in[AVERAGE_IN_X], in[AVERAGE_IN_LOW], i) - mean[i]);
}

const op op_average = { .name = "average", .writes = 1u << AVERAGE_IN_MEAN, .shape = into_shape, .reference = average_reference };

void average(graph *g, tensor *mean, tensor *x, tensor *low, tensor *decay, tensor *gate) {
    graph_apply_many(g, &op_average, NULL, (tensor *[AVERAGE_IN]){ mean, x, decay, low, gate }, AVERAGE_IN, 1u << AVERAGE_IN_LOW | 1u << AVERAGE_IN_GATE, NULL, 0);
}

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
