/* SPDX-License-Identifier: Apache-2.0 */
#include "diffusion/sampler.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "diffusion/sampler_inside.h"

enum { MOST_TRAIN_STEPS = 100 * 1000 };

const char *const sampler_names[SAMPLERS + 1] = { "ddim", "ddim_original", "euler", "euler_a", "dpmpp_2m", "dpmpp_2m_karras", "unipc", NULL };

static const sampler_family *const families[SAMPLERS] = {
    &sampler_family_ddim, &sampler_family_ddim_original, &sampler_family_euler, &sampler_family_euler_a, &sampler_family_dpmpp, &sampler_family_dpmpp,
    &sampler_family_unipc,
};

/* ---- Making one ---- */

static int settle(const sampler_settings *settings, sampler_settings *out) {
    *out = *settings;
    if (out->beta_start == 0) out->beta_start = 0.00085;
    if (out->beta_end == 0) out->beta_end = 0.012;
    if (out->train_steps == 0) out->train_steps = 1000;
    if (out->steps_offset < 0) out->steps_offset = 1;
    if (out->spacing == SAMPLER_SPACING_DEFAULT) out->spacing = out->kind == SAMPLER_DDIM ? SAMPLER_SPACING_LEADING : SAMPLER_SPACING_LINSPACE;
    if ((unsigned)out->kind >= SAMPLERS) return error_set(ERR_USAGE, "no such sampler");
    if (out->train_steps < 2 || out->train_steps > MOST_TRAIN_STEPS)
        return error_set(ERR_USAGE, "a noise schedule of %d training steps: from 2 to %d are possible", out->train_steps, MOST_TRAIN_STEPS);
    if (out->steps < 1 || out->steps > out->train_steps)
        return error_set(ERR_USAGE, "%d steps: from 1 to %d are possible, the number of training steps", out->steps, out->train_steps);
    if (out->steps_offset >= out->train_steps) return error_set(ERR_USAGE, "a steps_offset of %d in %d training steps", out->steps_offset, out->train_steps);
    if (!(out->eta >= 0 && out->eta <= 1)) return error_set(ERR_USAGE, "eta is %g: it lies between 0 and 1", out->eta);
    if (!(out->beta_start > 0 && out->beta_start <= out->beta_end && out->beta_end < 1))
        return error_set(ERR_USAGE, "a noise schedule from beta %g to %g: 0 < start <= end < 1 is needed", out->beta_start, out->beta_end);
    return 0;
}

static int floats_new(size_t n, float **out) {
    size_t bytes;
    if (__builtin_mul_overflow(n, sizeof **out, &bytes)) return error_memory(SIZE_MAX);
    *out = calloc(1, bytes ? bytes : 1);
    return *out ? 0 : error_memory(bytes);
}

int sampler_schedule_new(sampler *s, int steps, bool ddim) {
    s->steps = steps;
    int rc = floats_new((size_t)steps, &s->timesteps);
    if (rc == 0 && !ddim) rc = floats_new((size_t)steps + 1, &s->sigmas);
    if (rc == 0 && ddim) {
        s->ddim = calloc((size_t)steps, sizeof *s->ddim);
        if (!s->ddim) rc = error_memory((size_t)steps * sizeof *s->ddim);
    }
    return rc;
}

/* Two equal steps would divide by their distance: the reference gives NaN there. */
static int refuse_repeats(const sampler *s) {
    if (!s->sigmas) return 0;
    for (int i = 0; i < s->steps; i++)
        if (!(s->sigmas[i] > s->sigmas[i + 1]))
            return error_set(ERR_USAGE, "%s: with %d steps two of them fall on one timestep; take fewer", sampler_names[s->set.kind], s->set.steps);
    return 0;
}

sampler *sampler_new(const sampler_settings *settings, size_t n) {
    sampler_settings set;
    if (settle(settings, &set) < 0) return NULL;
    sampler *s = calloc(1, sizeof *s);
    if (!s) {
        error_memory(sizeof *s);
        return NULL;
    }
    s->set = set;
    s->n = n;
    s->family = families[set.kind];
    int rc = floats_new((size_t)set.train_steps, &s->alphas);
    if (rc == 0) {
        schedule_alphas(set.beta_start, set.beta_end, set.train_steps, NULL, s->alphas);
        rc = s->family->prepare(s);
    }
    if (rc == 0) rc = refuse_repeats(s);
    if (rc == 0) rc = floats_new(n, &s->x0);
    for (int i = 0; rc == 0 && i < s->family->histories; i++) rc = floats_new(n, &s->history[i]);
    if (rc == 0) return s;
    sampler_free(s);
    return NULL;
}

void sampler_free(sampler *s) {
    if (!s) return;
    for (size_t i = 0; i < sizeof s->history / sizeof *s->history; i++) free(s->history[i]);
    free(s->x0);
    free(s->ddim);
    free(s->sigmas);
    free(s->timesteps);
    free(s->alphas);
    free(s);
}

/* ---- Using it ---- */

int sampler_steps(const sampler *s) { return s->steps; }

float sampler_timestep(const sampler *s, int i) {
    assert(i >= 0 && i < s->steps);
    return s->timesteps[i];
}

float sampler_initial_scale(const sampler *s) {
    if (!s->family->by_sigma) return 1;
    float most = s->sigmas[0];
    return s->set.spacing == SAMPLER_SPACING_LEADING ? sqrtf(most * most + 1) : most;
}

void sampler_scale_input(const sampler *s, int i, const float *x, float *scaled, size_t n) {
    assert(i >= 0 && i < s->steps);
    if (!s->family->by_sigma) {
        if (scaled != x) memcpy(scaled, x, n * sizeof *x);
        return;
    }
    float by = sqrtf(s->sigmas[i] * s->sigmas[i] + 1);
    for (size_t k = 0; k < n; k++) scaled[k] = x[k] / by;
}

bool sampler_wants_noise(const sampler *s, int i) {
    assert(i >= 0 && i < s->steps);
    if (s->ddim) return s->set.eta > 0;
    return s->set.kind == SAMPLER_EULER_A;   /* in the last step, too, where it counts for nothing */
}

void sampler_step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n) {
    assert(i >= 0 && i < s->steps && n <= s->n && (noise || !sampler_wants_noise(s, i)));
    s->family->step(s, i, x, output, sampler_wants_noise(s, i) ? noise : NULL, n);
}

void sampler_denoised(const sampler *s, float *out, size_t n) {
    assert(n <= s->n);
    memcpy(out, s->x0, n * sizeof *out);
}
