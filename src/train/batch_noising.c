/* SPDX-License-Identifier: Apache-2.0 */
#include "train/batch_noising.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "diffusion/sampler.h"

int noising_new(const noising_settings *s, noising *out) {
    *out = (noising){ *s, malloc((size_t)s->train_steps * sizeof(float)) };
    if (!out->alphas) return error_memory((size_t)s->train_steps * sizeof(float));
    schedule_alphas(s->beta_start, s->beta_end, s->train_steps, NULL, out->alphas);
    return 0;
}

void noising_free(noising *n) {
    free(n->alphas);
    *n = (noising){ 0 };
}

/* diffusers' compute_snr: the square of the quotient of the roots. */
float noising_weight(const noising *n, int t) {
    if (!(n->set.min_snr > 0)) return 1;
    float ratio = sqrtf(n->alphas[t]) / sqrtf(1.0f - n->alphas[t]), snr = ratio * ratio, gamma = (float)n->set.min_snr;
    return (snr < gamma ? snr : gamma) / (n->set.predicts_v ? snr + 1.0f : snr);
}

/* Rounded from double precision: the same on every C library. */
static float deviation(float log_variance) {
    float l = log_variance < -30 ? -30 : log_variance > 20 ? 20 : log_variance;
    return (float)exp((double)(0.5f * l));
}

void noising_latent(const noising *n, size_t places, size_t c, const float *moments, const float *normal, float *latent) {
    float scale = (float)n->set.scale;
    for (size_t p = 0; p < places; p++)
        for (size_t k = 0; k < c; k++) {
            const float *m = moments + 2 * c * p + k;
            latent[c * p + k] = (m[0] + deviation(m[c]) * normal[c * p + k]) * scale;
        }
}

void noising_apply(const noising *n, int t, size_t places, size_t c, const float *latent, float *noise,
                   const float *offset, float *x, float *target) {
    float data = sqrtf(n->alphas[t]), sigma = sqrtf(1.0f - n->alphas[t]), strength = (float)n->set.noise_offset;
    for (size_t i = 0; i < places * c; i++) {
        if (strength != 0) noise[i] += strength * offset[i % c];
        float z = latent[i], e = noise[i];
        x[i] = data * z + sigma * e;
        target[i] = n->set.predicts_v ? data * e - sigma * z : e;
    }
}
