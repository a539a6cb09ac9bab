/* SPDX-License-Identifier: Apache-2.0
 *
 * DPM-Solver++(2M) (Lu et al. 2022): diffusers' DPMSolverMultistepScheduler with its defaults, order 2 by midpoints, order 1 in the first step and in
 * the last, which goes to sigma 0. */
#include <string.h>

#include "base/error.h"
#include "diffusion/sampler_inside.h"

static int prepare(sampler *s) {
    int rc = sampler_schedule_new(s, s->set.steps, false);
    if (rc < 0) return rc;
    if (s->set.kind == SAMPLER_DPMPP_2M_KARRAS) return schedule_karras(s);
    schedule_timesteps(s, SCHEDULE_BEFORE_THE_END, true);
    return schedule_sigmas(s);
}

static void step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n) {
    (void)noise;
    float *data = s->x0, *data_before = s->history[0];   /* of this step and of the last */
    vp_factors to = vp_of_sigma(s->sigmas[i + 1]), from = vp_of_sigma(s->sigmas[i]);
    float h = to.lambda - from.lambda;                   /* infinite in the last step: exp(-h) is 0 */
    float shrink = to.sigma / from.sigma, grow = to.alpha * (exp_f32(-h) - 1.0f);
    bool second = i > 0 && i < s->steps - 1;
    float slope = 0, half = 0.5f * grow;
    if (second) slope = 1.0f / ((from.lambda - vp_of_sigma(s->sigmas[i - 1]).lambda) / h);
    for (size_t k = 0; k < n; k++) {
        float d = vp_data(&from, s->set.predicts_v, x[k], output[k]);
        float next = shrink * x[k] - grow * d;
        if (second) next -= half * (slope * (d - data_before[k]));
        data[k] = d;
        x[k] = next;
    }
    memcpy(data_before, data, n * sizeof *data);
}

const sampler_family sampler_family_dpmpp = { .prepare = prepare, .step = step, .histories = 1 };
