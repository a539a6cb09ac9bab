/* SPDX-License-Identifier: Apache-2.0
 *
 * Euler's method and its ancestral form (Karras et al. 2022; Crowson's k-diffusion) over x = data + sigma * noise: diffusers' EulerDiscreteScheduler
 * without churn and EulerAncestralDiscreteScheduler. */
#include "base/error.h"
#include "diffusion/sampler_inside.h"

static int prepare(sampler *s) {
    int rc = sampler_schedule_new(s, s->set.steps, false);
    if (rc < 0) return rc;
    schedule_timesteps(s, SCHEDULE_TO_THE_END, false);
    return schedule_sigmas(s);
}

/* From sigma to sigma + dt along (x - x0) / sigma, then noise of `up`. */
static void go(sampler *s, float sigma, float dt, float up, float *x, const float *output, const float *noise, size_t n) {
    float on_output = -sigma / sqrtf(sigma * sigma + 1), on_x = sigma * sigma + 1;
    for (size_t k = 0; k < n; k++) {
        float x0 = s->set.predicts_v ? output[k] * on_output + x[k] / on_x : x[k] - sigma * output[k];
        float derivative = (x[k] - x0) / sigma;
        s->x0[k] = x0;
        x[k] = x[k] + derivative * dt;
        if (noise) x[k] += noise[k] * up;
    }
}

static void step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n) {
    (void)noise;
    go(s, s->sigmas[i], s->sigmas[i + 1] - s->sigmas[i], 0, x, output, NULL, n);
}

static void step_ancestral(sampler *s, int i, float *x, const float *output, const float *noise, size_t n) {
    float from = s->sigmas[i], to = s->sigmas[i + 1], to2 = to * to, from2 = from * from;
    float up = sqrtf(to2 * (from2 - to2) / from2), down = sqrtf(to2 - up * up);
    go(s, from, down - from, up, x, output, noise, n);
}

const sampler_family sampler_family_euler = { .prepare = prepare, .step = step, .by_sigma = true };
const sampler_family sampler_family_euler_a = { .prepare = prepare, .step = step_ancestral, .by_sigma = true };
