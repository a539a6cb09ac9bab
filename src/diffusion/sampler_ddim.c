/* SPDX-License-Identifier: Apache-2.0
 *
 * DDIM (Song et al. 2020): as diffusers' DDIMScheduler, and as the original's ldm and cldm/ddim_hacked.py, whose steps lie elsewhere. */
#include <stdlib.h>

#include "base/error.h"
#include "diffusion/sampler_inside.h"

/* ---- diffusers ---- */

static int prepare(sampler *s) {
    int S = s->set.steps, T = s->set.train_steps, rc = sampler_schedule_new(s, S, true);
    if (rc < 0) return rc;
    schedule_timesteps(s, SCHEDULE_TO_THE_END, true);
    for (int i = 0; i < S; i++) {
        /* Not the next timestep: the two differ in all spacings but leading. */
        int t = (int)s->timesteps[i], before = t - T / S;
        if (t < 0 || t >= T)
            return error_set(ERR_USAGE, "ddim: with %d steps and an offset of %d the first timestep is %d, past the last of training, %d", S,
                             s->set.steps_offset, t, T - 1);
        float a = s->alphas[t], p = s->alphas[before >= 0 ? before : 0];   /* set_alpha_to_one false: the end is training's first step */
        float variance = (1 - p) / (1 - a) * (1 - a / p);
        s->ddim[i] = (ddim_step){ a, p, (float)s->set.eta * sqrtf(variance), sqrtf(a), sqrtf(1 - a) };
    }
    return 0;
}

static void step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n) {
    const ddim_step *f = &s->ddim[i];
    float root_previous = sqrtf(f->alpha_previous), direction = sqrtf(1 - f->alpha_previous - f->deviation * f->deviation);
    for (size_t k = 0; k < n; k++) {
        float o = output[k], x0, epsilon;
        if (s->set.predicts_v) {
            x0 = f->root_alpha * x[k] - f->root_beta * o;
            epsilon = f->root_alpha * o + f->root_beta * x[k];
        } else {
            x0 = (x[k] - f->root_beta * o) / f->root_alpha;
            epsilon = o;
        }
        s->x0[k] = x0;
        x[k] = root_previous * x0 + direction * epsilon;
        if (noise) x[k] += f->deviation * noise[k];
    }
}

const sampler_family sampler_family_ddim = { .prepare = prepare, .step = step };

/* ---- the original ---- */

static int count_steps(const sampler *s, int spacing) { return (s->set.train_steps + spacing - 1) / spacing; }

/* make_ddim_timesteps, "uniform": range(0, T, T // S) + 1. */
static int prepare_original(sampler *s) {
    int S = s->set.steps, T = s->set.train_steps, spacing = T / S, count = count_steps(s, spacing);
    if ((count - 1) * spacing + 1 >= T)
        return error_set(ERR_USAGE, "ddim_original: with %d steps the original looks up timestep %d of %d and fails, so there is no picture of it to equal; "
                         "take another number of steps, or ddim", S, (count - 1) * spacing + 1, T);
    int rc = sampler_schedule_new(s, count, true);
    double *alphas = rc < 0 ? NULL : malloc((size_t)T * sizeof *alphas);
    if (rc < 0 || !alphas) return rc < 0 ? rc : error_memory((size_t)T * sizeof *alphas);
    schedule_alphas_double(s->set.beta_start, s->set.beta_end, T, alphas);
    for (int i = 0; i < count; i++) {
        int index = count - 1 - i, t = index * spacing + 1, before = index ? t - spacing : 0;
        float a = (float)alphas[t], p = (float)alphas[before];
        double deviation = s->set.eta * sqrt((1 - (double)p) / (double)(1 - a) * (1 - (double)a / (double)p));
        s->timesteps[i] = (float)t;
        s->ddim[i] = s->set.predicts_v ? (ddim_step){ a, p, (float)deviation, (float)sqrt(alphas[t]), (float)sqrt(1 - alphas[t]) }
                                       : (ddim_step){ a, p, (float)deviation, sqrtf(a), sqrtf(1 - a) };
    }
    free(alphas);
    return 0;
}

const sampler_family sampler_family_ddim_original = { .prepare = prepare_original, .step = step };
