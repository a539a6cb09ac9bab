/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the diffusion room: what the families of samplers share. The references compute their factors in single precision, operation by
 * operation, and so do we: where logarithms of neighbouring steps are subtracted, more precision would give other numbers. */
#ifndef DIFFUSION_SAMPLER_INSIDE_H
#define DIFFUSION_SAMPLER_INSIDE_H

#include <math.h>

#include "diffusion/sampler.h"

/* Factors of one step of ddim. */
typedef struct { float alpha, alpha_previous, deviation; float root_alpha, root_beta; /* of v */ } ddim_step;

typedef struct {
    int (*prepare)(sampler *s);                     /* fills the schedule: timesteps, and sigmas or ddim */
    void (*step)(sampler *s, int i, float *x, const float *output, const float *noise, size_t n);   /* also fills x0 */
    bool by_sigma;                                  /* x is data + sigma * noise: input and first noise are scaled */
    int histories;                                  /* arrays of n that outlive a step, besides x0 */
} sampler_family;

extern const sampler_family sampler_family_ddim, sampler_family_ddim_original, sampler_family_euler, sampler_family_euler_a,
    sampler_family_dpmpp, sampler_family_unipc;

struct sampler {
    const sampler_family *family;
    sampler_settings set;          /* defaults filled in */
    int steps;
    size_t n;
    float *alphas;                 /* [train_steps] alphas_cumprod */
    float *timesteps;              /* [steps] */
    float *sigmas;                 /* [steps + 1], the last 0; NULL: ddim */
    ddim_step *ddim;               /* [steps] */
    float *x0, *history[3];        /* [n] */
};

/* Allocates timesteps (and sigmas or ddim) for s->steps. */
int  sampler_schedule_new(sampler *s, int steps, bool ddim);

/* ---- schedule.c ---- */

/* The schedulers that have S timesteps to 0 (ddim, euler), and those that have S + 1 without the last (dpmpp, unipc). */
typedef enum { SCHEDULE_TO_THE_END, SCHEDULE_BEFORE_THE_END } schedule_form;
/* Fills s->timesteps by spacing. rounded: to whole numbers. */
void schedule_timesteps(sampler *s, schedule_form form, bool rounded);
/* s->sigmas at s->timesteps, between training steps linearly. */
int  schedule_sigmas(sampler *s);
/* Both by Karras et al. 2022. */
int  schedule_karras(sampler *s);
/* The original's alphas_cumprod, computed in double precision, to [train_steps] doubles. */
void schedule_alphas_double(double beta_start, double beta_end, int train_steps, double *out);

/* ---- factors ---- */

/* Rounded from double precision: the same on every CPU and C library, and nearly always the single precision nearest. */
static inline float log_f32(float x) { return (float)log((double)x); }
static inline float exp_f32(float x) { return (float)exp((double)x); }
static inline float expm1_f32(float x) { return (float)expm1((double)x); }

/* x = alpha * data + sigma * noise with alpha^2 + sigma^2 = 1, and half the logarithm of the signal-to-noise ratio. */
typedef struct { float alpha, sigma, lambda; } vp_factors;
static inline vp_factors vp_of_sigma(float sigma) {
    float alpha = 1 / sqrtf(sigma * sigma + 1), s = sigma * alpha;
    return (vp_factors){ alpha, s, log_f32(alpha) - log_f32(s) };
}
/* Data out of x and the UNet's output (dpmpp, unipc). */
static inline float vp_data(const vp_factors *f, bool predicts_v, float x, float output) {
    return predicts_v ? f->alpha * x - f->sigma * output : (x - f->sigma * output) / f->alpha;
}

#endif
