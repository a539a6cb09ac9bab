/* SPDX-License-Identifier: Apache-2.0
 *
 * From a picture's moments to what the UNet is given and asked for, as ldm's p_losses and diffusers' training scripts
 * have it, in f32. Arrays are [places,4], channels last. */
#ifndef TRAIN_BATCH_NOISING_H
#define TRAIN_BATCH_NOISING_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    double beta_start, beta_end;     /* scaled_linear */
    int train_steps;
    bool predicts_v;
    double scale;                    /* of latents: 0.18215 */
    double min_snr;                  /* gamma (Hang et al. 2023); 0: all weights are 1 */
    double noise_offset;             /* 0: none */
} noising_settings;

typedef struct {
    noising_settings set;
    float *alphas;                   /* [train_steps] alphas_cumprod */
} noising;

int  noising_new(const noising_settings *settings, noising *out);
void noising_free(noising *n);       /* also fine on a zeroed one */

/* The loss's weight at a timestep: min(snr, gamma) / snr, of v / (snr + 1). */
float noising_weight(const noising *n, int timestep);

/* moments [places,2c]: mean, then the logarithm of the variance; normal: of the posterior; -> latent [places,c]. */
void noising_latent(const noising *n, size_t places, size_t c, const float *moments, const float *normal, float *latent);
/* noise [places,c] gets the offset, of c normal numbers, first, if there is one; x and target [places,c]; x may be the latent. */
void noising_apply(const noising *n, int timestep, size_t places, size_t c, const float *latent, float *noise,
                   const float *offset, float *x, float *target);

#endif
