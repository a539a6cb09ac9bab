/* SPDX-License-Identifier: Apache-2.0
 *
 * UniPC (Zhao et al. 2023): diffusers' UniPCMultistepScheduler with its defaults, B2(h), order 2 on data, order 1 in the first step and in the last, which
 * goes to sigma 0; each step first corrects where the one before has arrived. */
#include <string.h>

#include "base/error.h"
#include "diffusion/sampler_inside.h"

static int prepare(sampler *s) {
    int rc = sampler_schedule_new(s, s->set.steps, false);
    if (rc < 0) return rc;
    schedule_timesteps(s, SCHEDULE_BEFORE_THE_END, true);
    return schedule_sigmas(s);
}

static int order_of(const sampler *s, int i) { return i == 0 || i == s->steps - 1 ? 1 : 2; }

/* What predictor and corrector of the step from sigma i to i + 1 have in common. x_t = shrink * x - grow * d0 - scale * (sum of rho * D). */
typedef struct { float shrink, grow, scale, ratio, b[2]; } unipc_factors;

static unipc_factors factors_of(const sampler *s, int i) {
    vp_factors to = vp_of_sigma(s->sigmas[i + 1]), from = vp_of_sigma(s->sigmas[i]);
    float h = to.lambda - from.lambda, phi1 = expm1_f32(-h);
    unipc_factors f = { .shrink = to.sigma / from.sigma, .grow = to.alpha * phi1, .scale = to.alpha * phi1 };
    float phi = phi1 / -h - 1;
    f.b[0] = phi / phi1;
    phi = phi / -h - 0.5f;
    f.b[1] = phi * 2 / phi1;
    if (i > 0) f.ratio = (vp_of_sigma(s->sigmas[i - 1]).lambda - from.lambda) / h;   /* how far back the data before lies */
    return f;
}

/* [1 1; ratio 1] rho = b, by elimination with the larger pivot, as LAPACK's gesv goes. */
static void solve(float ratio, const float b[2], float rho[2]) {
    if (fabsf(ratio) > 1) {
        float l = 1 / ratio, u = 1 - l;
        rho[1] = (b[0] - l * b[1]) / u;
        rho[0] = (b[1] - rho[1]) / ratio;
    } else {
        rho[1] = (b[1] - ratio * b[0]) / (1 - ratio);
        rho[0] = b[0] - rho[1];
    }
}

/* ---- steps ---- */

/* The histories: data of the last step; x as it was before the last step, corrected; data of the step before the last. */
enum { LAST, BEFORE, OLDER, HISTORIES };

static void correct(sampler *s, int i, float *x, const float *data, size_t n) {
    const float *d0 = s->history[LAST], *before = s->history[BEFORE], *older = s->history[OLDER];
    int order = order_of(s, i - 1);
    unipc_factors f = factors_of(s, i - 1);
    float rho[2] = { 0, 0.5f };
    if (order == 2) solve(f.ratio, f.b, rho);
    for (size_t k = 0; k < n; k++) {
        float base = f.shrink * before[k] - f.grow * d0[k];
        float now = rho[1] * (data[k] - d0[k]);
        x[k] = base - f.scale * (order == 2 ? rho[0] * ((older[k] - d0[k]) / f.ratio) + now : now);
    }
}

static void step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n) {
    (void)noise;
    float *data = s->x0;
    vp_factors at = vp_of_sigma(s->sigmas[i]);
    for (size_t k = 0; k < n; k++) data[k] = vp_data(&at, s->set.predicts_v, x[k], output[k]);
    if (i > 0) correct(s, i, x, data, n);
    memcpy(s->history[BEFORE], x, n * sizeof *x);
    memcpy(s->history[OLDER], s->history[LAST], n * sizeof *x);
    memcpy(s->history[LAST], data, n * sizeof *x);
    const float *older = s->history[OLDER];
    unipc_factors f = factors_of(s, i);
    bool second = order_of(s, i) == 2;
    for (size_t k = 0; k < n; k++) {
        float base = f.shrink * x[k] - f.grow * data[k];
        x[k] = second ? base - f.scale * (0.5f * ((older[k] - data[k]) / f.ratio)) : base;
    }
}

const sampler_family sampler_family_unipc = { .prepare = prepare, .step = step, .histories = HISTORIES };
