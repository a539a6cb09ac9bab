/* SPDX-License-Identifier: Apache-2.0
 *
 * The samplers, equal to diffusers' schedulers in f32 up to rounding (docs/exactness.md, "Noise and samplers", says which class and arguments each
 * one is). Pure arithmetic over arrays in any layout: the caller runs the UNet, and guides.
 *
 *     for each x: x *= sampler_initial_scale(s)
 *     for (int i = 0; i < sampler_steps(s); i++) {
 *         sampler_scale_input(s, i, x, scaled, n);
 *         output = UNet(scaled, sampler_timestep(s, i));
 *         if (sampler_wants_noise(s, i)) noise_pictures(...)
 *         sampler_step(s, i, x, output, noise, n);          x is now one step on
 *     }
 *
 * Steps are taken in this order; step 0 begins anew, so that one sampler serves picture after picture. It belongs to one thread. */
#ifndef DIFFUSION_SAMPLER_H
#define DIFFUSION_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    SAMPLER_DDIM, SAMPLER_DDIM_ORIGINAL, SAMPLER_EULER, SAMPLER_EULER_A, SAMPLER_DPMPP_2M, SAMPLER_DPMPP_2M_KARRAS, SAMPLER_UNIPC, SAMPLERS,
} sampler_kind;

extern const char *const sampler_names[SAMPLERS + 1];   /* "ddim", ...; NULL ends them */

/* DEFAULT: leading for ddim, linspace for the others. ddim_original and dpmpp_2m_karras have a spacing of their own, whatever is asked for. */
typedef enum { SAMPLER_SPACING_DEFAULT, SAMPLER_SPACING_LEADING, SAMPLER_SPACING_LINSPACE, SAMPLER_SPACING_TRAILING } sampler_spacing;

typedef struct {
    sampler_kind kind;
    int steps;                      /* as asked for; 1..train_steps */
    bool predicts_v;                /* v instead of epsilon */
    double eta;                     /* ddim, ddim_original: 0..1 */
    double beta_start, beta_end;    /* scaled_linear; 0: 0.00085, 0.012 */
    int train_steps;                /* 0: 1000 */
    sampler_spacing spacing;
    int steps_offset;               /* of leading spacing; -1: 1, as every Stable Diffusion's scheduler_config.json says */
} sampler_settings;

typedef struct sampler sampler;

/* n: the most elements that are sampled at once. All memory is taken here. NULL on failure: settings that make no sense, and numbers of steps that the
 * reference fails on, with the reason (ddim_original: 3, 9, 27, 36, 37 and more than 500, whose last index lies past the table). */
sampler *sampler_new(const sampler_settings *settings, size_t n);
void     sampler_free(sampler *s);

int   sampler_steps(const sampler *s);                 /* runs of the UNet; ddim_original: maybe more than asked for */
float sampler_timestep(const sampler *s, int i);       /* what the UNet is told; euler's may have a fraction */
float sampler_initial_scale(const sampler *s);         /* of the first noise */
void  sampler_scale_input(const sampler *s, int i, const float *x, float *scaled, size_t n);   /* scaled may be x */
bool  sampler_wants_noise(const sampler *s, int i);    /* the reference draws here, after the UNet's run */
void  sampler_step(sampler *s, int i, float *x, const float *output, const float *noise, size_t n);
/* What the picture would be if the UNet were right already (x0), as of the last step: for previews. */
void  sampler_denoised(const sampler *s, float *out, size_t n);

/* betas of "scaled_linear" and alphas_cumprod, [train_steps] each, with the bits of torch's f32 arithmetic. betas may be NULL. */
void schedule_alphas(double beta_start, double beta_end, int train_steps, float *betas, float *alphas_cumprod);

#endif
