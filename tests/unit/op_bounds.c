/* SPDX-License-Identifier: Apache-2.0 */
#include "op_bounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/gradient.h"
#include "nn/update.h"

static bool of_weights(const op *o) { return o == &op_conv2d_dw || o == &op_linear_dw; }   /* f32 */
static bool products(const op *o) { return of_weights(o) || o == &op_conv2d_dx || o == &op_linear_dx; }
static bool sums(const op *o) {
    return products(o) || o == &op_conv2d || o == &op_depthwise_conv2d || o == &op_linear || o == &op_attention || o == &op_attention_d;
}
static bool activates(const op *o) { return o == &op_silu || o == &op_gelu || o == &op_quick_gelu || o == &op_geglu; }
static bool slopes(const op *o) { return o == &op_silu_dx || o == &op_gelu_dx || o == &op_quick_gelu_dx || o == &op_geglu_dx; }
static bool normalises(const op *o) { return o == &op_group_norm || o == &op_layer_norm; }
static bool norm_d(const op *o) { return o == &op_group_norm_d || o == &op_layer_norm_d; }
static bool adds_up(const op *o) { return o == &op_sum_to || o == &op_mse || o == &op_mae || o == &op_sum_squares; }
static bool of_posterior(const op *o) {
    return o == &op_posterior_sample || o == &op_posterior_sample_d || o == &op_posterior_kl || o == &op_posterior_kl_d;
}
bool op_bounded(const op *o) {
    return of_posterior(o) || sums(o) || activates(o) || slopes(o) || normalises(o) || norm_d(o) || adds_up(o);
}

static tolerance tolerance_of(const node *n, float **bound) {
    tolerance tol = { 0 };
    if (n->ordered || !op_bounded(n->op)) return tol;
    if (activates(n->op)) tol = (tolerance){ .relative = 0x1p-20, .of_bound = 0x1p-22, .bound = bound };
    if (normalises(n->op)) tol = (tolerance){ .relative = 0x1p-20, .of_rms = 0x1p-19 };
    if (slopes(n->op)) tol = (tolerance){ .relative = 0x1p-20, .of_bound = n->in[0]->type == NN_BF16 ? 0x1p-10 : 0x1p-20, .bound = bound };
    if (norm_d(n->op)) tol = (tolerance){ .of_bound = 0x1p-19, .bound = bound };
    if (of_posterior(n->op)) tol = (tolerance){ .relative = n->in[0]->type == NN_BF16 ? 0x1p-7 : 0x1p-18, .of_bound = 0x1p-18, .bound = bound };
    if (adds_up(n->op)) tol = (tolerance){ .of_bound = 8 * 0x1p-24, .relative = n->out[0]->type == NN_BF16 ? 0x1p-7 : 0, .bound = bound };
    if ((activates(n->op) || slopes(n->op) || normalises(n->op) || norm_d(n->op)) && n->in[0]->type == NN_BF16)
        tol.relative = 0x1p-7;
    if (!sums(n->op)) return tol;   /* whoever only moves numbers or computes one, is exact anyway */
    tol.bound = bound;
    tol.of_bound = 8 * 0x1p-24;
    if (n->in[0]->type == NN_BF16 && !of_weights(n->op)) {
        tol.relative = 0x1p-7;
        if (n->in[1]->type != NN_BF16) tol.of_bound += 0x1p-8;
        if (n->op == &op_attention || n->op == &op_attention_d) tol.of_bound += 0x1p-8;
    }
    if (n->op == &op_attention || n->op == &op_attention_d) tol.of_bound += 56 * 0x1p-24;   /* an exponential has the absolute error of its score as relative error */
    return tol;
}

/* Attention over absolute values alone. */
static void attention_bound(const node *n, float **truth, float **bound) {
    const tensor *v = n->in[2], *y = n->out[0], *log_sum = n->out[1];
    size_t count = shape_elements(v->shape);
    float *absolute = malloc(count * sizeof *absolute), *unused = malloc(shape_elements(log_sum->shape) * sizeof *unused);
    if (!absolute || !unused) abort();
    for (size_t i = 0; i < count; i++) absolute[i] = fabsf(truth[v->index][i]);
    n->op->reference(n, (const void *[]){ truth[n->in[0]->index], truth[n->in[1]->index], absolute },
                     (void *[]){ bound[y->index], unused });
    free(absolute);
    free(unused);
}

/* A norm's gradients over absolute values: factor (|d| + mean|d| + |u| mean|d u|), sum|dy u|, sum|dy|. */
static void norm_d_bound(const node *n, float **truth, float **bound) {
    const nn_shape s = n->in[0]->shape;
    bool layer = n->op == &op_layer_norm_d;
    size_t C = s.dim[s.rank - 1], pixels = layer ? 1 : shape_elements(s) / C / s.dim[0], groups = layer ? 1 : (size_t)((const group_norm_attr *)n->attr)->groups;
    size_t pictures = shape_elements(s) / C / pixels, width = C / groups;
    double epsilon = layer ? (double)*(const float *)n->attr : (double)((const group_norm_attr *)n->attr)->epsilon, count = (double)(pixels * width);
    const float *gamma = truth[n->in[1]->index];
    float *dx = bound[n->out[0]->index], *dgamma = bound[n->out[1]->index], *dbeta = bound[n->out[2]->index];
    for (size_t c = 0; c < C; c++) dgamma[c] = dbeta[c] = 0;
    for (size_t p = 0; p < pictures; p++)
        for (size_t first = 0; first < C; first += width) {
            const float *x = truth[n->in[0]->index] + p * pixels * C + first, *dy = truth[n->in[2]->index] + p * pixels * C + first;
            double mean = 0, variance = 0, d = 0, du = 0;
            for (size_t i = 0; i < pixels * width; i++) mean += (double)x[i / width * C + i % width] / count;
            for (size_t i = 0; i < pixels * width; i++) variance += pow((double)x[i / width * C + i % width] - mean, 2) / count;
            double factor = 1 / sqrt(variance + epsilon);
            for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < pixels * width; i++) {
                    size_t at = i / width * C + i % width, c = first + i % width;
                    double u = fabs((double)x[at] - mean) * factor, e = fabs((double)dy[at]), g = fabs((double)gamma[c]);
                    if (pass == 0) d += e * g / count, du += e * g * u / count;
                    else dx[p * pixels * C + first + at] = (float)(factor * (e * g + d + u * du)), dgamma[c] += (float)(e * (u + 1)), dbeta[c] += (float)e;
                }
        }
}

/* Of (x - target)^2: absolute values would cancel. */
static void loss_bound(const node *n, float **truth, float **bound) { *bound[n->out[0]->index] = *truth[n->out[0]->index]; }

/* Absolute values of what is added: mean and deviation times noise; mean^2, variance, 1 and its logarithm. A gradient
 * is a product, or has a difference from 1. */
static void posterior_bound(const node *n, float **truth, float **bound) {
    const nn_shape s = n->in[0]->shape;
    size_t c = s.dim[3] / 2, each = s.dim[1] * s.dim[2] * c, count = s.dim[0] * each;
    const float *m = truth[n->in[0]->index], *second = n->in[1] ? truth[n->in[1]->index] : NULL;
    float *out = bound[n->out[0]->index];
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = i / c * 2 * c + i % c;
        double mean = fabs((double)m[at]), l = fmin(20, fmax(-30, (double)m[at + c])), variance = exp(l);
        double weight = second && n->op != &op_posterior_sample && n->op != &op_posterior_sample_d ? (double)second[i / each] : 1;
        if (n->op == &op_posterior_sample) out[i] = (float)(mean + sqrt(variance) * fabs((double)second[i]));
        if (n->op == &op_posterior_sample_d) out[at] = out[at + c] = 0;
        if (n->op == &op_posterior_kl_d)
            out[at] = 0, out[at + c] = (float)(weight * (variance + 1) * fabs((double)*truth[n->in[2]->index]) / (double)s.dim[0]);
        sum += weight * (mean * mean + variance + 1 + fabs(l));
    }
    if (n->op == &op_posterior_kl) *out = (float)(sum / (double)s.dim[0]);
}

/* The gradient's sums with all terms by absolute value. */
static void attention_d_bound(const node *n, float **truth, float **bound) {
    const attention_attr *a = n->attr;
    size_t T = n->in[0]->shape.dim[1], S = n->in[1]->shape.dim[1], C = n->in[0]->shape.dim[2], H = (size_t)a->heads, d = C / H;
    float *x[6], scale = (float)(1 / sqrt((double)d));
    for (int i = 0; i < 6; i++) x[i] = truth[n->in[i]->index];
    for (int i = 0; i < 3; i++) memset(bound[n->out[i]->index], 0, shape_elements(n->out[i]->shape) * sizeof(float));
    for (size_t i = 0; i < n->in[0]->shape.dim[0] * H * T * S; i++) {
        size_t s = i % S, t = i / S % T, h = i / S / T % H, p = i / S / T / H, at = (p * T + t) * C + h * d, from = (p * S + s) * C + h * d;
        float score = 0, slope = 0;
        if (a->causal && s > t) continue;
        for (size_t e = 0; e < d; e++) {
            score += x[0][at + e] * x[1][from + e];
            slope += fabsf(x[5][at + e]) * (fabsf(x[2][from + e]) + fabsf(x[3][at + e]));
        }
        float weight = expf(score * scale - x[4][(p * H + h) * T + t]);
        for (size_t e = 0; e < d; e++) {
            bound[n->out[0]->index][at + e] += weight * slope * scale * fabsf(x[1][from + e]);
            bound[n->out[1]->index][from + e] += weight * slope * scale * fabsf(x[0][at + e]);
            bound[n->out[2]->index][from + e] += weight * fabsf(x[5][at + e]);
        }
    }
}

tolerance op_tolerance(const node *n, float **truth, float **bound) {
    if (n->op == &op_attention) attention_bound(n, truth, bound);
    if (norm_d(n->op)) norm_d_bound(n, truth, bound);
    if (n->op == &op_mse || n->op == &op_mae) loss_bound(n, truth, bound);
    if (of_posterior(n->op)) posterior_bound(n, truth, bound);
    if (n->op == &op_attention_d) attention_d_bound(n, truth, bound);
    return tolerance_of(n, bound);
}
