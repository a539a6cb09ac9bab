/* SPDX-License-Identifier: Apache-2.0
 *
 * The samplers, equal to diffusers' schedulers in f32 up to rounding (../shared/spec/sampling.md). Pure arithmetic over arrays: the caller runs
 * the UNet. A step:
 *
 *     sampler_scale_input(s, i, x, scaled, n);
 *     out = UNet(scaled, sampler_timestep(s, i));          guidance is the caller's
 *     if (sampler_wants_noise(s, i)) noise_pictures(...)
 *     sampler_step(s, i, x, out, noise, n);                  x is now one step on
 */
#ifndef DIFFUSION_SAMPLER_H
#define DIFFUSION_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    SAMPLER_DDIM, SAMPLER_DDIM_ORIGINAL, SAMPLER_EULER, SAMPLER_EULER_A, SAMPLER_DPMPP_2M, SAMPLER_DPMPP_2M_KARRAS, SAMPLER_UNIPC, SAMPLERS,
} sampler_kind;

extern const char *const sampler_names[SAMPLERS + 1];   /* "ddim", ...; NULL ends them */

typedef enum { SAMPLER_SPACING_DEFAULT, SAMPLER_SPACING_LEADING, SAMPLER_SPACING_LINSPACE, SAMPLER_SPACING_TRAILING } sampler_spacing;

typedef struct {
    sampler_kind kind;
    int steps;                      /* as asked for; 1..train_steps */
    bool predicts_v;                /* v instead of epsilon */
    double eta;                     /* ddim, ddim_original: 0..1 */
    double beta_start, beta_end;    /* scaled_linear; 0: 0.00085, 0.012 */
    int train_steps;                /* 0: 1000 */
    sampler_spacing spacing;
    int steps_offset;               /* -1: the sampler's own */
} sampler_settings;

typedef struct sampler sampler;

/* n: elements of what is sampled, for the history that multistep samplers keep. NULL on failure: ddim_original refuses the five numbers of steps whose
 * last index lies past the table. */
sampler *sampler_new(const sampler_settings *settings, size_t n);
void     sampler_free(sampler *s);

int   sampler_steps(const sampler *s);                 /* runs of the UNet; ddim_original: maybe more than asked */
float sampler_timestep(const sampler *s, int i);       /* what the UNet is told; euler's may have a fraction */
float sampler_initial_scale(const sampler *s);         /* of the first noise */
void  sampler_scale_input(const sampler *s, int i, const float *x, float *scaled, size_t n);
bool  sampler_wants_noise(const sampler *s, int i);
void  sampler_step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n);
/* What the picture would be if the UNet were right already (x0), for previews: of the last step. */
void  sampler_denoised(const sampler *s, float *out, size_t n);

/* alphas_cumprod [train_steps] in f32, as diffusers computes them. */
void schedule_alphas(double beta_start, double beta_end, int train_steps, float *out);

#endif
