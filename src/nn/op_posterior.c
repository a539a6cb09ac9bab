/* SPDX-License-Identifier: Apache-2.0
 *
 * The autoencoder's posterior, a normal distribution a number of the latent (Kingma and Welling 2014), as DiagonalGaussianDistribution of
 * ldm/modules/distributions/distributions.py has it: moments [..., 2C] are C means, then C logarithms of variances, which count within -30 ... 20 only: beyond, they
 * have no gradient. */
#include <math.h>

#include "base/error.h"
#include "nn/gradient.h"

static const float lowest = -30, highest = 20;

static bool is_inside(float logvar) { return !(logvar < lowest || logvar > highest); }   /* NaN is */
static float cut(float logvar) { return logvar < lowest ? lowest : logvar > highest ? highest : logvar; }

static int moments_check(const node *n) {
    const tensor *m = n->in[0];
    bool fits = nn_type_is_float(m->type) && m->shape.rank >= 2 && m->shape.dim[m->shape.rank - 1] % 2 == 0;
    return fits ? 0 : error_set(ERR_FORMAT, "%s: moments [N, ..., 2C] are wanted", n->op->name);
}

static nn_shape half(nn_shape s) {
    s.dim[s.rank - 1] /= 2;
    return s;
}

/* ---- a sample ------------------------------------------------------------------------------------------------------------ */

static int sample_shape(node *n) {
    const tensor *m = n->in[0], *noise = n->in[1];
    if (moments_check(n) < 0) return error_code();
    if (noise->type != NN_F32 || !shape_equal(noise->shape, half(m->shape))) return error_set(ERR_FORMAT, "%s: f32 noise [N, ..., C] is wanted", n->op->name);
    n->out[0]->type = m->type;
    n->out[0]->shape = noise->shape;
    return 0;
}

static void sample_reference(const node *n, const void *const in[], void *const out[]) {
    const float *noise = in[1];
    size_t C = n->out[0]->shape.dim[n->out[0]->shape.rank - 1], rows = shape_elements(n->out[0]->shape) / C;
    for (size_t r = 0; r < rows; r++) {
        const float *mean = (const float *)in[0] + r * 2 * C, *logvar = mean + C;
        float *y = (float *)out[0] + r * C;
        for (size_t c = 0; c < C; c++) y[c] = mean[c] + expf(0.5f * cut(logvar[c])) * noise[r * C + c];
    }
}

static void sample_gradient(graph *g, const node *n) {
    if (gradient_wanted(n->in[1])) graph_fail(g, error_set(ERR_UNSUPPORTED, "posterior_sample: noise has no gradient"));
    else gradient_add(g, n->in[0], posterior_sample_d(g, n->in[0], n->in[1], n->out[0]->grad));
}

const op op_posterior_sample = { .name = "posterior_sample", .shape = sample_shape, .reference = sample_reference, .gradient = sample_gradient };

tensor *posterior_sample(graph *g, tensor *moments, tensor *noise) { return graph_apply(g, &op_posterior_sample, NULL, (tensor *[]){ moments, noise }, 2, 0); }

static int sample_d_shape(node *n) {
    const tensor *m = n->in[0], *noise = n->in[1], *dy = n->in[2];
    if (moments_check(n) < 0) return error_code();
    bool fits = noise->type == NN_F32 && shape_equal(noise->shape, half(m->shape)) && dy->type == m->type && shape_equal(dy->shape, noise->shape);
    if (!fits) return error_set(ERR_FORMAT, "%s: f32 noise and a gradient [N, ..., C] are wanted", n->op->name);
    n->out[0]->type = m->type;
    n->out[0]->shape = m->shape;
    return 0;
}

static void sample_d_reference(const node *n, const void *const in[], void *const out[]) {
    const float *noise = in[1], *dy = in[2];
    size_t C = n->in[1]->shape.dim[n->in[1]->shape.rank - 1], rows = shape_elements(n->in[1]->shape) / C;
    for (size_t r = 0; r < rows; r++) {
        const float *logvar = (const float *)in[0] + r * 2 * C + C;
        float *d = (float *)out[0] + r * 2 * C;
        for (size_t c = 0; c < C; c++) {
            d[c] = dy[r * C + c];
            d[C + c] = is_inside(logvar[c]) ? 0.5f * expf(0.5f * logvar[c]) * noise[r * C + c] * dy[r * C + c] : 0;
        }
    }
}

const op op_posterior_sample_d = { .name = "posterior_sample_d", .shape = sample_d_shape, .reference = sample_d_reference };

tensor *posterior_sample_d(graph *g, tensor *moments, tensor *noise, tensor *dy) {
    return graph_apply(g, &op_posterior_sample_d, NULL, (tensor *[]){ moments, noise, dy }, 3, 0);
}

/* ---- the divergence ------------------------------------------------------------------------------------------------------ */

static int weight_check(const node *n, const tensor *weight) {
    if (moments_check(n) < 0) return error_code();
    bool fits = !weight || (weight->type == NN_F32 && weight->shape.rank == 1 && weight->shape.dim[0] == n->in[0]->shape.dim[0]);
    return fits ? 0 : error_set(ERR_FORMAT, "%s: one f32 weight a picture is wanted", n->op->name);
}

static int kl_shape(node *n) {
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape1(1);
    return weight_check(n, n->in[1]);
}

static void kl_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->in[0]->shape;
    const float *weight = in[1];
    size_t C = s.dim[s.rank - 1] / 2, rows = shape_elements(s) / (2 * C), each = rows / s.dim[0];
    double sum = 0;
    for (size_t r = 0; r < rows; r++) {
        const float *mean = (const float *)in[0] + r * 2 * C;
        double row = 0;
        for (size_t c = 0; c < C; c++) {
            double m = (double)mean[c], l = (double)cut(mean[C + c]);
            row += 0.5 * (m * m + exp(l) - 1 - l);
        }
        sum += (weight ? (double)weight[r / each] : 1) * row;
    }
    *(float *)out[0] = (float)(sum / (double)s.dim[0]);
}

static void kl_gradient(graph *g, const node *n) {
    if (gradient_wanted(n->in[1])) graph_fail(g, error_set(ERR_UNSUPPORTED, "posterior_kl: weights have no gradient"));
    else gradient_add(g, n->in[0], posterior_kl_d(g, n->in[0], n->in[1], n->out[0]->grad));
}

const op op_posterior_kl = { .name = "posterior_kl", .shape = kl_shape, .reference = kl_reference, .gradient = kl_gradient };

tensor *posterior_kl(graph *g, tensor *moments, tensor *weight) { return graph_apply(g, &op_posterior_kl, NULL, (tensor *[]){ moments, weight }, 2, 1u << 1); }

static int kl_d_shape(node *n) {
    const tensor *dy = n->in[2];
    if (dy->type != NN_F32 || shape_elements(dy->shape) != 1) return error_set(ERR_FORMAT, "posterior_kl_d: the gradient is one f32 number");
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = n->in[0]->shape;
    return weight_check(n, n->in[1]);
}

static void kl_d_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->in[0]->shape;
    const float *weight = in[1], *dy = in[2];
    size_t C = s.dim[s.rank - 1] / 2, rows = shape_elements(s) / (2 * C), each = rows / s.dim[0];
    for (size_t r = 0; r < rows; r++) {
        const float *mean = (const float *)in[0] + r * 2 * C, *logvar = mean + C;
        float *d = (float *)out[0] + r * 2 * C, scale = *dy / (float)s.dim[0] * (weight ? weight[r / each] : 1);
        for (size_t c = 0; c < C; c++) {
            d[c] = mean[c] * scale;
            d[C + c] = is_inside(logvar[c]) ? 0.5f * (expf(logvar[c]) - 1) * scale : 0;
        }
    }
}

const op op_posterior_kl_d = { .name = "posterior_kl_d", .shape = kl_d_shape, .reference = kl_d_reference };

tensor *posterior_kl_d(graph *g, tensor *moments, tensor *weight, tensor *dy) {
    return graph_apply(g, &op_posterior_kl_d, NULL, (tensor *[]){ moments, weight, dy }, 3, 1u << 1);
}
